//! Repositories of the Data Store, through its API that is compatible with Hugging Face (docs/nemo-api.md, Repositories
//! and Commits). `lfs` transfers the large files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use serde_json::{Value, json};

use super::upload_source::{BATCH, UploadSource};
use super::{Service, V1};
use crate::nemo::datasets::{StoredFile, UploadFile};
use crate::nemo::removal::Removal;
use crate::nemo::transport::{ApiError, ApiRequest, ApiResponse, BodyPiece, ErrorKind, Form, RequestBody, read_json};

impl V1 {
    /// Creates a dataset repository, unless it exists.
    pub(crate) async fn create_repo(&self, ns: &str, name: &str) -> Result<(), ApiError> {
        let body = RequestBody::Json(json!({ "name": name, "organization": ns, "type": "dataset" }));
        // Safe to repeat: if the first response was lost, the second one says that the repository exists.
        let request = ApiRequest::post(Service::DataStore, &["v1", "hf", "api", "repos", "create"], body);
        match self.transport.send(request.answers(Form::With(&["url"])).patient()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Uploads files to a dataset repository in one commit.
    pub(crate) async fn upload(&self, ns: &str, name: &str, files: &[UploadFile]) -> Result<(), ApiError> {
        let mut sources = Vec::new();
        for file in files {
            sources.push(UploadSource::look(file).await?);
        }
        let mut large = Vec::new();
        for batch in sources.chunks(BATCH) {
            large.extend(self.preupload(ns, name, batch).await?);
        }
        let mut pieces = vec![line(&json!({ "key": "header", "value": {
            "summary": format!("Upload {}", files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>().join(", ")),
            "description": "" } }))];
        let wanted: Vec<&UploadSource<'_>> = sources.iter().filter(|source| large.contains(&source.path)).collect();
        for pointer in self.upload_large(ns, name, &wanted).await? {
            let value = json!({ "path": pointer.path, "algo": "sha256", "oid": pointer.oid, "size": pointer.size });
            pieces.push(line(&json!({ "key": "lfsFile", "value": value })));
        }
        for source in sources.iter().filter(|source| !large.contains(&source.path)) {
            pieces.extend(source.inline());
        }
        let path = ["v1", "hf", "api", "datasets", ns, name, "commit", "main"];
        let commit =
            ApiRequest::post(Service::DataStore, &path, RequestBody::Pieces("application/x-ndjson", pieces)).upload();
        let form = Form::With(&["commitOid", "commitUrl", "success"]);
        self.transport.send(commit.answers(form).patient()).await.map(drop)
    }

    /// Asks the server which files go through LFS.
    async fn preupload<'a>(&self, ns: &str, name: &str, files: &[UploadSource<'a>]) -> Result<Vec<&'a str>, ApiError> {
        let asked: Vec<Value> = files
            .iter()
            .map(|file| json!({ "path": file.path, "sample": BASE64.encode(&file.sample), "size": file.size }))
            .collect();
        let path = ["v1", "hf", "api", "datasets", ns, name, "preupload", "main"];
        let body = RequestBody::Json(json!({ "files": asked }));
        let response = self
            .transport
            .send(ApiRequest::post(Service::DataStore, &path, body).answers(Form::With(&["files"])).patient())
            .await?
            .json()?;
        let lfs = |file: &&UploadSource<'_>| {
            // An empty file has no content to transfer.
            file.size > 0
                && read_json::list(&response, &["files"]).iter().any(|told| {
                    read_json::text(told, &["path"]).as_deref() == Some(file.path)
                        && read_json::text(told, &["uploadMode"]).as_deref() == Some("lfs")
                })
        };
        Ok(files.iter().filter(lfs).map(|file| file.path).collect())
    }

    /// Returns the files of a dataset repository, or `None` if it does not exist.
    pub(crate) async fn repo_files(&self, ns: &str, name: &str) -> Result<Option<Vec<StoredFile>>, ApiError> {
        self.files("datasets", ns, name).await
    }

    /// Reports whether a model repository exists.
    pub(super) async fn model_repo_exists(&self, ns: &str, name: &str) -> Result<bool, ApiError> {
        Ok(self.files("models", ns, name).await?.is_some())
    }

    async fn files(&self, kind: &str, ns: &str, name: &str) -> Result<Option<Vec<StoredFile>>, ApiError> {
        let path = ["v1", "hf", "api", kind, ns, name, "tree", "main"];
        let mut cursor: Option<String> = None;
        let mut files = Vec::new();
        loop {
            let mut request = ApiRequest::get(Service::DataStore, &path).query("recursive", "true");
            if let Some(cursor) = &cursor {
                request = request.query("cursor", cursor.as_str());
            }
            let response = match self.transport.send(request).await {
                Ok(response) => response,
                Err(error) if is_empty_repo(&error) => return Ok(Some(files)),
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            };
            let tree = response.json()?;
            let Value::Array(entries) = &tree else { return Err(response.unreadable("not a list of files")) };
            let is_file = |entry: &&Value| read_json::text(entry, &["type"]).is_none_or(|kind| kind == "file");
            files.extend(entries.iter().filter(is_file).filter_map(|entry| {
                let size = read_json::integer(entry, &["lfs", "size"]).or_else(|| read_json::integer(entry, &["size"]));
                Some(StoredFile { path: read_json::text(entry, &["path"])?, size: size.unwrap_or_default() })
            }));
            let next = next_cursor(&response);
            if next.is_none() || next == cursor {
                return Ok(Some(files));
            }
            cursor = next;
        }
    }

    /// Deletes a dataset repository with its files.
    pub(crate) async fn delete_repo(&self, ns: &str, name: &str) -> Result<Removal, ApiError> {
        self.delete_any_repo(json!({ "name": name, "organization": ns, "type": "dataset" })).await
    }

    /// Deletes a model repository with all its revisions.
    pub(crate) async fn delete_model_repo(&self, ns: &str, name: &str) -> Result<Removal, ApiError> {
        // Without a type, the Data Store takes it for a model. It accepts no other spelling.
        self.delete_any_repo(json!({ "name": name, "organization": ns })).await
    }

    async fn delete_any_repo(&self, body: Value) -> Result<Removal, ApiError> {
        let call = ApiRequest::delete(Service::DataStore, &["v1", "hf", "api", "repos", "delete"]);
        self.transport.remove(call.body(RequestBody::Json(body))).await
    }
}

fn line(value: &Value) -> BodyPiece {
    BodyPiece::Text(format!("{value}\n"))
}

/// Recognises the refusal to list a repository without a commit, which has no `main`.
fn is_empty_repo(error: &ApiError) -> bool {
    match &error.kind {
        ErrorKind::Status(refusal) => {
            error.is_not_found() && matches!(refusal.code.as_deref(), Some("RevisionNotFound" | "EntryNotFound"))
        }
        _ => false,
    }
}

/// Reads the cursor in `Link: <url>; rel="next"`. The rest of the URL is ignored, because it may name a host that we
/// cannot reach.
fn next_cursor(response: &ApiResponse) -> Option<String> {
    let links = response.headers.get("link")?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains(r#"rel="next""#))?;
    let url = next.split_once('<')?.1.split_once('>')?.0;
    let url = Url::parse("http://localhost").ok()?.join(url).ok()?;
    url.query_pairs().find(|(key, _)| key == "cursor").map(|(_, cursor)| cursor.into_owned())
}
