//! The Customizer: the routes of targets, configs and training jobs (docs/nemo-api.md, Customizer).

mod adapter_repository;
mod config_patch;
mod entity_kinds;
mod job_json;
mod job_request;
mod training;
mod training_rows;

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use entity_kinds::{CONFIG, TARGET};
pub(super) use training::grant_gpus;
pub(crate) use training::resume;

use super::entities;
use super::jobs;
use crate::embedded::backend::Backend;
use crate::embedded::faults::JobFate;
use crate::embedded::state::training::Training;
use crate::embedded::state::training_targets;
use crate::embedded::wire::fields::object;
use crate::embedded::wire::listing::{Columns, ListQuery};
use crate::embedded::wire::refusal::{JsonResult, Refusal};

const JOBS: Columns = Columns {
    sort: &["created_at", "updated_at"],
    derived: |row, field| match field {
        "base_model" => Some(row["config_snapshot"]["base_model"].clone()),
        // By `files_url` or by name.
        "dataset" => Some(json!([row["files_url"], row["dataset"]])),
        "batch_size" | "epochs" | "finetuning_type" | "training_type" | "log_every_n_steps" => {
            Some(row["hyperparameters"][field].clone())
        }
        _ => None,
    },
};

/// Returns the routes of the Customizer.
pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/customization/targets", get(list_targets).post(create_target))
        .route("/v1/customization/targets/{namespace}/{name}", entities::one(&TARGET).get(read_target))
        .route("/v1/customization/configs", get(list_configs).post(create_config))
        .route(
            "/v1/customization/configs/{namespace}/{name}",
            entities::reading(&CONFIG).merge(entities::deleting(&CONFIG)).patch(config_patch::change),
        )
        .route("/v1/customization/jobs", get(list_jobs).post(create_job))
        .route("/v1/customization/jobs/{id}", get(read_job))
        .route("/v1/customization/jobs/{id}/status", get(job_status))
        .route("/v1/customization/jobs/{id}/cancel", post(cancel_job))
        // An early client of NeMo uses this path.
        .route("/v1/customizations/{id}/cancel", post(cancel_job))
        .route("/v1/customization/jobs/{id}/container-logs", get(container_logs))
}

async fn create_target(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let mut body = object(&body)?;
    body.entry("enabled").or_insert(json!(true));
    body.insert("status".into(), json!("ready"));
    entities::create(&backend, &TARGET, &Bytes::from(Value::Object(body).to_string()))
}

async fn read_target(
    State(backend): State<Arc<Backend>>,
    Path((namespace, name)): Path<(String, String)>,
) -> JsonResult {
    let found = training_targets::find(&backend.state().targets, &format!("{namespace}/{name}"));
    found.map(Json).ok_or_else(|| Refusal::not_found(format!("Target {namespace}/{name} not found")))
}

async fn create_config(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    entities::create(&backend, &CONFIG, &body)
}

/// Fields by which configs are filtered and that only their targets have, with the member of the target.
const OF_TARGETS: [(&str, &str); 3] =
    [("target_enabled", "enabled"), ("num_parameters", "num_parameters"), ("target_base_model", "base_model")];

/// Lists configs, which can also be filtered and sorted by fields of their targets.
async fn list_configs(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, CONFIG.columns)?;
    let state = backend.state();
    let rows = state.training_configs.rows().map(|config| {
        let target = job_request::named(config.get("target"))
            .and_then(|urn| training_targets::find(&state.targets, &urn))
            .unwrap_or_default();
        let mut row = config.clone();
        for (key, member) in OF_TARGETS {
            row[key] = target[member].clone();
        }
        row
    });
    let mut answer = query.answer(rows, CONFIG.columns);
    for row in answer["data"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for (key, _) in OF_TARGETS {
            row.shift_remove(key);
        }
    }
    Ok(Json(answer))
}

async fn list_targets(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, TARGET.columns)?;
    Ok(Json(query.answer(backend.state().targets.rows().cloned(), TARGET.columns)))
}

fn no_job(id: &str) -> Refusal {
    Refusal::not_found(format!("Customization job {id} not found"))
}

async fn create_job(State(backend): State<Arc<Backend>>, fate: Option<Extension<JobFate>>, body: Bytes) -> JsonResult {
    let body = object(&body)?;
    let fate = fate.map(|Extension(fate)| fate);
    let answer = {
        let mut state = backend.state();
        let training = job_request::accept(&mut state, &body)?;
        let answer = job_json::job(&training, backend.is_polled());
        backend.faults.decide(fate.as_ref(), &training.id, training.output_model.as_deref());
        if fate != Some(JobFate::Lost) {
            state.trainings.push(training);
        }
        answer
    };
    grant_gpus(&backend);
    Ok(Json(answer))
}

async fn list_jobs(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, JOBS)?;
    let state = backend.state();
    let polled = backend.is_polled();
    Ok(Json(query.answer(state.trainings.iter().map(|job| job_json::job(job, polled)), JOBS)))
}

async fn read_job(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    jobs::observe::<Training>(&backend, &id).await;
    let state = backend.state();
    let job = state.training(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job_json::job(job, backend.is_polled())))
}

async fn job_status(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    jobs::observe::<Training>(&backend, &id).await;
    let state = backend.state();
    let job = state.training(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job_json::status(job, backend.is_polled())))
}

async fn container_logs(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    let state = backend.state();
    let job = state.training(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job_json::container_logs(job, backend.is_polled())))
}

async fn cancel_job(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    let answer = {
        let mut state = backend.state();
        let at = state.trainings.iter().position(|job| job.id == id).ok_or_else(|| no_job(&id))?;
        let waited = state.trainings[at].is_waiting();
        // A job that has ended stays as it is; cancelling it is not an error.
        state.trainings[at].cancel();
        if waited {
            adapter_repository::give_up(&mut state, at);
        }
        let job = &state.trainings[at];
        job_json::job(job, backend.is_polled())
    };
    grant_gpus(&backend);
    Ok(Json(answer))
}
