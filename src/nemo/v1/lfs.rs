//! Large files over git-LFS: hashes, the batch request, transfers in one piece or in chunks, verification
//! (docs/nemo-api.md, Large files).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use reqwest::{Method, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::upload_source::{BATCH, UploadSource, unreadable_file};
use super::{Service, V1};
use crate::nemo::transport::{
    ApiError, ApiRequest, ApiResponse, BodyPiece, Destination, ErrorKind, Refusal, RequestBody, read_json,
};

/// The number of bytes hashed at a time.
const CHUNK: usize = 64 << 10;

/// A file that the Data Store holds under its hash.
pub(super) struct LfsPointer<'a> {
    pub(super) path: &'a str,
    pub(super) oid: String,
    pub(super) size: u64,
    local: &'a Path,
}

impl V1 {
    /// Uploads files under their hashes. A commit must still name them.
    pub(super) async fn upload_large<'a>(
        &self,
        ns: &str,
        name: &str,
        files: &[&UploadSource<'a>],
    ) -> Result<Vec<LfsPointer<'a>>, ApiError> {
        let mut pointers = Vec::new();
        for file in files {
            let oid = sha256(file.local).await.map_err(|error| unreadable_file(file.path, file.local, &error))?;
            pointers.push(LfsPointer { path: file.path, oid, size: file.size, local: file.local });
        }
        let unique: BTreeMap<&str, &LfsPointer<'a>> =
            pointers.iter().map(|pointer| (pointer.oid.as_str(), pointer)).collect();
        let unique: Vec<&LfsPointer<'a>> = unique.into_values().collect();
        for batch in unique.chunks(BATCH) {
            self.batch(ns, name, batch).await?;
        }
        Ok(pointers)
    }

    /// Asks how to upload these objects, and uploads them.
    async fn batch(&self, ns: &str, name: &str, pointers: &[&LfsPointer<'_>]) -> Result<(), ApiError> {
        let objects: Vec<Value> =
            pointers.iter().map(|pointer| json!({ "oid": pointer.oid, "size": pointer.size })).collect();
        let repo = format!("{name}.git");
        let path = ["v1", "hf", "datasets", ns, repo.as_str(), "info", "lfs", "objects", "batch"];
        let body = json!({
            "operation": "upload", "transfers": ["basic", "multipart"], "objects": objects,
            "hash_algo": "sha256", "ref": { "name": "main" },
        });
        let request =
            ApiRequest::post(Service::DataStore, &path, RequestBody::Lfs(body)).accept("application/vnd.git-lfs+json");
        let response = self.transport.send(request).await?;
        let answer = response.json()?;
        for pointer in pointers {
            let object = read_json::list(&answer, &["objects"])
                .iter()
                .find(|object| read_json::text(object, &["oid"]).as_deref() == Some(&pointer.oid))
                .ok_or_else(|| response.unreadable(format!("no answer for object {}", pointer.oid)))?;
            self.object(&response, pointer, object).await?;
        }
        Ok(())
    }

    /// Takes the actions that the server asks for one object.
    async fn object(&self, response: &ApiResponse, pointer: &LfsPointer<'_>, object: &Value) -> Result<(), ApiError> {
        if let Some(refused) = read_json::at(object, &["error"]) {
            return Err(refusal(response, pointer, refused));
        }
        // Without an upload action, the server has the object already.
        if let Some(upload) = read_json::at(object, &["actions", "upload"]) {
            let href = link(response, upload)?;
            // The header decides, not the announced transfer.
            match read_json::integer(upload, &["header", "chunk_size"]) {
                Some(size) => self.parts(response, pointer, upload, href, size).await?,
                None => self.put(&href, pointer, 0, pointer.size).await.map(drop)?,
            }
        }
        if let Some(verify) = read_json::at(object, &["actions", "verify"]) {
            let body = RequestBody::Json(json!({ "oid": pointer.oid, "size": pointer.size }));
            let to = Destination::OwnLink(link(response, verify)?);
            self.transport.send(ApiRequest::link(Method::POST, to, body)).await?;
        }
        Ok(())
    }

    /// Uploads a part of a file.
    async fn put(&self, href: &Url, pointer: &LfsPointer<'_>, from: u64, len: u64) -> Result<ApiResponse, ApiError> {
        let body = RequestBody::Pieces("", vec![BodyPiece::File { path: pointer.local.to_owned(), from, len }]);
        self.transport.send(ApiRequest::link(Method::PUT, Destination::Link(href.clone()), body).upload()).await
    }

    /// Uploads a file in chunks.
    async fn parts(
        &self,
        response: &ApiResponse,
        pointer: &LfsPointer<'_>,
        upload: &Value,
        complete: Url,
        chunk: u64,
    ) -> Result<(), ApiError> {
        let mut links: BTreeMap<u64, Url> = BTreeMap::new();
        for (key, value) in read_json::entries(upload, &["header"]) {
            if let (Ok(number), Some(href)) = (key.parse(), value.as_str()) {
                links.insert(number, parse(response, href)?);
            }
        }
        if chunk == 0 || links.len() as u64 != pointer.size.div_ceil(chunk) {
            let what = format!("{} links to parts of {chunk} bytes for a file of {} bytes", links.len(), pointer.size);
            return Err(response.unreadable(what));
        }
        let mut parts = Vec::new();
        for ((number, href), from) in links.iter().zip((0..).map(|index| index * chunk)) {
            let stored = self.put(href, pointer, from, chunk.min(pointer.size - from)).await?;
            let etag = stored.headers.get("etag").and_then(|etag| etag.to_str().ok());
            let etag = etag.ok_or_else(|| stored.unreadable("no ETag for an uploaded part"))?;
            parts.push(json!({ "partNumber": number, "etag": etag }));
        }
        let body = RequestBody::Lfs(json!({ "oid": pointer.oid, "parts": parts }));
        self.transport.send(ApiRequest::link(Method::POST, Destination::Link(complete), body)).await.map(drop)
    }
}

fn link(response: &ApiResponse, action: &Value) -> Result<Url, ApiError> {
    let href = read_json::text(action, &["href"]).ok_or_else(|| response.unreadable("an action without href"))?;
    parse(response, &href)
}

fn parse(response: &ApiResponse, href: &str) -> Result<Url, ApiError> {
    Url::parse(href).map_err(|error| response.unreadable(format!("a link that is not a URL: {error}")))
}

/// Turns the refusal of one object into the error that a response of its own would give.
fn refusal(response: &ApiResponse, pointer: &LfsPointer<'_>, refused: &Value) -> ApiError {
    let status = read_json::integer(refused, &["code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(422);
    let said = read_json::text(refused, &["message"]).unwrap_or_else(|| refused.to_string());
    let refusal = Refusal {
        status,
        message: format!("{}: {said}", pointer.path),
        code: None,
        retry_after: None,
        page: false,
        exists: false,
    };
    ApiError::new(response.call.clone(), ErrorKind::Status(Box::new(refusal)), None)
}

/// Computes the hash of a file in hex, in bounded memory and off the async threads.
async fn sha256(path: &Path) -> std::io::Result<String> {
    let path = path.to_owned();
    let hash = move || {
        let mut file = std::fs::File::open(path)?;
        let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(format!("{:x}", hasher.finalize())),
                read => hasher.update(&chunk[..read]),
            }
        }
    };
    tokio::task::spawn_blocking(hash).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
