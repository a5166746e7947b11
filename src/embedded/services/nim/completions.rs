//! Text completions, whole or as a stream.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::requests::{bad_request, choices, parse, tokens, usage};
use super::served_models::find;
use super::{hosted_models, stream};
use crate::embedded::backend::Backend;
use crate::embedded::wire::refusal::Refusal;
use crate::student::Message;

#[derive(Deserialize)]
struct CompletionRequest {
    model: String,
    prompt: Value,
    n: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<stream::Options>,
}

/// Answers `POST /v1/completions`.
pub(super) async fn completions(State(backend): State<Arc<Backend>>, body: Bytes) -> Result<Response, Refusal> {
    let request: CompletionRequest = parse(&body)?;
    if let Some(endpoint) = hosted_models::behind(&backend, &request.model) {
        return hosted_models::pass_on(&backend, &endpoint, "/completions", body.clone()).await;
    }
    let n = choices(request.n)?;
    let prompts = match &request.prompt {
        Value::String(prompt) => Some(vec![prompt.as_str()]),
        Value::Array(prompts) => prompts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let Some(prompts) = prompts.filter(|prompts| !prompts.is_empty()) else {
        return Err(bad_request("prompt must be a string or a list of strings"));
    };
    let model = find(&backend, &request.model)?;
    let replies = prompts.iter().map(|prompt| model.reply(&[Message::new("user", *prompt)]));
    let texts: Vec<String> = replies.flat_map(|reply| std::iter::repeat_n(reply, n)).collect();
    let prompt = prompts.iter().map(|prompt| tokens(prompt)).sum();
    let usage = usage(prompt, texts.iter().map(|text| tokens(text)).sum());
    let mut answer = json!({
        "id": format!("cmpl-{}", uuid::Uuid::new_v4().simple()),
        "object": "text_completion",
        "created": Timestamp::now().as_second(),
        "model": request.model,
    });
    if request.stream == Some(true) {
        return Ok(stream::completion(&answer, &texts, stream::Options::usage(request.stream_options, usage)));
    }
    let choice = |(index, text): (usize, &String)| json!({"index": index, "text": text, "logprobs": null, "finish_reason": "stop"});
    answer["choices"] = texts.iter().enumerate().map(choice).collect();
    answer["usage"] = usage;
    Ok(Json(answer).into_response())
}
