//! The Evaluator: routes of jobs, their results, stored configs and targets, and live evaluation (nemo-wire 6). Accepting
//! a job is in `request`, its states in `job`, the asking and scoring in `work`, what is reported in `results`.

mod ask;
pub(super) mod job;
mod live;
mod metrics;
mod python;
mod reports;
mod request;
mod results;
mod rows;
mod templates;
mod work;

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;

use super::contents::Content;
use super::datastore::repos::{RepoKind, RepoName};
use super::entities::{self, Creating, Kind};
use super::faults::Fate;
use super::fields::object;
use super::listing::{Columns, ListQuery, parameter};
use super::wire::{Answer, Refusal};
use super::world::World;

const CONFIG: Kind = Kind {
    noun: "Evaluation config",
    prefix: "eval-config",
    members: &["description", "type", "params", "tasks", "groups", "project", "custom_fields", "ownership"],
    check: |fields, creating| {
        if creating == Creating::Yes {
            fields.require("type");
        }
        fields.text("type");
        fields.object("tasks");
        fields.object("params");
    },
    shelf: |state| &mut state.evaluation_configs,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const TARGET: Kind = Kind {
    noun: "Evaluation target",
    prefix: "eval-target",
    members: &[
        "description",
        "type",
        "model",
        "cached_outputs",
        "retriever",
        "rag",
        "rows",
        "dataset",
        "project",
        "custom_fields",
        "ownership",
    ],
    check: |fields, creating| {
        if creating == Creating::Yes {
            fields.require("type");
        }
        fields.text("type");
    },
    shelf: |state| &mut state.evaluation_targets,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const JOBS: Columns = Columns::plain(&["created_at", "updated_at"]);

/// The routes of the Evaluator.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/evaluation/jobs", get(list).post(create))
        .route("/v1/evaluation/jobs/{id}", get(read).delete(delete))
        .route("/v1/evaluation/jobs/{id}/status", get(status))
        .route("/v1/evaluation/jobs/{id}/cancel", post(cancel))
        .route("/v1/evaluation/jobs/{id}/results", get(read_results))
        .route("/v1/evaluation/jobs/{id}/download-results", get(download))
        .route("/v1/evaluation/jobs/{id}/logs", get(logs))
        .route("/v1/evaluation/live", post(evaluate_live))
        .merge(entities::crud("/v1/evaluation/configs", &CONFIG))
        .merge(entities::crud("/v1/evaluation/targets", &TARGET))
        .merge(reports::routes())
}

fn no_job(id: &str) -> Refusal {
    Refusal::not_found(format!("Evaluation job {id} not found"))
}

async fn create(State(world): State<Arc<World>>, fate: Option<Extension<Fate>>, uri: Uri, body: Bytes) -> Answer {
    let fate = fate.map(|Extension(fate)| fate);
    let unchecked = parameter(&uri, "skip_validation_checks").is_some_and(|given| given.eq_ignore_ascii_case("true"));
    let body = object(&body)?;
    let mut state = world.state();
    let (job, plan) = request::accept(&state, &body, !unchecked)?;
    let answer = job.answer(&world);
    world.faults.decide(fate.as_ref(), &job.id, None);
    if fate == Some(Fate::Lost) {
        return Ok(Json(answer));
    }
    work::spawn(Arc::clone(&world), Arc::clone(job.work()), plan);
    state.evaluations.push(job);
    Ok(Json(answer))
}

async fn evaluate_live(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let body = object(&body)?;
    let plan = request::accept_live(&world.state(), &body)?;
    Ok(Json(live::evaluate(&world, &plan).await))
}

async fn list(State(world): State<Arc<World>>, uri: Uri) -> Answer {
    let query = ListQuery::parse(&uri, JOBS)?;
    let state = world.state();
    Ok(Json(query.answer(state.evaluations.iter().map(|job| job.answer(&world)), JOBS)))
}

async fn read(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    work::observe(&world, &id).await;
    let state = world.state();
    Ok(Json(state.evaluation(&id).ok_or_else(|| no_job(&id))?.answer(&world)))
}

async fn status(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    work::observe(&world, &id).await;
    let state = world.state();
    Ok(Json(state.evaluation(&id).ok_or_else(|| no_job(&id))?.details(&world)))
}

async fn cancel(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    let mut state = world.state();
    let job = state.evaluations.find_mut(|job| job.id == id).ok_or_else(|| no_job(&id))?;
    // Cancelling a job that has ended changes nothing and is no error.
    job.cancel();
    Ok(Json(job.answer(&world)))
}

async fn delete(State(world): State<Arc<World>>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let mut state = world.state();
    let at = state.evaluations.iter().position(|job| job.id == id).ok_or_else(|| no_job(&id))?;
    let mut job = state.evaluations.remove(at);
    job.cancel();
    if let Some((result, _, _)) = job.found() {
        state.evaluation_results.remove("", result);
    }
    state.store.delete(&RepoName::new(RepoKind::Dataset, results::NAMESPACE, &id));
    Ok(StatusCode::NO_CONTENT)
}

/// The result entity and the rows of a job that has completed.
fn finished(state: &super::world::State, id: &str) -> Result<(Value, Content), Refusal> {
    let job = state.evaluation(id).ok_or_else(|| no_job(id))?;
    let none = || Refusal::not_found(format!("Evaluation job {id} has no results"));
    let (result, _, rows) = job.found().ok_or_else(none)?;
    let entity = state.evaluation_results.find("", result).ok_or_else(none)?;
    Ok((entity.clone(), rows.clone()))
}

async fn read_results(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    finished(&world.state(), &id).map(|(entity, _)| Json(entity))
}

/// A zip for everyone, whatever the request accepts: some ask for JSON and want the zip.
async fn download(State(world): State<Arc<World>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let (entity, rows) = finished(&world.state(), &id)?;
    let pack = move || {
        let (rows, summary) = (rows.bytes()?, entity.to_string());
        let files = [("results/results.json", &rows[..]), ("results/summary.json", summary.as_bytes())];
        results::zip(&files).map_err(std::io::Error::other)
    };
    let packed = tokio::task::spawn_blocking(pack).await.unwrap_or_else(|crash| Err(std::io::Error::other(crash)));
    archive(&format!("evaluation_results-{id}.zip"), packed)
}

/// What a job has said, as a zip; rows that lost their scores say why.
async fn logs(State(world): State<Arc<World>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let (mut log, rows) = {
        let state = world.state();
        let job = state.evaluation(&id).ok_or_else(|| no_job(&id))?;
        (job.log(&world), job.found().map(|(_, _, rows)| rows.clone()))
    };
    let pack = move || {
        if let Some(rows) = rows {
            log.push_str(&results::complaints(&rows.bytes()?)?);
        }
        results::zip(&[("logs/evaluation.log", log.as_bytes())]).map_err(std::io::Error::other)
    };
    let packed = tokio::task::spawn_blocking(pack).await.unwrap_or_else(|crash| Err(std::io::Error::other(crash)));
    archive(&format!("evaluation_logs-{id}.zip"), packed)
}

/// A zip as an answer.
fn archive(name: &str, packed: std::io::Result<Vec<u8>>) -> Result<Response, Refusal> {
    let zip = packed.map_err(|error| Refusal::detail(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let named = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, named)];
    Ok((headers, zip).into_response())
}

/// Begins anew what was under way when the platform was ended; what cannot be begun has failed.
pub(super) fn resume(world: &Arc<World>) {
    let mut state = world.state();
    let waiting: Vec<usize> =
        state.evaluations.iter().enumerate().filter(|(_, job)| !job.ended()).map(|(at, _)| at).collect();
    for at in waiting {
        let order = state.evaluations[at].order().cloned();
        let plan = order.as_ref().map(|order| request::again(&state, order));
        match plan {
            Some(Ok(plan)) => work::spawn(Arc::clone(world), Arc::clone(state.evaluations[at].work()), plan),
            _ => state.evaluations[at].fail("Job cannot be launched: what it refers to is gone".into()),
        }
    }
}
