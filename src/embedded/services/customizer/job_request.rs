//! Accepts a training job: checks its body against the schema and against what exists (docs/nemo-api.md, Creating a
//! training job).

use serde_json::{Value, json};

use crate::embedded::services::entities;
use crate::embedded::state::PlatformState;
use crate::embedded::state::training::Training;
use crate::embedded::state::training_targets;
use crate::embedded::wire::fields::{Fields, Object, or_null, text_or};
use crate::embedded::wire::refusal::Refusal;
use crate::embedded::wire::stamps::{naive_now, new_id};

/// The entities that a job refers to, and what follows from them.
struct ResolvedJob {
    config: String,
    snapshot: Value,
    base_model: String,
    gpus: u32,
    dataset: String,
    files_url: String,
}

/// Creates the job of a request body, and its model entity.
pub(crate) fn accept(state: &mut PlatformState, body: &Object) -> Result<Training, Refusal> {
    check(body)?;
    let hyperparameters = body.get("hyperparameters").and_then(Value::as_object).cloned().unwrap_or_default();
    let found = find(state, body, &hyperparameters)?;
    let id = new_id("cust");
    let output = output_model(body, &id);
    if let Some(output) = &output {
        let (namespace, name) = output.split_once('/').unwrap_or(("default", output));
        let entity = json!({
            "base_model": found.base_model,
            "spec": {"num_parameters": 1_000_000_000_u64, "context_size": found.snapshot["max_seq_length"],
                "num_virtual_tokens": 0, "is_chat": true},
            "artifact": {"gpu_arch": "Ampere", "precision": found.snapshot["precision"], "tensor_parallelism": 1,
                "backend_engine": "nemo", "status": "created", "files_url": format!("hf://{output}")},
            "peft": {"finetuning_type": hyperparameters.get("finetuning_type")},
            "schema_version": "1.0",
            "project": or_null(body, "project"),
        });
        let empty = Object::new();
        let entity = entities::model_entity(entity.as_object().unwrap_or(&empty), namespace, name);
        if !state.models.add(namespace, name, entity) {
            return Err(Refusal::conflict(format!("Model {output} already exists")));
        }
    }
    let mut training = Training::new(id, state.next_ticket(), found.gpus, naive_now());
    training.namespace = text_or(body, "namespace", "default");
    training.output_model = output;
    training.base_model = found.base_model;
    training.files_url = found.files_url;
    training.epochs = number(&hyperparameters, "epochs", 1);
    training.seed = hyperparameters.get("seed").and_then(Value::as_u64).unwrap_or(42);
    training.log_every = number(&hyperparameters, "log_every_n_steps", 10);
    training.accept(&json!({
        "description": or_null(body, "description"),
        "dataset": found.dataset,
        "config": found.config,
        "config_snapshot": found.snapshot,
        "hyperparameters": echo(&hyperparameters),
        "name": or_null(body, "name"),
        "project": or_null(body, "project"),
        "custom_fields": body.get("custom_fields").filter(|given| !given.is_null()).cloned().unwrap_or(json!({})),
        "ownership": or_null(body, "ownership"),
        "dataset_parameters": or_null(body, "dataset_parameters"),
        "integrations": or_null(body, "integrations"),
        "warnings": null,
    }));
    Ok(training)
}

fn number(from: &Object, key: &str, default: u32) -> u32 {
    let given = from.get(key).and_then(Value::as_u64).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    given.unwrap_or(default).max(1)
}

fn check(body: &Object) -> Result<(), Refusal> {
    let mut fields = Fields::of(body);
    for key in ["name", "namespace", "description", "project", "output_model"] {
        fields.text(key);
    }
    for key in ["config", "dataset", "hyperparameters"] {
        fields.require(key);
    }
    fields.reference("config");
    fields.reference("dataset");
    for key in ["custom_fields", "ownership", "dataset_parameters"] {
        fields.object(key);
    }
    fields.list("integrations");
    let hyperparameters = fields.object("hyperparameters");
    let mut problems = Vec::new();
    if let Some(hyperparameters) = hyperparameters {
        let mut inner = Fields::inside(hyperparameters, &["hyperparameters"]);
        inner.require("finetuning_type");
        for key in ["finetuning_type", "training_type", "optimizer"] {
            inner.text(key);
        }
        for key in ["epochs", "batch_size", "max_steps", "log_every_n_steps", "warmup_steps", "seed"] {
            inner.count(key);
        }
        for key in ["learning_rate", "weight_decay", "val_check_interval", "min_learning_rate"] {
            inner.number(key);
        }
        inner.flag("sequence_packing_enabled");
        inner.object("lora");
        problems = inner.into_problems();
    }
    fields.join(problems);
    fields.done()
}

/// Resolves the references of a body.
fn find(state: &PlatformState, body: &Object, hyperparameters: &Object) -> Result<ResolvedJob, Refusal> {
    let config = named(body.get("config"))
        .ok_or_else(|| Refusal::unprocessable("config is the name of a stored config, as namespace/name@version"))?;
    if !config.contains('@') {
        return Err(Refusal::unprocessable(format!("Version is not specified in the config URN: {config}")));
    }
    let stored = state.training_configs.by_urn(&config);
    let stored = stored.ok_or_else(|| Refusal::not_found(format!("Config {config} not found")))?;
    let target = named(stored.get("target")).unwrap_or_default();
    let target = training_targets::find(&state.targets, &target)
        .ok_or_else(|| Refusal::unprocessable(format!("Config {config} names the target {target:?}, which is none")))?;
    let base_model = target["base_model"].as_str().unwrap_or_default().to_owned();
    if target["enabled"] == json!(false) {
        let name = target["name"].as_str().unwrap_or_default();
        let text = format!("Model {name} is not enabled for customization. Contact your administrator to enable it.");
        return Err(Refusal::unprocessable(text));
    }
    let finetuning = text_or(hyperparameters, "finetuning_type", "lora");
    let training = text_or(hyperparameters, "training_type", "sft");
    if training != "sft" {
        let text = format!("training_type {training} is not known to this platform: its students learn by sft");
        return Err(Refusal::unprocessable(text));
    }
    let options = stored["training_options"].as_array().cloned().unwrap_or_default();
    let option = options
        .into_iter()
        .find(|option| option["training_type"] == json!(training) && option["finetuning_type"] == json!(finetuning));
    let Some(mut option) = option else {
        let text = format!("Config {config} has no training option {training} with {finetuning}");
        return Err(Refusal::unprocessable(text));
    };
    let defaults = [
        ("num_nodes", json!(1)),
        ("tensor_parallel_size", json!(1)),
        ("data_parallel_size", json!(1)),
        ("pipeline_parallel_size", json!(1)),
        ("use_sequence_parallel", json!(false)),
    ];
    for (key, default) in defaults {
        if option[key].is_null() {
            option[key] = default;
        }
    }
    let whole = |key: &str| u32::try_from(option[key].as_u64().unwrap_or(1)).unwrap_or(u32::MAX);
    let gpus = whole("num_gpus").saturating_mul(whole("num_nodes"));
    let (dataset, files_url) = dataset(state, body.get("dataset"))?;
    let snapshot = json!({
        "base_model": base_model,
        "max_seq_length": stored["max_seq_length"],
        "precision": stored["training_precision"].as_str().unwrap_or("bf16-mixed"),
        "prompt_template": stored["prompt_template"].as_str().unwrap_or("{prompt} {completion}"),
        "training_option": option,
    });
    Ok(ResolvedJob { config, snapshot, base_model, gpus, dataset, files_url })
}

/// Returns `ns/name` of a reference, which is a string or an object.
pub(crate) fn named(reference: Option<&Value>) -> Option<String> {
    match reference? {
        Value::String(urn) => Some(urn.clone()),
        object => {
            let namespace = object["namespace"].as_str().unwrap_or("default");
            object["name"].as_str().map(|name| format!("{namespace}/{name}"))
        }
    }
}

/// Returns the name and the files of the dataset of a job.
fn dataset(state: &PlatformState, reference: Option<&Value>) -> Result<(String, String), Refusal> {
    let Some(urn) = named(reference) else {
        let url = reference.and_then(|object| object["files_url"].as_str());
        let url = url.ok_or_else(|| Refusal::unprocessable("dataset has a name, or a files_url"))?;
        return Ok((url.to_owned(), url.to_owned()));
    };
    let entity = state.datasets.by_urn(&urn);
    let entity = entity.ok_or_else(|| Refusal::not_found(format!("Dataset {urn} not found")))?;
    Ok((urn, entity["files_url"].as_str().unwrap_or_default().to_owned()))
}

/// Returns the name of the trained model. Its revision is the id of the job, unless the caller chose one.
fn output_model(body: &Object, id: &str) -> Option<String> {
    let wanted = body.get("output_model").and_then(Value::as_str).filter(|name| !name.is_empty())?;
    let wanted = if wanted.contains('/') { wanted.to_owned() } else { format!("default/{wanted}") };
    Some(if wanted.contains('@') { wanted } else { format!("{wanted}@{id}") })
}

/// Returns the hyperparameters of the answer: as sent, with the service's defaults.
fn echo(given: &Object) -> Value {
    let mut echo = Value::Object(given.clone());
    let defaults = [("training_type", json!("sft")), ("sequence_packing_enabled", json!(false))];
    for (key, default) in defaults {
        if echo[key].is_null() {
            echo[key] = default;
        }
    }
    for key in ["log_every_n_steps", "val_check_interval", "weight_decay", "sft", "distillation"] {
        if echo[key].is_null() {
            echo[key] = Value::Null;
        }
    }
    if echo["lora"].is_object() {
        if echo["lora"]["alpha"].is_null() {
            echo["lora"]["alpha"] = json!(16);
        }
        if echo["lora"]["target_modules"].is_null() {
            echo["lora"]["target_modules"] = Value::Null;
        }
    }
    echo
}
