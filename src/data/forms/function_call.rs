//! The older form of tool calling: `functions`, `function_call`, and messages of the role `function`. Turns them into
//! `tools`, `tool_calls` and messages of the role `tool`, as the API does itself.

use serde_json::{Value, json};

use crate::data::json::edit::{EditedObject, edit, edit_items, items, members};
use crate::data::reject::Reject;

/// Returns the JSON of the record in the newer form, or that a call or an answer to one is none.
pub(crate) fn record_of(json: &[u8]) -> Option<Result<Vec<u8>, Reject>> {
    let text = std::str::from_utf8(json).ok()?;
    let record = edit(text, &mut |key, value| match key {
        "request" => request(value),
        "response" => edit(value, &mut |key, value| match key {
            "choices" if value.starts_with('[') => edit_items(value, &mut |_, choice| {
                edit(choice, &mut |key, value| match (key, value) {
                    ("message", _) => reply(value),
                    ("finish_reason", "\"function_call\"") => Ok("\"tool_calls\"".to_owned()),
                    _ => Ok(value.to_owned()),
                })
            }),
            _ => Ok(value.to_owned()),
        }),
        _ => Ok(value.to_owned()),
    });
    Some(record.map(String::into_bytes))
}

fn request(json: &str) -> Result<String, Reject> {
    let mut request = members(json)?;
    if let Some(messages) = request.get("messages").filter(|messages| messages.starts_with('[')) {
        // Calls that no message has answered yet, with their ids.
        let mut open = Vec::new();
        let messages = edit_items(messages, &mut |n, message| self::message(n, message, &mut open))?;
        request.set("messages", messages);
    }
    let is_filled = |list: &str| list.starts_with('[') && items(list).is_ok_and(|items| !items.is_empty());
    let functions = request.get("functions").filter(|list| is_filled(list)).map(str::to_owned);
    if let Some(functions) = functions.filter(|_| !request.get("tools").is_some_and(is_filled)) {
        let tools = edit_items(&functions, &mut |_, function| {
            Ok(format!("{{\"type\":\"function\",\"function\":{function}}}"))
        })?;
        request.set("tools", tools);
        request.remove("functions");
        if let Some(choice) = request.get("function_call").map(str::to_owned) {
            let is_name = choice.starts_with('{');
            let choice = if is_name { format!("{{\"type\":\"function\",\"function\":{choice}}}") } else { choice };
            request.set("tool_choice", choice);
            request.remove("function_call");
        }
    }
    Ok(request.to_json())
}

fn message(place: usize, json: &str, open: &mut Vec<(String, String)>) -> Result<String, Reject> {
    if !json.starts_with('{') {
        return Ok(json.to_owned());
    }
    let mut message = members(json)?;
    if let Some(call) = newer_call(&mut message, &format!("call_{place}"))? {
        open.push(call);
    }
    if message.get("role") == Some("\"function\"") {
        let name = message.get("name").and_then(|name| serde_json::from_str::<String>(name).ok());
        let asked = open.iter().position(|(called, _)| name.as_ref() == Some(called)).ok_or(Reject::BadFunctionCall)?;
        let (_, id) = open.remove(asked);
        message.set("role", "\"tool\"".to_owned());
        message.set("tool_call_id", Value::from(id).to_string());
    }
    Ok(message.to_json())
}

fn reply(json: &str) -> Result<String, Reject> {
    if !json.starts_with('{') {
        return Ok(json.to_owned());
    }
    let mut message = members(json)?;
    newer_call(&mut message, "call_reply")?;
    Ok(message.to_json())
}

/// Turns the `function_call` of a message into a tool call with this id, and returns the name of its function.
fn newer_call(message: &mut EditedObject<'_>, id: &str) -> Result<Option<(String, String)>, Reject> {
    let Some(written) = message.get("function_call") else { return Ok(None) };
    let call: Value = serde_json::from_str(written).map_err(|_| Reject::BadFunctionCall)?;
    let name = call["name"].as_str().filter(|name| !name.is_empty()).ok_or(Reject::BadFunctionCall)?.to_owned();
    let calls: Value = message.get("tool_calls").and_then(|calls| serde_json::from_str(calls).ok()).unwrap_or_default();
    match calls.as_array().map_or(&[][..], Vec::as_slice) {
        [] => {
            let function = written.to_owned();
            message
                .set("tool_calls", format!("[{{\"id\":{},\"type\":\"function\",\"function\":{function}}}]", json!(id)));
        }
        // Some proxies write a call in both forms.
        [same] if same["function"] == call => {}
        _ => return Err(Reject::BadFunctionCall),
    }
    message.remove("function_call");
    Ok(Some((name, id.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::record::{FieldDefaults, Record};

    fn converted(line: &Value) -> Result<Value, Reject> {
        assert_eq!(Record::parse(line.to_string().as_bytes()).err(), Some(Reject::BadFunctionCall), "{line}");
        let json = record_of(line.to_string().as_bytes()).expect("text")?;
        Record::parse_with(&json, &FieldDefaults::default())?;
        Ok(serde_json::from_slice(&json).unwrap())
    }

    fn line(messages: Value, message: Value) -> Value {
        json!({"workload_id": "w", "request": {"messages": messages},
            "response": {"choices": [{"finish_reason": "function_call", "message": message}]}})
    }

    fn asked() -> Value {
        json!([{"role": "user", "content": "look up x"}])
    }

    #[test]
    fn calls_become_tool_calls_and_their_answers_name_them() {
        let call = |q: &str| json!({"name": "lookup", "arguments": format!("{{\"q\":\"{q}\"}}")});
        let messages = json!([
            {"role": "user", "content": "look up x and y"},
            {"role": "assistant", "content": null, "function_call": call("x")},
            {"role": "function", "name": "lookup", "content": "found x"},
            {"role": "assistant", "content": null, "function_call": call("y")},
            {"role": "function", "name": "lookup", "content": "found y"},
        ]);
        let mut record = line(messages, json!({"content": null, "function_call": call("z")}));
        record["request"]["functions"] = json!([{"name": "lookup", "parameters": {}}]);
        record["request"]["function_call"] = json!({"name": "lookup"});
        let newer = |id: &str, q: &str| json!([{"id": id, "type": "function", "function": call(q)}]);
        let record = converted(&record).unwrap();
        assert_eq!(
            record["request"],
            json!({
                "messages": [
                    {"role": "user", "content": "look up x and y"},
                    {"role": "assistant", "content": null, "tool_calls": newer("call_1", "x")},
                    {"role": "tool", "name": "lookup", "content": "found x", "tool_call_id": "call_1"},
                    {"role": "assistant", "content": null, "tool_calls": newer("call_3", "y")},
                    {"role": "tool", "name": "lookup", "content": "found y", "tool_call_id": "call_3"},
                ],
                "tools": [{"type": "function", "function": {"name": "lookup", "parameters": {}}}],
                "tool_choice": {"type": "function", "function": {"name": "lookup"}},
            })
        );
        let choice = json!({"finish_reason": "tool_calls", "message": {"content": null, "tool_calls": newer("call_reply", "z")}});
        assert_eq!(record["response"]["choices"], json!([choice]));
    }

    #[test]
    fn a_call_that_stands_in_both_forms_counts_once() {
        let call = json!({"name": "f", "arguments": "{}"});
        let both = json!({"content": null, "function_call": call, "tool_calls": [{"id": "a", "type": "function", "function": call}]});
        let record = converted(&line(asked(), both.clone())).unwrap();
        assert_eq!(record.pointer("/response/choices/0/message/tool_calls"), Some(&both["tool_calls"]));
    }

    #[test]
    fn what_is_no_call_or_answers_none_is_refused() {
        let answer = json!({"content": "x"});
        let call = json!({"name": "f", "arguments": "{}"});
        let with = |message: Value| json!([{"role": "user", "content": "u"}, message]);
        for line in [
            line(asked(), json!({"function_call": {"name": "", "arguments": "{}"}})),
            line(asked(), json!({"function_call": "f"})),
            line(
                asked(),
                json!({"function_call": call, "tool_calls": [{"function": {"name": "g", "arguments": "{}"}}]}),
            ),
            line(with(json!({"role": "function", "name": "f", "content": "r"})), answer.clone()),
            line(with(json!({"role": "assistant", "function_call": {"arguments": "{}"}})), answer),
        ] {
            assert_eq!(converted(&line), Err(Reject::BadFunctionCall), "{line}");
        }
    }
}
