//! Accepts an evaluation job: checks its body, resolves what it refers to, and plans what to ask and to score
//! (docs/nemo-api.md, Evaluation jobs).

use std::time::Duration;

use serde_json::{Value, json};

use super::dataset_rows::RowSource;
use super::metrics::Metric;
use super::model_client::{ModelAddress, ModelApi};
use crate::embedded::state::PlatformState;
use crate::embedded::state::evaluation::{Evaluation, EvaluationOrder};
use crate::embedded::wire::fields::{Fields, Object, or_null, text_or};
use crate::embedded::wire::masking::masked;
use crate::embedded::wire::refusal::Refusal;
use crate::embedded::wire::stamps::{naive_now, new_id};

/// The plan of an evaluation job.
#[derive(Debug)]
pub(crate) struct EvaluationPlan {
    pub(crate) tasks: Vec<EvaluationTask>,
    /// The number of concurrent requests.
    pub(crate) parallelism: usize,
    /// The number of retries of a request.
    pub(crate) retries: usize,
    /// The time limit of a request.
    pub(crate) timeout: Duration,
    /// Members of every request, unless its template sets them.
    pub(crate) sampling: Object,
}

#[derive(Debug)]
pub(crate) struct EvaluationTask {
    pub(crate) name: String,
    /// None if the rows already hold the answers.
    pub(crate) inference: Option<Inference>,
    pub(crate) source: RowSource,
    pub(crate) limit: usize,
    /// By name, in the order of the request.
    pub(crate) metrics: Vec<(String, Metric)>,
}

/// The request about each row.
#[derive(Debug)]
pub(crate) struct Inference {
    pub(crate) model: ModelAddress,
    pub(crate) api: ModelApi,
    pub(crate) template: Value,
}

/// The target of an evaluation.
enum EvaluationTarget {
    Model(ModelAddress),
    /// Rows that hold the answers.
    Rows(RowSource),
}

const DEFAULT_PARALLELISM: u64 = 8;
const MOST_PARALLEL: u64 = 256;
const DEFAULT_RETRIES: u64 = 3;
/// The default time limit of a request, in seconds.
const DEFAULT_TIMEOUT: u64 = 120;
const LONGEST_TIMEOUT: u64 = 3600;

/// Creates the job of a request body, and its plan.
pub(crate) fn accept(
    state: &PlatformState,
    body: &Object,
    check_datasets: bool,
) -> Result<(Evaluation, EvaluationPlan), Refusal> {
    check_fields(body)?;
    let (config, target) = parts(state, body)?;
    let plan = plan(state, &config, &target)?;
    if check_datasets {
        for task in &plan.tasks {
            if let RowSource::Files(url) = &task.source
                && state.repositories.dataset_files(url).is_none_or(|files| files.is_empty())
            {
                return Err(Refusal::unprocessable(format!("Dataset {url} is not present on datastore")));
            }
        }
    }
    let echo = json!({
        "description": or_null(body, "description"),
        "target": inflate("eval-target", &target),
        "config": inflate("eval-config", &config),
        "project": or_null(body, "project"),
        "custom_fields": body.get("custom_fields").filter(|given| !given.is_null()).cloned().unwrap_or(json!({})),
        "ownership": or_null(body, "ownership"),
    });
    let namespace = text_or(body, "namespace", "default");
    Ok((Evaluation::new(namespace, masked(echo), EvaluationOrder { config, target }, state.now()), plan))
}

/// Plans a job again that was accepted before.
pub(crate) fn plan_again(state: &PlatformState, order: &EvaluationOrder) -> Result<EvaluationPlan, Refusal> {
    plan(state, &order.config, &order.target)
}

/// Plans a live evaluation, whose rows are in the request.
pub(crate) fn accept_live(state: &PlatformState, body: &Object) -> Result<EvaluationPlan, Refusal> {
    check_fields(body)?;
    let (config, target) = parts(state, body)?;
    if target["type"].as_str() != Some("rows") {
        let text = format!("live evaluation takes targets of type rows, not {}", target["type"]);
        return Err(Refusal::unprocessable(text));
    }
    plan(state, &config, &target)
}

fn check_fields(body: &Object) -> Result<(), Refusal> {
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
    fields.done()
}

/// Returns config and target, inline or by name.
fn parts(state: &PlatformState, body: &Object) -> Result<(Value, Value), Refusal> {
    let config = inline(body.get("config"), "Evaluation config", |urn| state.evaluation_configs.by_urn(urn))?;
    let target = inline(body.get("target"), "Evaluation target", |urn| state.evaluation_targets.by_urn(urn))?;
    Ok((config, target))
}

/// Returns an inline object, or the stored one that a name refers to.
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

fn plan(state: &PlatformState, config: &Value, target: &Value) -> Result<EvaluationPlan, Refusal> {
    let target = EvaluationTarget::parse(state, target)?;
    if config["type"].as_str() != Some("custom") {
        let text = format!("evaluations of type {} are not run by this platform; custom ones are", config["type"]);
        return Err(Refusal::unprocessable(text));
    }
    let params = config["params"].as_object().cloned().unwrap_or_default();
    let tasks = config["tasks"].as_object().filter(|tasks| !tasks.is_empty());
    let tasks = tasks.ok_or_else(|| Refusal::unprocessable("config.tasks holds no task"))?;
    let limit = params.get("limit_samples").and_then(Value::as_u64);
    let tasks = tasks.iter().map(|(name, task)| one_task(state, &target, name, task, limit));
    let tasks = tasks.collect::<Result<_, _>>()?;
    let number = |key: &str, default: u64| params.get(key).and_then(Value::as_u64).unwrap_or(default);
    let carried = ["max_tokens", "temperature", "top_p", "stop"];
    let carried = carried.into_iter().filter_map(|key| Some((key.to_owned(), params.get(key)?.clone())));
    Ok(EvaluationPlan {
        tasks,
        parallelism: number("parallelism", DEFAULT_PARALLELISM).clamp(1, MOST_PARALLEL) as usize,
        retries: number("max_retries", DEFAULT_RETRIES).min(10) as usize,
        timeout: Duration::from_secs(number("request_timeout", DEFAULT_TIMEOUT).clamp(1, LONGEST_TIMEOUT)),
        sampling: carried.filter(|(_, value)| !value.is_null()).collect(),
    })
}

impl EvaluationTarget {
    fn parse(state: &PlatformState, target: &Value) -> Result<Self, Refusal> {
        let missing =
            |member: &str| Refusal::unprocessable(format!("target.{member} is required for a target of type {member}"));
        match target["type"].as_str() {
            Some("model") if target["model"].is_null() => Err(missing("model")),
            Some("model") => ModelAddress::parse(state, &target["model"])
                .map(EvaluationTarget::Model)
                .map_err(|why| Refusal::unprocessable(format!("target.model {why}"))),
            Some("rows") => {
                let rows = target["rows"].as_array().ok_or_else(|| missing("rows"))?;
                let rows: Option<Vec<Object>> = rows.iter().map(|row| row.as_object().cloned()).collect();
                let rows = rows.filter(|rows| !rows.is_empty());
                rows.map(|rows| EvaluationTarget::Rows(RowSource::Given(rows)))
                    .ok_or_else(|| Refusal::unprocessable("target.rows is a list of objects, and not empty"))
            }
            Some(kind @ ("dataset" | "cached_outputs")) if target[kind].is_null() => Err(missing(kind)),
            Some(kind @ ("dataset" | "cached_outputs")) => {
                dataset(state, &target[kind]).map(|(url, _)| EvaluationTarget::Rows(RowSource::Files(url)))
            }
            _ => {
                let text = format!(
                    "targets of type {} are not evaluated by this platform; model, rows, dataset and cached_outputs are",
                    target["type"]
                );
                Err(Refusal::unprocessable(text))
            }
        }
    }
}

/// Returns the files of a dataset and its limit. It is given by name, by the URL of its files, or inline.
fn dataset(state: &PlatformState, given: &Value) -> Result<(String, Option<u64>), Refusal> {
    let dataset = match given {
        Value::String(url) if url.starts_with("hf://") => return Ok((url.clone(), None)),
        Value::String(urn) => {
            let stored = state.datasets.by_urn(urn).cloned();
            stored.ok_or_else(|| Refusal::unprocessable(format!("Dataset {urn} is not present on datastore")))?
        }
        other => other.clone(),
    };
    let Some(url) = dataset["files_url"].as_str() else {
        let text =
            format!("Dataset {dataset} is not in the expected format; it needs to have the files_url property set");
        return Err(Refusal::unprocessable(text));
    };
    Ok((url.to_owned(), dataset["limit"].as_u64()))
}

fn one_task(
    state: &PlatformState,
    target: &EvaluationTarget,
    name: &str,
    task: &Value,
    limit: Option<u64>,
) -> Result<EvaluationTask, Refusal> {
    let refuse = |text: String| Refusal::unprocessable(format!("config.tasks.{name}: {text}"));
    let call = match task["type"].as_str() {
        Some("chat-completion") => Some(ModelApi::Chat),
        Some("completion") => Some(ModelApi::Completion),
        Some("data") => None,
        Some(other) => {
            return Err(refuse(format!(
                "the task type {other:?} is not run by this platform; chat-completion, completion and data are"
            )));
        }
        None => return Err(refuse("type is required".into())),
    };
    let inference = match (call, target) {
        (None, _) => None,
        (Some(_), EvaluationTarget::Rows(_)) => {
            return Err(refuse("a model is asked only with a target of type model".into()));
        }
        (Some(call), EvaluationTarget::Model(model)) => {
            let template = task["params"]["template"].clone();
            if template.is_null() {
                return Err(refuse("params.template is required".into()));
            }
            Some(Inference { model: model.clone(), api: call, template })
        }
    };
    let (source, own_limit) = match (&task["dataset"], target) {
        (Value::Null, EvaluationTarget::Rows(source)) => (source.clone(), None),
        (given, _) => dataset(state, given).map(|(url, limit)| (RowSource::Files(url), limit))?,
    };
    let limit = [own_limit, limit].into_iter().flatten().min().map_or(usize::MAX, |limit| limit as usize);
    let mut metrics = Vec::new();
    for (key, metric) in task["metrics"].as_object().into_iter().flatten() {
        let kind = metric["type"].as_str().unwrap_or_default();
        let parsed = Metric::parse(state, kind, &metric["params"]);
        metrics.push((key.clone(), parsed.map_err(|why| refuse(format!("metrics.{key}: {why}")))?));
    }
    Ok(EvaluationTask { name: name.to_owned(), inference, source, limit, metrics })
}

/// Returns an inline config or target as the service answers it: as an entity with an id, and the entities inside it
/// likewise.
fn inflate(prefix: &str, given: &Value) -> Value {
    let members: &[&str] = match prefix {
        "eval-target" => &["type", "cached_outputs", "model", "retriever", "rag", "rows", "dataset"],
        _ => &["type", "params", "tasks", "groups"],
    };
    let mut entity = entity(prefix, json!(prefix), members, given);
    if entity["model"].is_object() {
        entity["model"] = versioned("model", &MODEL, &entity["model"]);
        if entity["model"]["api_endpoint"].is_object() && entity["model"]["api_endpoint"]["format"].is_null() {
            entity["model"]["api_endpoint"]["format"] = json!("nim");
        }
    }
    if entity["dataset"].is_object() {
        entity["dataset"] = versioned("dataset", &DATASET, &entity["dataset"]);
    }
    for (_, task) in entity["tasks"].as_object_mut().into_iter().flatten() {
        if task["dataset"].is_object() {
            task["dataset"] = versioned("dataset", &DATASET, &task["dataset"]);
        }
    }
    entity
}

const MODEL: [&str; 7] = ["spec", "artifact", "base_model", "api_endpoint", "peft", "prompt", "guardrails"];
const DATASET: [&str; 5] = ["format", "files_url", "hf_endpoint", "split", "limit"];

/// Returns an inline dataset or model of a config or target as an entity.
fn versioned(prefix: &str, members: &[&str], given: &Value) -> Value {
    let mut entity = entity(prefix, Value::Null, members, given);
    for (key, default) in [("version_id", json!("main")), ("version_tags", json!([]))] {
        if entity[key].is_null() {
            entity[key] = default;
        }
    }
    entity
}

fn entity(prefix: &str, type_prefix: Value, members: &[&str], given: &Value) -> Value {
    let id = given["id"].as_str().map_or_else(|| new_id(prefix), str::to_owned);
    let now = naive_now();
    let mut entity = json!({
        "schema_version": "1.0", "id": id, "description": null, "type_prefix": type_prefix, "namespace": "default",
        "project": null, "created_at": now, "updated_at": now, "custom_fields": {}, "ownership": null, "name": id,
    });
    for member in members {
        entity[*member] = Value::Null;
    }
    let given = given.as_object().cloned().unwrap_or_default();
    for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
        entity[key] = value;
    }
    entity
}
