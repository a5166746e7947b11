//! git-LFS: batch, basic transfer, verify (docs/nemo-api.md, Large files). It never asks for a multipart upload.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::repo_path::not_found;
use crate::embedded::backend::Backend;
use crate::embedded::state::blobs::{CompleteBlob, IncomingBlob};
use crate::embedded::state::repositories::{RepoKind, RepoName};
use crate::embedded::wire::fields::{Fields, object};
use crate::embedded::wire::refusal::{JsonResult, Refusal};
use crate::embedded::wire::request_body;

const CONTENT_TYPE: &str = "application/vnd.git-lfs+json";

pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/hf/datasets/{namespace}/{name}/info/lfs/objects/batch", post(dataset_batch))
        .route("/v1/hf/{namespace}/{name}/info/lfs/objects/batch", post(model_batch))
        .route("/v1/hf/lfs/put/{oid}", put(upload))
        .route("/v1/hf/lfs/verify", post(verify))
}

type RepoPath = Path<(String, String)>;

async fn dataset_batch(
    State(backend): State<Arc<Backend>>,
    Path(path): RepoPath,
    body: Bytes,
) -> Result<Response, Refusal> {
    batch(&backend, RepoKind::Dataset, &path.0, &path.1, &body)
}

async fn model_batch(
    State(backend): State<Arc<Backend>>,
    Path(path): RepoPath,
    body: Bytes,
) -> Result<Response, Refusal> {
    batch(&backend, RepoKind::Model, &path.0, &path.1, &body)
}

fn batch(backend: &Backend, kind: RepoKind, namespace: &str, name: &str, body: &Bytes) -> Result<Response, Refusal> {
    let name = name.strip_suffix(".git").ok_or_else(|| Refusal::not_found("Not Found"))?;
    let name = RepoName::new(kind, namespace, name);
    let body = object(body)?;
    let mut fields = Fields::of(&body);
    fields.require("operation");
    fields.require("objects");
    let operation = fields.text("operation").unwrap_or_default();
    let objects = fields.list("objects").cloned().unwrap_or_default();
    fields.done()?;
    let state = backend.state();
    state.repositories.find(&name).ok_or_else(|| not_found(&name))?;
    let objects: Vec<Value> = objects
        .iter()
        .map(|object| {
            let oid = object["oid"].as_str().unwrap_or_default();
            let known = state.repositories.object(oid).is_some();
            object_answer(&backend.base, operation, oid, &object["size"], known)
        })
        .collect();
    let answer = Json(json!({"transfer": "basic", "objects": objects}));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], answer).into_response())
}

/// Returns the actions for one object: none if it is already stored.
fn object_answer(base: &str, operation: &str, oid: &str, size: &Value, known: bool) -> Value {
    let mut object = json!({"oid": oid, "size": size});
    let hex = oid.len() == 64 && oid.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
    if !hex || size.as_u64().is_none() {
        object["error"] = json!({"code": 422, "message": "an object has a SHA-256 and a size"});
        return object;
    }
    match (operation, known) {
        ("upload", false) => {
            object["authenticated"] = json!(true);
            object["actions"] = json!({
                "upload": {"href": format!("{base}/datastore/v1/hf/lfs/put/{oid}"), "header": {}},
                "verify": {"href": format!("{base}/datastore/v1/hf/lfs/verify"), "header": {}},
            });
        }
        ("upload", true) => {}
        _ => object["error"] = json!({"code": 404, "message": "objects are read through resolve"}),
    }
    object
}

/// The size of the pieces in which an upload is hashed and written, in bytes.
const PIECE: usize = 1 << 20;

/// Receives a file piece by piece onto disk, so that memory does not limit its size.
async fn upload(
    State(backend): State<Arc<Backend>>,
    Path(oid): Path<String>,
    sent: Body,
) -> Result<StatusCode, Refusal> {
    let mut stream = sent.into_data_stream();
    let mut incoming = backend.blobs.receive().map_err(no_room)?;
    let (mut pieces, mut waiting) = (Vec::new(), 0);
    while let Some(piece) = request_body::next(&mut stream).await? {
        waiting += piece.len();
        pieces.push(piece);
        if waiting >= PIECE {
            match write(incoming, std::mem::take(&mut pieces)).await {
                Ok(written) => incoming = written,
                Err(refusal) => {
                    request_body::discard(stream);
                    return Err(refusal);
                }
            }
            waiting = 0;
        }
    }
    let arrived = finish(write(incoming, pieces).await?).await?;
    if arrived.sha256() != oid {
        let text = format!("the contents do not have the SHA-256 {oid}");
        return Err(Refusal::datastore(StatusCode::UNPROCESSABLE_ENTITY, None, text));
    }
    let mut state = backend.state();
    let content = backend.blobs.adopt(arrived).map_err(no_room)?;
    state.repositories.put(content);
    Ok(StatusCode::OK)
}

/// Hashes and writes on a blocking thread.
async fn write(mut incoming: IncomingBlob, pieces: Vec<Bytes>) -> Result<IncomingBlob, Refusal> {
    let written = tokio::task::spawn_blocking(move || {
        pieces.iter().try_for_each(|piece| incoming.write(piece)).map(|()| incoming)
    });
    joined(written.await)
}

async fn finish(incoming: IncomingBlob) -> Result<CompleteBlob, Refusal> {
    joined(tokio::task::spawn_blocking(|| incoming.finish()).await)
}

fn joined<T>(ran: Result<std::io::Result<T>, tokio::task::JoinError>) -> Result<T, Refusal> {
    ran.unwrap_or_else(|crash| Err(std::io::Error::other(crash))).map_err(no_room)
}

/// Returns the refusal of contents that the disk does not take.
pub(crate) fn no_room(error: std::io::Error) -> Refusal {
    Refusal::datastore(StatusCode::INSUFFICIENT_STORAGE, None, format!("the contents cannot be stored: {error}"))
}

async fn verify(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    fields.require("oid");
    let oid = fields.text("oid").unwrap_or_default();
    let size = fields.count("size");
    fields.done()?;
    match backend.state().repositories.object(oid) {
        Some(content) if size.is_none_or(|size| size == content.size()) => Ok(Json(json!({}))),
        Some(_) => Err(Refusal::datastore(StatusCode::UNPROCESSABLE_ENTITY, None, "the object is of another size")),
        None => Err(Refusal::datastore(StatusCode::NOT_FOUND, None, format!("object {oid} was never uploaded"))),
    }
}
