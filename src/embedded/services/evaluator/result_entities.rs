//! Result entities, made by jobs or by clients (docs/nemo-api.md, Evaluation calls).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::embedded::backend::Backend;
use crate::embedded::services::entities;
use crate::embedded::wire::fields::{Fields, Object, object, text_or};
use crate::embedded::wire::listing::{Columns, ListQuery};
use crate::embedded::wire::refusal::{JsonResult, Refusal};
use crate::embedded::wire::stamps::{naive_now, new_id};

const MEMBERS: [&str; 8] =
    ["job", "description", "files_url", "tasks", "groups", "project", "custom_fields", "ownership"];

const COLUMNS: Columns = Columns {
    sort: &["created_at", "updated_at"],
    derived: |row, field| (field == "job_id").then(|| row["job"].clone()),
};

/// Returns the routes of results.
pub(crate) fn routes() -> Router<Arc<Backend>> {
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

async fn create(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let body = object(&body)?;
    check(&body, true)?;
    let (id, now) = (new_id("evaluation_result"), naive_now());
    let mut result = json!({
        "created_at": now, "updated_at": now, "id": id, "job": null, "tasks": {}, "groups": {},
        "namespace": text_or(&body, "namespace", "default"), "custom_fields": {},
    });
    put(&mut result, &body);
    backend.state().evaluation_results.add("", &id, result.clone());
    Ok(Json(result))
}

/// Leaves out members that are null, as the service does.
fn put(result: &mut Value, body: &Object) {
    for member in MEMBERS {
        match body.get(member) {
            Some(Value::Null) | None => {}
            Some(given) => result[member] = given.clone(),
        }
    }
}

async fn list(State(backend): State<Arc<Backend>>, uri: Uri) -> JsonResult {
    let query = ListQuery::parse(&uri, COLUMNS)?;
    Ok(Json(query.answer(backend.state().evaluation_results.rows().cloned(), COLUMNS)))
}

async fn read(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    backend.state().evaluation_results.find("", &id).cloned().map(Json).ok_or_else(|| missing(&id))
}

async fn change(State(backend): State<Arc<Backend>>, Path(id): Path<String>, body: Bytes) -> JsonResult {
    let body = object(&body)?;
    check(&body, false)?;
    let mut state = backend.state();
    let result = state.evaluation_results.find_mut("", &id).ok_or_else(|| missing(&id))?;
    put(result, &body);
    result["updated_at"] = json!(naive_now());
    Ok(Json(result.clone()))
}

async fn delete(State(backend): State<Arc<Backend>>, Path(id): Path<String>) -> JsonResult {
    backend.state().evaluation_results.remove("", &id).ok_or_else(|| missing(&id))?;
    Ok(Json(entities::deleted(&id)))
}
