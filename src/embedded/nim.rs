//! The NIM proxy: which models answer by now, and their answers in OpenAI's shapes (nemo-wire 7). How a student makes up
//! its reply is the business of `student`.

mod embeddings;
mod external;
mod stream;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::clock::Mark;
use super::contents::Content;
use super::roll::Entry;
use super::wire::Refusal;
use super::world::{State as Everything, World};
use crate::student::{self, Adapter, Message, Tool, ToolCall};

/// How long a ready deployment takes to be listed, on `Clock::Real`.
const LISTED_AFTER: Duration = Duration::from_millis(20);

/// How long a published adapter takes to be listed, on `Clock::Real`.
const SYNCED_AFTER: Duration = Duration::from_millis(100);

/// An adapter in the model repository, as a NIM loads it.
#[derive(Debug)]
pub(super) struct ServedAdapter {
    /// `ns/name@revision`.
    pub(super) id: String,
    /// The model that it was trained on.
    pub(super) base: String,
    pub(super) weights: Arc<Adapter>,
    /// The weights as a file of the repository.
    pub(super) file: Content,
    pub(super) published: Mark,
}

impl Entry for ServedAdapter {
    fn key(&self) -> String {
        self.id.clone()
    }

    fn document(&self) -> Value {
        json!({"id": self.id, "base": self.base, "file": self.file.reference()})
    }
}

/// The routes of the NIM proxy.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/v1/health/ready", get(ready))
        .route("/v1/health/live", get(ready))
}

async fn ready() -> Json<Value> {
    Json(json!({"object": "health-response", "message": "Service is ready."}))
}

/// What answers under an id.
enum Served {
    Base(String),
    Adapter(Arc<Adapter>),
}

impl Served {
    fn reply(&self, messages: &[Message]) -> String {
        match self {
            Served::Base(model) => student::rate_tool_calls(messages)
                .unwrap_or_else(|| student::untrained_reply(student::stand_in(model), messages)),
            Served::Adapter(adapter) => adapter.reply(messages),
        }
    }

    fn calls(&self, messages: &[Message], tools: &[Tool], forced: bool) -> Vec<ToolCall> {
        let untrained = |size| student::untrained_call(size, messages, tools, forced).into_iter().collect();
        match self {
            Served::Base(model) => untrained(student::stand_in(model)),
            Served::Adapter(adapter) => match adapter.calls(messages, tools, forced) {
                Some(calls) => calls,
                None if forced => untrained(adapter.size()),
                None => Vec::new(),
            },
        }
    }
}

/// The ids that answer by now, each with the model below it.
fn served(world: &World, state: &mut Everything) -> Vec<(String, String, Option<usize>)> {
    world.settle_deployments(state);
    let mut ids: Vec<(String, String, Option<usize>)> = Vec::new();
    for deployment in state.deployments.iter() {
        let Some(ready) = deployment.ready.filter(|ready| world.shows(state, *ready, LISTED_AFTER)) else { continue };
        if let Some(external) = deployment.external() {
            ids.extend(external.models.into_iter().map(|model| (model.clone(), model, None)));
            continue;
        }
        ids.push((deployment.model.clone(), deployment.model.clone(), None));
        let adapters =
            state.adapters.iter().enumerate().filter(|(_, one)| deployment.lora && one.base == deployment.model);
        for (at, adapter) in adapters {
            let since =
                Mark { at: ready.at.max(adapter.published.at), lists: ready.lists.max(adapter.published.lists) };
            let missed = (since.at.elapsed(), state.lists - since.lists);
            if world.shows(state, since, SYNCED_AFTER) && !world.faults.is_withheld(&adapter.id, missed) {
                ids.push((adapter.id.clone(), deployment.model.clone(), Some(at)));
            }
        }
    }
    let mut seen = HashSet::new();
    ids.retain(|(id, _, _)| seen.insert(id.clone()));
    ids
}

async fn models(State(world): State<Arc<World>>) -> Json<Value> {
    let mut state = world.state();
    let created = Timestamp::now().as_second();
    let listed: Vec<Value> = served(&world, &mut state)
        .into_iter()
        .map(|(id, root, adapter)| {
            let parent = adapter.map(|_| root.clone());
            json!({"id": id, "object": "model", "created": created, "owned_by": "system", "root": root,
                "parent": parent, "permission": []})
        })
        .collect();
    state.lists += 1;
    Json(json!({"object": "list", "data": listed}))
}

fn bad_request(text: impl Into<String>) -> Refusal {
    Refusal::inference(StatusCode::BAD_REQUEST, "BadRequestError", text)
}

fn find(world: &World, model: &str) -> Result<Served, Refusal> {
    let mut state = world.state();
    let found = served(world, &mut state).into_iter().find(|(id, _, _)| id == model);
    match found {
        Some((_, _, Some(at))) => Ok(Served::Adapter(Arc::clone(&state.adapters[at].weights))),
        Some((id, _, None)) => Ok(Served::Base(id)),
        None => {
            let text = format!("The model `{model}` does not exist.");
            Err(Refusal::inference(StatusCode::NOT_FOUND, "NotFoundError", text))
        }
    }
}

/// What of a chat request decides the answer; the sampling parameters do not, for a student has no sampling.
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
    /// The tools to choose from, and whether one must be called.
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

#[derive(Deserialize)]
struct CompletionRequest {
    model: String,
    prompt: Value,
    n: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<stream::Options>,
}

/// The most answers that one request may ask for.
const MOST_CHOICES: u32 = 128;

fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| bad_request(format!("invalid request: {error}")))
}

/// How many times each answer is wanted; a student says the same each time.
fn choices(wanted: Option<u32>) -> Result<usize, Refusal> {
    match wanted.unwrap_or(1) {
        n @ 1..=MOST_CHOICES => Ok(n as usize),
        _ => Err(bad_request(format!("n must be between 1 and {MOST_CHOICES}"))),
    }
}

async fn chat(State(world): State<Arc<World>>, body: Bytes) -> Result<Response, Refusal> {
    let request: ChatRequest = parse(&body)?;
    let n = choices(request.n)?;
    if request.messages.is_empty() {
        return Err(bad_request("messages must not be empty"));
    }
    if let Some(endpoint) = external::behind(&world, &request.model) {
        return external::pass_on(&world, &endpoint, "/chat/completions", body.clone()).await;
    }
    let (tools, forced) = request.tools()?;
    let model = find(&world, &request.model)?;
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

async fn completions(State(world): State<Arc<World>>, body: Bytes) -> Result<Response, Refusal> {
    let request: CompletionRequest = parse(&body)?;
    if let Some(endpoint) = external::behind(&world, &request.model) {
        return external::pass_on(&world, &endpoint, "/completions", body.clone()).await;
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
    let model = find(&world, &request.model)?;
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

fn usage(prompt: usize, completion: usize) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

/// Tokens, as far as a student has any: its words and signs.
fn tokens(text: &str) -> usize {
    let mut count = 0;
    let mut within = false;
    for letter in text.chars() {
        let word = letter.is_alphanumeric();
        count += usize::from(!(letter.is_whitespace() || word && within));
        within = word;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn counts_words_and_signs() {
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("[[[Stock Split]]]"), 8);
        assert_eq!(tokens("up 3.5 %"), 5);
    }
}
