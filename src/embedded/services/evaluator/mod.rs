//! The Evaluator: the routes of jobs, results, stored configs and targets, and live evaluation (docs/nemo-api.md,
//! Evaluator).

mod dataset_rows;
mod evaluation;
mod job_json;
mod job_request;
mod live;
mod metrics;
mod model_client;
mod python_values;
mod result_entities;
mod results;
mod scoring;
mod templates;

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;

pub(crate) use evaluation::resume;

use super::entities::{self, Creating, EntityKind};
use super::jobs;
use crate::embedded::backend::Backend;
use crate::embedded::faults::JobFate;
use crate::embedded::state::PlatformState;
use crate::embedded::state::blobs::Blob;
use crate::embedded::state::evaluation::Evaluation;
use crate::embedded::state::repositories::{RepoKind, RepoName};
use crate::embedded::wire::fields::object;
use crate::embedded::wire::listing::{Columns, ListQuery, parameter};
use crate::embedded::wire::refusal::{JsonResult, Refusal};

const CONFIG: EntityKind = EntityKind {
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
    table: |state| &mut state.evaluation_configs,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const TARGET: EntityKind = EntityKind {
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
    table: |state| &mut state.evaluation_targets,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const JOBS: Columns = Columns::plain(&["created_at", "updated_at"]);

/// Returns the routes of the Evaluator.
pub(crate) fn routes() -> Router<Arc<Backend>> {
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
        .merge(result_entities::routes())
}

fn no_job(id: &str) -> Refusal {
    Refusal::not_found(format!("Evaluation job {id} not found"))
}

async fn create(
    State(backend): State<Arc<Backend>>,
    fate: Option<Extension<JobFate>>,
    uri: Uri,
    body: Bytes,
) -> JsonResult {
    let fate = fate.map(|Extension(fate)| fate);
    let unchecked = parameter(&uri, "skip_validation_checks").is_some_and(|given| given.eq_ignore_ascii_case("true"));
    let body = object(&body)?;
    let mut state = backend.state();
    let (job, plan) = job_request::accept(&state, &body, !unchecked)?;
    let answer = job_json::job(&job, backend.is_polled());
    backend.faults.decide(fate.as_ref(), &job.id, None);
    if fate == Some(JobFate::Lost) {
        return Ok(Json(answer));
    }
    evaluation::spawn(&backend, &job, plan);
    state.evaluations.push(job);
    Ok(Json(answer))
}

async fn evaluate_live(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let body = object(&body)?;
    let plan = job_request::accept_live(&backend.state(), &body)?;
    Ok(Json(live::evaluate(&backend, &plan).await))
}

async fn list(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, JOBS)?;
    let state = backend.state();
    Ok(Json(query.answer(state.evaluations.iter().map(|job| job_json::job(job, backend.is_polled())), JOBS)))
}

async fn read(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    jobs::observe::<Evaluation>(&backend, &id).await;
    let state = backend.state();
    let job = state.evaluation(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job_json::job(job, backend.is_polled())))
}

async fn status(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    jobs::observe::<Evaluation>(&backend, &id).await;
    let state = backend.state();
    let job = state.evaluation(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job_json::status(job, backend.is_polled())))
}

async fn cancel(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    let mut state = backend.state();
    let job = state.evaluations.find_mut(|job| job.id == id).ok_or_else(|| no_job(&id))?;
    // A job that has ended stays as it is; cancelling it is not an error.
    job.cancel();
    Ok(Json(job_json::job(job, backend.is_polled())))
}

async fn delete(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let mut state = backend.state();
    let at = state.evaluations.iter().position(|job| job.id == id).ok_or_else(|| no_job(&id))?;
    let mut job = state.evaluations.remove(at);
    job.cancel();
    if let Some((result, _, _)) = job.results() {
        state.evaluation_results.remove("", result);
    }
    state.repositories.delete(&RepoName::new(RepoKind::Dataset, results::NAMESPACE, &id));
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the result entity and the rows of a completed job.
fn finished(state: &PlatformState, id: &str) -> Result<(Value, Blob), Refusal> {
    let job = state.evaluation(id).ok_or_else(|| no_job(id))?;
    let none = || Refusal::not_found(format!("Evaluation job {id} has no results"));
    let (result, _, rows) = job.results().ok_or_else(none)?;
    let entity = state.evaluation_results.find("", result).ok_or_else(none)?;
    Ok((entity.clone(), rows.clone()))
}

async fn read_results(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    finished(&backend.state(), &id).map(|(entity, _)| Json(entity))
}

/// Always answers with a zip: some clients ask for JSON and expect the zip.
async fn download(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let (entity, rows) = finished(&backend.state(), &id)?;
    let pack = move || {
        let (rows, summary) = (rows.bytes()?, entity.to_string());
        let files = [("results/results.json", &rows[..]), ("results/summary.json", summary.as_bytes())];
        results::zip(&files).map_err(std::io::Error::other)
    };
    let packed = tokio::task::spawn_blocking(pack).await.unwrap_or_else(|crash| Err(std::io::Error::other(crash)));
    archive(&format!("evaluation_results-{id}.zip"), packed)
}

/// Answers with the log as a zip. It says why rows have no score.
async fn logs(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let (mut log, rows) = {
        let state = backend.state();
        let job = state.evaluation(&id).ok_or_else(|| no_job(&id))?;
        (job_json::log(job, backend.is_polled()), job.results().map(|(_, _, rows)| rows.clone()))
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

/// Returns a zip as an answer.
fn archive(name: &str, packed: std::io::Result<Vec<u8>>) -> Result<Response, Refusal> {
    let zip = packed.map_err(|error| Refusal::detail(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let named = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, named)];
    Ok((headers, zip).into_response())
}
