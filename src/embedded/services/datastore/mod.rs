//! The Data Store: namespaces, and repositories behind an API that the Hugging Face client accepts (docs/nemo-api.md,
//! Data Store).

mod commits;
mod files;
mod lfs;
mod repo_path;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::embedded::backend::Backend;
use crate::embedded::state::repositories::{RepoKind, RepoName};
use crate::embedded::wire::fields::{Fields, object, text_or};
use crate::embedded::wire::listing::{Columns, ListQuery, pairs, parameter};
use crate::embedded::wire::refusal::{JsonResult, Refusal};
use repo_path::kind_of;

/// Returns the routes of the Data Store.
pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/datastore/namespaces", get(list_namespaces).post(create_namespace))
        .route("/v1/datastore/namespaces/{namespace}", get(get_namespace).delete(delete_namespace))
        .route("/v1/hf/api/repos/create", post(create_repo))
        .route("/v1/hf/api/repos/delete", axum::routing::delete(delete_repo))
        .route("/v1/hf/api/{kind}", get(list_repos))
        .merge(commits::routes())
        .merge(lfs::routes())
        .merge(files::routes())
}

async fn health() -> Json<Value> {
    Json(json!({"status": "healthy"}))
}

const NAMESPACES: Columns = Columns { sort: &["created_at", "namespace"], derived: |_, _| None };

async fn list_namespaces(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, NAMESPACES)?;
    Ok(Json(query.answer(backend.state().repositories.namespaces().cloned(), NAMESPACES)))
}

async fn create_namespace(State(backend): State<Arc<Backend>>, body: Bytes) -> Result<Response, Refusal> {
    // The API takes a form; some clients send JSON.
    let named = match serde_json::from_slice::<Value>(&body) {
        Ok(body) => body["namespace"].as_str().map(str::to_owned),
        Err(_) => {
            let form = pairs(&String::from_utf8_lossy(&body));
            form.into_iter().find(|(key, _)| key == "namespace").map(|(_, value)| value)
        }
    };
    let Some(name) = named.filter(|name| !name.is_empty() && !name.contains('/')) else {
        return Err(Refusal::datastore(StatusCode::BAD_REQUEST, None, "namespace is required"));
    };
    match backend.state().repositories.add_namespace(&name) {
        Some(namespace) => Ok((StatusCode::CREATED, Json(namespace)).into_response()),
        None => Err(Refusal::datastore(StatusCode::CONFLICT, None, format!("namespace {name} already exists"))),
    }
}

fn no_namespace(name: &str) -> Refusal {
    Refusal::datastore(StatusCode::NOT_FOUND, None, format!("namespace {name} does not exist"))
}

async fn get_namespace(State(backend): State<Arc<Backend>>, Path(name): Path<String>) -> Result<Response, Refusal> {
    let namespace = backend.state().repositories.namespace(&name).cloned().ok_or_else(|| no_namespace(&name))?;
    // 201 on a read, as the real service answers.
    Ok((StatusCode::CREATED, Json(namespace)).into_response())
}

async fn delete_namespace(State(backend): State<Arc<Backend>>, Path(name): Path<String>) -> JsonResult {
    let mut state = backend.state();
    if state.repositories.names().any(|repo| repo.namespace == name) {
        let text = format!("namespace {name} still holds repositories");
        return Err(Refusal::datastore(StatusCode::CONFLICT, None, text));
    }
    state.repositories.remove_namespace(&name).ok_or_else(|| no_namespace(&name))?;
    Ok(Json(json!({"message": "Resource deleted successfully."})))
}

/// Reads the repository that the body of `repos/create` or `repos/delete` names.
fn named(body: &Bytes) -> Result<RepoName, Refusal> {
    let body = object(body)?;
    let mut fields = Fields::of(&body);
    fields.require("name");
    fields.not_empty("name");
    for key in ["name", "organization", "type"] {
        fields.text(key);
    }
    fields.done()?;
    let kind = match body.get("type").and_then(Value::as_str).unwrap_or("model") {
        "dataset" => RepoKind::Dataset,
        "model" => RepoKind::Model,
        other => {
            let text = format!("repositories of type {other} are not kept here");
            return Err(Refusal::datastore(StatusCode::BAD_REQUEST, None, text));
        }
    };
    let name = text_or(&body, "name", "");
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
        None => (text_or(&body, "organization", "default"), name),
    };
    Ok(RepoName { kind, namespace, name })
}

async fn create_repo(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let name = named(&body)?;
    let mut state = backend.state();
    if state.repositories.namespace(&name.namespace).is_none() {
        return Err(no_namespace(&name.namespace));
    }
    // Relative: the only form of URL that all clients accept.
    let url = name.path();
    if !state.repositories.create(&name) {
        let text = format!("You already created this {} repo", name.kind.noun());
        return Err(Refusal::datastore(StatusCode::CONFLICT, None, text).with("url", url));
    }
    Ok(Json(json!({"url": url, "name": name.id(), "id": name.id()})))
}

async fn delete_repo(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let name = named(&body)?;
    let mut state = backend.state();
    if !state.repositories.delete(&name) {
        return Err(repo_path::not_found(&name));
    }
    if name.kind == RepoKind::Model {
        // A NIM loads adapters from the repository, so they go with it.
        let revisions = format!("{}@", name.id());
        state.adapters.retain(|adapter| !adapter.id.starts_with(&revisions));
    }
    Ok(Json(json!({})))
}

async fn list_repos(State(backend): State<Arc<Backend>>, Path(kind): Path<String>, uri: Uri) -> JsonResult {
    let kind = kind_of(&kind)?;
    let author = parameter(&uri, "author");
    let state = backend.state();
    let repos = state.repositories.all().filter(|(name, _)| name.kind == kind);
    let repos = repos.filter(|(name, _)| author.as_ref().is_none_or(|author| *author == name.namespace));
    Ok(Json(repos.filter_map(|(name, repo)| files::info(name, repo, "main")).collect()))
}
