//! git-LFS: batch, basic transfer, verify (nemo-wire 3.5). Multipart is never asked for.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::repos::{RepoKind, RepoName, not_found};
use crate::embedded::body;
use crate::embedded::contents::{Arrived, Incoming};
use crate::embedded::fields::{Fields, object};
use crate::embedded::wire::{Answer, Refusal};
use crate::embedded::world::World;

const CONTENT_TYPE: &str = "application/vnd.git-lfs+json";

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/hf/datasets/{namespace}/{name}/info/lfs/objects/batch", post(dataset_batch))
        .route("/v1/hf/{namespace}/{name}/info/lfs/objects/batch", post(model_batch))
        .route("/v1/hf/lfs/put/{oid}", put(upload))
        .route("/v1/hf/lfs/verify", post(verify))
}

type RepoPath = Path<(String, String)>;

async fn dataset_batch(
    State(world): State<Arc<World>>,
    Path(path): RepoPath,
    body: Bytes,
) -> Result<Response, Refusal> {
    batch(&world, RepoKind::Dataset, &path.0, &path.1, &body)
}

async fn model_batch(State(world): State<Arc<World>>, Path(path): RepoPath, body: Bytes) -> Result<Response, Refusal> {
    batch(&world, RepoKind::Model, &path.0, &path.1, &body)
}

fn batch(world: &World, kind: RepoKind, namespace: &str, name: &str, body: &Bytes) -> Result<Response, Refusal> {
    let name = name.strip_suffix(".git").ok_or_else(|| Refusal::not_found("Not Found"))?;
    let name = RepoName::new(kind, namespace, name);
    let body = object(body)?;
    let mut fields = Fields::of(&body);
    fields.require("operation");
    fields.require("objects");
    let operation = fields.text("operation").unwrap_or_default();
    let objects = fields.list("objects").cloned().unwrap_or_default();
    fields.done()?;
    let state = world.state();
    state.store.find(&name).ok_or_else(|| not_found(&name))?;
    let objects: Vec<Value> = objects
        .iter()
        .map(|object| {
            let oid = object["oid"].as_str().unwrap_or_default();
            let known = state.store.object(oid).is_some();
            object_answer(&world.base, operation, oid, &object["size"], known)
        })
        .collect();
    let answer = Json(json!({"transfer": "basic", "objects": objects}));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], answer).into_response())
}

/// What a client is to do about one object: nothing when it is here already.
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

/// How much of an upload is hashed and written at a time.
const PIECE: usize = 1 << 20;

/// Takes a file in as it comes: on disk and never in memory as a whole, whatever its size.
async fn upload(State(world): State<Arc<World>>, Path(oid): Path<String>, sent: Body) -> Result<StatusCode, Refusal> {
    let mut stream = sent.into_data_stream();
    let mut incoming = world.contents.receive().map_err(no_room)?;
    let (mut pieces, mut waiting) = (Vec::new(), 0);
    while let Some(piece) = body::next(&mut stream).await? {
        waiting += piece.len();
        pieces.push(piece);
        if waiting >= PIECE {
            match write(incoming, std::mem::take(&mut pieces)).await {
                Ok(written) => incoming = written,
                Err(refusal) => {
                    body::discard(stream);
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
    let mut state = world.state();
    let content = world.contents.adopt(arrived).map_err(no_room)?;
    state.store.put(content);
    Ok(StatusCode::OK)
}

/// Hashes and writes, on a thread that may wait for the disk.
async fn write(mut incoming: Incoming, pieces: Vec<Bytes>) -> Result<Incoming, Refusal> {
    let written = tokio::task::spawn_blocking(move || {
        pieces.iter().try_for_each(|piece| incoming.write(piece)).map(|()| incoming)
    });
    joined(written.await)
}

async fn finish(incoming: Incoming) -> Result<Arrived, Refusal> {
    joined(tokio::task::spawn_blocking(|| incoming.finish()).await)
}

fn joined<T>(ran: Result<std::io::Result<T>, tokio::task::JoinError>) -> Result<T, Refusal> {
    ran.unwrap_or_else(|crash| Err(std::io::Error::other(crash))).map_err(no_room)
}

/// The refusal when the disk has no room, or does not answer.
pub(super) fn no_room(error: std::io::Error) -> Refusal {
    Refusal::datastore(StatusCode::INSUFFICIENT_STORAGE, None, format!("the contents cannot be stored: {error}"))
}

async fn verify(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    fields.require("oid");
    let oid = fields.text("oid").unwrap_or_default();
    let size = fields.count("size");
    fields.done()?;
    match world.state().store.object(oid) {
        Some(content) if size.is_none_or(|size| size == content.size()) => Ok(Json(json!({}))),
        Some(_) => Err(Refusal::datastore(StatusCode::UNPROCESSABLE_ENTITY, None, "the object is of another size")),
        None => Err(Refusal::datastore(StatusCode::NOT_FOUND, None, format!("object {oid} was never uploaded"))),
    }
}
