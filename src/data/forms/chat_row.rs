//! Chat rows: `{messages, tools?}` or, in the older form, `{messages, functions?}`, with the response as the last message.
//! Turns them into log records without checking these.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::data::forms::bare;
use crate::data::json::canonical::write_string;
use crate::data::json::edit::members;
use crate::data::json::members::Members;
use crate::data::reject::Reject;

/// Keys of the request, beside its messages.
const OF_REQUEST: [&str; 4] = ["system", "tools", "functions", "function_call"];

/// Returns the JSON of the record that a chat row stands for. `None` if the line has no `messages`, or a request or answer
/// beside them. Other keys than those of the request are kept.
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
    for key in OF_REQUEST {
        if let Some(value) = row.get(key).filter(|value| value.get() != "null") {
            push_member(key, value, &mut out);
        }
    }
    out.extend_from_slice(b"},\"response\":{\"choices\":[");
    out.extend_from_slice(choice(reply.get(), row)?.as_bytes());
    out.extend_from_slice(b"]}");
    let mut taken = Vec::new();
    for (key, value) in &row.0 {
        if key != "messages" && !OF_REQUEST.contains(&key.as_ref()) {
            push_member(key, value, &mut out);
        } else if taken.contains(&key) {
            return Err(Reject::DuplicateKey);
        } else {
            taken.push(key);
        }
    }
    out.push(b'}');
    Ok(out)
}

/// Returns the choice of the reply of a row. The reply or the row may say how the answer ended.
fn choice(reply: &str, row: &Members<'_>) -> Result<String, Reject> {
    let message = if reply.starts_with('{') { members(reply)? } else { members("{}")? };
    if message.get("done") == Some("false") {
        return Err(Reject::UnfinishedStream);
    }
    let in_row = |key: &str| row.get(key).map(RawValue::get).filter(|value| *value != "null");
    Ok(bare::choice(reply, |key| [message.get(key), in_row(key)].into_iter().flatten().collect()))
}

fn push_member(key: &str, value: &RawValue, out: &mut Vec<u8>) {
    out.push(b',');
    write_string(key, out);
    out.push(b':');
    out.extend_from_slice(value.get().as_bytes());
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
    use crate::data::forms::{self, Forms};
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
    fn functions_of_the_older_form_become_tools() {
        let function = r#"{"name":"f","parameters":{}}"#;
        let call = r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#;
        let asked = r#"{"role":"user","content":"u"}"#;
        let result = r#"{"role":"function","name":"f","content":"r"}"#;
        let answer = r#"{"role":"assistant","content":"[[A]]"}"#;
        let read = |row: String| {
            let defaults = FieldDefaults { workload: Some("w"), ..FieldDefaults::default() };
            let record = forms::read(row.as_bytes(), Forms::LoggedAndChatRows, |json| normalise(json, &defaults))?;
            Ok(serde_json::from_slice::<serde_json::Value>(&record.line).unwrap())
        };
        for (messages, beside) in [
            (format!("{asked},{call}"), ""),
            (format!("{asked},{call},{result},{answer}"), ""),
            (format!("{asked},{answer}"), r#","function_call":"auto""#),
        ] {
            let record = read(format!(r#"{{"messages":[{messages}],"functions":[{function}]{beside}}}"#)).unwrap();
            let tools = serde_json::json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
            assert_eq!(record["request"]["tools"], tools, "{record}");
            assert_eq!(record["request"]["tool_choice"] == "auto", !beside.is_empty(), "{record}");
            let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["client_id", "request", "response", "timestamp", "workload_id"]);
        }
        let both =
            read(format!(r#"{{"messages":[{asked},{answer}],"functions":[{function}],"tools":[{{"x":1}}]}}"#)).unwrap();
        assert_eq!(both["request"]["tools"], serde_json::json!([{"x": 1}]), "the newer form counts");
        let twice = format!(r#"{{"messages":[{asked},{answer}],"functions":[],"functions":[]}}"#);
        assert_eq!(read(twice), Err(Reject::DuplicateKey));
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
    fn an_answer_that_did_not_end_is_none_wherever_the_row_says_so() {
        let row = |reply: &str, beside: &str| {
            converted(&format!(
                r#"{{"messages":[{{"role":"user","content":"u"}},{{"role":"assistant","content":"[[A]]"{reply}}}]{beside}}}"#
            ))
        };
        for (reply, beside, reason) in [
            (r#","finish_reason":"content_filter""#, "", Reject::FilteredAnswer),
            (r#","stop_reason":"error""#, "", Reject::FailedAnswer),
            (r#","error":"reset""#, "", Reject::FailedAnswer),
            (r#","done":false"#, "", Reject::UnfinishedStream),
            ("", r#","finish_reason":"content_filter""#, Reject::FilteredAnswer),
            ("", r#","error":{"code":502}"#, Reject::FailedAnswer),
            (r#","finish_reason":"perhaps""#, r#","finish_reason":"stop""#, Reject::UnknownEnding),
        ] {
            assert_eq!(row(reply, beside), Err(reason), "{reply} {beside}");
        }
        for (reply, beside) in [(r#","stop_reason":"end_turn""#, ""), ("", r#","error":null,"done":false"#)] {
            assert!(row(reply, beside).is_ok(), "{reply} {beside}");
        }
        let cut = row(r#","finish_reason":"length""#, "").unwrap();
        assert!(cut.contains(r#""finish_reason":"length""#), "{cut}");
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
