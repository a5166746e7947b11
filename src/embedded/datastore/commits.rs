//! Writing to a repository: preupload, commit, validate-yaml (nemo-wire 3.4).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::lfs;
use super::repos::{Change, File, RepoKind, RepoName, Repositories, no_revision, not_found};
use crate::embedded::UploadMode;
use crate::embedded::contents::{Content, Contents};
use crate::embedded::fields::{Fields, object};
use crate::embedded::wire::{Answer, Refusal};
use crate::embedded::world::World;

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/hf/api/validate-yaml", post(validate_yaml))
        .route("/v1/hf/api/{kind}/{namespace}/{name}/preupload/{revision}", post(preupload))
        .route("/v1/hf/api/{kind}/{namespace}/{name}/commit/{revision}", post(commit))
}

async fn validate_yaml(body: Bytes) -> Answer {
    object(&body)?;
    Ok(Json(json!({"errors": [], "warnings": []})))
}

/// `kind`, namespace, name, revision.
type RevisionPath = Path<(String, String, String, String)>;

async fn preupload(State(world): State<Arc<World>>, Path(path): RevisionPath, body: Bytes) -> Answer {
    let (name, revision) = (RepoName::new(RepoKind::of_segment(&path.0)?, &path.1, &path.2), path.3);
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    fields.require("files");
    let files = fields.list("files").cloned().unwrap_or_default();
    fields.done()?;
    let state = world.state();
    let repo = state.store.find(&name).ok_or_else(|| not_found(&name))?;
    repo.resolve(&revision).ok_or_else(|| no_revision(&revision))?;
    let mode = |file: &Value| match world.options.upload_mode {
        UploadMode::Lfs if file["size"].as_u64() != Some(0) => "lfs",
        _ => "regular",
    };
    let files: Vec<Value> = files
        .iter()
        .map(|file| json!({"path": file["path"], "uploadMode": mode(file), "shouldIgnore": false}))
        .collect();
    Ok(Json(json!({"files": files})))
}

/// One line of a commit.
#[derive(Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "camelCase")]
enum Line {
    #[serde(rename_all = "camelCase")]
    Header {
        summary: String,
        parent_commit: Option<String>,
    },
    File {
        path: String,
        content: String,
        encoding: Option<String>,
    },
    LfsFile {
        path: String,
        oid: String,
        size: Option<u64>,
    },
    DeletedFile {
        path: String,
    },
    DeletedFolder {
        path: String,
    },
}

async fn commit(State(world): State<Arc<World>>, Path(path): RevisionPath, body: Bytes) -> Answer {
    let (name, revision) = (RepoName::new(RepoKind::of_segment(&path.0)?, &path.1, &path.2), path.3);
    let within = Arc::clone(&world);
    let read = tokio::task::spawn_blocking(move || read(&within.contents, &body)).await;
    let steps = read.unwrap_or_else(|crash| Err(refuse(crash.to_string())))?;
    let mut state = world.state();
    let repo = state.store.find(&name).ok_or_else(|| not_found(&name))?;
    let Some(head) = repo.branches.get(&revision).cloned() else { return Err(no_revision(&revision)) };
    let mut title = None;
    let mut changes = Vec::new();
    for step in steps {
        match step {
            Step::Header { summary, parent } => {
                if parent.is_some_and(|parent| parent != head) {
                    let text = "A commit has happened since. Please refresh and try again.";
                    return Err(Refusal::datastore(StatusCode::PRECONDITION_FAILED, None, text));
                }
                title = Some(summary);
            }
            Step::Large { path, oid, size } => {
                let content = uploaded(&state.store, &oid, size)?;
                changes.push(Change::Put(path, File::large(content)));
            }
            Step::Change(change) => changes.push(change),
        }
    }
    let Some(title) = title else { return Err(refuse("the commit has no header".into())) };
    let Some(repo) = state.store.find_mut(&name) else { return Err(not_found(&name)) };
    let oid = repo.commit(&revision, &title, changes);
    // Relative: the form of the address that every version of the client parses.
    let url = format!("{}/commit/{oid}", name.path());
    Ok(Json(json!({"success": true, "commitOid": oid, "commitUrl": url, "hookOutput": ""})))
}

/// A line of a commit with what it brings stored, for what the state of the repository decides.
enum Step {
    Header { summary: String, parent: Option<String> },
    Large { path: String, oid: String, size: Option<u64> },
    Change(Change),
}

/// Reads the lines of a commit and keeps the contents that come inside; blocks.
fn read(contents: &Contents, body: &[u8]) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line = serde_json::from_slice::<Line>(line);
        let line = line.map_err(|error| refuse(format!("line {} of the commit: {error}", at + 1)))?;
        let step = step(contents, line)?;
        if matches!(step, Step::Header { .. }) && steps.iter().any(|step| matches!(step, Step::Header { .. })) {
            return Err(refuse("the commit has two headers".into()));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn step(contents: &Contents, line: Line) -> Result<Step, Refusal> {
    Ok(match line {
        Line::Header { summary, parent_commit } => Step::Header { summary, parent: parent_commit },
        Line::File { path, content, encoding } => {
            let bytes = match encoding.as_deref() {
                None | Some("base64") => STANDARD.decode(content.as_bytes()).map_err(|e| refuse(e.to_string()))?,
                Some("utf-8") => content.into_bytes(),
                Some(other) => return Err(refuse(format!("encoding {other} is not known"))),
            };
            let path = checked(path)?;
            let content = contents.keep(bytes.into()).map_err(lfs::no_room)?;
            Step::Change(Change::Put(path, File::regular(content)))
        }
        Line::LfsFile { path, oid, size } => Step::Large { path: checked(path)?, oid, size },
        Line::DeletedFile { path } => Step::Change(Change::Delete(checked(path)?)),
        Line::DeletedFolder { path } => Step::Change(Change::DeleteFolder(path)),
    })
}

/// The contents that were put over LFS before the commit.
fn uploaded(store: &Repositories, oid: &str, size: Option<u64>) -> Result<Content, Refusal> {
    match store.object(oid) {
        Some(content) if size.is_none_or(|size| size == content.size()) => Ok(content.clone()),
        Some(_) => Err(refuse(format!("object {oid} is of another size"))),
        None => Err(refuse(format!("object {oid} was never uploaded"))),
    }
}

fn checked(path: String) -> Result<String, Refusal> {
    if path.split('/').any(|step| matches!(step, "" | "." | "..")) {
        return Err(refuse(format!("{path:?} is no path inside a repository")));
    }
    Ok(path)
}

fn refuse(text: String) -> Refusal {
    Refusal::datastore(StatusCode::BAD_REQUEST, None, text)
}
