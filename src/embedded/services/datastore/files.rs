//! Reading from a repository: info, refs, tree, and files with ranges (docs/nemo-api.md, Reading a repository).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::repo_path::{kind_of, no_revision, not_found};
use crate::embedded::backend::Backend;
use crate::embedded::state::repositories::{Repo, RepoFile, RepoKind, RepoName};
use crate::embedded::wire::listing::{pairs, parameter};
use crate::embedded::wire::refusal::{JsonResult, Refusal};

pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/hf/api/{kind}/{namespace}/{name}", get(head_info))
        .route("/v1/hf/api/{kind}/{namespace}/{name}/refs", get(refs))
        .route("/v1/hf/api/{kind}/{namespace}/{name}/revision/{revision}", get(revision_info))
        .route("/v1/hf/api/{kind}/{namespace}/{name}/tree/{revision}", get(whole_tree))
        .route("/v1/hf/api/{kind}/{namespace}/{name}/tree/{revision}/{*path}", get(tree_below))
        .route("/v1/hf/api/{kind}/{namespace}/{name}/paths-info/{revision}", post(paths_info))
        .route("/v1/hf/datasets/{namespace}/{name}/resolve/{revision}/{*path}", get(dataset_file))
        .route("/v1/hf/{namespace}/{name}/resolve/{revision}/{*path}", get(model_file))
}

async fn head_info(State(backend): State<Arc<Backend>>, Path(path): Path<(String, String, String)>) -> JsonResult {
    answer_info(&backend, RepoName::new(kind_of(&path.0)?, &path.1, &path.2), "main")
}

async fn revision_info(
    State(backend): State<Arc<Backend>>,
    Path(path): Path<(String, String, String, String)>,
) -> JsonResult {
    answer_info(&backend, RepoName::new(kind_of(&path.0)?, &path.1, &path.2), &path.3)
}

fn answer_info(backend: &Backend, name: RepoName, revision: &str) -> JsonResult {
    let state = backend.state();
    let repo = state.repositories.find(&name).ok_or_else(|| not_found(&name))?;
    info(&name, repo, revision).map(Json).ok_or_else(|| no_revision(revision))
}

/// Returns the info of a repository at a revision.
pub(crate) fn info(name: &RepoName, repo: &Repo, revision: &str) -> Option<Value> {
    let (sha, commit) = repo.resolve(revision)?;
    let siblings: Vec<Value> = commit.tree.keys().map(|path| json!({"rfilename": path})).collect();
    // Clients expect milliseconds here.
    let millis = |time: &str| time.replace('Z', ".000Z");
    let mut info = json!({
        "_id": repo.id, "id": name.id(), "author": name.namespace, "sha": sha, "lastModified": millis(&commit.date),
        "createdAt": millis(&repo.created_at), "private": false, "gated": false, "disabled": false, "downloads": 0,
        "likes": 0, "tags": [], "siblings": siblings, "xetEnabled": false,
    });
    if name.kind == RepoKind::Model {
        info["modelId"] = json!(name.id());
    }
    Some(info)
}

async fn refs(State(backend): State<Arc<Backend>>, Path(path): Path<(String, String, String)>) -> JsonResult {
    let name = RepoName::new(kind_of(&path.0)?, &path.1, &path.2);
    let state = backend.state();
    let repo = state.repositories.find(&name).ok_or_else(|| not_found(&name))?;
    let branch = |(name, oid): (&String, &String)| json!({"name": name, "ref": format!("refs/heads/{name}"), "targetCommit": oid});
    Ok(Json(json!({"branches": repo.branches.iter().map(branch).collect::<Vec<_>>(), "tags": [], "converts": []})))
}

async fn whole_tree(
    State(backend): State<Arc<Backend>>,
    Path(path): Path<(String, String, String, String)>,
    uri: Uri,
) -> JsonResult {
    let name = RepoName::new(kind_of(&path.0)?, &path.1, &path.2);
    tree(&backend, &name, &path.3, "", &uri)
}

async fn tree_below(
    State(backend): State<Arc<Backend>>,
    Path(path): Path<(String, String, String, String, String)>,
    uri: Uri,
) -> JsonResult {
    let name = RepoName::new(kind_of(&path.0)?, &path.1, &path.2);
    tree(&backend, &name, &path.3, path.4.trim_end_matches('/'), &uri)
}

fn tree(backend: &Backend, name: &RepoName, revision: &str, below: &str, uri: &Uri) -> JsonResult {
    let recursive = parameter(uri, "recursive").is_some_and(|given| given.eq_ignore_ascii_case("true"));
    let state = backend.state();
    let repo = state.repositories.find(name).ok_or_else(|| not_found(name))?;
    let (_, commit) = repo.resolve(revision).ok_or_else(|| no_revision(revision))?;
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let mut folders = BTreeSet::new();
    let mut files = Vec::new();
    for (path, file) in commit.tree.iter() {
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        let mut inside = rest.match_indices('/').map(|(at, _)| &path[..prefix.len() + at]);
        if recursive {
            folders.extend(inside);
            files.push(entry(path, file));
        } else if let Some(folder) = inside.next() {
            folders.insert(folder);
        } else {
            files.push(entry(path, file));
        }
    }
    if files.is_empty() && folders.is_empty() && !below.is_empty() {
        return Err(no_entry(below));
    }
    let folders = folders.iter().map(|path| folder(repo, path));
    Ok(Json(folders.chain(files).collect()))
}

/// Returns what is at some paths, and leaves out the paths where nothing is.
async fn paths_info(
    State(backend): State<Arc<Backend>>,
    Path(path): Path<(String, String, String, String)>,
    body: Bytes,
) -> JsonResult {
    let name = RepoName::new(kind_of(&path.0)?, &path.1, &path.2);
    let state = backend.state();
    let repo = state.repositories.find(&name).ok_or_else(|| not_found(&name))?;
    let (_, commit) = repo.resolve(&path.3).ok_or_else(|| no_revision(&path.3))?;
    let found = |path: String| {
        if let Some(file) = commit.tree.get(&path) {
            return Some(entry(&path, file));
        }
        let inside = format!("{}/", path.trim_end_matches('/'));
        commit.tree.keys().any(|other| other.starts_with(&inside)).then(|| folder(repo, &path))
    };
    Ok(Json(asked(&body).into_iter().filter_map(found).collect()))
}

/// Reads the requested paths, from a form or from JSON.
fn asked(body: &Bytes) -> Vec<String> {
    if let Ok(body) = serde_json::from_slice::<Value>(body) {
        let paths = body["paths"].as_array().into_iter().flatten();
        return paths.filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let form = pairs(&String::from_utf8_lossy(body));
    form.into_iter().filter(|(key, _)| key == "paths").map(|(_, path)| path).collect()
}

fn folder(repo: &Repo, path: &str) -> Value {
    json!({"type": "directory", "oid": repo.id, "size": 0, "path": path})
}

fn entry(path: &str, file: &RepoFile) -> Value {
    let mut entry = json!({"type": "file", "oid": file.oid, "size": file.content.size(), "path": path});
    if let Some(sha256) = file.lfs() {
        entry["lfs"] = json!({"oid": sha256, "size": file.content.size(), "pointerSize": 134});
    }
    entry
}

fn no_entry(path: &str) -> Refusal {
    Refusal::datastore(StatusCode::NOT_FOUND, Some("EntryNotFound"), format!("{path} does not exist"))
}

type FilePath = Path<(String, String, String, String)>;

async fn dataset_file(
    State(backend): State<Arc<Backend>>,
    Path(path): FilePath,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    resolve(&backend, &RepoName::new(RepoKind::Dataset, &path.0, &path.1), &path.2, &path.3, &headers).await
}

async fn model_file(
    State(backend): State<Arc<Backend>>,
    Path(path): FilePath,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    resolve(&backend, &RepoName::new(RepoKind::Model, &path.0, &path.1), &path.2, &path.3, &headers).await
}

/// Answers GET and HEAD: the server drops the body of the latter.
async fn resolve(
    backend: &Backend,
    name: &RepoName,
    revision: &str,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let (sha, file) = {
        let state = backend.state();
        let repo = state.repositories.find(name).ok_or_else(|| not_found(name))?;
        let (sha, commit) = repo.resolve(revision).ok_or_else(|| no_revision(revision))?;
        (sha.to_owned(), commit.tree.get(path).ok_or_else(|| no_entry(path))?.clone())
    };
    let size = file.content.size();
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()).and_then(|range| span(range, size));
    let (status, part) = match range {
        None => (StatusCode::OK, 0..size),
        Some(None) => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        Some(Some((from, to))) => (StatusCode::PARTIAL_CONTENT, from..to),
    };
    let etag = format!("\"{}\"", file.lfs().unwrap_or(&file.oid));
    let mut answer = (
        status,
        [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_LENGTH, (part.end - part.start).to_string()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (header::ETAG, etag),
        ],
        [("x-repo-commit", sha)],
    )
        .into_response();
    let span = match range {
        Some(Some((from, to))) => Some(format!("bytes {from}-{}/{size}", to - 1)),
        Some(None) => Some(format!("bytes */{size}")),
        None => None,
    };
    if let Some(span) = span.and_then(|span| span.parse().ok()) {
        answer.headers_mut().insert(header::CONTENT_RANGE, span);
    }
    *answer.body_mut() = file.content.body(part).await.map_err(|error| {
        Refusal::datastore(StatusCode::INTERNAL_SERVER_ERROR, None, format!("{path} cannot be read: {error}"))
    })?;
    Ok(answer)
}

/// Returns the half-open span of a `Range` header: `None` if it is not understood and therefore ignored, `Some(None)`
/// if it lies outside.
fn span(range: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let length: u64 = last.parse().ok()?;
        return Some((length > 0 && size > 0).then(|| (size.saturating_sub(length), size)));
    }
    let first: u64 = first.parse().ok()?;
    let last: u64 = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    Some((first < size && first <= last).then(|| (first, last.saturating_add(1).min(size))))
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn reads_the_forms_of_a_range() {
        assert_eq!(span("bytes=0-", 10), Some(Some((0, 10))));
        assert_eq!(span("bytes=4-6", 10), Some(Some((4, 7))));
        assert_eq!(span("bytes=4-60", 10), Some(Some((4, 10))));
        assert_eq!(span("bytes=-3", 10), Some(Some((7, 10))));
        assert_eq!(span("bytes=-30", 10), Some(Some((0, 10))));
        assert_eq!(span("bytes=10-", 10), Some(None));
        assert_eq!(span("bytes=6-4", 10), Some(None));
        assert_eq!(span("lines=1-2", 10), None);
        assert_eq!(span("bytes=1-2,4-5", 10), None);
    }
}
