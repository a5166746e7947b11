//! The routing table: which service answers below which prefix, and the answer to an unknown path.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::backend::Backend;
use super::services::{customizer, datastore, deployments, entities, evaluator, nim};
use super::wire::refusal::Refusal;
use super::{control, gateway};

/// Returns all routes of the platform, behind the gateway.
pub(crate) fn router(backend: &Arc<Backend>) -> Router {
    let nemo = Router::new()
        .merge(entities::routes())
        .route("/v1/health", get(health))
        .merge(deployments::routes())
        .merge(customizer::routes())
        .merge(evaluator::routes());
    let mut router =
        Router::new().nest("/nemo", nemo).nest("/nim", nim::routes()).nest("/datastore", datastore::routes());
    if backend.options.control {
        router = router.nest("/control", control::routes());
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(backend), gateway::report_unsaved))
        .layer(middleware::from_fn_with_state(Arc::clone(backend), gateway::pass))
        .with_state(Arc::clone(backend))
}

async fn health() -> Json<Value> {
    Json(json!({"status": "healthy"}))
}

async fn unknown() -> Refusal {
    Refusal::not_found("Not Found")
}

async fn not_allowed() -> Refusal {
    Refusal::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
