//! A chat reply that is streamed only to see when its first token comes: the request, and what its events tell (docs/nemo-api.md,
//! NIM proxy).

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::client::Client;
use super::evaluation::{EvaluationKind, chat_request};
use super::judge::RemoteModel;
use super::transport::{ApiError, ApiRequest, ApiResponse, Destination, ErrorKind, RequestBody, read_json};

/// The media types of a streamed answer, and of one from a server that does not stream.
const STREAM: &str = "text/event-stream, application/json";

/// A model that takes chat requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChatModel<'a> {
    /// A model that the platform serves, by its id.
    Served(&'a str),
    /// A model behind an endpoint of its own.
    Remote(&'a RemoteModel),
}

/// How long a reply took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedReply {
    /// `None` if the server sent the reply in one piece.
    pub first_token: Option<Duration>,
    /// To the last byte.
    pub took: Duration,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
}

impl ChatModel<'_> {
    /// Returns the name of the model in requests.
    pub(crate) fn name(&self) -> &str {
        match self {
            ChatModel::Served(model) => model,
            ChatModel::Remote(remote) => &remote.model,
        }
    }
}

impl Client {
    /// Sends the request of a row of an eval set for a stream, once, and returns how long the reply took.
    pub(crate) async fn timed_chat(
        &self,
        model: ChatModel<'_>,
        kind: EvaluationKind,
        temperature: f64,
        item: &Value,
    ) -> Result<TimedReply, ApiError> {
        let body = streamed(chat_request(model.name(), kind, temperature, item));
        let request = match model {
            ChatModel::Served(_) => self.served_chat(body).await?,
            ChatModel::Remote(model) => remote(model, body)?,
        };
        read(&self.transport.send(timed(request)).await?)
    }
}

/// Asks for a stream whose last event tells the tokens.
fn streamed(mut body: Value) -> Value {
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    body
}

/// Returns the request to an endpoint of its own. Some models behind such endpoints refuse any temperature but their own.
fn remote(model: &RemoteModel, mut body: Value) -> Result<ApiRequest, ApiError> {
    if let Some(members) = body.as_object_mut() {
        members.remove("temperature");
    }
    let shown = model.chat_url();
    let url = Url::parse(&shown)
        .map_err(|_| ApiError::new(format!("POST {shown}"), ErrorKind::Options("not a URL".to_owned()), None))?;
    Ok(ApiRequest::link(Method::POST, Destination::Foreign(url, model.key.clone()), RequestBody::Json(body)))
}

/// Makes a request one that is sent once: a second try would be no time of one reply.
fn timed(request: ApiRequest) -> ApiRequest {
    request.accept(STREAM).once()
}

/// Reads the times of a response.
fn read(response: &ApiResponse) -> Result<TimedReply, ApiError> {
    let mut reply = TimedReply { first_token: None, took: response.took, prompt_tokens: None, completion_tokens: None };
    let body = &response.body[..];
    if body.trim_ascii_start().starts_with(b"{") {
        let answer = response.json()?;
        reply.take_usage(&answer);
        return if has_text(&answer, "message") { Ok(reply) } else { Err(response.unreadable("no chat completion")) };
    }
    let (mut read, mut ended, mut first) = (0, false, None);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        read += line.len();
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { continue };
        if data == b"[DONE]" {
            ended = true;
            continue;
        }
        let event = read_json::parse(data).map_err(|error| response.unreadable(format!("not an event: {error}")))?;
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            return Err(response.unreadable(format!("an error in the stream: {error}")));
        }
        reply.take_usage(&event);
        let choice = read_json::list(&event, &["choices"]).first();
        ended |= choice.is_some_and(|choice| read_json::text(choice, &["finish_reason"]).is_some());
        if first.is_none() && has_text(&event, "delta") {
            first = Some(read);
        }
    }
    if !ended {
        return Err(response.unreadable("a stream without an end"));
    }
    let arrived = |bytes: usize| response.arrivals.iter().find(|piece| piece.bytes >= bytes).map(|piece| piece.after);
    reply.first_token = first.and_then(arrived);
    Ok(reply)
}

impl TimedReply {
    fn take_usage(&mut self, answer: &Value) {
        let tokens = |key| read_json::integer(answer, &["usage", key]);
        self.prompt_tokens = tokens("prompt_tokens").or(self.prompt_tokens);
        self.completion_tokens = tokens("completion_tokens").or(self.completion_tokens);
    }
}

/// Tells whether the first choice holds text, a thought or a call. The first event of a stream holds the role alone.
fn has_text(answer: &Value, part: &str) -> bool {
    let Some(part) = read_json::list(answer, &["choices"]).first().and_then(|choice| choice.get(part)) else {
        return false;
    };
    let text = |key: &str| part.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    text("content")
        || text("reasoning_content")
        || text("reasoning")
        || !read_json::list(part, &["tool_calls"]).is_empty()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::nemo::transport::{Arrival, Quirks};

    /// A response whose pieces came 10 ms apart.
    fn response(pieces: &[&str]) -> ApiResponse {
        let (mut body, mut arrivals) = (Vec::new(), Vec::new());
        for (at, piece) in (1..).zip(pieces) {
            body.extend_from_slice(piece.as_bytes());
            arrivals.push(Arrival { bytes: body.len(), after: Duration::from_millis(10 * at) });
        }
        ApiResponse {
            call: "POST /chat".to_owned(),
            status: 200,
            quirks: Quirks::default(),
            headers: reqwest::header::HeaderMap::new(),
            body: body.into(),
            arrivals,
            took: Duration::from_millis(99),
            mask: Arc::default(),
        }
    }

    fn event(delta: &Value) -> String {
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
    }

    const ROLE: &str = "data: {\"choices\": [{\"delta\": {\"role\": \"assistant\", \"content\": \"\"}}]}\n\n";
    const END: &str = "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n";

    #[test]
    fn the_first_token_is_the_first_text_thought_or_call_once_its_event_is_whole() {
        for delta in [
            json!({"content": "[[["}),
            json!({"reasoning_content": "Hm"}),
            json!({"content": null, "tool_calls": [{"index": 0, "function": {"name": "f"}}]}),
        ] {
            let token = event(&delta);
            let (half, rest) = token.split_at(token.len() / 2);
            let usage = "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 3}}\n\n";
            let reply =
                read(&response(&[ROLE, ": ping\n\n", half, rest, &event(&json!({"content": "x"})), usage, END]));
            let wanted = TimedReply {
                first_token: Some(Duration::from_millis(40)),
                took: Duration::from_millis(99),
                prompt_tokens: Some(7),
                completion_tokens: Some(3),
            };
            assert_eq!(reply.unwrap(), wanted);
        }
    }

    #[test]
    fn a_reply_in_one_piece_has_no_first_token() {
        let body = json!({"choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
        let reply = read(&response(&[&body.to_string()])).unwrap();
        assert_eq!((reply.first_token, reply.completion_tokens), (None, Some(2)));
        assert!(read(&response(&["{}"])).is_err());
    }

    #[test]
    fn a_stream_that_breaks_off_or_tells_an_error_is_no_reply() {
        let token = event(&json!({"content": "a"}));
        let error = "data: {\"error\": {\"message\": \"out of memory\"}}\n\n";
        for (pieces, told) in [
            (vec![ROLE, token.as_str()], "without an end"),
            (vec![ROLE, error], "out of memory"),
            (vec!["data: {\"choices\":\n\n"], "not an event"),
            (vec!["<html>"], "without an end"),
            (vec![], "without an end"),
        ] {
            let problem = read(&response(&pieces)).unwrap_err().to_string();
            assert!(problem.contains(told), "{problem}");
        }
    }

    #[test]
    fn only_the_platform_is_told_a_temperature() {
        let key = Some(crate::nemo::Secret::new("k"));
        let model = RemoteModel { url: "https://h/v1".into(), model: "m".into(), key };
        let body = streamed(json!({"model": "m", "temperature": 0.01}));
        assert_eq!((&body["stream"], &body["temperature"]), (&json!(true), &json!(0.01)));
        let RequestBody::Json(sent) = remote(&model, body).unwrap().body else { panic!("a JSON body") };
        assert_eq!((sent.get("temperature"), &sent["stream_options"]), (None, &json!({"include_usage": true})));
    }
}
