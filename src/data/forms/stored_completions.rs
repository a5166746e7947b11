//! Stored completions of OpenAI: completions that hold their request's messages, alone or in the pages of the API. Makes a
//! record of each. A line of another form stays as it is, for the rules to refuse.

use crate::data::json::edit::{edit_items, items, members};
use crate::data::json::members::write_object;
use crate::data::reject::Reject;

/// The parameters of a request that a stored completion repeats.
const OF_REQUEST: [&str; 8] = [
    "tools",
    "tool_choice",
    "response_format",
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
];

/// Appends the records of a line, each on a line and the last without an end.
pub(crate) fn write(line: &[u8], out: &mut Vec<u8>) {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let page = members(text).ok().filter(|page| page.get("choices").is_none());
    let completions = page.as_ref().and_then(|page| page.get("data")).and_then(|data| items(data).ok());
    for (n, completion) in completions.iter().flatten().enumerate() {
        if n > 0 {
            out.push(b'\n');
        }
        out.extend(record(completion.get()).unwrap_or_else(|| completion.get().into()));
    }
    if completions.is_none() {
        out.extend(record(text).unwrap_or_else(|| line.to_vec()));
    }
}

/// Returns the record of a stored completion.
fn record(completion: &str) -> Option<Vec<u8>> {
    let mut response = members(completion).ok()?;
    response.get("choices")?;
    let mut request = members("{}").ok()?;
    let mut move_to_request = |key: &str, value: Option<String>| {
        value.into_iter().for_each(|value| request.set(key, value));
    };
    let taken = |key: &str| response.get(key).map(str::to_owned);
    move_to_request("model", taken("model"));
    move_to_request("messages", taken("messages").map(|list| messages(&list).unwrap_or(list)));
    OF_REQUEST.iter().for_each(|key| move_to_request(key, taken(key)));
    let others = [("timestamp", taken("created")), ("client_id", taken("input_user")), ("metadata", taken("metadata"))];
    ["messages", "input_user", "metadata"].iter().chain(&OF_REQUEST).for_each(|key| response.remove(key));
    let mut fields: Vec<(&str, String)> = others.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    fields.extend([("request", request.to_json()), ("response", response.to_json())]);
    let mut out = Vec::new();
    write_object(fields.iter().map(|(key, value)| (*key, value.as_bytes())), &mut out);
    Some(out)
}

/// Returns the messages as they were sent. `None` if this is no whole list of them.
fn messages(list: &str) -> Option<String> {
    let page = members(list).ok();
    let data = match &page {
        // Of a conversation only a part is known.
        Some(page) if page.get("has_more") == Some("true") => return None,
        Some(page) => page.get("data")?,
        None => list,
    };
    edit_items(data, &mut |_, message| Ok::<_, Reject>(as_sent(message).unwrap_or_else(|| message.to_owned()))).ok()
}

/// Returns a message without what the API adds to it.
fn as_sent(message: &str) -> Option<String> {
    let mut message = members(message).ok()?;
    if let Some(parts) = message.get("content_parts").map(str::to_owned) {
        message.set("content", parts);
    }
    for key in ["id", "content_parts"] {
        message.remove(key);
    }
    if message.get("name").is_none() {
        message.remove("name");
    }
    Some(message.to_json())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(line: &Value) -> Vec<Value> {
        let mut out = Vec::new();
        write(line.to_string().as_bytes(), &mut out);
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn completion(messages: &Value) -> Value {
        json!({"object": "chat.completion", "id": "c", "model": "m", "created": 5, "input_user": "desk", "tools": null,
            "temperature": 0, "metadata": {"app": "news"}, "choices": [{"message": {"content": "A"}}], "messages": messages})
    }

    #[test]
    fn lists_and_pages_of_completions_give_the_same_records() {
        let sent = json!([{"role": "user", "content": "u"}]);
        let stored = json!([{"id": "c-0", "role": "user", "content": "u", "name": null, "content_parts": null}]);
        let page = |data: &Value| json!({"object": "list", "data": data, "has_more": false});
        let want = json!({"timestamp": 5, "client_id": "desk", "metadata": {"app": "news"},
            "request": {"model": "m", "messages": sent, "temperature": 0},
            "response": {"object": "chat.completion", "id": "c", "model": "m", "created": 5,
                "choices": [{"message": {"content": "A"}}]}});
        for messages in [&sent, &stored, &page(&stored)] {
            assert_eq!(written(&completion(messages)), std::slice::from_ref(&want), "{messages}");
            let both = json!([completion(messages), completion(messages)]);
            assert_eq!(written(&page(&both)), [want.clone(), want.clone()]);
        }
        let parts = json!([{"type": "text", "text": "u"}]);
        let stored = json!([{"role": "user", "content": "u", "name": "n", "content_parts": parts}]);
        let message = json!({"role": "user", "content": parts, "name": "n"});
        assert_eq!(written(&completion(&stored))[0]["request"]["messages"], json!([message]));
    }

    #[test]
    fn a_part_of_a_conversation_is_no_conversation() {
        let part = json!({"object": "list", "data": [{"role": "user", "content": "u"}], "has_more": true});
        assert!(written(&completion(&part))[0]["request"]["messages"].is_object());
        for other in [json!({"a": 1}), json!({"data": 1}), json!([1]), json!({"data": [{"a": 1}, 2]})] {
            let mut out = Vec::new();
            write(other.to_string().as_bytes(), &mut out);
            assert!(!String::from_utf8(out).unwrap().contains("request"), "{other}");
        }
    }
}
