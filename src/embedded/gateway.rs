//! The gateway in front of every route: scripted faults strike here, calls are logged and held, answers are marked with
//! the instance. A handler runs to its end even when its client is gone.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::backend::{Backend, INTERNAL_HEADER};
use super::call_log::HoldPoint;
use super::faults::{self, Encounter};
use super::wire::refusal::Refusal;
use super::wire::request_body;

/// The answer header that carries the instance.
const INSTANCE: &str = "x-dfwfd-embedded";

/// Passes a request on to its route.
pub(crate) async fn pass(State(backend): State<Arc<Backend>>, request: Request, next: Next) -> Response {
    if !is_admitted(&backend, &request) {
        return Refusal::detail(StatusCode::UNAUTHORIZED, "a token is required").into_response();
    }
    let met = backend.faults.meet(&request, is_own(&backend, &request));
    if let Some(strike) = met.strike.as_ref().filter(|strike| strike.refuses()) {
        return faults::cut_off(strike);
    }
    let mut answer = match request_body::whole(request).await {
        Ok(request) => {
            // Runs as a task of its own, so that it goes on when the client hangs up and this future is dropped.
            let through = tokio::spawn(go(Arc::clone(&backend), request, next, met));
            through.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        Err(refusal) => refusal.into_response(),
    };
    if let Ok(instance) = HeaderValue::from_str(&backend.instance) {
        answer.headers_mut().insert(INSTANCE, instance);
    }
    answer
}

/// Returns whether the call carries the token, where one is asked for.
fn is_admitted(backend: &Backend, request: &Request) -> bool {
    let header = request.headers().get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
    backend.options.token.as_ref().is_none_or(|token| token.is_in(header) || is_own(backend, request))
}

/// Returns whether the platform itself makes the call.
fn is_own(backend: &Backend, request: &Request) -> bool {
    request.headers().get(INTERNAL_HEADER).is_some_and(|key| key.as_bytes() == backend.internal_key.as_bytes())
}

async fn go(backend: Arc<Backend>, mut request: Request, next: Next, met: Encounter) -> Response {
    let strike = met.ready().await;
    let own = is_own(&backend, &request);
    request.headers_mut().remove(INTERNAL_HEADER);
    if !backend.options.control || own || request.uri().path().starts_with("/control/") {
        return faults::run(strike, request, next).await;
    }
    let order = backend.call_log.arrive(&request);
    backend.call_log.hold(order, HoldPoint::Before).await;
    let answer = faults::run(strike, request, next).await;
    backend.call_log.hold(order, HoldPoint::After).await;
    answer
}

/// Refuses a change whose effect could not be written to the data directory, so that no client relies on it.
pub(crate) async fn report_unsaved(State(backend): State<Arc<Backend>>, request: Request, next: Next) -> Response {
    let is_read = request.method().is_safe();
    let answer = next.run(request).await;
    match backend.save_failure() {
        Some(why) if !is_read => {
            let text = format!("the data directory cannot be written: {why}");
            Refusal::detail(StatusCode::INSUFFICIENT_STORAGE, text).into_response()
        }
        _ => answer,
    }
}
