//! git-LFS: hashing, the batch request, basic and multipart transfers to the links given, verification (nemo-wire 3.5).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use reqwest::{Method, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::body::{Body, Piece};
use super::call::{Call, Service, To};
use super::client::Client;
use super::error::{ApiError, ErrorKind, Refusal};
use super::hf::{BATCH, Source, unreadable_file};
use super::read;

/// Bytes hashed at a time.
const CHUNK: usize = 64 << 10;

/// A file that the Data Store now holds under its hash.
pub(crate) struct Pointer<'a> {
    pub(crate) path: &'a str,
    pub(crate) oid: String,
    pub(crate) size: u64,
    local: &'a Path,
}

impl Client {
    /// Brings files into the Data Store by their hash; a commit must name them still.
    pub(crate) async fn transfer<'a>(
        &self,
        ns: &str,
        name: &str,
        files: &[&Source<'a>],
    ) -> Result<Vec<Pointer<'a>>, ApiError> {
        let mut pointers = Vec::new();
        for file in files {
            let oid = sha256(file.local).await.map_err(|error| unreadable_file(file.path, file.local, &error))?;
            pointers.push(Pointer { path: file.path, oid, size: file.size, local: file.local });
        }
        let unique: BTreeMap<&str, &Pointer<'a>> =
            pointers.iter().map(|pointer| (pointer.oid.as_str(), pointer)).collect();
        let unique: Vec<&Pointer<'a>> = unique.into_values().collect();
        for batch in unique.chunks(BATCH) {
            self.batch(ns, name, batch).await?;
        }
        Ok(pointers)
    }

    async fn batch(&self, ns: &str, name: &str, pointers: &[&Pointer<'_>]) -> Result<(), ApiError> {
        let objects: Vec<Value> =
            pointers.iter().map(|pointer| json!({ "oid": pointer.oid, "size": pointer.size })).collect();
        let repo = format!("{name}.git");
        let path = ["v1", "hf", "datasets", ns, repo.as_str(), "info", "lfs", "objects", "batch"];
        let body = json!({
            "operation": "upload", "transfers": ["basic", "multipart"], "objects": objects,
            "hash_algo": "sha256", "ref": { "name": "main" },
        });
        let call = Call::post(Service::DataStore, &path, Body::Lfs(body)).accept("application/vnd.git-lfs+json");
        let answer = self.send(call).await?;
        let told = answer.json()?;
        for pointer in pointers {
            let object = read::list(&told, &["objects"])
                .iter()
                .find(|object| read::text(object, &["oid"]).as_deref() == Some(&pointer.oid))
                .ok_or_else(|| answer.unreadable(format!("nothing about object {}", pointer.oid)))?;
            self.object(&answer, pointer, object).await?;
        }
        Ok(())
    }

    /// Does what the server wants done about one object.
    async fn object(&self, answer: &Answer, pointer: &Pointer<'_>, object: &Value) -> Result<(), ApiError> {
        if let Some(refused) = read::at(object, &["error"]) {
            return Err(refusal(answer, pointer, refused));
        }
        // Without an upload action the server has it already.
        if let Some(upload) = read::at(object, &["actions", "upload"]) {
            let href = link(answer, upload)?;
            // The header decides, not the announced transfer (nemo-wire 3.5).
            match read::integer(upload, &["header", "chunk_size"]) {
                Some(size) => self.parts(answer, pointer, upload, href, size).await?,
                None => self.put(&href, pointer, 0, pointer.size).await.map(drop)?,
            }
        }
        if let Some(verify) = read::at(object, &["actions", "verify"]) {
            let body = Body::Json(json!({ "oid": pointer.oid, "size": pointer.size }));
            self.send(Call::link(Method::POST, To::OwnLink(link(answer, verify)?), body)).await?;
        }
        Ok(())
    }

    async fn put(&self, href: &Url, pointer: &Pointer<'_>, from: u64, len: u64) -> Result<Answer, ApiError> {
        let body = Body::Pieces("", vec![Piece::File { path: pointer.local.to_owned(), from, len }]);
        self.send(Call::link(Method::PUT, To::Link(href.clone()), body).upload()).await
    }

    async fn parts(
        &self,
        answer: &Answer,
        pointer: &Pointer<'_>,
        upload: &Value,
        complete: Url,
        chunk: u64,
    ) -> Result<(), ApiError> {
        let mut links: BTreeMap<u64, Url> = BTreeMap::new();
        for (key, value) in read::entries(upload, &["header"]) {
            if let (Ok(number), Some(href)) = (key.parse(), value.as_str()) {
                links.insert(number, parse(answer, href)?);
            }
        }
        if chunk == 0 || links.len() as u64 != pointer.size.div_ceil(chunk) {
            let what = format!("{} parts of {chunk} bytes for {} bytes", links.len(), pointer.size);
            return Err(answer.unreadable(what));
        }
        let mut parts = Vec::new();
        for ((number, href), from) in links.iter().zip((0..).map(|index| index * chunk)) {
            let stored = self.put(href, pointer, from, chunk.min(pointer.size - from)).await?;
            let etag = stored.headers.get("etag").and_then(|etag| etag.to_str().ok());
            let etag = etag.ok_or_else(|| stored.unreadable("no ETag for an uploaded part"))?;
            parts.push(json!({ "partNumber": number, "etag": etag }));
        }
        let body = Body::Lfs(json!({ "oid": pointer.oid, "parts": parts }));
        self.send(Call::link(Method::POST, To::Link(complete), body)).await.map(drop)
    }
}

fn link(answer: &Answer, action: &Value) -> Result<Url, ApiError> {
    let href = read::text(action, &["href"]).ok_or_else(|| answer.unreadable("an action without a link"))?;
    parse(answer, &href)
}

fn parse(answer: &Answer, href: &str) -> Result<Url, ApiError> {
    Url::parse(href).map_err(|error| answer.unreadable(format!("a link that is none: {error}")))
}

/// An object that the server refuses, as the error that it would be as an answer of its own.
fn refusal(answer: &Answer, pointer: &Pointer<'_>, refused: &Value) -> ApiError {
    let status = read::integer(refused, &["code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(422);
    let said = read::text(refused, &["message"]).unwrap_or_else(|| refused.to_string());
    let refusal = Refusal {
        status,
        message: format!("{}: {said}", pointer.path),
        code: None,
        retry_after: None,
        page: false,
        exists: false,
    };
    ApiError::new(answer.call.clone(), ErrorKind::Status(Box::new(refusal)), None).of(Some(Service::DataStore))
}

/// The hash of a file, in hex, read in bounded memory off the async threads.
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
