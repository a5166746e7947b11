//! Accepting an evaluation job: checks of the body, look-up of what it refers to, and the plan of what is to be asked
//! and scored (nemo-wire 6.2).

use serde_json::{Map, Value, json};

use super::job::Evaluation;
use super::metrics::Metric;
use crate::embedded::fields::{Fields, Object, or_null, text_or};
use crate::embedded::wire::{Refusal, naive_now, new_id};
use crate::embedded::world::{State, World};

/// What an evaluation job does.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) endpoint: Endpoint,
    pub(super) tasks: Vec<Task>,
    /// How many requests are under way at once.
    pub(super) parallelism: usize,
    /// How often a failed request is made again.
    pub(super) retries: usize,
    /// Members that every request carries unless its template says otherwise.
    pub(super) inference: Object,
}

/// Whom to ask.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The full address of the chat endpoint.
    pub(super) url: String,
    pub(super) model: String,
    pub(super) key: Option<String>,
    /// Whether it is this platform's own NIM proxy.
    pub(super) own: bool,
}

/// One task of a job.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) template: Value,
    pub(super) files_url: String,
    pub(super) limit: usize,
    /// By name, in the order of the request.
    pub(super) metrics: Vec<(String, Metric)>,
}

const DEFAULT_PARALLELISM: u64 = 8;
const MOST_PARALLEL: u64 = 256;
const DEFAULT_RETRIES: u64 = 3;

/// The job and the plan that a body asks for.
pub(super) fn accept(
    world: &World,
    state: &State,
    body: &Object,
    check_datasets: bool,
) -> Result<(Evaluation, Plan), Refusal> {
    let mut fields = Fields::of(body);
    for key in ["namespace", "description", "project", "output_files_url"] {
        fields.text(key);
    }
    for key in ["config", "target"] {
        fields.require(key);
        fields.reference(key);
    }
    for key in ["custom_fields", "ownership"] {
        fields.object(key);
    }
    fields.done()?;
    let config = inline(body.get("config"), "Evaluation config", |urn| state.evaluation_configs.by_urn(urn))?;
    let target = inline(body.get("target"), "Evaluation target", |urn| state.evaluation_targets.by_urn(urn))?;
    let endpoint = endpoint(world, &target)?;
    if config["type"].as_str() != Some("custom") {
        let text = format!("evaluations of type {} are not run by this platform; custom ones are", config["type"]);
        return Err(Refusal::unprocessable(text));
    }
    let params = config["params"].as_object().cloned().unwrap_or_default();
    let tasks = tasks(state, &config, params.get("limit_samples"))?;
    if check_datasets {
        for task in &tasks {
            if state.store.dataset_files(&task.files_url).is_none_or(|files| files.is_empty()) {
                return Err(Refusal::unprocessable(format!("Dataset {} is not present on datastore", task.files_url)));
            }
        }
    }
    let number = |key: &str, default: u64| params.get(key).and_then(Value::as_u64).unwrap_or(default);
    let carried = ["max_tokens", "temperature", "top_p", "stop"];
    let carried = carried.into_iter().filter_map(|key| Some((key.to_owned(), params.get(key)?.clone())));
    let plan = Plan {
        endpoint,
        tasks,
        parallelism: number("parallelism", DEFAULT_PARALLELISM).clamp(1, MOST_PARALLEL) as usize,
        retries: number("max_retries", DEFAULT_RETRIES).min(10) as usize,
        inference: carried.filter(|(_, value)| !value.is_null()).collect(),
    };
    let echo = json!({
        "description": or_null(body, "description"),
        "target": inflate("eval-target", &target),
        "config": inflate("eval-config", &config),
        "project": or_null(body, "project"),
        "custom_fields": body.get("custom_fields").filter(|given| !given.is_null()).cloned().unwrap_or(json!({})),
        "ownership": or_null(body, "ownership"),
    });
    let namespace = text_or(body, "namespace", "default");
    Ok((Evaluation::new(namespace, masked(echo)), plan))
}

/// The object itself, or the stored one that a name refers to.
fn inline<'a>(
    given: Option<&'a Value>,
    noun: &str,
    find: impl Fn(&str) -> Option<&'a Value>,
) -> Result<Value, Refusal> {
    match given {
        Some(Value::String(urn)) => {
            find(urn).cloned().ok_or_else(|| Refusal::not_found(format!("{noun} {urn} not found")))
        }
        other => Ok(other.cloned().unwrap_or_default()),
    }
}

/// The endpoint that a target means.
fn endpoint(world: &World, target: &Value) -> Result<Endpoint, Refusal> {
    if target["type"].as_str() != Some("model") {
        let text = format!("targets of type {} are not evaluated by this platform; models are", target["type"]);
        return Err(Refusal::unprocessable(text));
    }
    match &target["model"] {
        Value::String(model) if !model.is_empty() => Ok(Endpoint {
            url: format!("{}/nim/v1/chat/completions", world.base),
            model: model.clone(),
            key: None,
            own: true,
        }),
        Value::Object(model) => {
            let api = model.get("api_endpoint").cloned().unwrap_or_default();
            let (Some(url), Some(id)) = (api["url"].as_str(), api["model_id"].as_str()) else {
                return Err(Refusal::unprocessable("target.model.api_endpoint has a url and a model_id"));
            };
            let base = url.trim_end_matches('/').trim_end_matches("/chat/completions");
            Ok(Endpoint {
                url: format!("{base}/chat/completions"),
                model: id.to_owned(),
                key: api["api_key"].as_str().map(str::to_owned),
                own: false,
            })
        }
        _ => Err(Refusal::unprocessable("target.model is required for a target of type model")),
    }
}

fn tasks(state: &State, config: &Value, limit: Option<&Value>) -> Result<Vec<Task>, Refusal> {
    let tasks = config["tasks"].as_object().filter(|tasks| !tasks.is_empty());
    let tasks = tasks.ok_or_else(|| Refusal::unprocessable("config.tasks holds no task"))?;
    let limit = limit.and_then(Value::as_u64);
    tasks.iter().map(|(name, task)| one_task(state, name, task, limit)).collect()
}

fn one_task(state: &State, name: &str, task: &Value, limit: Option<u64>) -> Result<Task, Refusal> {
    let refuse = |text: String| Refusal::unprocessable(format!("config.tasks.{name}: {text}"));
    match task["type"].as_str() {
        Some("chat-completion") => {}
        Some(other) => {
            return Err(refuse(format!("the task type {other:?} is not run by this platform; chat-completion is")));
        }
        None => return Err(refuse("type is required".into())),
    }
    let template = task["params"]["template"].clone();
    if template.is_null() {
        return Err(refuse("params.template is required".into()));
    }
    let dataset = match &task["dataset"] {
        Value::String(urn) => {
            let stored = state.datasets.by_urn(urn).cloned();
            stored.ok_or_else(|| Refusal::unprocessable(format!("Dataset {urn} is not present on datastore")))?
        }
        other => other.clone(),
    };
    let Some(files_url) = dataset["files_url"].as_str() else {
        let text =
            format!("Dataset {dataset} is not in the expected format; it needs to have the files_url property set");
        return Err(Refusal::unprocessable(text));
    };
    let limits = [dataset["limit"].as_u64(), limit];
    let limit = limits.into_iter().flatten().min().map_or(usize::MAX, |limit| limit as usize);
    let mut metrics = Vec::new();
    for (key, metric) in task["metrics"].as_object().into_iter().flatten() {
        let kind = metric["type"].as_str().unwrap_or_default();
        let parsed = Metric::parse(kind, &metric["params"]);
        metrics.push((key.clone(), parsed.map_err(|why| refuse(format!("metrics.{key}: {why}")))?));
    }
    Ok(Task { name: name.to_owned(), template, files_url: files_url.to_owned(), limit, metrics })
}

/// An inline config or target as the service answers it: an entity with an id of its own.
fn inflate(prefix: &str, given: &Value) -> Value {
    let id = given["id"].as_str().map_or_else(|| new_id(prefix), str::to_owned);
    let now = naive_now();
    let mut entity = json!({
        "schema_version": "1.0", "id": id, "description": null, "type_prefix": prefix, "namespace": "default",
        "project": null, "created_at": now, "updated_at": now, "custom_fields": {}, "ownership": null, "name": id,
    });
    let members: &[&str] = match prefix {
        "eval-target" => &["type", "cached_outputs", "model", "retriever", "rag", "rows", "dataset"],
        _ => &["type", "params", "tasks", "groups"],
    };
    for member in members {
        entity[*member] = Value::Null;
    }
    let given = given.as_object().cloned().unwrap_or_default();
    for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
        entity[key] = value;
    }
    entity
}

/// The same without any key in it.
fn masked(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mask = |(key, value): (String, Value)| {
                let secret = key == "api_key" && value.as_str().is_some_and(|key| !key.is_empty());
                let value = if secret { json!("******") } else { masked(value) };
                (key, value)
            };
            Value::Object(members.into_iter().map(mask).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(masked).collect(),
        other => other,
    }
}
