//! The endpoints below `/control`, for tests: hold a call, release it, list calls, script failures, show everything
//! that exists, remove it. They exist only with `Options::control` and are not part of NeMo.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::backend::Backend;
use super::call_log::HoldPoint;
use super::faults::FaultSpec;
use super::simulation;
use super::state::deployment::Deployment;
use super::state::entity_table::EntityTable;
use super::state::evaluation::Evaluation;
use super::state::training::Training;
use super::timing::SimulatedTimes;
use super::wire::refusal::{JsonResult, Refusal};

/// Returns the control routes, without their prefix.
pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/hold", post(hold))
        .route("/release", post(release))
        .route("/calls", get(calls))
        .route("/state", get(state))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/reset", post(reset))
        .route("/advance", post(advance))
        .route("/times/{*model}", get(times))
}

#[derive(Deserialize)]
struct Hold {
    call: u64,
    when: HoldPoint,
    #[serde(default)]
    matching: String,
}

async fn hold(State(backend): State<Arc<Backend>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let hold: Hold = serde_json::from_slice(&body).map_err(|error| Refusal::unprocessable(error.to_string()))?;
    if hold.call == 0 {
        return Err(Refusal::unprocessable("call counts from 1"));
    }
    backend.call_log.arm(hold.call, hold.when, hold.matching);
    Ok(Json(json!({})))
}

async fn release(State(backend): State<Arc<Backend>>) -> Json<Value> {
    backend.call_log.release();
    backend.faults.release().await;
    Json(json!({}))
}

#[derive(Deserialize)]
struct NewFault {
    fault: String,
}

async fn faults(State(backend): State<Arc<Backend>>) -> Json<Value> {
    Json(backend.faults.list())
}

/// Adds a fault, given as plain text or in a JSON object.
async fn add_fault(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let text = match serde_json::from_slice(&body) {
        Ok(NewFault { fault }) => fault,
        Err(error) if body.starts_with(b"{") => return Err(Refusal::unprocessable(error.to_string())),
        Err(_) => String::from_utf8_lossy(&body).into_owned(),
    };
    let read = text.parse::<FaultSpec>().and_then(|spec| spec.fits(backend.options.clock, true).map(|()| spec));
    let spec = read.map_err(|bad| Refusal::unprocessable(bad.to_string()))?;
    Ok(Json(backend.faults.add(spec)))
}

async fn clear_faults(State(backend): State<Arc<Backend>>) -> Json<Value> {
    backend.faults.clear().await;
    Json(json!({}))
}

async fn calls(State(backend): State<Arc<Backend>>) -> Json<Value> {
    let (calls, held) = backend.call_log.calls();
    Json(json!({"count": calls.len(), "held": held, "calls": calls}))
}

async fn reset(State(backend): State<Arc<Backend>>) -> Json<Value> {
    backend.state().reset();
    backend.call_log.forget();
    Json(json!({}))
}

/// Moves the simulated clock to the next change.
async fn advance(State(backend): State<Arc<Backend>>) -> JsonResult {
    let changed = simulation::advance(&backend).await;
    let changed = changed.ok_or_else(|| Refusal::unprocessable("the clock is not `simulated`"))?;
    Ok(Json(json!({"changed": changed, "seconds": simulation::seconds(&backend)})))
}

/// Tells how long the things of a model take on the simulated clock, in seconds.
async fn times(Path(model): Path<String>) -> Json<Value> {
    let times = SimulatedTimes::of(&model);
    Json(json!({
        "deployment": times.deployment.as_secs_f64(), "listing": times.listing.as_secs_f64(),
        "training": times.training.as_secs_f64(), "adapter": times.adapter.as_secs_f64(),
        "evaluation": times.evaluation.as_secs_f64(),
    }))
}

/// Shows everything that exists.
async fn state(State(backend): State<Arc<Backend>>) -> Json<Value> {
    let state = backend.state();
    let trainings = state.trainings.iter();
    let evaluations = state.evaluations.iter();
    let unfinished = trainings.clone().filter(|job| !job.has_ended()).map(|job| &job.id);
    let unfinished = unfinished.chain(evaluations.clone().filter(|job| !job.has_ended()).map(|job| &job.id));
    let repos = state.repositories.names().map(|repo| json!({"type": repo.kind.noun(), "name": repo.id()}));
    Json(json!({
        "deployments": state.deployments.iter().map(deployment).collect::<Vec<_>>(),
        "training_jobs": trainings.map(training).collect::<Vec<_>>(),
        "evaluation_jobs": evaluations.map(evaluation).collect::<Vec<_>>(),
        "unfinished_jobs": unfinished.collect::<Vec<_>>(),
        "datasets": names(&state.datasets),
        "repos": repos.collect::<Vec<_>>(),
        "configs": names(&state.training_configs),
        "models": names(&state.models),
        "adapters": state.adapters.iter().map(|adapter| &adapter.id).collect::<Vec<_>>(),
        "namespaces": state.namespaces.rows().map(|row| &row["id"]).collect::<Vec<_>>(),
        "gpus": {"total": backend.options.gpus, "taken": state.gpus_taken(), "wanted": state.gpus_wanted()},
        "unseen": state.unseen,
    }))
}

fn names(table: &EntityTable) -> Vec<String> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    table.rows().map(|row| format!("{}/{}", text(row, "namespace"), text(row, "name"))).collect()
}

fn deployment(deployment: &Deployment) -> Value {
    json!({
        "namespace": deployment.namespace, "name": deployment.name, "model": deployment.model, "gpus": deployment.gpus,
        "status": deployment.status().0, "description": deployment.rest.get("description"),
    })
}

fn training(job: &Training) -> Value {
    json!({
        "id": job.id, "namespace": job.namespace, "status": job.status(false), "gpus": job.gpus,
        "description": job.body()["description"], "output_model": job.output_model,
    })
}

fn evaluation(job: &Evaluation) -> Value {
    json!({
        "id": job.id, "namespace": job.namespace, "status": job.status(false),
        "description": job.body["description"],
    })
}
