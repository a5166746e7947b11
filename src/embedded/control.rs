//! The endpoints below `/control`, for tests: hold a platform call, let it go, list the calls, show everything that
//! exists, forget it. They exist only with `Options::control` and are no part of NeMo.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::gate::When;
use super::wire::Refusal;
use super::world::World;

/// The control routes, without their prefix.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/hold", post(hold))
        .route("/release", post(release))
        .route("/calls", get(calls))
        .route("/state", get(state))
        .route("/reset", post(reset))
}

#[derive(Deserialize)]
struct Hold {
    call: u64,
    when: When,
    #[serde(default)]
    matching: String,
}

async fn hold(State(world): State<Arc<World>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let hold: Hold = serde_json::from_slice(&body).map_err(|error| Refusal::unprocessable(error.to_string()))?;
    if hold.call == 0 {
        return Err(Refusal::unprocessable("call counts from 1"));
    }
    world.gate.arm(hold.call, hold.when, hold.matching);
    Ok(Json(json!({})))
}

async fn release(State(world): State<Arc<World>>) -> Json<Value> {
    world.gate.release();
    Json(json!({}))
}

async fn calls(State(world): State<Arc<World>>) -> Json<Value> {
    let (calls, held) = world.gate.calls();
    Json(json!({"count": calls.len(), "held": held, "calls": calls}))
}

async fn state(State(world): State<Arc<World>>) -> Json<Value> {
    Json(world.everything())
}

async fn reset(State(world): State<Arc<World>>) -> Json<Value> {
    world.reset();
    Json(json!({}))
}
