//! The routing table: which service answers below which prefix, and what an unknown path gets.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::wire::Refusal;
use super::world::World;
use super::{control, customizer, datastore, deployments, entities, evaluator, gate, nim};

/// All routes of the platform, behind the gate.
pub(super) fn router(world: &Arc<World>) -> Router {
    let nemo = Router::new()
        .merge(entities::routes())
        .route("/v1/health", get(health))
        .merge(deployments::routes())
        .merge(customizer::routes())
        .merge(evaluator::routes());
    let mut router =
        Router::new().nest("/nemo", nemo).nest("/nim", nim::routes()).nest("/datastore", datastore::routes());
    if world.options.control {
        router = router.nest("/control", control::routes());
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(world), vouch))
        .layer(middleware::from_fn_with_state(Arc::clone(world), gate::pass))
        .with_state(Arc::clone(world))
}

/// Says so when an effect is not on disk though it should be: its client had better not rely on it.
async fn vouch(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let reads = request.method().is_safe();
    let answer = next.run(request).await;
    match world.unsaved() {
        Some(why) if !reads => {
            let text = format!("the data directory cannot be written: {why}");
            Refusal::detail(StatusCode::INSUFFICIENT_STORAGE, text).into_response()
        }
        _ => answer,
    }
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
