//! The Customizer: targets, configs, and the routes of training jobs (nemo-wire 5). A job's life is in `job`, its
//! training in `work`, what it leaves behind in `artifact`.

pub(super) mod artifact;
mod changes;
pub(super) mod job;
mod request;
mod rows;
pub(super) mod work;

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::entities::{self, Creating, Kind};
use super::faults::Fate;
use super::fields::{Fields, Object, object};
use super::listing::{Columns, ListQuery};
use super::shelf::Shelf;
use super::wire::{Answer, Refusal, naive_now};
use super::world::World;
use crate::student;

const TARGET: Kind = Kind {
    noun: "Target",
    prefix: "",
    members: &[
        "description",
        "base_model",
        "enabled",
        "num_parameters",
        "precision",
        "model_uri",
        "model_path",
        "hf_endpoint",
        "tokenizer",
        "status",
        "model_type",
        "project",
        "custom_fields",
        "ownership",
    ],
    check: target,
    shelf: |state| &mut state.targets,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const CONFIG: Kind = Kind {
    noun: "Config",
    prefix: "",
    members: &[
        "description",
        "target",
        "training_options",
        "training_precision",
        "max_seq_length",
        "pod_spec",
        "prompt_template",
        "chat_prompt_template",
        "dataset_schemas",
        "project",
        "custom_fields",
        "ownership",
    ],
    check: config,
    shelf: |state| &mut state.training_configs,
    columns: Columns {
        sort: &["created_at", "updated_at", "name", "target_enabled", "num_parameters"],
        derived: |row, field| match field {
            "finetuning_type" | "training_type" => {
                let options = row["training_options"].as_array()?;
                Some(options.iter().map(|option| option[field].clone()).collect())
            }
            "target_name" => Some(json!(request::named(row.get("target"))?.split_once('/')?.1)),
            "enabled" => Some(row["target_enabled"].clone()),
            _ => None,
        },
    },
};

const JOBS: Columns = Columns {
    sort: &["created_at", "updated_at"],
    derived: |row, field| match field {
        "base_model" => Some(row["config_snapshot"]["base_model"].clone()),
        // By the address of its files, or by its name.
        "dataset" => Some(json!([row["files_url"], row["dataset"]])),
        "batch_size" | "epochs" | "finetuning_type" | "training_type" | "log_every_n_steps" => {
            Some(row["hyperparameters"][field].clone())
        }
        _ => None,
    },
};

fn target(fields: &mut Fields<'_>, creating: Creating) {
    if creating == Creating::Yes {
        fields.require("num_parameters");
        fields.require("precision");
    }
    fields.count("num_parameters");
    fields.text("precision");
    fields.text("base_model");
    fields.flag("enabled");
}

fn config(fields: &mut Fields<'_>, creating: Creating) {
    if creating == Creating::Yes {
        fields.require("training_options");
        fields.require("max_seq_length");
    }
    fields.reference("target");
    fields.count("max_seq_length");
    for key in ["training_precision", "prompt_template", "chat_prompt_template"] {
        fields.text(key);
    }
    let mut problems = Vec::new();
    for (at, option) in fields.list("training_options").into_iter().flatten().enumerate() {
        let empty = Object::new();
        let mut option = Fields::inside(option.as_object().unwrap_or(&empty), &["training_options", &at.to_string()]);
        for key in ["training_type", "finetuning_type"] {
            option.require(key);
            option.text(key);
        }
        for key in ["num_gpus", "micro_batch_size"] {
            option.require(key);
            option.count(key);
        }
        problems.extend(option.into_problems());
    }
    fields.join(problems);
}

/// The model that a target trains, when the target does not say: its name without the version.
fn base_model(target: &str) -> &str {
    target.split_once('@').map_or(target, |(model, _)| model)
}

/// Targets that exist from the start; any other name with a version is a target too, enabled like these.
const BUILT_IN: [(&str, u64); 5] = [
    ("dfwfd/ngram-small@1.0", 1_000_000),
    ("dfwfd/ngram-large@1.0", 10_000_000),
    ("meta/llama-3.2-1b-instruct@2.0", 1_000_000_000),
    ("meta/llama-3.2-3b-instruct@2.0", 3_000_000_000),
    ("meta/llama-3.1-8b-instruct@2.0", 8_000_000_000),
];

/// The targets of a new platform.
pub(super) fn built_in_targets() -> Shelf {
    let mut shelf = Shelf::default();
    for (urn, parameters) in BUILT_IN {
        if let Some((namespace, name)) = urn.split_once('/') {
            shelf.add(namespace, name, built_in(namespace, name, parameters));
        }
    }
    shelf
}

fn built_in(namespace: &str, name: &str, parameters: u64) -> Value {
    let now = naive_now();
    let base = base_model(name);
    json!({
        "created_at": now, "updated_at": now, "name": name, "namespace": namespace,
        "description": format!("{namespace}/{base}, trained as {}", student::stand_in(&format!("{namespace}/{base}")).name()),
        "base_model": format!("{namespace}/{base}"), "enabled": true, "num_parameters": parameters,
        "precision": "bf16-mixed", "model_uri": null, "model_path": base, "hf_endpoint": null, "tokenizer": null,
        "status": "ready", "model_type": "nemo", "project": null, "custom_fields": {}, "ownership": null,
    })
}

/// A target by its URN: a stored one, else one made up for any model name with a version.
fn find_target(state: &super::world::State, urn: &str) -> Option<Value> {
    if let Some(stored) = state.targets.by_urn(urn) {
        return Some(stored.clone());
    }
    let (namespace, name) = urn.split_once('/')?;
    let (model, version) = name.split_once('@')?;
    let whole = !namespace.is_empty() && !model.is_empty() && !version.is_empty();
    whole.then(|| built_in(namespace, name, 1_000_000_000))
}

/// The routes of the Customizer.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/customization/targets", get(list_targets).post(create_target))
        .route("/v1/customization/targets/{namespace}/{name}", entities::one(&TARGET).get(read_target))
        .route("/v1/customization/configs", get(list_configs).post(create_config))
        .route(
            "/v1/customization/configs/{namespace}/{name}",
            entities::reading(&CONFIG).merge(entities::deleting(&CONFIG)).patch(changes::change),
        )
        .route("/v1/customization/jobs", get(list_jobs).post(create_job))
        .route("/v1/customization/jobs/{id}", get(read_job))
        .route("/v1/customization/jobs/{id}/status", get(job_status))
        .route("/v1/customization/jobs/{id}/cancel", post(cancel_job))
        // Where an early client of NeMo looks for it.
        .route("/v1/customizations/{id}/cancel", post(cancel_job))
        .route("/v1/customization/jobs/{id}/container-logs", get(container_logs))
}

async fn create_target(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let mut body = object(&body)?;
    body.entry("enabled").or_insert(json!(true));
    body.insert("status".into(), json!("ready"));
    entities::create(&world, &TARGET, &Bytes::from(Value::Object(body).to_string()))
}

async fn read_target(State(world): State<Arc<World>>, Path((namespace, name)): Path<(String, String)>) -> Answer {
    let found = find_target(&world.state(), &format!("{namespace}/{name}"));
    found.map(Json).ok_or_else(|| Refusal::not_found(format!("Target {namespace}/{name} not found")))
}

async fn create_config(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    entities::create(&world, &CONFIG, &body)
}

/// What configs are found by and do not say, with the member of their targets that does.
const OF_TARGETS: [(&str, &str); 3] =
    [("target_enabled", "enabled"), ("num_parameters", "num_parameters"), ("target_base_model", "base_model")];

/// Configs can be found by what their targets are, too, which a config itself does not say.
async fn list_configs(State(world): State<Arc<World>>, uri: Uri) -> Answer {
    let query = ListQuery::parse(&uri, CONFIG.columns)?;
    let state = world.state();
    let rows = state.training_configs.rows().map(|config| {
        let target = request::named(config.get("target")).and_then(|urn| find_target(&state, &urn)).unwrap_or_default();
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

async fn list_targets(State(world): State<Arc<World>>, uri: Uri) -> Answer {
    let query = ListQuery::parse(&uri, TARGET.columns)?;
    Ok(Json(query.answer(world.state().targets.rows().cloned(), TARGET.columns)))
}

/// Takes up what was under way when the platform was ended.
pub(super) fn resume(world: &Arc<World>) {
    {
        let mut state = world.state();
        let unfinished = state.trainings.iter().enumerate().filter(|(_, job)| !job.ended()).map(|(at, _)| at);
        for at in unfinished.collect::<Vec<_>>() {
            state.trainings[at].restart();
            if state.trainings[at].ended() {
                artifact::give_up(&mut state, at);
            }
        }
    }
    world.grant();
}

fn no_job(id: &str) -> Refusal {
    Refusal::not_found(format!("Customization job {id} not found"))
}

async fn create_job(State(world): State<Arc<World>>, fate: Option<Extension<Fate>>, body: Bytes) -> Answer {
    let body = object(&body)?;
    let fate = fate.map(|Extension(fate)| fate);
    let answer = {
        let mut state = world.state();
        let training = request::accept(&mut state, &body)?;
        let answer = training.answer(world.polled());
        world.faults.decide(fate.as_ref(), &training.id, training.output_model.as_deref());
        if fate != Some(Fate::Lost) {
            state.trainings.push(training);
        }
        answer
    };
    world.grant();
    Ok(Json(answer))
}

async fn list_jobs(State(world): State<Arc<World>>, uri: Uri) -> Answer {
    let query = ListQuery::parse(&uri, JOBS)?;
    let state = world.state();
    let polled = world.polled();
    Ok(Json(query.answer(state.trainings.iter().map(|job| job.answer(polled)), JOBS)))
}

async fn read_job(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    work::observe(&world, &id).await;
    let state = world.state();
    let job = state.training(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job.answer(world.polled())))
}

async fn job_status(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    work::observe(&world, &id).await;
    let state = world.state();
    let job = state.training(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job.details(world.polled())))
}

async fn container_logs(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    let state = world.state();
    let job = state.training(&id).ok_or_else(|| no_job(&id))?;
    Ok(Json(job.container_logs(world.polled())))
}

async fn cancel_job(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    let answer = {
        let mut state = world.state();
        let at = state.trainings.iter().position(|job| job.id == id).ok_or_else(|| no_job(&id))?;
        let waited = state.trainings[at].waits();
        // Cancelling a job that has ended changes nothing and is no error.
        state.trainings[at].cancel();
        if waited {
            artifact::give_up(&mut state, at);
        }
        let job = &state.trainings[at];
        job.answer(world.polled())
    };
    world.grant();
    Ok(Json(answer))
}
