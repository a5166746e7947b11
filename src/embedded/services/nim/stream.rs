//! Answers as server-sent events in OpenAI's chunks. The whole reply is known before the first chunk, which carries one
//! word like every other.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// The stream options of a request.
#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    include_usage: Option<bool>,
}

impl Options {
    /// Returns the usage if it was requested.
    pub(crate) fn usage(options: Option<Self>, usage: Value) -> Option<Value> {
        (options?.include_usage == Some(true)).then_some(usage)
    }
}

/// The content of one choice of a chat completion.
pub(crate) enum Said {
    Text(String),
    /// Tool calls as in a whole answer.
    Calls(Vec<Value>),
}

/// Streams a chat completion: for each choice the role, the pieces, and the end.
pub(crate) fn chat(head: &Value, said: &[Said], finish: &str, usage: Option<Value>) -> Response {
    let mut chunks = Vec::new();
    for (index, said) in said.iter().enumerate() {
        let choice = |delta: Value, reason: Option<&str>| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": reason});
        match said {
            Said::Text(text) => {
                chunks.push(choice(json!({"role": "assistant", "content": ""}), None));
                chunks.extend(pieces(text).map(|piece| choice(json!({"content": piece}), None)));
            }
            Said::Calls(calls) => {
                chunks.push(choice(json!({"role": "assistant", "content": null}), None));
                let deltas = calls.iter().enumerate().flat_map(|(at, call)| deltas(at, call));
                chunks.extend(deltas.map(|delta| choice(json!({"tool_calls": [delta]}), None)));
            }
        }
        chunks.push(choice(json!({}), Some(finish)));
    }
    events(head, chunks, usage)
}

/// Splits a tool call: its name first, then its arguments piece by piece.
fn deltas(index: usize, call: &Value) -> Vec<Value> {
    let function = &call["function"];
    let mut deltas = vec![json!({"index": index, "id": call["id"], "type": call["type"],
        "function": {"name": function["name"], "arguments": ""}})];
    let arguments = function["arguments"].as_str().unwrap_or_default();
    deltas.extend(pieces(arguments).map(|piece| json!({"index": index, "function": {"arguments": piece}})));
    deltas
}

/// Streams a text completion.
pub(crate) fn completion(head: &Value, texts: &[String], usage: Option<Value>) -> Response {
    let mut chunks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let choice = |text: &str, reason: Option<&str>| json!({"index": index, "text": text, "logprobs": null, "finish_reason": reason});
        chunks.extend(pieces(text).map(|piece| choice(piece, None)));
        chunks.push(choice("", Some("stop")));
    }
    events(head, chunks, usage)
}

/// Writes the events. If there is a usage, every event has the member, and the last one holds it.
fn events(head: &Value, choices: Vec<Value>, usage: Option<Value>) -> Response {
    let mut body = String::new();
    let mut event = |choices: Value, told: &Value| {
        let mut chunk = head.clone();
        chunk["choices"] = choices;
        if usage.is_some() {
            chunk["usage"] = told.clone();
        }
        body.push_str(&format!("data: {chunk}\n\n"));
    };
    for choice in choices {
        event(json!([choice]), &Value::Null);
    }
    if let Some(usage) = &usage {
        event(json!([]), usage);
    }
    body.push_str("data: [DONE]\n\n");
    let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, body).into_response()
}

/// Splits a text into pieces that end after white space.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_make_the_text() {
        for text in ["", "one", "[[[Stock Split]]]", " two  spaces \n", "größer als\u{a0}nichts"] {
            assert_eq!(pieces(text).collect::<String>(), text);
        }
        assert_eq!(pieces("a b").collect::<Vec<_>>(), ["a ", "b"]);
    }
}
