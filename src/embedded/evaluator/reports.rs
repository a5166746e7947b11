//! Result entities: those that jobs leave and those that clients make, by their ids (nemo-wire 6.1, 6.5). What is in
//! those of jobs is the business of `results`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::embedded::entities;
use crate::embedded::fields::{Fields, Object, object, text_or};
use crate::embedded::listing::{Columns, ListQuery};
use crate::embedded::wire::{Answer, Refusal, naive_now, new_id};
use crate::embedded::world::World;

const MEMBERS: [&str; 8] =
    ["job", "description", "files_url", "tasks", "groups", "project", "custom_fields", "ownership"];

const COLUMNS: Columns = Columns {
    sort: &["created_at", "updated_at"],
    derived: |row, field| (field == "job_id").then(|| row["job"].clone()),
};

/// The routes of results.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/evaluation/results", get(list).post(create))
        .route("/v1/evaluation/results/{id}", get(read).patch(change).delete(delete))
}

fn missing(id: &str) -> Refusal {
    Refusal::not_found(format!("Evaluation result {id} not found"))
}

fn check(body: &Object, creating: bool) -> Result<(), Refusal> {
    let mut fields = Fields::of(body);
    entities::common(&mut fields);
    if creating {
        fields.require("job");
    }
    for key in ["job", "files_url"] {
        fields.text(key);
    }
    for key in ["tasks", "groups"] {
        fields.object(key);
    }
    fields.done()
}

async fn create(State(world): State<Arc<World>>, body: Bytes) -> Answer {
    let body = object(&body)?;
    check(&body, true)?;
    let (id, now) = (new_id("evaluation_result"), naive_now());
    let mut result = json!({
        "created_at": now, "updated_at": now, "id": id, "job": null, "tasks": {}, "groups": {},
        "namespace": text_or(&body, "namespace", "default"), "custom_fields": {},
    });
    put(&mut result, &body);
    world.state().evaluation_results.add("", &id, result.clone());
    Ok(Json(result))
}

/// Members that are null are left out, as the service does.
fn put(result: &mut Value, body: &Object) {
    for member in MEMBERS {
        match body.get(member) {
            Some(Value::Null) | None => {}
            Some(given) => result[member] = given.clone(),
        }
    }
}

async fn list(State(world): State<Arc<World>>, uri: Uri) -> Answer {
    let query = ListQuery::parse(&uri, COLUMNS)?;
    Ok(Json(query.answer(world.state().evaluation_results.rows().cloned(), COLUMNS)))
}

async fn read(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    world.state().evaluation_results.find("", &id).cloned().map(Json).ok_or_else(|| missing(&id))
}

async fn change(State(world): State<Arc<World>>, Path(id): Path<String>, body: Bytes) -> Answer {
    let body = object(&body)?;
    check(&body, false)?;
    let mut state = world.state();
    let result = state.evaluation_results.find_mut("", &id).ok_or_else(|| missing(&id))?;
    put(result, &body);
    result["updated_at"] = json!(naive_now());
    Ok(Json(result.clone()))
}

async fn delete(State(world): State<Arc<World>>, Path(id): Path<String>) -> Answer {
    world.state().evaluation_results.remove("", &id).ok_or_else(|| missing(&id))?;
    Ok(Json(entities::deleted(&id)))
}
