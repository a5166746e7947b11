//! Requests with the system prompt beside the messages, as the API of Anthropic has it. Makes it the first message.

use serde_json::Value;

use crate::data::json::edit::{items, members};
use crate::data::reject::Reject;

/// Returns the JSON of the record with the system prompt among the messages, or that the prompt is no text. `None` if there is no
/// prompt beside the messages.
pub(crate) fn record_of(json: &[u8]) -> Option<Result<Vec<u8>, Reject>> {
    let mut line = members(std::str::from_utf8(json).ok()?).ok()?;
    let mut request = members(line.get("request")?).ok()?;
    let Some(prompt) = text_of(request.get("system")?) else { return Some(Err(Reject::BadMessage)) };
    let messages = items(request.get("messages")?).ok()?;
    let first = messages.first().and_then(|first| serde_json::from_str::<Value>(first.get()).ok());
    // Some proxies write the prompt at both places.
    let is_there = first.is_some_and(|first| first["role"] == "system" && first["content"] == prompt.as_str());
    let mut all: Vec<String> = messages.iter().map(|message| message.get().to_owned()).collect();
    if !is_there && !prompt.is_empty() {
        all.insert(0, format!("{{\"role\":\"system\",\"content\":{}}}", Value::from(prompt)));
    }
    request.remove("system");
    request.set("messages", format!("[{}]", all.join(",")));
    let request = request.to_json();
    line.set("request", request);
    Some(Ok(line.to_json().into_bytes()))
}

/// Returns the text of a system prompt: a text, or a list of parts that are texts.
fn text_of(json: &str) -> Option<String> {
    match serde_json::from_str(json).ok()? {
        Value::String(text) => Some(text),
        Value::Array(parts) => {
            let of_type = |part: &Value| part.get("type").is_none_or(|kind| kind == "text");
            let text = |part: &Value| part.as_str().or_else(|| part.get("text")?.as_str()).map(str::to_owned);
            let texts = parts.iter().map(|part| text(part).filter(|_| of_type(part)));
            Some(texts.collect::<Option<Vec<_>>>()?.join("\n"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::forms::{self, Forms};
    use crate::data::record::{FieldDefaults, normalise};

    fn read(line: &Value) -> Result<Value, Reject> {
        let defaults = FieldDefaults { workload: Some("w"), ..FieldDefaults::default() };
        let record =
            forms::read(line.to_string().as_bytes(), Forms::LoggedAndChatRows, |json| normalise(json, &defaults))?;
        Ok(serde_json::from_slice(&record.line).unwrap())
    }

    fn asked() -> Value {
        json!({"role": "user", "content": "u"})
    }

    fn answer() -> Value {
        json!({"role": "assistant", "content": "[[A]]", "stop_reason": "end_turn"})
    }

    fn with_system(system: &Value) -> Value {
        json!({"request": {"system": system, "messages": [asked()], "max_tokens": 9}, "response": answer()})
    }

    #[test]
    fn the_prompt_becomes_the_first_message_in_every_form() {
        let wanted = json!([{"role": "system", "content": "Choose\nA or B"}, asked()]);
        let text = json!("Choose\nA or B");
        let parts = json!([{"type": "text", "text": "Choose", "cache_control": {"type": "ephemeral"}}, "A or B"]);
        let mut both = with_system(&text);
        both["request"]["messages"] = wanted.clone();
        let mut packed = with_system(&text);
        packed["request"] = Value::from(packed["request"].to_string());
        let chat_row = json!({"system": text, "messages": [asked(), answer()]});
        for line in [with_system(&text), with_system(&parts), both, packed, chat_row] {
            let record = read(&line).unwrap();
            assert_eq!(record["request"]["messages"], wanted, "{line}");
            assert!(record["request"].get("system").is_none() && record.get("system").is_none(), "{record}");
        }
        for empty in [json!(""), json!([]), Value::Null] {
            assert_eq!(read(&with_system(&empty)).unwrap()["request"]["messages"], json!([asked()]), "{empty}");
        }
        let other = json!({"system": "kept", "request": {"messages": [asked()]}, "response": answer()});
        assert_eq!(read(&other).unwrap()["system"], "kept", "beside the request");
    }

    #[test]
    fn records_that_differ_in_the_prompt_differ() {
        assert_ne!(read(&with_system(&json!("a"))), read(&with_system(&json!("b"))));
    }

    #[test]
    fn a_prompt_that_is_no_text_is_refused() {
        for system in [json!(1), json!({"text": "s"}), json!([{"type": "image", "text": "s"}]), json!([1])] {
            assert_eq!(read(&with_system(&system)).err(), Some(Reject::BadMessage), "{system}");
        }
        let twice =
            r#"{"request":{"system":"a","system":"b","messages":[{"content":"u"}]},"response":{"content":"x"}}"#;
        let read = forms::read(twice.as_bytes(), Forms::Logged, |json| {
            normalise(json, &FieldDefaults { workload: Some("w"), ..FieldDefaults::default() })
        });
        assert_eq!(read.err(), Some(Reject::DuplicateKey));
    }

    #[test]
    fn tool_calls_among_the_parts_are_refused() {
        for part in [
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}),
            json!({"type": "tool_result", "tool_use_id": "t", "content": "r"}),
        ] {
            let messages = json!([asked(), {"role": "assistant", "content": [{"type": "text", "text": "x"}, part]}]);
            let line = json!({"request": {"messages": messages}, "response": answer()});
            assert_eq!(read(&line).err(), Some(Reject::BadMessage), "{line}");
        }
    }
}
