//! The NIM proxy: the list of models, and inference in the shapes of OpenAI's API (docs/nemo-api.md, NIM proxy).

mod chat;
mod completions;
mod embeddings;
mod hosted_models;
mod requests;
mod served_models;
mod stream;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::embedded::backend::Backend;

/// Returns the routes of the NIM proxy.
pub(crate) fn routes() -> Router<Arc<Backend>> {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/v1/health/ready", get(ready))
        .route("/v1/health/live", get(ready))
}

async fn ready() -> Json<Value> {
    Json(json!({"object": "health-response", "message": "Service is ready."}))
}

async fn models(State(backend): State<Arc<Backend>>) -> Json<Value> {
    let mut state = backend.state();
    let created = Timestamp::now().as_second();
    let served = served_models::served_ids(&backend, &mut state);
    for one in &served {
        state.see(&one.id);
    }
    let listed: Vec<Value> = served
        .into_iter()
        .map(|served| {
            let parent = served.adapter.map(|_| served.base.clone());
            json!({"id": served.id, "object": "model", "created": created, "owned_by": "system", "root": served.base,
                "parent": parent, "permission": []})
        })
        .collect();
    state.lists += 1;
    Json(json!({"object": "list", "data": listed}))
}
