//! Chat rows: `{messages, tools?}`, with the response as the last message. Turns them into log records without checking
//! these.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::data::json::canonical::write_string;
use crate::data::json::members::Members;
use crate::data::reject::Reject;

/// Returns the JSON of the record that a chat row stands for. `None` if the line has no `messages`, or a request or answer
/// beside them. Keys other than `messages` and `tools` are kept.
pub(crate) fn record_of(json: &[u8]) -> Option<Result<Vec<u8>, Reject>> {
    let row: Members<'_> = serde_json::from_slice(json).ok()?;
    if row.get("messages").is_none() || ["request", "response", "choices"].iter().any(|key| row.get(key).is_some()) {
        return None;
    }
    Some(convert(&row, json))
}

fn convert(row: &Members<'_>, json: &[u8]) -> Result<Vec<u8>, Reject> {
    let messages = row.get("messages").map_or("null", RawValue::get);
    let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(messages) else { return Err(Reject::NoMessages) };
    let Some((reply, asked)) = messages.split_last() else { return Err(Reject::NoMessages) };
    let role = serde_json::from_str::<Role<'_>>(reply.get()).ok().and_then(|message| message.role);
    if role.is_some_and(|role| role != "assistant") {
        return Err(Reject::NoResponse);
    }
    let mut out = Vec::with_capacity(json.len() + 96);
    out.extend_from_slice(b"{\"request\":{\"messages\":[");
    push_joined(asked, &mut out);
    out.push(b']');
    if let Some(tools) = row.get("tools").filter(|tools| tools.get() != "null") {
        out.extend_from_slice(b",\"tools\":");
        out.extend_from_slice(tools.get().as_bytes());
    }
    out.extend_from_slice(b"},\"response\":{\"choices\":[{\"message\":");
    out.extend_from_slice(reply.get().as_bytes());
    out.extend_from_slice(b"}]}");
    let mut taken = (false, false);
    for (key, value) in &row.0 {
        let seen = match key.as_ref() {
            "messages" => &mut taken.0,
            "tools" => &mut taken.1,
            _ => {
                out.push(b',');
                write_string(key, &mut out);
                out.push(b':');
                out.extend_from_slice(value.get().as_bytes());
                continue;
            }
        };
        if std::mem::replace(seen, true) {
            return Err(Reject::DuplicateKey);
        }
    }
    out.push(b'}');
    Ok(out)
}

fn push_joined(values: &[&RawValue], out: &mut Vec<u8>) {
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value.get().as_bytes());
    }
}

#[derive(serde::Deserialize)]
struct Role<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::record::{FieldDefaults, normalise};

    fn converted(row: &str) -> Result<String, Reject> {
        let json = record_of(row.as_bytes()).expect("a chat row")?;
        let defaults = FieldDefaults { workload: Some("w"), ..FieldDefaults::default() };
        normalise(&json, &defaults).map(|record| String::from_utf8(record.line).unwrap())
    }

    #[test]
    fn the_last_message_is_the_response() {
        let row = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"[[A]]"}],"source":"x"}"#;
        let want = r#"{"client_id":"","request":{"messages":[{"content":"s","role":"system"},{"content":"u","role":"user"}]},"response":{"choices":[{"message":{"content":"[[A]]","role":"assistant"}}]},"source":"x","timestamp":0,"workload_id":"w"}"#;
        assert_eq!(converted(row).unwrap(), want);
    }

    #[test]
    fn tools_belong_to_the_request_and_ids_stay_where_they_are() {
        let row = r#"{"timestamp":7,"workload_id":"mine","tools":[{"type":"function"}],"messages":[{"role":"user","content":"u"},{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]}"#;
        let line = converted(row).unwrap();
        assert!(line.contains(r#""role":"user"}],"tools":[{"type":"function"}]}"#), "{line}");
        assert!(line.contains(r#""timestamp":7,"workload_id":"mine""#), "{line}");
    }

    #[test]
    fn rows_without_an_answer_or_a_question_are_refused_with_a_reason() {
        for (row, reason) in [
            (r#"{"messages":[{"role":"user","content":"u"}]}"#, Reject::NoResponse),
            (r#"{"messages":[{"role":"assistant","content":"[[A]]"}]}"#, Reject::NoMessages),
            (r#"{"messages":[]}"#, Reject::NoMessages),
            (r#"{"messages":null}"#, Reject::NoMessages),
            (r#"{"messages":"u"}"#, Reject::NoMessages),
            (r#"{"messages":[{"role":"user","content":"u"},7]}"#, Reject::NoMessage),
            (r#"{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":null}]}"#, Reject::NoContent),
            (r#"{"messages":[],"messages":[{},{"content":"a"}]}"#, Reject::NoMessages),
            (r#"{"messages":[{},{"content":"a"}],"messages":[]}"#, Reject::DuplicateKey),
        ] {
            assert_eq!(converted(row), Err(reason), "{row}");
        }
    }

    #[test]
    fn other_lines_are_no_chat_rows() {
        for line in [
            r#"{"request":{"messages":[]},"messages":[]}"#,
            r#"{"text":"x"}"#,
            r#"[1]"#,
            r#"{"messages":["#,
            "",
            "\u{feff}",
        ] {
            assert!(record_of(line.as_bytes()).is_none(), "{line}");
        }
    }
}
