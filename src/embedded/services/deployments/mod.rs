//! Deployment Management: NIM deployments on the virtual GPU pool, and stored configs (docs/nemo-api.md, Deployment
//! Management).

mod config;

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::customizer::grant_gpus;
use super::entities::{self, Creating, EntityKind};
use crate::embedded::backend::Backend;
use crate::embedded::faults::JobFate;
use crate::embedded::state::PlatformState;
use crate::embedded::state::deployment::Deployment;
use crate::embedded::wire::fields::{Fields, Object, object, or_null, text_or};
use crate::embedded::wire::listing::{Columns, ListQuery};
use crate::embedded::wire::masking::masked;
use crate::embedded::wire::refusal::{JsonResult, Refusal};
use crate::embedded::wire::stamps::{nanos_now, new_id};

const CONFIG: EntityKind = EntityKind {
    noun: "Deployment config",
    prefix: "",
    members: &["description", "model", "nim_deployment", "external_endpoint", "project", "custom_fields", "ownership"],
    check: |fields, _: Creating| {
        fields.reference("model");
        for key in ["nim_deployment", "external_endpoint"] {
            fields.object(key);
        }
    },
    table: |state| &mut state.deployment_configs,
    columns: COLUMNS,
};

const COLUMNS: Columns = Columns {
    sort: &["created_at"],
    derived: |row, field| (field == "status").then(|| row["status_details"]["status"].clone()),
};

/// Returns the routes of Deployment Management.
pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/deployment/model-deployments", get(list).post(create))
        .route("/v1/deployment/model-deployments/{namespace}/{name}", get(read).patch(change).delete(delete))
        .merge(entities::crud("/v1/deployment/configs", &CONFIG))
}

/// Returns a deployment as the service answers it.
fn answer(deployment: &Deployment) -> Value {
    let (status, description) = deployment.status();
    let mut answer = json!({
        "async_enabled": deployment.async_enabled,
        "config": masked(deployment.config.clone()),
        "created_at": deployment.created_at,
        "deployed": deployment.ready.is_some(),
        "name": deployment.name,
        "namespace": deployment.namespace,
        "status_details": {"description": description, "status": status},
        "url": "",
    });
    for (key, value) in deployment.rest.iter() {
        answer[key] = value.clone();
    }
    answer
}

async fn create(State(backend): State<Arc<Backend>>, fate: Option<Extension<JobFate>>, body: Bytes) -> JsonResult {
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
    let mut state = backend.state();
    let resolved = config::resolve(&state, &body, backend.port)?;
    if state.deployments.iter().any(|one| one.namespace == namespace && one.name == name) {
        // 500, as the real service answers; clients look for the words.
        let text = format!("model deployment already exists: {namespace}/{name}");
        return Err(Refusal::detail(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    let deployment = Deployment {
        model: resolved.model,
        lora: resolved.lora,
        gpus: resolved.gpus,
        config: resolved.config,
        ticket: state.next_ticket(),
        granted: None,
        ready: None,
        failed: None,
        stalled: match &fate {
            Some(JobFate::Stalls(why)) => Some(why.clone()),
            _ => None,
        },
        reads: 0,
        created_at: nanos_now(),
        async_enabled,
        rest: rest(&body),
        namespace,
        name,
    };
    let mut answer = answer(&deployment);
    answer["status_details"] = json!({"description": "Model deployment created", "status": "pending"});
    backend.faults.decide(fate.as_ref(), &deployment.id(), None);
    if fate != Some(JobFate::Lost) {
        register_model(&mut state, &deployment.model);
        state.deployments.push(deployment);
    }
    drop(state);
    grant_gpus(&backend);
    Ok(Json(answer))
}

/// Creates the entity of a deployed model if it is missing. It stays when the deployment is deleted.
fn register_model(state: &mut PlatformState, model: &str) {
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

async fn read(State(backend): State<Arc<Backend>>, Path((namespace, name)): Path<(String, String)>) -> JsonResult {
    let mut state = backend.state();
    let found = state.deployments.find_mut(|one| one.namespace == namespace && one.name == name);
    found.ok_or_else(|| missing(&namespace, &name))?.count_read();
    backend.settle_deployments(&mut state);
    state.see(&format!("{namespace}/{name}"));
    let found = state.deployments.iter().find(|one| one.namespace == namespace && one.name == name);
    found.map(answer).map(Json).ok_or_else(|| missing(&namespace, &name))
}

async fn change(
    State(backend): State<Arc<Backend>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> JsonResult {
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    entities::common(&mut fields);
    fields.done()?;
    let mut state = backend.state();
    let resolved = if body.contains_key("config") { Some(config::resolve(&state, &body, backend.port)?) } else { None };
    let found = state.deployments.find_mut(|one| one.namespace == namespace && one.name == name);
    let deployment = found.ok_or_else(|| missing(&namespace, &name))?;
    deployment.rest.extend(rest(&body));
    if let Some(resolved) = resolved {
        // A new rollout, which needs its GPUs again.
        deployment.model = resolved.model;
        deployment.lora = resolved.lora;
        deployment.gpus = resolved.gpus;
        deployment.config = resolved.config;
        (deployment.granted, deployment.ready, deployment.reads) = (None, None, 0);
    }
    let answer = answer(deployment);
    drop(state);
    grant_gpus(&backend);
    Ok(Json(answer))
}

async fn list(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, COLUMNS)?;
    let mut state = backend.state();
    backend.settle_deployments(&mut state);
    let mut answer = query.answer(state.deployments.iter().map(answer), COLUMNS);
    if answer["data"].as_array().is_some_and(Vec::is_empty) {
        // null instead of [], as the real service answers.
        answer["data"] = Value::Null;
    }
    Ok(Json(answer))
}

async fn delete(State(backend): State<Arc<Backend>>, Path((namespace, name)): Path<(String, String)>) -> JsonResult {
    {
        let mut state = backend.state();
        let at = state.deployments.iter().position(|one| one.namespace == namespace && one.name == name);
        let at = at.ok_or_else(|| missing(&namespace, &name))?;
        state.deployments.remove(at);
    }
    grant_gpus(&backend);
    // The time as Go prints it, which the real service does.
    let time = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S.%9f +0000 UTC m=+1.000000000").to_string();
    Ok(Json(json!({"deleted_at": time, "id": name, "message": "Resource deleted successfully"})))
}
