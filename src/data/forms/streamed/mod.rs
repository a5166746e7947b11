//! Streamed responses, logged as the list of their chunks. Puts the chunks together as OpenAI's client libraries do, without
//! checking the record.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::data::forms::answer_parts;
use crate::data::json::members::{Members, write_object};
use crate::data::record::{is_whole, tells_of_error};
use crate::data::reject::Reject;

/// Returns the JSON of the record with the completion as its response. `None` if `response` is no list of chunks. Other
/// members of the line are kept.
pub(crate) fn record_of(json: &[u8]) -> Option<Result<Vec<u8>, Reject>> {
    let line: Members<'_> = serde_json::from_slice(json).ok()?;
    let texts = chunk_texts(line.get("response")?.get())?;
    let chunks: Vec<Members<'_>> =
        texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>().ok()?;
    let completion = match completion(&chunks)? {
        Ok(completion) => completion,
        Err(reason) => return Some(Err(reason)),
    };
    let mut out = Vec::with_capacity(json.len());
    let members = line.0.iter().map(|(key, value)| match key.as_ref() {
        "response" => ("response", completion.as_slice()),
        key => (key, value.get().as_bytes()),
    });
    write_object(members, &mut out);
    Some(Ok(out))
}

/// Returns the JSON of each chunk. Nulls, the mark of the end and comments of the event stream are no chunks.
fn chunk_texts(response: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut texts = Vec::new();
    for item in serde_json::from_str::<Vec<&RawValue>>(response).ok()? {
        let item = item.get();
        if item.starts_with('"') {
            let event: String = serde_json::from_str(item).ok()?;
            let data = event.trim();
            let data = data.strip_prefix("data:").unwrap_or(data).trim();
            if !(data.is_empty() || data == "[DONE]" || data.starts_with(':')) {
                texts.push(Cow::Owned(data.to_owned()));
            }
        } else if item != "null" {
            texts.push(Cow::Borrowed(item));
        }
    }
    Some(texts)
}

/// One choice of a chunk.
#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    delta: Option<Map<String, Value>>,
    message: Option<Map<String, Value>>,
    finish_reason: Option<Value>,
    error: Option<Value>,
}

/// One choice, put together so far.
#[derive(Default)]
struct Joined {
    message: Map<String, Value>,
    /// Tool calls in the order of their first pieces.
    calls: Vec<JoinedCall>,
    finish_reason: Value,
}

/// One tool call, put together so far.
struct JoinedCall {
    /// Number among the calls, as the server gave it, or in order of arrival.
    index: u64,
    call: Map<String, Value>,
}

fn completion(chunks: &[Members<'_>]) -> Option<Result<Vec<u8>, Reject>> {
    let mut joined: BTreeMap<u64, Joined> = BTreeMap::new();
    let mut usage = None;
    let (mut is_streamed, mut is_whole, mut reason, mut id) = (false, false, None, None);
    for chunk in chunks {
        if chunk.get("error").is_some_and(|error| tells_of_error(error.get())) {
            return Some(Err(Reject::FailedAnswer));
        }
        // Chunks of two answers. Some servers leave the id of the first chunk empty.
        let own_id = chunk.get("id").map(RawValue::get).filter(|id| !matches!(*id, "null" | "\"\""));
        if own_id.is_some_and(|own| *id.get_or_insert(own) != own) {
            reason = Some(Reject::MixedStream);
        }
        let choices = chunk.get("choices").map_or("null", RawValue::get);
        for choice in serde_json::from_str::<Option<Vec<Choice>>>(choices).ok()?.unwrap_or_default() {
            if choice.error.is_some_and(|error| tells_of_error(&error.to_string())) {
                return Some(Err(Reject::FailedAnswer));
            }
            let so_far = joined.entry(choice.index).or_default();
            is_whole |= choice.message.is_some_and(|message| says_something(&message));
            if let Some(delta) = choice.delta {
                is_streamed = true;
                reason = reason.or(so_far.add(delta).err());
            }
            so_far.end(choice.finish_reason);
        }
        // The last chunk has the usage, and no choices.
        usage = chunk.get("usage").filter(|usage| usage.get() != "null").or(usage);
    }
    let first = chunks.first().filter(|_| is_streamed)?;
    // A whole message beside pieces: one of them may be another answer.
    reason = reason.or(is_whole.then_some(Reject::MixedStream));
    let is_open = joined.values().next().is_some_and(|first| first.finish_reason.is_null());
    if let Some(reason) = reason.or(is_open.then_some(Reject::UnfinishedStream)) {
        return Some(Err(reason));
    }
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
    Some(Ok(out))
}

/// Returns true if a delta or a message holds a text or a call.
fn says_something(delta: &Map<String, Value>) -> bool {
    ["content", "tool_calls", "function_call"].iter().any(|key| match delta.get(*key) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(_)) => true,
        _ => false,
    })
}

impl Joined {
    /// Notes a finish reason. One that tells of a whole answer does not take back another.
    fn end(&mut self, finish_reason: Option<Value>) {
        // Some servers give an empty one with every chunk but the last.
        let Some(reason) = finish_reason.filter(|reason| *reason != "") else { return };
        if self.finish_reason.is_null() || self.finish_reason.as_str().is_some_and(is_whole) {
            self.finish_reason = reason;
        }
    }

    fn add(&mut self, mut delta: Map<String, Value>) -> Result<(), Reject> {
        if !self.finish_reason.is_null() && says_something(&delta) {
            return Err(Reject::MixedStream);
        }
        if let Some(Value::Array(calls)) = delta.remove("tool_calls") {
            calls.into_iter().try_for_each(|call| self.add_call(call))?;
        }
        if let Some(Value::Array(parts)) = delta.get("content") {
            let joined = answer_parts::joined(parts).ok_or(Reject::BadContent)?;
            delta.insert("content".to_owned(), joined.text.into());
            if !joined.thoughts.is_empty() {
                delta.insert("reasoning_content".to_owned(), joined.thoughts.into());
            }
        }
        join(&mut self.message, delta);
        Ok(())
    }

    /// Adds a piece of a tool call. Some servers give all parallel calls one index, or none, and tell them apart by their
    /// ids only.
    fn add_call(&mut self, piece: Value) -> Result<(), Reject> {
        let Value::Object(mut piece) = piece else { return Ok(()) };
        let index = piece.remove("index").and_then(|index| index.as_u64());
        let id = piece.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let names_function = name_of(&piece).is_some();
        let at = match (index, id) {
            (_, Some(id)) => {
                let same_id = |call: &JoinedCall| call.call.get("id").and_then(Value::as_str) == Some(id);
                let is_open =
                    |call: &JoinedCall| Some(call.index) == index && call.call.get("id").is_none_or(Value::is_null);
                self.calls.iter().rposition(|call| same_id(call) || is_open(call))
            }
            (Some(index), None) => self.calls.iter().rposition(|call| call.index == index),
            (None, None) if names_function => None,
            (None, None) if self.calls.len() == 1 => Some(0),
            (None, None) => return Err(Reject::MixedStream),
        };
        let Some(call) = at.map(|at| &mut self.calls[at].call) else {
            let index = index.unwrap_or(self.calls.len() as u64);
            self.calls.push(JoinedCall { index, call: piece });
            return Ok(());
        };
        // A piece that names another function, or begins where the arguments have ended, is of a call without an id. So may
        // be one that names the function again, unless the arguments go on.
        let is_other = name_of(&piece).is_some_and(|name| name_of(call).is_some_and(|known| known != name));
        let goes_on = arguments_of(&piece).is_some_and(|more| !more.trim().is_empty());
        let so_far = arguments_of(call).map_or("", str::trim);
        let has_ended = serde_json::from_str::<&RawValue>(so_far).is_ok();
        let has_no_id =
            [call, &piece].iter().all(|call| call.get("id").and_then(Value::as_str).is_none_or(str::is_empty));
        let begins_anew = has_no_id && name_of(&piece).is_some() && (so_far.is_empty() || has_ended);
        if is_other || begins_anew || goes_on && has_ended {
            return Err(Reject::MixedStream);
        }
        join(call, piece);
        Ok(())
    }

    fn choice(self, index: u64) -> Value {
        let Joined { mut message, mut calls, finish_reason } = self;
        message.entry("role").or_insert_with(|| "assistant".into());
        message.entry("content").or_insert(Value::Null);
        if !calls.is_empty() {
            calls.sort_by_key(|call| call.index);
            message.insert("tool_calls".to_owned(), calls.into_iter().map(|call| Value::Object(call.call)).collect());
        }
        json!({"index": index, "message": message, "finish_reason": finish_reason})
    }
}

fn name_of(call: &Map<String, Value>) -> Option<&str> {
    call.get("function")?.get("name")?.as_str().filter(|name| !name.is_empty())
}

fn arguments_of(call: &Map<String, Value>) -> Option<&str> {
    call.get("function")?.get("arguments")?.as_str()
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
mod tests;
