//! Models behind hosted endpoints that were registered with Deployment Management (nemo-wire 4.1): their requests are
//! passed on with the endpoint's key, and the answers come back as they are, streams too. Which of them are listed is
//! decided in the parent module.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::Response;

use super::LISTED_AFTER;
use crate::embedded::outside::Endpoint;
use crate::embedded::wire::Refusal;
use crate::embedded::world::World;

/// From sending a request to the last byte of its answer; the longest that a language model may think.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The endpoint behind a model, when a deployment that is ready registered one for it.
pub(super) fn behind(world: &World, model: &str) -> Option<Endpoint> {
    let mut state = world.state();
    world.settle_deployments(&mut state);
    let shown = |ready| world.shows(&state, ready, LISTED_AFTER);
    let mut ready = state.deployments.iter().filter(|one| one.ready.is_some_and(shown));
    ready.find_map(|one| one.external().filter(|external| external.models.iter().any(|name| name == model)))?.endpoint
}

/// Passes a request on to a call of an endpoint, and its answer back.
pub(super) async fn pass_on(world: &World, endpoint: &Endpoint, call: &str, body: Bytes) -> Result<Response, Refusal> {
    let bad = |status: StatusCode, why: &str| {
        let text = endpoint.without_key(&format!("the endpoint {} does not answer: {why}", endpoint.base));
        Refusal::inference(status, "UpstreamError", text)
    };
    let request = world.outside.post(endpoint, call).map_err(|why| bad(StatusCode::BAD_GATEWAY, &why))?;
    let request = request.header(header::CONTENT_TYPE, "application/json").timeout(TIMEOUT).body(body);
    let answer = request.send().await.map_err(|error| {
        let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
        bad(status, &error.without_url().to_string())
    })?;
    let mut response = Response::builder().status(answer.status());
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        if let Some(value) = answer.headers().get(&name) {
            response = response.header(name, value);
        }
    }
    let body = Body::from_stream(answer.bytes_stream());
    response.body(body).map_err(|error| bad(StatusCode::BAD_GATEWAY, &error.to_string()))
}
