//! The Entity Store: namespaces, projects, datasets and models (docs/nemo-api.md, Entity Store). Deleting an entity
//! keeps its files in the Data Store.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};

use crate::embedded::backend::Backend;
use crate::embedded::state::PlatformState;
use crate::embedded::state::entity_table::EntityTable;
use crate::embedded::wire::fields::{Fields, Object, object, or_null, text_or};
use crate::embedded::wire::listing::{Columns, ListQuery};
use crate::embedded::wire::masking::{masked, unmasked};
use crate::embedded::wire::refusal::{JsonResult, Refusal};
use crate::embedded::wire::stamps::{naive_now, new_id};

/// A kind of stored entity.
#[derive(Clone, Copy)]
pub(crate) struct EntityKind {
    /// Its name in messages.
    pub(crate) noun: &'static str,
    /// The prefix of its ids; empty if it has none.
    pub(crate) prefix: &'static str,
    /// Its own members, in the order of the answer.
    pub(crate) members: &'static [&'static str],
    /// Checks the types of members.
    pub(crate) check: fn(&mut Fields<'_>, Creating),
    /// Finds its table in the state.
    pub(crate) table: fn(&mut PlatformState) -> &mut EntityTable,
    pub(crate) columns: Columns,
}

/// Tells whether a body creates or changes an entity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creating {
    Yes,
    No,
}

const PROJECT: EntityKind = EntityKind {
    noun: "Project",
    prefix: "project",
    members: &["description", "custom_fields", "ownership"],
    check: |fields, _| common(fields),
    table: |state| &mut state.projects,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const DATASET: EntityKind = EntityKind {
    noun: "Dataset",
    prefix: "dataset",
    members: &["description", "format", "files_url", "hf_endpoint", "split", "limit", "project", "custom_fields"],
    check: dataset,
    table: |state| &mut state.datasets,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const MODEL: EntityKind = EntityKind {
    noun: "Model",
    prefix: "model",
    members: &[
        "description",
        "schema_version",
        "spec",
        "artifact",
        "base_model",
        "peft",
        "api_endpoint",
        "prompt",
        "guardrails",
        "model_providers",
        "project",
        "custom_fields",
        "ownership",
    ],
    check: model,
    table: |state| &mut state.models,
    columns: Columns {
        sort: &["created_at", "updated_at", "name"],
        derived: |row, field| match field {
            // `filter[peft]=true` tests whether there is one, `filter[peft][lora]=true` which one it is.
            "peft" | "prompt" => Some(json!(row[field].is_object())),
            "peft.lora" | "peft.p_tuning" => {
                let kind = field.trim_start_matches("peft.");
                Some(json!(row["peft"]["finetuning_type"] == kind || row["peft"][kind].is_object()))
            }
            "base_model.name" if row["base_model"].is_string() => Some(row["base_model"].clone()),
            _ => None,
        },
    },
};

/// Returns the routes of the Entity Store.
pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/namespaces", get(list_namespaces).post(create_namespace))
        .route("/v1/namespaces/{id}", get(get_namespace).patch(patch_namespace).delete(delete_namespace))
        .merge(crud("/v1/projects", &PROJECT))
        .merge(crud("/v1/datasets", &DATASET))
        .merge(crud("/v1/models", &MODEL))
}

/// Returns the five routes of a kind of entity.
pub(crate) fn crud(path: &str, kind: &'static EntityKind) -> Router<Arc<Backend>> {
    let single = reading(kind).merge(one(kind));
    Router::new().route(path, collection(kind)).route(&format!("{path}/{{namespace}}/{{name}}"), single)
}

/// Lists entities, and creates one.
pub(crate) fn collection(kind: &'static EntityKind) -> MethodRouter<Arc<Backend>> {
    let list = move |State(backend): State<Arc<Backend>>, uri: Uri| async move {
        let query = ListQuery::parse(&uri, kind.columns)?;
        let mut state = backend.state();
        JsonResult::Ok(Json(masked(query.answer((kind.table)(&mut state).rows().cloned(), kind.columns))))
    };
    let add = move |State(backend): State<Arc<Backend>>, body: Bytes| async move { create(&backend, kind, &body) };
    get(list).post(add)
}

/// Reads an entity.
pub(crate) fn reading(kind: &'static EntityKind) -> MethodRouter<Arc<Backend>> {
    get(move |State(backend): State<Arc<Backend>>, Path((namespace, name)): Path<(String, String)>| async move {
        let mut state = backend.state();
        let found = (kind.table)(&mut state).find(&namespace, &name).cloned();
        found.map(masked).map(Json).ok_or_else(|| missing(kind, &namespace, &name))
    })
}

/// Changes and deletes an entity.
pub(crate) fn one(kind: &'static EntityKind) -> MethodRouter<Arc<Backend>> {
    let change = move |State(backend): State<Arc<Backend>>, Path(path): Path<(String, String)>, body: Bytes| async move {
        patch(&backend, kind, &path.0, &path.1, &object(&body)?)
    };
    deleting(kind).patch(change)
}

/// Deletes an entity.
pub(crate) fn deleting(kind: &'static EntityKind) -> MethodRouter<Arc<Backend>> {
    let delete = move |State(backend): State<Arc<Backend>>, Path((namespace, name)): Path<(String, String)>| async move {
        let mut state = backend.state();
        let removed = (kind.table)(&mut state).remove(&namespace, &name);
        let removed = removed.ok_or_else(|| missing(kind, &namespace, &name))?;
        let id = removed.get("id").and_then(Value::as_str).unwrap_or(&name);
        JsonResult::Ok(Json(deleted(id)))
    };
    MethodRouter::new().delete(delete)
}

/// Returns the answer to a delete.
pub(crate) fn deleted(id: &str) -> Value {
    json!({"message": "Resource deleted successfully.", "id": id, "deleted_at": null})
}

/// Returns the refusal for an entity that does not exist.
pub(crate) fn missing(kind: &EntityKind, namespace: &str, name: &str) -> Refusal {
    Refusal::not_found(format!("{} {namespace}/{name} not found", kind.noun))
}

/// Checks a body, and stores the entity in it.
pub(crate) fn create(backend: &Backend, kind: &EntityKind, body: &Bytes) -> JsonResult {
    let body = object(body)?;
    let mut fields = Fields::of(&body);
    common(&mut fields);
    (kind.check)(&mut fields, Creating::Yes);
    fields.done()?;
    let id = new_id(kind.prefix);
    let namespace = text_or(&body, "namespace", "default");
    let name = text_or(&body, "name", &id);
    let entity = entity(kind, &body, &namespace, &name, &id);
    if (kind.table)(&mut backend.state()).add(&namespace, &name, entity.clone()) {
        return Ok(Json(masked(entity)));
    }
    Err(Refusal::conflict(format!("{} {namespace}/{name} already exists", kind.noun)))
}

/// Returns an entity as it is stored and answered.
pub(crate) fn entity(kind: &EntityKind, body: &Object, namespace: &str, name: &str, id: &str) -> Value {
    let now = naive_now();
    let mut entity = json!({"created_at": now, "updated_at": now, "name": name, "namespace": namespace});
    for member in kind.members {
        entity[member] = or_null(body, member);
    }
    if entity["custom_fields"].is_null() {
        entity["custom_fields"] = json!({});
    }
    if !kind.prefix.is_empty() {
        entity["id"] = json!(id);
    }
    entity
}

/// Checks a body, and changes the members in it.
pub(crate) fn patch(backend: &Backend, kind: &EntityKind, namespace: &str, name: &str, body: &Object) -> JsonResult {
    let mut fields = Fields::of(body);
    common(&mut fields);
    (kind.check)(&mut fields, Creating::No);
    fields.done()?;
    let mut state = backend.state();
    let Some(entity) = (kind.table)(&mut state).find_mut(namespace, name) else {
        return Err(missing(kind, namespace, name));
    };
    // Members that name the entity may be sent, but never rename it.
    for member in kind.members.iter().filter(|member| body.contains_key(**member)) {
        let before = entity[member].take();
        entity[member] = unmasked(or_null(body, member), &before);
    }
    entity["updated_at"] = json!(naive_now());
    Ok(Json(masked(entity.clone())))
}

/// Checks the members that every entity may have.
pub(crate) fn common(fields: &mut Fields<'_>) {
    for key in ["name", "namespace", "description", "project"] {
        fields.text(key);
    }
    for key in ["custom_fields", "ownership"] {
        fields.object(key);
    }
    fields.not_empty("name");
}

fn dataset(fields: &mut Fields<'_>, creating: Creating) {
    if creating == Creating::Yes {
        fields.require("files_url");
    }
    for key in ["files_url", "format", "split", "hf_endpoint"] {
        fields.text(key);
    }
    fields.count("limit");
}

fn model(fields: &mut Fields<'_>, _: Creating) {
    for key in ["spec", "artifact", "peft", "api_endpoint", "prompt", "guardrails"] {
        fields.object(key);
    }
    fields.reference("base_model");
    fields.list("model_providers");
}

/// Returns a model entity that the platform itself creates.
pub(crate) fn model_entity(body: &Object, namespace: &str, name: &str) -> Value {
    entity(&MODEL, body, namespace, name, &new_id("model"))
}

const NAMESPACES: Columns = Columns {
    sort: &["created_at", "updated_at", "id"],
    derived: |row, field| (field == "namespace" || field == "name").then(|| row["id"].clone()),
};

const NAMESPACE_MEMBERS: [&str; 4] = ["description", "project", "custom_fields", "ownership"];

async fn create_namespace(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    common(&mut fields);
    fields.require("id");
    fields.not_empty("id");
    let id = fields.text("id").unwrap_or_default().to_owned();
    fields.done()?;
    let now = naive_now();
    let mut namespace = json!({"id": id, "created_at": now, "updated_at": now});
    for member in NAMESPACE_MEMBERS {
        namespace[member] = or_null(&body, member);
    }
    if namespace["custom_fields"].is_null() {
        namespace["custom_fields"] = json!({});
    }
    if backend.state().namespaces.add("", &id, namespace.clone()) {
        return Ok(Json(namespace));
    }
    Err(Refusal::conflict(format!("Namespace {id} already exists")))
}

fn no_namespace(id: &str) -> Refusal {
    Refusal::not_found(format!("Namespace {id} not found"))
}

async fn get_namespace(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    backend.state().namespaces.find("", &id).cloned().map(Json).ok_or_else(|| no_namespace(&id))
}

async fn patch_namespace(State(backend): State<Arc<Backend>>, Path(id): Path<String>, body: Bytes) -> JsonResult {
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    common(&mut fields);
    fields.done()?;
    let mut state = backend.state();
    let namespace = state.namespaces.find_mut("", &id).ok_or_else(|| no_namespace(&id))?;
    for member in NAMESPACE_MEMBERS.into_iter().filter(|member| body.contains_key(*member)) {
        namespace[member] = or_null(&body, member);
    }
    namespace["updated_at"] = json!(naive_now());
    Ok(Json(namespace.clone()))
}

async fn list_namespaces(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, NAMESPACES)?;
    Ok(Json(query.answer(backend.state().namespaces.rows().cloned(), NAMESPACES)))
}

async fn delete_namespace(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    backend.state().namespaces.remove("", &id).ok_or_else(|| no_namespace(&id))?;
    Ok(Json(deleted(&id)))
}
