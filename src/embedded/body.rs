//! Request bodies: read whole into memory up to a limit before a handler begins, so that what happens then does not
//! depend on the client staying; or handed on as they arrive, to the one route that stores files of any size.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use futures_util::StreamExt;

use super::wire::Refusal;

/// The largest body that is read into memory, in bytes.
pub(super) const LARGEST: usize = 256 << 20;

/// The room that a body gets before any of it has come, whatever its length is said to be.
const BEGINNING: usize = 1 << 20;

/// The room that a body of unknown length gets at a time once it has outgrown what went before.
const STEP: usize = 64 << 20;

/// Where git-LFS puts a file, whatever its size.
const PUT: &str = "/datastore/v1/hf/lfs/put/";

/// How long the next piece of a body may take.
const IDLE: Duration = Duration::from_secs(60);

/// How long the rest of a refused body is read and thrown away, as long as it comes: a client that writes it all before
/// it reads would else see its connection break instead of the answer.
const LINGER: Duration = Duration::from_secs(30);

/// How long the next piece of such a body may take.
const LINGER_IDLE: Duration = Duration::from_secs(2);

/// The request with its body in memory, unless that is for a file; the error is the answer.
pub(super) async fn whole(request: Request) -> Result<Request, Refusal> {
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
    // Only the room of a large body is worth the call that gives it back.
    if bytes.capacity() - bytes.len() > BEGINNING {
        bytes.shrink_to_fit();
    }
    Ok(Request::from_parts(parts, Body::from(Bytes::from(bytes))))
}

/// Makes room for more of a body: at once for as much as was announced, else in steps so large that allocators take and
/// give each as a whole. Doubling leaves holes in what a process keeps, and it grows with every large body.
fn room(bytes: &mut Vec<u8>, more: usize, announced: Option<usize>) {
    let small = announced.is_none() && bytes.len() + more <= BEGINNING;
    if !small && bytes.capacity() - bytes.len() < more {
        let rest = announced.map_or(STEP, |length| length.saturating_sub(bytes.len()));
        bytes.reserve_exact(rest.max(more));
    }
}

/// The next piece of a body; none at its end.
pub(super) async fn next(stream: &mut BodyDataStream) -> Result<Option<Bytes>, Refusal> {
    let broken = || Refusal::detail(StatusCode::BAD_REQUEST, "the body ended before its end");
    match tokio::time::timeout(IDLE, stream.next()).await {
        Ok(piece) => piece.transpose().map_err(|_| broken()),
        Err(_) => Err(Refusal::detail(StatusCode::REQUEST_TIMEOUT, "the body has stopped coming")),
    }
}

/// Reads what is left of a body that is refused, and keeps nothing of it.
pub(super) fn discard(mut stream: BodyDataStream) {
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
