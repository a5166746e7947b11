//! The Entity Store: namespaces, projects, datasets and models (nemo-wire 2). What a dataset's files or a model's
//! weights are is the Data Store's business; deleting an entity leaves them.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{MethodRouter, get};
use serde_json::{Value, json};

use super::fields::{Fields, Object, object, or_null, text_or};
use super::listing::{Columns, ListQuery};
use super::shelf::Shelf;
use super::wire::{Answer, Refusal, naive_now, new_id};
use super::world::{State as Everything, World};

/// One kind of stored entity, and what its bodies hold.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// Its name in sentences.
    pub(super) noun: &'static str,
    /// The prefix of its ids; empty when it has none.
    pub(super) prefix: &'static str,
    /// Its own members, in the order of the answer.
    pub(super) members: &'static [&'static str],
    /// Checks the types of a body.
    pub(super) check: fn(&mut Fields<'_>, Creating),
    /// Where it is kept.
    pub(super) shelf: fn(&mut Everything) -> &mut Shelf,
    /// How its list is filtered and sorted.
    pub(super) columns: Columns,
}

/// Whether a body creates an entity or changes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Creating {
    Yes,
    No,
}

const PROJECT: Kind = Kind {
    noun: "Project",
    prefix: "project",
    members: &["description", "custom_fields", "ownership"],
    check: |fields, _| common(fields),
    shelf: |state| &mut state.projects,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const DATASET: Kind = Kind {
    noun: "Dataset",
    prefix: "dataset",
    members: &["description", "format", "files_url", "hf_endpoint", "split", "limit", "project", "custom_fields"],
    check: dataset,
    shelf: |state| &mut state.datasets,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

const MODEL: Kind = Kind {
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
    shelf: |state| &mut state.models,
    columns: Columns {
        sort: &["created_at", "updated_at", "name"],
        derived: |row, field| match field {
            // `filter[peft]=true` asks whether there is one; `filter[peft][lora]=true` for which.
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

/// The routes of the Entity Store.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/namespaces", get(list_namespaces).post(create_namespace))
        .route("/v1/namespaces/{id}", get(get_namespace).patch(patch_namespace).delete(delete_namespace))
        .merge(crud("/v1/projects", &PROJECT))
        .merge(crud("/v1/datasets", &DATASET))
        .merge(crud("/v1/models", &MODEL))
}

/// The five routes of a kind of entity.
pub(super) fn crud(path: &str, kind: &'static Kind) -> Router<Arc<World>> {
    let single = reading(kind).merge(one(kind));
    Router::new().route(path, collection(kind)).route(&format!("{path}/{{namespace}}/{{name}}"), single)
}

/// Listing entities and creating one.
pub(super) fn collection(kind: &'static Kind) -> MethodRouter<Arc<World>> {
    let list = move |State(world): State<Arc<World>>, uri: Uri| async move {
        let query = ListQuery::parse(&uri, kind.columns)?;
        let mut state = world.state();
        Answer::Ok(Json(masked(query.answer((kind.shelf)(&mut state).rows().cloned(), kind.columns))))
    };
    let add = move |State(world): State<Arc<World>>, body: Bytes| async move { create(&world, kind, &body) };
    get(list).post(add)
}

/// Reading one entity.
pub(super) fn reading(kind: &'static Kind) -> MethodRouter<Arc<World>> {
    get(move |State(world): State<Arc<World>>, Path((namespace, name)): Path<(String, String)>| async move {
        let mut state = world.state();
        let found = (kind.shelf)(&mut state).find(&namespace, &name).cloned();
        found.map(masked).map(Json).ok_or_else(|| missing(kind, &namespace, &name))
    })
}

/// Changing and deleting one entity.
pub(super) fn one(kind: &'static Kind) -> MethodRouter<Arc<World>> {
    let change = move |State(world): State<Arc<World>>, Path(path): Path<(String, String)>, body: Bytes| async move {
        patch(&world, kind, &path.0, &path.1, &object(&body)?)
    };
    deleting(kind).patch(change)
}

/// Deleting one entity.
pub(super) fn deleting(kind: &'static Kind) -> MethodRouter<Arc<World>> {
    let delete = move |State(world): State<Arc<World>>, Path((namespace, name)): Path<(String, String)>| async move {
        let mut state = world.state();
        let removed = (kind.shelf)(&mut state).remove(&namespace, &name);
        let removed = removed.ok_or_else(|| missing(kind, &namespace, &name))?;
        let id = removed.get("id").and_then(Value::as_str).unwrap_or(&name);
        Answer::Ok(Json(deleted(id)))
    };
    MethodRouter::new().delete(delete)
}

/// The answer to a deletion.
pub(super) fn deleted(id: &str) -> Value {
    json!({"message": "Resource deleted successfully.", "id": id, "deleted_at": null})
}

/// The refusal for an entity that does not exist.
pub(super) fn missing(kind: &Kind, namespace: &str, name: &str) -> Refusal {
    Refusal::not_found(format!("{} {namespace}/{name} not found", kind.noun))
}

/// Checks a body and stores the entity that it describes.
pub(super) fn create(world: &World, kind: &Kind, body: &Bytes) -> Answer {
    let body = object(body)?;
    let mut fields = Fields::of(&body);
    common(&mut fields);
    (kind.check)(&mut fields, Creating::Yes);
    fields.done()?;
    let id = new_id(kind.prefix);
    let namespace = text_or(&body, "namespace", "default");
    let name = text_or(&body, "name", &id);
    let entity = entity(kind, &body, &namespace, &name, &id);
    if (kind.shelf)(&mut world.state()).add(&namespace, &name, entity.clone()) {
        return Ok(Json(masked(entity)));
    }
    Err(Refusal::conflict(format!("{} {namespace}/{name} already exists", kind.noun)))
}

/// An entity as it is stored and answered.
pub(super) fn entity(kind: &Kind, body: &Object, namespace: &str, name: &str, id: &str) -> Value {
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

/// Checks a body and changes the members that it holds.
pub(super) fn patch(world: &World, kind: &Kind, namespace: &str, name: &str, body: &Object) -> Answer {
    let mut fields = Fields::of(body);
    common(&mut fields);
    (kind.check)(&mut fields, Creating::No);
    fields.done()?;
    let mut state = world.state();
    let Some(entity) = (kind.shelf)(&mut state).find_mut(namespace, name) else {
        return Err(missing(kind, namespace, name));
    };
    // Members that name the entity may come along unchanged; they never move it.
    for member in kind.members.iter().filter(|member| body.contains_key(**member)) {
        let before = entity[member].take();
        entity[member] = unmasked(or_null(body, member), &before);
    }
    entity["updated_at"] = json!(naive_now());
    Ok(Json(masked(entity.clone())))
}

/// What stands in an answer for a key.
const MASK: &str = "******";

/// The same without any key in it.
pub(super) fn masked(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mask = |(key, value): (String, Value)| {
                let secret = key == "api_key" && value.as_str().is_some_and(|key| !key.is_empty());
                let value = if secret { json!(MASK) } else { masked(value) };
                (key, value)
            };
            Value::Object(members.into_iter().map(mask).collect())
        }
        Value::Array(items) => items.into_iter().map(masked).collect(),
        other => other,
    }
}

/// A member as it was sent, with the stored key where a client sends back the mask that it was told.
fn unmasked(sent: Value, stored: &Value) -> Value {
    match sent {
        Value::Object(members) => {
            let unmask = |(key, value): (String, Value)| {
                let told = key == "api_key" && value == MASK && stored["api_key"].is_string();
                let value = if told { stored["api_key"].clone() } else { unmasked(value, &stored[&key]) };
                (key, value)
            };
            Value::Object(members.into_iter().map(unmask).collect())
        }
        other => other,
    }
}

/// The members that every entity may have.
pub(super) fn common(fields: &mut Fields<'_>) {
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

/// The members of a model entity that the platform makes itself.
pub(super) fn model_entity(body: &Object, namespace: &str, name: &str) -> Value {
    entity(&MODEL, body, namespace, name, &new_id("model"))
}

const NAMESPACES: Columns = Columns {
    sort: &["created_at", "updated_at", "id"],
    derived: |row, field| (field == "namespace" || field == "name").then(|| row["id"].clone()),
};

const NAMESPACE_MEMBERS: [&str; 4] = ["description", "project", "custom_fields", "ownership"];

async fn create_namespace(State(world): State<Arc<World>>, body: Bytes) -> Answer {
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
    if world.state().namespaces.add("", &id, namespace.clone()) {
        return Ok(Json(namespace));
    }
    Err(Refusal::conflict(format!("Namespace {id} already exists")))
}

fn no_namespace(id: &str) -> Refusal {
    Refusal::not_found(format!("Namespace {id} not found"))
}

async fn get_namespace(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    world.state().namespaces.find("", &id).cloned().map(Json).ok_or_else(|| no_namespace(&id))
}

async fn patch_namespace(State(world): State<Arc<World>>, Path(id): Path<String>, body: Bytes) -> Answer {
    let body = object(&body)?;
    let mut fields = Fields::of(&body);
    common(&mut fields);
    fields.done()?;
    let mut state = world.state();
    let namespace = state.namespaces.find_mut("", &id).ok_or_else(|| no_namespace(&id))?;
    for member in NAMESPACE_MEMBERS.into_iter().filter(|member| body.contains_key(*member)) {
        namespace[member] = or_null(&body, member);
    }
    namespace["updated_at"] = json!(naive_now());
    Ok(Json(namespace.clone()))
}

async fn list_namespaces(State(world): State<Arc<World>>, uri: Uri) -> Answer {
    let query = ListQuery::parse(&uri, NAMESPACES)?;
    Ok(Json(query.answer(world.state().namespaces.rows().cloned(), NAMESPACES)))
}

async fn delete_namespace(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    world.state().namespaces.remove("", &id).ok_or_else(|| no_namespace(&id))?;
    Ok(Json(deleted(&id)))
}
