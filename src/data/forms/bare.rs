//! Requests and responses without their envelope: as JSON text, a request that is the list of its messages, and a response
//! that is the message alone. Makes a choice of such a message, with what is said of its end.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::data::json::edit::{EditedObject, members};
use crate::data::record::tells_of_error;
use crate::data::reject::Reject;

/// Returns the JSON of the record with request and response in their envelopes. `None` if both have them.
pub(crate) fn record_of(json: &[u8]) -> Option<Result<Vec<u8>, Reject>> {
    let mut line = members(std::str::from_utf8(json).ok()?).ok()?;
    let request = line.get("request").and_then(request);
    let response = match line.get("response").and_then(|response| self::response(response, &line)) {
        Some(Err(refused)) => return Some(Err(refused)),
        response => response.and_then(Result::ok),
    };
    if request.is_none() && response.is_none() {
        return None;
    }
    request.into_iter().for_each(|request| line.set("request", request));
    response.into_iter().for_each(|response| line.set("response", response));
    Some(Ok(line.to_json().into_bytes()))
}

/// Returns the JSON object or list that a text holds. Other values stay as they are.
pub(super) fn unpacked(value: &str) -> Cow<'_, str> {
    let text = value.starts_with('"').then(|| serde_json::from_str::<String>(value).ok()).flatten();
    match text
        .filter(|text| text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<&RawValue>(text).is_ok())
    {
        Some(text) => Cow::Owned(text.trim().to_owned()),
        None => Cow::Borrowed(value),
    }
}

/// Returns a request in its envelope. `None` if it stays as it is.
fn request(written: &str) -> Option<String> {
    match unpacked(written) {
        list if list.starts_with('[') => Some(format!("{{\"messages\":{list}}}")),
        Cow::Owned(plain) => Some(plain),
        Cow::Borrowed(_) => None,
    }
}

/// Returns a response in its envelope, or that its answer has no end. `None` if it stays as it is.
fn response(written: &str, line: &EditedObject<'_>) -> Option<Result<String, Reject>> {
    let plain = unpacked(written);
    match of_message(&plain, line) {
        None => matches!(plain, Cow::Owned(_)).then(|| Ok(plain.into_owned())),
        made => made,
    }
}

/// Returns the response for one that is a message, or holds one under `message`: it has no choices, but a role or a content.
fn of_message(response: &str, line: &EditedObject<'_>) -> Option<Result<String, Reject>> {
    let body = members(response).ok()?;
    let inner = body.get("message").filter(|message| message.starts_with('{')).unwrap_or(response);
    let message = members(inner).ok()?;
    let is_message = ["role", "content", "tool_calls"].iter().any(|key| message.get(key).is_some());
    // Ollama marks the pieces of a stream.
    let is_open = [&body, &message].iter().any(|object| object.get("done") == Some("false"));
    match is_message && body.get("choices").is_none() {
        false => None,
        true if is_open => Some(Err(Reject::UnfinishedStream)),
        true => {
            let said = |key: &str| [body.get(key), message.get(key), line.get(key)].into_iter().flatten().collect();
            Some(Ok(format!("{{\"choices\":[{}]}}", choice(inner, said))))
        }
    }
}

/// Keys that say how an answer ended: of a choice, of Anthropic and of Ollama.
const ENDINGS: [&str; 3] = ["finish_reason", "stop_reason", "done_reason"];

/// Returns the choice of a message. `said` returns the values of a key beside the message and in it: the first counts, and any may
/// tell of an error.
pub(super) fn choice<'a>(message: &str, said: impl Fn(&str) -> Vec<&'a str>) -> String {
    let ending = ENDINGS.iter().find_map(|key| said(key).first().copied());
    let ending = ending.map(|ending| format!(",\"finish_reason\":{ending}")).unwrap_or_default();
    let error = said("error").into_iter().find(|error| tells_of_error(error));
    let error = error.map(|error| format!(",\"error\":{error}")).unwrap_or_default();
    format!("{{\"message\":{message}{ending}{error}}}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::data::forms::{self, Forms};
    use crate::data::record::{FieldDefaults, Record, normalise};

    fn read(request: &Value, response: &Value) -> Result<Value, Reject> {
        let line = json!({"workload_id": "w", "request": request, "response": response}).to_string();
        let record = forms::read(line.as_bytes(), Forms::Logged, |json| normalise(json, &FieldDefaults::default()))?;
        Ok(serde_json::from_slice(&record.line).unwrap())
    }

    #[test]
    fn every_form_makes_the_same_record() {
        let messages = json!([{"role": "user", "content": "u"}]);
        let message = json!({"role": "assistant", "content": "[[A]]"});
        let (request, response) = (json!({"messages": messages}), json!({"choices": [{"message": message}]}));
        let whole = read(&request, &response).unwrap();
        let text = |value: &Value| Value::from(format!(" {value:#}\n"));
        for request in [&request, &text(&request), &messages, &text(&messages)] {
            for response in [&response, &text(&response), &message, &text(&message), &json!({"message": message})] {
                assert_eq!(read(request, response).as_ref(), Ok(&whole), "{request} {response}");
            }
        }
        let chunks = json!([{"choices": [{"index": 0, "delta": {"content": "[[A]]"}, "finish_reason": "stop"}]}]);
        let streamed = read(&request, &chunks).unwrap();
        assert_eq!(read(&text(&messages), &text(&chunks)), Ok(streamed), "chunks as JSON text");
        let old = json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}});
        assert!(read(&messages, &old).is_ok(), "a form within a form");
    }

    #[test]
    fn a_bare_answer_that_did_not_end_is_none() {
        let messages = json!([{"role": "user", "content": "u"}]);
        let message = json!({"role": "assistant", "content": "[[A]]"});
        let with = |key: &str, reason: &str| json!({"role": "assistant", "content": "[[A]]", key: reason});
        for (response, reason) in [
            (json!({"index": 0, "message": message, "finish_reason": "content_filter"}), Reject::FilteredAnswer),
            (json!({"message": message, "done": true, "done_reason": "unload"}), Reject::UnknownEnding),
            (with("stop_reason", "refusal"), Reject::FilteredAnswer),
            (with("finish_reason", "error"), Reject::FailedAnswer),
            (with("error", "reset"), Reject::FailedAnswer),
            (json!({"message": message, "error": {"code": 502}}), Reject::FailedAnswer),
            (json!({"message": message, "done": false}), Reject::UnfinishedStream),
            (json!({"role": "assistant", "content": "[[A]]", "done": false}), Reject::UnfinishedStream),
        ] {
            assert_eq!(read(&messages, &response).err(), Some(reason), "{response}");
        }
        let beside = json!({"workload_id": "w", "request": messages, "response": message, "finish_reason": "error"});
        let read_beside = forms::read(beside.to_string().as_bytes(), Forms::Logged, |json| {
            normalise(json, &FieldDefaults::default())
        });
        assert_eq!(read_beside.err(), Some(Reject::FailedAnswer), "beside the response");
        let line = json!({"request": messages, "response": {"message": message, "done_reason": "length"}}).to_string();
        let record = record_of(line.as_bytes()).unwrap().unwrap();
        assert!(
            Record::parse_with(&record, &FieldDefaults { workload: Some("w"), ..FieldDefaults::default() })
                .is_ok_and(|record| record.reply.is_truncated)
        );
        assert!(read(&messages, &with("stop_reason", "end_turn")).is_ok());
        assert!(read(&messages, &json!({"message": message, "done": true, "error": null})).is_ok());
    }

    #[test]
    fn what_is_neither_is_refused() {
        let (messages, message) = (json!([{"role": "user", "content": "u"}]), json!({"content": "a"}));
        for (request, response, reason) in [
            (json!("classify this"), message.clone(), Reject::NoRequest),
            (json!("[1"), message.clone(), Reject::NoRequest),
            (json!([]), message.clone(), Reject::NoMessages),
            (json!([1]), message, Reject::BadMessage),
            (messages.clone(), json!("[[A]]"), Reject::BadResponse),
            (messages.clone(), json!({"text": "[[A]]"}), Reject::NoChoices),
            (messages, json!({"error": {"code": 1}}), Reject::FailedAnswer),
        ] {
            assert_eq!(read(&request, &response).err(), Some(reason), "{request} {response}");
        }
    }
}
