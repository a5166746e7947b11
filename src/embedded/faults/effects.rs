//! The effect of a fault on the call that it strikes.

use axum::Json;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::connection::ConnectionSwitch;
use super::kind::{EarlyAnswer, FaultKind, ForeignAnswer, ScriptedAnswer};
use super::script::{Awaited, JobFate, Strike};
use crate::embedded::wire::refusal::Refusal;

/// The longest body that an error repeats.
const ECHOED: usize = 64 << 10;

/// The longest body of a call that is repeated or changed.
const REPEATED: usize = 64 << 20;

/// The length of a date in a time, such as `2025-06-20`.
const DATE: usize = 10;

/// Resets the connection of a refused call.
pub(crate) fn cut_off(strike: &Strike) -> Response {
    strike.line.reset();
    unsent()
}

/// Has the effect of the fault, and the effect of the call where the fault leaves it.
pub(crate) async fn run(strike: Option<Strike>, mut request: Request, next: Next) -> Response {
    let Some(Strike { kind, path, line, wait, done }) = strike else { return next.run(request).await };
    match kind {
        FaultKind::Refuse => {
            line.reset();
            unsent()
        }
        FaultKind::DropBefore => {
            line.cut();
            unsent()
        }
        FaultKind::DropAfter => {
            next.run(request).await;
            line.cut();
            unsent()
        }
        FaultKind::Twice => twice(request, next).await,
        FaultKind::Half => half(next.run(request).await).await,
        FaultKind::DayBehind => day_behind(next.run(request).await).await,
        FaultKind::Delay(_) => {
            pass(wait).await;
            next.run(request).await
        }
        FaultKind::LateEffect(_, early) => {
            tokio::spawn(later(wait, done, request, next));
            match early {
                EarlyAnswer::Status(status) => told(&path, &ScriptedAnswer { status, page: false, retry_after: None }),
                EarlyAnswer::Cut => {
                    line.cut();
                    unsent()
                }
            }
        }
        FaultKind::Status(answer) => told(&path, &answer),
        FaultKind::ExpireAuth => expired(&path),
        FaultKind::Echo => echo(&path, request).await,
        FaultKind::Foreign(answer) => foreign(answer, &path),
        FaultKind::Truncate(bytes) => partial(next.run(request).await, Some(bytes), line, AfterPart::End),
        FaultKind::Stall(bytes) => partial(next.run(request).await, bytes, line, AfterPart::Stall),
        FaultKind::FailJob(why) => doomed(JobFate::Fails(why), &mut request, next).await,
        FaultKind::StallJob(why) => doomed(JobFate::Stalls(why), &mut request, next).await,
        FaultKind::LoseJob => doomed(JobFate::Lost, &mut request, next).await,
        FaultKind::SlowAdapter(span) => doomed(JobFate::Slow(span), &mut request, next).await,
        FaultKind::BaseAdapter(span) => doomed(JobFate::Unloaded(span), &mut request, next).await,
    }
}

/// Has the effect of a call twice, as a gateway has that repeats what it takes for lost.
async fn twice(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REPEATED).await else { return unsent() };
    next.clone().run(Request::from_parts(parts.clone(), Body::from(body.clone()))).await;
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// Cuts the body of an answer as a proxy does that stores it first: nothing in the headers tells.
async fn half(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, REPEATED).await else { return unsent() };
    parts.headers.remove::<HeaderName>(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body.slice(..body.len() / 2)))
}

/// Moves the times in a JSON answer a day back.
async fn day_behind(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, REPEATED).await else { return unsent() };
    let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    set_back(&mut json);
    parts.headers.remove::<HeaderName>(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(json.to_string()))
}

fn set_back(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(set_back),
        Value::Object(fields) => {
            for (key, value) in fields {
                let date = value.as_str().filter(|_| key.ends_with("_at")).and_then(|text| text.get(..DATE));
                match date.and_then(|date| date.parse::<jiff::civil::Date>().ok()?.yesterday().ok()) {
                    Some(before) => {
                        let rest = value.as_str().map_or("", |text| &text[DATE..]);
                        *value = Value::from(format!("{before}{rest}"));
                    }
                    None => set_back(value),
                }
            }
        }
        _ => {}
    }
}

async fn doomed(fate: JobFate, request: &mut Request, next: Next) -> Response {
    request.extensions_mut().insert(fate);
    next.run(std::mem::take(request)).await
}

/// Has the effect of a call that was answered before.
async fn later(wait: Awaited, done: Option<oneshot::Sender<()>>, request: Request, next: Next) {
    pass(wait).await;
    next.run(request).await;
    if let Some(done) = done {
        // Nobody waits if the fault held the effect back for a time.
        let _ = done.send(());
    }
}

async fn pass(wait: Awaited) {
    match wait {
        Awaited::Nothing => {}
        Awaited::Time(time) => tokio::time::sleep(time).await,
        // The sender is dropped when the platform ends.
        Awaited::Turn(turn) => drop(turn.await),
    }
}

/// Returns an answer that the broken connection does not carry.
fn unsent() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// Returns an error in the form of the service of a path.
fn told(path: &str, answer: &ScriptedAnswer) -> Response {
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

/// Returns a refusal that repeats the request, as some services do with the token that they do not like.
async fn echo(path: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let headers =
        parts.headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let headers = headers.collect::<Vec<_>>().join(", ");
    let body = to_bytes(body, ECHOED).await.unwrap_or_default();
    let text = format!("not authorized: {headers}; the body was {}", String::from_utf8_lossy(&body));
    let mut response = refusal(path, StatusCode::UNAUTHORIZED, &text).into_response();
    if let Ok(value) = HeaderValue::from_str(&headers) {
        response.headers_mut().insert("x-error-message", value);
    }
    response
}

/// Returns an answer in the form of whatever stands in front of a service.
fn foreign(answer: ForeignAnswer, path: &str) -> Response {
    let not_found = |body: Value| (StatusCode::NOT_FOUND, Json(body)).into_response();
    let gateway = |text: &str| not_found(json!({ "message": text }));
    match answer {
        ForeignAnswer::Login => {
            let page = "<!doctype html><html><head><title>Sign in</title></head><body><form></form></body></html>\n";
            Html(page).into_response()
        }
        ForeignAnswer::NoRoute => gateway("no Route matched with those values"),
        ForeignAnswer::NotFound => gateway("Not Found"),
        ForeignAnswer::Empty => StatusCode::NOT_FOUND.into_response(),
        ForeignAnswer::Ok => StatusCode::OK.into_response(),
        ForeignAnswer::NoContent => StatusCode::NO_CONTENT.into_response(),
        ForeignAnswer::Spring => {
            not_found(json!({"timestamp": "2025-05-08T17:19:19Z", "path": path, "status": 404, "error": "Not Found"}))
        }
        ForeignAnswer::FastApi => not_found(json!({"detail": "Not Found"})),
        ForeignAnswer::ErrorJson => Json(json!({"status": "error", "message": "upstream_timeout"})).into_response(),
        ForeignAnswer::Redirect => (StatusCode::FOUND, [(header::LOCATION, "/login")]).into_response(),
    }
}

/// Returns a refusal in the form of the service of a path (docs/nemo-api.md, Statuses and error bodies; Errors and
/// deletes of the Data Store; NIM proxy).
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

/// The end of a body that is sent in part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterPart {
    End,
    Stall,
}

/// Returns the answer with a body that breaks off after so many bytes (default: half), and always before its end.
fn partial(answer: Response, bytes: Option<u64>, line: ConnectionSwitch, then: AfterPart) -> Response {
    let (mut parts, body) = answer.into_parts();
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let length: Option<u64> = body.size_hint().exact().or(announced);
    if length == Some(0) && then == AfterPart::End {
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
        // A body without a length is kept from ending.
        parts.headers.remove::<HeaderName>(header::CONTENT_LENGTH);
    }
    let source = PartialBody { body: body.into_data_stream(), left: keep, line, then };
    Response::from_parts(parts, Body::from_stream(stream::unfold(source, PartialBody::next)))
}

/// The part of a body that is sent.
struct PartialBody {
    body: BodyDataStream,
    left: u64,
    line: ConnectionSwitch,
    then: AfterPart,
}

impl PartialBody {
    async fn next(mut self) -> Option<(Result<Bytes, axum::Error>, PartialBody)> {
        if self.left > 0
            && let Some(Ok(mut chunk)) = self.body.next().await
        {
            chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= chunk.len() as u64;
            return Some((Ok(chunk), self));
        }
        if self.then == AfterPart::End {
            self.line.end();
        }
        // Never ends: whoever gives up first closes the connection.
        std::future::pending().await
    }
}
