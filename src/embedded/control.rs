//! The endpoints below `/control`, for tests: hold a platform call, let it go, list the calls, script failures, show
//! everything that exists, forget it. They exist only with `Options::control` and are no part of NeMo.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::FaultSpec;
use super::gate::When;
use super::wire::{Answer, Refusal};
use super::world::World;

/// The control routes, without their prefix.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/hold", post(hold))
        .route("/release", post(release))
        .route("/calls", get(calls))
        .route("/state", get(state))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
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
    world.faults.release().await;
    Json(json!({}))
}

#[derive(Deserialize)]
struct NewFault {
    fault: String,
}

async fn faults(State(world): State<Arc<World>>) -> Json<Value> {
    Json(world.faults.list())
}

/// Takes the text of a fault as it is, or in a JSON object.
async fn add_fault(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let text = match serde_json::from_slice(&body) {
        Ok(NewFault { fault }) => fault,
        Err(error) if body.starts_with(b"{") => return Err(Refusal::unprocessable(error.to_string())),
        Err(_) => String::from_utf8_lossy(&body).into_owned(),
    };
    let read = text.parse::<FaultSpec>().and_then(|spec| spec.fits(world.options.clock, true).map(|()| spec));
    let spec = read.map_err(|bad| Refusal::unprocessable(bad.to_string()))?;
    Ok(Json(world.faults.add(spec)))
}

async fn clear_faults(State(world): State<Arc<World>>) -> Json<Value> {
    world.faults.clear().await;
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
