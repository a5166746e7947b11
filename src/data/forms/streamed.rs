//! Streamed responses, logged as the list of their chunks. Puts the chunks together as OpenAI's client libraries do, without
//! checking the record.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::data::json::members::{Members, write_object};

/// Returns the JSON of the record with the completion as its response. `None` if `response` is no list of chunks. Other
/// members of the line are kept.
pub(crate) fn record_of(json: &[u8]) -> Option<Vec<u8>> {
    let line: Members<'_> = serde_json::from_slice(json).ok()?;
    let chunks: Vec<Members<'_>> = serde_json::from_str(line.get("response")?.get()).ok()?;
    let completion = completion(&chunks)?;
    let mut out = Vec::with_capacity(json.len());
    let members = line.0.iter().map(|(key, value)| match key.as_ref() {
        "response" => ("response", completion.as_slice()),
        key => (key, value.get().as_bytes()),
    });
    write_object(members, &mut out);
    Some(out)
}

/// One choice of a chunk.
#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Map<String, Value>>,
    finish_reason: Option<Value>,
}

/// One choice, put together so far.
#[derive(Default)]
struct Joined {
    message: Map<String, Value>,
    /// Tool calls by index.
    calls: BTreeMap<u64, Map<String, Value>>,
    finish_reason: Value,
}

fn completion(chunks: &[Members<'_>]) -> Option<Vec<u8>> {
    let mut joined: BTreeMap<u64, Joined> = BTreeMap::new();
    let mut usage = None;
    let mut is_streamed = false;
    for chunk in chunks {
        let choices = chunk.get("choices").map_or("null", RawValue::get);
        for choice in serde_json::from_str::<Option<Vec<Choice>>>(choices).ok()?.unwrap_or_default() {
            let so_far = joined.entry(choice.index).or_default();
            so_far.finish_reason = choice.finish_reason.unwrap_or(so_far.finish_reason.take());
            if let Some(delta) = choice.delta {
                is_streamed = true;
                so_far.add(delta);
            }
        }
        // The last chunk has the usage, and no choices.
        usage = chunk.get("usage").filter(|usage| usage.get() != "null").or(usage);
    }
    let first = chunks.first().filter(|_| is_streamed)?;
    let choices: Vec<Value> = joined.into_iter().map(|(index, joined)| joined.choice(index)).collect();
    let choices = Value::from(choices).to_string();
    let mut members: Vec<(&str, &[u8])> = Vec::with_capacity(first.0.len());
    for (key, value) in &first.0 {
        if !matches!(key.as_ref(), "object" | "choices" | "usage") {
            members.push((key, value.get().as_bytes()));
        }
    }
    members.push(("object", b"\"chat.completion\""));
    members.push(("choices", choices.as_bytes()));
    members.extend(usage.map(|usage| ("usage", usage.get().as_bytes())));
    let mut out = Vec::new();
    write_object(members.into_iter(), &mut out);
    Some(out)
}

impl Joined {
    fn add(&mut self, mut delta: Map<String, Value>) {
        let calls = match delta.get_mut("tool_calls") {
            Some(Value::Array(calls)) => std::mem::take(calls),
            _ => Vec::new(),
        };
        for (call, place) in calls.into_iter().zip(0..) {
            if let Value::Object(mut call) = call {
                let index = call.remove("index").and_then(|index| index.as_u64()).unwrap_or(place);
                join(self.calls.entry(index).or_default(), call);
            }
        }
        delta.remove("tool_calls");
        join(&mut self.message, delta);
    }

    fn choice(self, index: u64) -> Value {
        let Joined { mut message, calls, finish_reason } = self;
        message.entry("role").or_insert_with(|| "assistant".into());
        message.entry("content").or_insert(Value::Null);
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), calls.into_values().map(Value::Object).collect());
        }
        json!({"index": index, "message": message, "finish_reason": finish_reason})
    }
}

/// Adds the pieces of an object: joins texts, and joins objects piece by piece.
fn join(so_far: &mut Map<String, Value>, pieces: Map<String, Value>) {
    for (key, piece) in pieces {
        match (so_far.get_mut(&key), piece) {
            // Some servers repeat these with every piece. None sends them in pieces.
            (Some(Value::String(text)), _)
                if !text.is_empty() && matches!(key.as_str(), "role" | "id" | "type" | "name") => {}
            (Some(Value::String(text)), Value::String(piece)) => text.push_str(&piece),
            (Some(Value::Object(object)), Value::Object(piece)) => join(object, piece),
            (Some(_), Value::Null) => {}
            (_, piece) => {
                so_far.insert(key, piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::record::{FieldDefaults, normalise};
    use crate::data::reject::Reject;

    fn line(response: &Value) -> String {
        json!({"workload_id": "w", "request": {"messages": [{"role": "user", "content": "u"}]}, "response": response})
            .to_string()
    }

    fn chunk(delta: Value, finish: Value) -> Value {
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "big", "choices":
            [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]})
    }

    /// The normalised line of a record that was streamed, and of one whose response is this completion.
    fn both(chunks: &[Value], completion: &Value) -> [String; 2] {
        let streamed = record_of(line(&chunks.into()).as_bytes()).expect("a list of chunks");
        let normal = |json: &[u8]| {
            normalise(json, &FieldDefaults::default()).map(|record| String::from_utf8(record.line).unwrap())
        };
        [normal(&streamed).unwrap(), normal(line(completion).as_bytes()).unwrap()]
    }

    #[test]
    fn texts_are_joined() {
        let chunks = [
            chunk(json!({"role": "assistant", "content": ""}), Value::Null),
            chunk(json!({"content": "[[[Divi"}), Value::Null),
            chunk(
                json!({"role": "assistant", "content": "dends]]] \u{1f600}", "reasoning_content": null}),
                Value::Null,
            ),
            chunk(json!({"content": null}), json!("stop")),
            json!({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}}),
        ];
        let completion = json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "big", "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "[[[Dividends]]] \u{1f600}", "reasoning_content": null},
        }], "usage": {"total_tokens": 9}});
        let [streamed, whole] = both(&chunks, &completion);
        assert_eq!(streamed, whole);
    }

    #[test]
    fn calls_are_joined_by_their_index_and_choices_by_theirs() {
        let call = |index: u64, id: Value, name: Value, arguments: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        let mut second = chunk(json!({"content": "other"}), json!("stop"));
        second["choices"][0]["index"] = 1.into();
        let chunks = [
            second,
            chunk(
                json!({"role": "assistant", "tool_calls": [call(0, json!("a"), json!("file"), "{\"x\"")]}),
                Value::Null,
            ),
            chunk(json!({"tool_calls": [call(1, json!("b"), json!("log"), "{}")]}), Value::Null),
            chunk(json!({"tool_calls": [call(0, json!("a"), Value::Null, ":1}")]}), json!("tool_calls")),
        ];
        let calls = json!([
            {"id": "a", "type": "function", "function": {"name": "file", "arguments": "{\"x\":1}"}},
            {"id": "b", "type": "function", "function": {"name": "log", "arguments": "{}"}},
        ]);
        let completion = json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "big", "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": calls}},
            {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "other"}},
        ]});
        let [streamed, whole] = both(&chunks, &completion);
        assert_eq!(streamed, whole);
    }

    #[test]
    fn other_members_and_long_numbers_stay_as_they_are() {
        let json = r#"{"more": 12345678901234567890123, "response": [{"seed": 98765432109876543210987, "choices": [{"delta": {"content": "x"}}]}]}"#;
        let record = String::from_utf8(record_of(json.as_bytes()).unwrap()).unwrap();
        assert!(
            record.starts_with(r#"{"more":12345678901234567890123,"response":{"seed":98765432109876543210987,"#),
            "{record}"
        );
    }

    #[test]
    fn other_lists_are_no_chunks() {
        let completion = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]});
        for response in [
            json!([]),
            json!([1]),
            json!(["data: {}"]),
            json!([completion]),
            json!([{"choices": []}]),
            json!({}),
            json!([{"choices": 1}]),
        ] {
            assert_eq!(record_of(line(&response).as_bytes()), None, "{response}");
        }
        for json in ["", "[", "[1]", "{}"] {
            assert_eq!(record_of(json.as_bytes()), None);
        }
        let nothing = record_of(line(&json!([chunk(json!({"role": "assistant"}), Value::Null)])).as_bytes()).unwrap();
        assert_eq!(normalise(&nothing, &FieldDefaults::default()), Err(Reject::NoContent));
    }
}
