//! Request bodies. A body is read into memory before its handler starts, so the handler does not depend on the client;
//! only the upload of large files reads it piece by piece.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use futures_util::StreamExt;

use super::refusal::Refusal;

/// The size limit of a body in memory, in bytes.
pub(crate) const LARGEST: usize = 256 << 20;

/// The first allocation for a body, at most, in bytes: its announced length is not trusted.
const BEGINNING: usize = 1 << 20;

/// The allocation step of a body without an announced length, in bytes.
const STEP: usize = 64 << 20;

/// The path of git-LFS uploads.
const PUT: &str = "/datastore/v1/hf/lfs/put/";

/// The longest wait for the next piece of a body.
const IDLE: Duration = Duration::from_secs(60);

/// The longest time for which the rest of a refused body is read and dropped. A client that writes the whole body
/// before it reads would otherwise see a broken connection instead of the answer.
const LINGER: Duration = Duration::from_secs(30);

/// The longest wait for the next piece of a refused body.
const LINGER_IDLE: Duration = Duration::from_secs(2);

/// Reads the body into memory, except for an upload of a large file. The error is the answer.
pub(crate) async fn whole(request: Request) -> Result<Request, Refusal> {
    if request.method() == Method::PUT && request.uri().path().starts_with(PUT) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let announced = length(&parts.headers);
    let mut stream = body.into_data_stream();
    if announced.is_some_and(|length| length > LARGEST) {
        discard(stream);
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(BEGINNING));
    while let Some(piece) = next(&mut stream).await? {
        if bytes.len() + piece.len() > LARGEST {
            discard(stream);
            return Err(too_large());
        }
        room(&mut bytes, piece.len(), announced);
        bytes.extend_from_slice(&piece);
    }
    // Gives unused memory back where it is worth the call.
    if bytes.capacity() - bytes.len() > BEGINNING {
        bytes.shrink_to_fit();
    }
    Ok(Request::from_parts(parts, Body::from(Bytes::from(bytes))))
}

/// Makes room for `more` bytes: for all that was announced, or in steps that allocators take from the system and give
/// back as a whole. Doubling fragments the memory of the process, and it grows with every large body.
fn room(bytes: &mut Vec<u8>, more: usize, announced: Option<usize>) {
    let small = announced.is_none() && bytes.len() + more <= BEGINNING;
    if !small && bytes.capacity() - bytes.len() < more {
        let rest = announced.map_or(STEP, |length| length.saturating_sub(bytes.len()));
        bytes.reserve_exact(rest.max(more));
    }
}

/// Returns the next piece of a body; none at its end.
pub(crate) async fn next(stream: &mut BodyDataStream) -> Result<Option<Bytes>, Refusal> {
    let broken = || Refusal::detail(StatusCode::BAD_REQUEST, "the body ended before its end");
    match tokio::time::timeout(IDLE, stream.next()).await {
        Ok(piece) => piece.transpose().map_err(|_| broken()),
        Err(_) => Err(Refusal::detail(StatusCode::REQUEST_TIMEOUT, "the body has stopped coming")),
    }
}

/// Reads and drops the rest of a refused body.
pub(crate) fn discard(mut stream: BodyDataStream) {
    let rest = async move { while let Ok(Some(Ok(_))) = tokio::time::timeout(LINGER_IDLE, stream.next()).await {} };
    tokio::spawn(tokio::time::timeout(LINGER, rest));
}

fn too_large() -> Refusal {
    let text = format!("the body is larger than {} MB: put large files over git-LFS", LARGEST >> 20);
    Refusal::detail(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
