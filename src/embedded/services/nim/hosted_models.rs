//! Models behind hosted endpoints that deployments register (docs/nemo-api.md, Hosted endpoints). Requests are
//! forwarded with the key of the endpoint; answers come back unchanged, streams too.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::Response;

use crate::embedded::backend::Backend;
use crate::embedded::hosted_endpoints::HostedEndpoint;
use crate::embedded::timing::Listed;
use crate::embedded::wire::refusal::Refusal;

/// From sending a request to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Returns the endpoint of a model, if a ready deployment registers one.
pub(crate) fn behind(backend: &Backend, model: &str) -> Option<HostedEndpoint> {
    let mut state = backend.state();
    backend.settle_deployments(&mut state);
    let (clock, now) = (backend.options.clock, state.now());
    let is_listed = |ready| clock.is_listed(Listed::Deployment, ready, now);
    let mut ready = state.deployments.iter().filter(|one| one.ready.is_some_and(is_listed));
    ready.find_map(|one| one.hosted_models().filter(|hosted| hosted.models.iter().any(|name| name == model)))?.endpoint
}

/// Forwards a request to a call of an endpoint.
pub(crate) async fn pass_on(
    backend: &Backend,
    endpoint: &HostedEndpoint,
    call: &str,
    body: Bytes,
) -> Result<Response, Refusal> {
    let bad = |status: StatusCode, why: &str| {
        let text = endpoint.without_key(&format!("the endpoint {} does not answer: {why}", endpoint.base));
        Refusal::inference(status, "UpstreamError", text)
    };
    let request = backend.endpoint_clients.post(endpoint, call).map_err(|why| bad(StatusCode::BAD_GATEWAY, &why))?;
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
