//! What a fault does to the call that it strikes. Which fault strikes which call is decided before.

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::oneshot;

use super::spec::Told;
use super::{Early, Kind, Line, Span, Strike, Wait};
use crate::embedded::wire::Refusal;

/// What is to become of the job that a call makes; handlers find it among the extensions of their request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Fate {
    /// It ends failed, for this reason.
    Fails(String),
    /// It is not there afterwards.
    Lost,
    /// Its adapter is listed so much later.
    Slow(Span),
}

/// Breaks off the connection of a call that is refused.
pub(in crate::embedded) fn cut_off(strike: &Strike) -> Response {
    strike.line.reset();
    unsent()
}

/// Does what the fault says, and the call itself when and where that is part of it.
pub(in crate::embedded) async fn run(strike: Option<Strike>, mut request: Request, next: Next) -> Response {
    let Some(Strike { kind, path, line, wait, done }) = strike else { return next.run(request).await };
    match kind {
        Kind::Refuse => {
            line.reset();
            unsent()
        }
        Kind::DropBefore => {
            line.cut();
            unsent()
        }
        Kind::DropAfter => {
            next.run(request).await;
            line.cut();
            unsent()
        }
        Kind::Delay(_) => {
            pass(wait).await;
            next.run(request).await
        }
        Kind::LateEffect(_, early) => {
            tokio::spawn(later(wait, done, request, next));
            match early {
                Early::Status(status) => told(&path, &Told { status, page: false, retry_after: None }),
                Early::Cut => {
                    line.cut();
                    unsent()
                }
            }
        }
        Kind::Status(answer) => told(&path, &answer),
        Kind::ExpireAuth => expired(&path),
        Kind::Truncate(bytes) => partial(next.run(request).await, Some(bytes), line, Then::End),
        Kind::Stall(bytes) => partial(next.run(request).await, bytes, line, Then::Stall),
        Kind::FailJob(why) => doomed(Fate::Fails(why), &mut request, next).await,
        Kind::LoseJob => doomed(Fate::Lost, &mut request, next).await,
        Kind::SlowAdapter(span) => doomed(Fate::Slow(span), &mut request, next).await,
    }
}

async fn doomed(fate: Fate, request: &mut Request, next: Next) -> Response {
    request.extensions_mut().insert(fate);
    next.run(std::mem::take(request)).await
}

/// The effect of a call that was answered before it.
async fn later(wait: Wait, done: Option<oneshot::Sender<()>>, request: Request, next: Next) {
    pass(wait).await;
    next.run(request).await;
    if let Some(done) = done {
        // Nobody waits for it when it took a span of time.
        let _ = done.send(());
    }
}

async fn pass(wait: Wait) {
    match wait {
        Wait::Nothing => {}
        Wait::Time(time) => tokio::time::sleep(time).await,
        // Its sender goes when the platform ends.
        Wait::Turn(turn) => drop(turn.await),
    }
}

/// An answer that its connection does not carry any more.
fn unsent() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// An error as the service of this path tells it.
fn told(path: &str, answer: &Told) -> Response {
    let Ok(status) = StatusCode::from_u16(answer.status) else { return unsent() };
    let mut response = if answer.page {
        let title = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
        (status, Html(title)).into_response()
    } else {
        refusal(path, status, &format!("scripted fault: {status}")).into_response()
    };
    if let Some(seconds) = answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn expired(path: &str) -> Response {
    let mut response = refusal(path, StatusCode::UNAUTHORIZED, "the token has expired").into_response();
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// A refusal in the form of the service that a path leads to (nemo-wire 1.3, 3.7, 7).
fn refusal(path: &str, status: StatusCode, text: &str) -> Refusal {
    if path.starts_with("/nim/") {
        let kind = match status {
            StatusCode::UNAUTHORIZED => "AuthenticationError",
            StatusCode::NOT_FOUND => "NotFoundError",
            status if status.is_client_error() => "BadRequestError",
            _ => "InternalServerError",
        };
        Refusal::inference(status, kind, text)
    } else if path.starts_with("/datastore/") {
        Refusal::datastore(status, None, text)
    } else {
        Refusal::detail(status, text)
    }
}

/// What follows the part of a body that is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    End,
    Stall,
}

/// The answer with a body that breaks off after so many bytes, half of them when that is not said; it never is whole.
fn partial(answer: Response, bytes: Option<u64>, line: Line, then: Then) -> Response {
    let (mut parts, body) = answer.into_parts();
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let length: Option<u64> = body.size_hint().exact().or(announced);
    if length == Some(0) && then == Then::End {
        line.cut();
        return unsent();
    }
    let keep = match (bytes, length) {
        (Some(bytes), Some(length)) => bytes.min(length.saturating_sub(1)),
        (Some(bytes), None) => bytes,
        (None, length) => length.unwrap_or_default() / 2,
    };
    if let Some(length) = length.filter(|length| *length > 0) {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    } else {
        // Nothing to keep back: what never comes is the end of a body without a length.
        parts.headers.remove::<HeaderName>(header::CONTENT_LENGTH);
    }
    let source = Source { body: body.into_data_stream(), left: keep, line, then };
    Response::from_parts(parts, Body::from_stream(stream::unfold(source, Source::next)))
}

/// The part of a body that is sent.
struct Source {
    body: BodyDataStream,
    left: u64,
    line: Line,
    then: Then,
}

impl Source {
    async fn next(mut self) -> Option<(Result<Bytes, axum::Error>, Source)> {
        if self.left > 0
            && let Some(Ok(mut chunk)) = self.body.next().await
        {
            chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= chunk.len() as u64;
            return Some((Ok(chunk), self));
        }
        if self.then == Then::End {
            self.line.end();
        }
        // Never ends: the connection is closed by whoever gives up first.
        std::future::pending().await
    }
}
