//! Chat completions, with tools, whole or as a stream.

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
use crate::student::{Message, Tool, ToolCall};

/// The members of a chat request that decide the answer. A student does not sample, so sampling parameters have no
/// effect.
#[derive(Deserialize)]
struct ChatRequest {
    model: String,
    messages: Vec<Message>,
    n: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<stream::Options>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Option<Value>,
}

impl ChatRequest {
    /// Returns the tools, and whether the answer must call one.
    fn tools(&self) -> Result<(Vec<Tool>, bool), Refusal> {
        let mut tools = Vec::new();
        for (at, tool) in self.tools.iter().flatten().enumerate() {
            let function = &tool["function"];
            let name = function["name"].as_str().filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| bad_request(format!("tools[{at}] has no function with a name")))?;
            let description = function["description"].as_str().unwrap_or_default();
            tools.push(Tool { name: name.to_owned(), description: description.to_owned() });
        }
        let forced = match self.tool_choice.as_ref().unwrap_or(&Value::Null) {
            Value::Null => false,
            Value::String(choice) if choice == "auto" => false,
            Value::String(choice) if choice == "none" => {
                tools.clear();
                false
            }
            Value::String(choice) if choice == "required" && !tools.is_empty() => true,
            Value::Object(choice) => {
                let name = choice.get("function").and_then(|function| function["name"].as_str());
                tools.retain(|tool| Some(tool.name.as_str()) == name);
                if tools.is_empty() {
                    return Err(bad_request("tool_choice names a function that is not among the tools"));
                }
                true
            }
            other => return Err(bad_request(format!("tool_choice {other} does not fit the tools"))),
        };
        Ok((tools, forced))
    }
}

/// Answers `POST /v1/chat/completions`.
pub(super) async fn chat(State(backend): State<Arc<Backend>>, body: Bytes) -> Result<Response, Refusal> {
    let request: ChatRequest = parse(&body)?;
    let n = choices(request.n)?;
    if request.messages.is_empty() {
        return Err(bad_request("messages must not be empty"));
    }
    if let Some(endpoint) = hosted_models::behind(&backend, &request.model) {
        return hosted_models::pass_on(&backend, &endpoint, "/chat/completions", body.clone()).await;
    }
    let (tools, forced) = request.tools()?;
    let model = find(&backend, &request.model)?;
    let calls = if tools.is_empty() { Vec::new() } else { model.calls(&request.messages, &tools, forced) };
    let (text, content) = if calls.is_empty() {
        let text = model.reply(&request.messages);
        (text.clone(), Value::String(text))
    } else {
        (calls.iter().map(|call| format!("{} {}", call.name, call.arguments)).collect(), Value::Null)
    };
    let finish = if calls.is_empty() || forced { "stop" } else { "tool_calls" };
    let prompt: usize = request.messages.iter().map(|message| tokens(&message.content)).sum();
    let usage = usage(prompt, tokens(&text) * n);
    let mut answer = json!({
        "id": format!("chatcmpl-{}", uuid::Uuid::new_v4().simple()),
        "object": "chat.completion",
        "created": Timestamp::now().as_second(),
        "model": request.model,
    });
    if request.stream == Some(true) {
        answer["object"] = json!("chat.completion.chunk");
        let usage = stream::Options::usage(request.stream_options, usage);
        let said: Vec<stream::Said> = (0..n)
            .map(|_| match &content {
                Value::String(text) => stream::Said::Text(text.clone()),
                _ => stream::Said::Calls(called(&calls)),
            })
            .collect();
        return Ok(stream::chat(&answer, &said, finish, usage));
    }
    let choice = |index: usize| {
        json!({
            "index": index,
            "message": {"role": "assistant", "content": content, "tool_calls": called(&calls)},
            "logprobs": null,
            "finish_reason": finish,
        })
    };
    answer["choices"] = (0..n).map(choice).collect();
    answer["usage"] = usage;
    Ok(Json(answer).into_response())
}

fn called(calls: &[ToolCall]) -> Vec<Value> {
    let call = |call: &ToolCall| {
        json!({"id": format!("chatcmpl-tool-{}", uuid::Uuid::new_v4().simple()), "type": "function",
            "function": {"name": call.name, "arguments": call.arguments}})
    };
    calls.iter().map(call).collect()
}
