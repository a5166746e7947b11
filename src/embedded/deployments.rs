//! Deployment Management: NIM deployments on the virtual GPU pool, and stored configs (nemo-wire 4). What a deployment
//! serves once it is ready is the NIM proxy's business.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clock::Mark;
use super::entities::{self, Creating, Kind};
use super::faults::Fate;
use super::fields::{Fields, Object, object, or_null, text_or};
use super::listing::{Columns, ListQuery};
use super::outside::Endpoint;
use super::roll::Entry;
use super::wire::{Answer, Refusal, nanos_now, new_id};
use super::world::World;

/// How long a deployment takes from its GPUs to being ready, on `Clock::Real`.
const ROLL_OUT: Duration = Duration::from_millis(300);

/// The status read that finds a deployment ready, on `Clock::Polls`.
const READY_AT_READ: u32 = 2;

/// One model deployment.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Deployment {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The id that its NIM serves.
    pub(super) model: String,
    /// Whether its NIM loads adapters.
    pub(super) lora: bool,
    pub(super) gpus: u32,
    pub(super) ticket: u64,
    /// When it got its GPUs.
    pub(super) granted: Option<Mark>,
    /// When it became ready.
    pub(super) ready: Option<Mark>,
    /// Why it has failed, when it has.
    failed: Option<String>,
    #[serde(skip)]
    reads: u32,
    created_at: String,
    async_enabled: bool,
    config: Value,
    /// Members that are stored and answered as they came.
    rest: Object,
}

impl Entry for Deployment {
    fn key(&self) -> String {
        format!("{}\n{}", self.namespace, self.name)
    }

    fn document(&self) -> Value {
        json!(self)
    }
}

/// A hosted endpoint that a deployment registers.
pub(super) struct External {
    /// Where its models are.
    pub(super) endpoint: Option<Endpoint>,
    /// The models that are asked there.
    pub(super) models: Vec<String>,
}

impl External {
    /// What a config says of it; `None` when it deploys a NIM.
    fn of(config: &Value) -> Option<Self> {
        let external = config["external_endpoint"].as_object()?;
        let text = |key: &str| external.get(key).and_then(Value::as_str);
        let endpoint = Endpoint::of_host(text("host_url").unwrap_or_default(), text("api_key")).ok();
        let enabled = external.get("enabled_models").and_then(Value::as_array).into_iter().flatten();
        let mut models: Vec<String> = enabled.filter_map(Value::as_str).map(str::to_owned).collect();
        if models.is_empty() {
            models.extend(model_of(config).map(str::to_owned));
        }
        Some(External { endpoint, models })
    }
}

/// The model that a config names, as a text or by the name of an object.
fn model_of(config: &Value) -> Option<&str> {
    let named = match &config["model"] {
        Value::Object(model) => model.get("name").and_then(Value::as_str),
        other => other.as_str(),
    };
    named.filter(|model| !model.is_empty())
}

impl Deployment {
    /// The hosted endpoint that it registers, when it deploys no NIM.
    pub(super) fn external(&self) -> Option<External> {
        External::of(&self.config)
    }

    /// Whether it is rolled out by now, and says neither so nor that it failed.
    fn is_due(&self, world: &World) -> bool {
        let rolled_out = |granted: Mark| {
            if world.polled() { self.reads >= READY_AT_READ } else { granted.at.elapsed() >= ROLL_OUT }
        };
        self.ready.is_none() && self.failed.is_none() && self.granted.is_some_and(rolled_out)
    }

    /// Brings the deployment up to the present.
    fn settle(&mut self, world: &World, lists: u64, read: bool) {
        let Some(granted) = self.granted else { return };
        self.reads = self.reads.saturating_add(u32::from(read));
        if !self.is_due(world) {
            return;
        }
        self.failed = world.faults.failure(&self.id());
        if self.failed.is_none() {
            let at = if world.polled() { granted.at } else { granted.at + ROLL_OUT };
            self.ready = Some(Mark { at, lists });
        }
    }

    /// `namespace/name`.
    fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn status(&self) -> (&'static str, String) {
        if let Some(why) = &self.failed {
            return ("failed", why.clone());
        }
        match (self.granted, self.ready) {
            (None, _) => ("pending", format!("waiting for {} free GPUs", self.gpus)),
            (_, None) => ("pending", "Model deployment created".into()),
            _ => ("ready", format!("deployment \"modeldeployment-{}\" successfully rolled out.", self.name)),
        }
    }

    fn answer(&self) -> Value {
        let (status, description) = self.status();
        let mut answer = json!({
            "async_enabled": self.async_enabled,
            "config": entities::masked(self.config.clone()),
            "created_at": self.created_at,
            "deployed": self.ready.is_some(),
            "name": self.name,
            "namespace": self.namespace,
            "status_details": {"description": description, "status": status},
            "url": "",
        });
        for (key, value) in self.rest.iter() {
            answer[key] = value.clone();
        }
        answer
    }

    /// For `/control/state`.
    pub(super) fn summary(&self) -> Value {
        json!({
            "namespace": self.namespace, "name": self.name, "model": self.model, "gpus": self.gpus,
            "status": self.status().0, "description": self.rest.get("description"),
        })
    }
}

impl World {
    /// Brings all deployments up to the present.
    pub(super) fn settle_deployments(&self, state: &mut super::world::State) {
        let due = |(at, one): (usize, &Deployment)| one.is_due(self).then_some(at);
        let due: Vec<usize> = state.deployments.iter().enumerate().filter_map(due).collect();
        let lists = state.lists;
        for at in due {
            state.deployments[at].settle(self, lists, false);
        }
    }
}

const CONFIG: Kind = Kind {
    noun: "Deployment config",
    prefix: "",
    members: &["description", "model", "nim_deployment", "external_endpoint", "project", "custom_fields", "ownership"],
    check: |fields, _: Creating| {
        fields.reference("model");
        for key in ["nim_deployment", "external_endpoint"] {
            fields.object(key);
        }
    },
    shelf: |state| &mut state.deployment_configs,
    columns: COLUMNS,
};

const COLUMNS: Columns = Columns {
    sort: &["created_at"],
    derived: |row, field| (field == "status").then(|| row["status_details"]["status"].clone()),
};

/// The routes of Deployment Management.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/deployment/model-deployments", get(list).post(create))
        .route("/v1/deployment/model-deployments/{namespace}/{name}", get(read).patch(change).delete(delete))
        .merge(entities::crud("/v1/deployment/configs", &CONFIG))
}

/// What of a config decides how a deployment behaves.
struct Shape {
    model: String,
    gpus: u32,
    lora: bool,
    /// As it is answered.
    config: Value,
}

/// The shape of a deployment that registers a hosted endpoint: it takes no GPU.
fn external_shape(config: Value, port: u16) -> Result<Shape, Refusal> {
    let url = config["external_endpoint"]["host_url"].as_str().unwrap_or_default();
    let endpoint = Endpoint::of_host(url, None);
    let endpoint =
        endpoint.map_err(|why| Refusal::unprocessable(format!("config.external_endpoint.host_url: {why}")))?;
    if endpoint.is_own(port) {
        return Err(Refusal::unprocessable("config.external_endpoint.host_url is this platform itself"));
    }
    let model = External::of(&config).and_then(|external| external.models.into_iter().next());
    let missing = "config.external_endpoint.enabled_models, or config.model, says which models are there";
    let model = model.ok_or_else(|| Refusal::unprocessable(missing))?;
    Ok(Shape { model, gpus: 0, lora: false, config })
}

fn shape(state: &super::world::State, body: &Object, port: u16) -> Result<Shape, Refusal> {
    let mut fields = Fields::of(body);
    fields.require("config");
    let config = fields.reference("config").cloned();
    fields.done()?;
    let config = match config {
        Some(Value::String(urn)) => {
            let stored = state.deployment_configs.by_urn(&urn).cloned();
            stored.ok_or_else(|| Refusal::not_found(format!("deployment config {urn} not found")))?
        }
        other => other.unwrap_or_default(),
    };
    let empty = Object::new();
    let parts = config.as_object().unwrap_or(&empty);
    let mut fields = Fields::inside(parts, &["config"]);
    fields.reference("model");
    let Some(nim) = fields.object("nim_deployment") else {
        if let Some(external) = fields.object("external_endpoint") {
            let mut inner = Fields::inside(external, &["config", "external_endpoint"]);
            inner.require("host_url");
            for key in ["host_url", "api_key"] {
                inner.text(key);
            }
            inner.list("enabled_models");
            inner.done()?;
            return external_shape(config, port);
        }
        fields.require("nim_deployment");
        fields.done()?;
        return Err(Refusal::unprocessable("nim_deployment is required"));
    };
    let mut inner = Fields::inside(nim, &["config", "nim_deployment"]);
    let gpus = inner.count("gpu").map_or(1, |gpus| u32::try_from(gpus).unwrap_or(u32::MAX));
    for key in ["image_name", "image_tag", "pvc_size", "namespace"] {
        inner.text(key);
    }
    let disabled = inner.flag("disable_lora_support").unwrap_or(false);
    let envs = inner.object("additional_envs");
    let mut problems = fields.into_problems();
    problems.extend(inner.into_problems());
    if !problems.is_empty() {
        return Err(Refusal::invalid(problems));
    }
    let renamed = envs.and_then(|envs| envs.get("NIM_SERVED_MODEL_NAME")).and_then(Value::as_str);
    let renamed = renamed.filter(|model| !model.is_empty());
    let Some(model) = renamed.or_else(|| model_of(&config)) else {
        return Err(Refusal::unprocessable("config.model says which model to serve, and is missing"));
    };
    let model = model.to_owned();
    let mut config = config;
    let defaults = [("additional_envs", json!({})), ("disable_lora_support", json!(false)), ("gpu", json!(gpus))];
    for (key, default) in defaults {
        if config["nim_deployment"][key].is_null() {
            config["nim_deployment"][key] = default;
        }
    }
    // Some clients send null for what their user has left out, where the schema wants text.
    for (key, default) in [("image_tag", "latest"), ("pvc_size", "25Gi")] {
        if config["nim_deployment"].get(key).is_some_and(Value::is_null) {
            config["nim_deployment"][key] = json!(default);
        }
    }
    Ok(Shape { model, gpus, lora: !disabled, config })
}

async fn create(State(world): State<Arc<World>>, fate: Option<Extension<Fate>>, body: Bytes) -> Answer {
    let fate = fate.map(|Extension(fate)| fate);
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    entities::common(&mut fields);
    let async_enabled = fields.flag("async_enabled").unwrap_or(false);
    fields.list("models");
    fields.text("hf_token");
    fields.done()?;
    let namespace = text_or(&body, "namespace", "default");
    let name = text_or(&body, "name", &new_id("deployment").to_lowercase());
    if name.contains('/') {
        return Err(Refusal::detail(StatusCode::BAD_REQUEST, "a deployment name holds no '/'"));
    }
    let mut state = world.state();
    let shape = shape(&state, &body, world.port)?;
    if state.deployments.iter().any(|one| one.namespace == namespace && one.name == name) {
        // 500, as the real service does; clients go by the words.
        let text = format!("model deployment already exists: {namespace}/{name}");
        return Err(Refusal::detail(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    let deployment = Deployment {
        model: shape.model,
        lora: shape.lora,
        gpus: shape.gpus,
        config: shape.config,
        ticket: state.ticket(),
        granted: None,
        ready: None,
        failed: None,
        reads: 0,
        created_at: nanos_now(),
        async_enabled,
        rest: rest(&body),
        namespace,
        name,
    };
    let mut answer = deployment.answer();
    answer["status_details"] = json!({"description": "Model deployment created", "status": "pending"});
    world.faults.decide(fate.as_ref(), &deployment.id(), None);
    if fate != Some(Fate::Lost) {
        register_model(&mut state, &deployment.model);
        state.deployments.push(deployment);
    }
    drop(state);
    world.grant();
    Ok(Json(answer))
}

/// The entity of the model that is deployed, unless there is one; it stays when the deployment goes.
fn register_model(state: &mut super::world::State, model: &str) {
    if let Some((namespace, name)) = model.split_once('/')
        && state.models.find(namespace, name).is_none()
    {
        state.models.add(namespace, name, entities::model_entity(&Object::new(), namespace, name));
    }
}

fn rest(body: &Object) -> Object {
    let kept = ["description", "project", "custom_fields", "ownership", "models"];
    kept.into_iter().filter(|key| body.contains_key(*key)).map(|key| (key.to_owned(), or_null(body, key))).collect()
}

fn missing(namespace: &str, name: &str) -> Refusal {
    Refusal::not_found(format!("model deployment {namespace}/{name} not found"))
}

async fn read(State(world): State<Arc<World>>, Path((namespace, name)): Path<(String, String)>) -> Answer {
    let mut state = world.state();
    let lists = state.lists;
    let found = state.deployments.find_mut(|one| one.namespace == namespace && one.name == name);
    let deployment = found.ok_or_else(|| missing(&namespace, &name))?;
    deployment.settle(&world, lists, true);
    Ok(Json(deployment.answer()))
}

async fn change(
    State(world): State<Arc<World>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    entities::common(&mut fields);
    fields.done()?;
    let mut state = world.state();
    let shape = if body.contains_key("config") { Some(shape(&state, &body, world.port)?) } else { None };
    let found = state.deployments.find_mut(|one| one.namespace == namespace && one.name == name);
    let deployment = found.ok_or_else(|| missing(&namespace, &name))?;
    deployment.rest.extend(rest(&body));
    if let Some(shape) = shape {
        // Rolled out anew: its GPUs are asked for again.
        deployment.model = shape.model;
        deployment.lora = shape.lora;
        deployment.gpus = shape.gpus;
        deployment.config = shape.config;
        (deployment.granted, deployment.ready, deployment.reads) = (None, None, 0);
    }
    let answer = deployment.answer();
    drop(state);
    world.grant();
    Ok(Json(answer))
}

async fn list(State(world): State<Arc<World>>, uri: Uri) -> Answer {
    let query = ListQuery::parse(&uri, COLUMNS)?;
    let mut state = world.state();
    world.settle_deployments(&mut state);
    let mut answer = query.answer(state.deployments.iter().map(Deployment::answer), COLUMNS);
    if answer["data"].as_array().is_some_and(Vec::is_empty) {
        // null, not [], as the real service does.
        answer["data"] = Value::Null;
    }
    Ok(Json(answer))
}

async fn delete(State(world): State<Arc<World>>, Path((namespace, name)): Path<(String, String)>) -> Answer {
    {
        let mut state = world.state();
        let at = state.deployments.iter().position(|one| one.namespace == namespace && one.name == name);
        let at = at.ok_or_else(|| missing(&namespace, &name))?;
        state.deployments.remove(at);
    }
    world.grant();
    // The form in which Go prints a time, as the real service does.
    let time = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S.%9f +0000 UTC m=+1.000000000").to_string();
    Ok(Json(json!({"deleted_at": time, "id": name, "message": "Resource deleted successfully"})))
}
