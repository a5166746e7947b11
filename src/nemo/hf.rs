//! Repositories of the Data Store through its Hugging Face compatible API (nemo-wire 3.3, 3.4, 3.7): making, filling,
//! listing, deleting. Transfer of large files is in `lfs`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::answer::Answer;
use super::body::{Body, Piece};
use super::call::{Call, Service};
use super::client::Client;
use super::error::{ApiError, Cause, ErrorKind};
use super::{Removal, read};

/// Files named in one preupload or LFS request.
pub(crate) const BATCH: usize = 256;
/// Bytes of a file by which the server decides how it wants it.
const SAMPLE_BYTES: u64 = 512;

/// Whether a create made the thing or found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// Made by this call.
    New,
    /// It was there.
    Existed,
}

/// A local file and where in a repository it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Path in the repository, with `/`.
    pub path: String,
    /// The file on disk; it must not change during the upload.
    pub local: PathBuf,
}

/// A file in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoFile {
    /// Path in the repository.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// A file to upload, looked at.
pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    pub(crate) local: &'a Path,
    pub(crate) size: u64,
    sample: Vec<u8>,
}

impl Client {
    /// Makes a dataset repository.
    pub async fn create_repo(&self, ns: &str, name: &str) -> Result<Creation, ApiError> {
        let body = Body::Json(json!({ "name": name, "organization": ns, "type": "dataset" }));
        // Its name makes it one: when an answer was lost, the next try is told that it exists.
        match self.send(Call::post(Service::DataStore, &["v1", "hf", "api", "repos", "create"], body)).await {
            Ok(_) => Ok(Creation::New),
            Err(error) if error.is_conflict() => Ok(Creation::Existed),
            Err(error) => Err(error),
        }
    }

    /// Puts files into a dataset repository in one commit and gives the commit's id (empty when the server tells none).
    pub async fn upload(&self, ns: &str, name: &str, files: &[Upload]) -> Result<String, ApiError> {
        let mut sources = Vec::new();
        for file in files {
            sources.push(Source::look(file).await?);
        }
        let mut large = Vec::new();
        for batch in sources.chunks(BATCH) {
            large.extend(self.preupload(ns, name, batch).await?);
        }
        let mut pieces = vec![line(&json!({ "key": "header", "value": {
            "summary": format!("Upload {}", files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>().join(", ")),
            "description": "" } }))];
        let wanted: Vec<&Source<'_>> = sources.iter().filter(|source| large.contains(&source.path)).collect();
        for pointer in self.transfer(ns, name, &wanted).await? {
            let value = json!({ "path": pointer.path, "algo": "sha256", "oid": pointer.oid, "size": pointer.size });
            pieces.push(line(&json!({ "key": "lfsFile", "value": value })));
        }
        for source in sources.iter().filter(|source| !large.contains(&source.path)) {
            pieces.extend(source.inline());
        }
        let path = ["v1", "hf", "api", "datasets", ns, name, "commit", "main"];
        let commit = Call::post(Service::DataStore, &path, Body::Pieces("application/x-ndjson", pieces)).upload();
        let answer = self.send(commit).await?.json()?;
        Ok(read::text(&answer, &["commitOid"]).unwrap_or_default())
    }

    /// Asks which files go through LFS.
    async fn preupload<'a>(&self, ns: &str, name: &str, files: &[Source<'a>]) -> Result<Vec<&'a str>, ApiError> {
        let asked: Vec<Value> = files
            .iter()
            .map(|file| json!({ "path": file.path, "sample": BASE64.encode(&file.sample), "size": file.size }))
            .collect();
        let path = ["v1", "hf", "api", "datasets", ns, name, "preupload", "main"];
        let body = Body::Json(json!({ "files": asked }));
        let answer = self.send(Call::post(Service::DataStore, &path, body)).await?.json()?;
        let lfs = |file: &&Source<'_>| {
            // An empty file has no content to transfer (nemo-wire 3.4).
            file.size > 0
                && read::list(&answer, &["files"]).iter().any(|told| {
                    read::text(told, &["path"]).as_deref() == Some(file.path)
                        && read::text(told, &["uploadMode"]).as_deref() == Some("lfs")
                })
        };
        Ok(files.iter().filter(lfs).map(|file| file.path).collect())
    }

    /// The files of a dataset repository, or `None` when there is no such repository.
    pub async fn repo_files(&self, ns: &str, name: &str) -> Result<Option<Vec<RepoFile>>, ApiError> {
        let path = ["v1", "hf", "api", "datasets", ns, name, "tree", "main"];
        let mut cursor: Option<String> = None;
        let mut files = Vec::new();
        loop {
            let mut call = Call::get(Service::DataStore, &path).query("recursive", "true");
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor.as_str());
            }
            let answer = match self.send(call).await {
                Ok(answer) => answer,
                Err(error) if is_empty_repo(&error) => return Ok(Some(files)),
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            };
            let tree = answer.json()?;
            let Value::Array(entries) = &tree else { return Err(answer.unreadable("not a list of files")) };
            let is_file = |entry: &&Value| read::text(entry, &["type"]).is_none_or(|kind| kind == "file");
            files.extend(entries.iter().filter(is_file).filter_map(|entry| {
                let size = read::integer(entry, &["lfs", "size"]).or_else(|| read::integer(entry, &["size"]));
                Some(RepoFile { path: read::text(entry, &["path"])?, size: size.unwrap_or_default() })
            }));
            let next = next_cursor(&answer);
            if next.is_none() || next == cursor {
                return Ok(Some(files));
            }
            cursor = next;
        }
    }

    /// Deletes a dataset repository with its files.
    pub async fn delete_repo(&self, ns: &str, name: &str) -> Result<Removal, ApiError> {
        self.delete_any_repo(json!({ "name": name, "organization": ns, "type": "dataset" })).await
    }

    /// Deletes a model repository with all its revisions.
    pub async fn delete_model_repo(&self, ns: &str, name: &str) -> Result<Removal, ApiError> {
        // A model is what is meant when no type is given; the Data Store knows no other spelling (nemo-wire 3.3).
        self.delete_any_repo(json!({ "name": name, "organization": ns })).await
    }

    async fn delete_any_repo(&self, body: Value) -> Result<Removal, ApiError> {
        let call = Call::delete(Service::DataStore, &["v1", "hf", "api", "repos", "delete"]);
        self.remove(call.body(Body::Json(body))).await
    }
}

impl<'a> Source<'a> {
    async fn look(upload: &'a Upload) -> Result<Source<'a>, ApiError> {
        let local = upload.local.as_path();
        let look = async {
            let file = tokio::fs::File::open(local).await?;
            let size = file.metadata().await?.len();
            let mut sample = Vec::new();
            file.take(SAMPLE_BYTES).read_to_end(&mut sample).await?;
            Ok((size, sample))
        };
        let (size, sample) = look.await.map_err(|error| unreadable_file(&upload.path, local, &error))?;
        Ok(Source { path: &upload.path, local, size, sample })
    }

    /// The commit line that carries the whole file.
    fn inline(&self) -> [Piece; 3] {
        let path = Value::from(self.path);
        [
            Piece::Text(r#"{"key":"file","value":{"content":""#.to_owned()),
            Piece::Base64 { path: self.local.to_owned(), len: self.size },
            Piece::Text(format!("\",\"path\":{path},\"encoding\":\"base64\"}}}}\n")),
        ]
    }
}

/// An error about a local file, in the name of the upload that wants it.
pub(crate) fn unreadable_file(path: &str, local: &Path, error: &std::io::Error) -> ApiError {
    let kind = ErrorKind::File(local.display().to_string());
    ApiError::new(format!("upload {path}"), kind, Some(Cause(error.to_string())))
}

fn line(value: &Value) -> Piece {
    Piece::Text(format!("{value}\n"))
}

/// A repository without a commit has no `main` to list.
fn is_empty_repo(error: &ApiError) -> bool {
    match &error.kind {
        ErrorKind::Status(refusal) => {
            error.is_not_found() && matches!(refusal.code.as_deref(), Some("RevisionNotFound" | "EntryNotFound"))
        }
        _ => false,
    }
}

/// The cursor in `Link: <url>; rel="next"`. Only the cursor is taken: the URL may name a host that we cannot reach.
fn next_cursor(answer: &Answer) -> Option<String> {
    let links = answer.headers.get("link")?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains(r#"rel="next""#))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    let url = Url::parse("http://localhost").ok()?.join(url).ok()?;
    url.query_pairs().find(|(key, _)| key == "cursor").map(|(_, cursor)| cursor.into_owned())
}
