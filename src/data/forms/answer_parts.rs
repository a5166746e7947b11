//! Answers whose content is a list of parts. Joins the texts, and keeps thoughts apart from them. Other parts, such as
//! images, are refused: no dataset can hold them.

use serde_json::Value;

use crate::data::json::edit::{edit, edit_items, members};
use crate::data::reject::Reject;

/// The content of an answer, put together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct JoinedParts {
    pub(super) text: String,
    pub(super) thoughts: String,
}

/// Returns the JSON of the record with a text as the content of every choice. `None` if a content is no list of texts.
pub(crate) fn record_of(json: &[u8]) -> Option<Result<Vec<u8>, Reject>> {
    let text = std::str::from_utf8(json).ok()?;
    let record = edit(text, &mut |key, value| match key {
        "response" => edit(value, &mut |key, value| match key {
            "choices" if value.starts_with('[') => edit_items(value, &mut |_, choice| {
                edit(choice, &mut |key, value| if key == "message" { message(value) } else { Ok(value.to_owned()) })
            }),
            _ => Ok(value.to_owned()),
        }),
        _ => Ok(value.to_owned()),
    });
    Some(record.map(String::into_bytes))
}

fn message(json: &str) -> Result<String, Reject> {
    if !json.starts_with('{') {
        return Ok(json.to_owned());
    }
    let mut message = members(json)?;
    let Some(content) = message.get("content").filter(|content| content.starts_with('[')) else {
        return Ok(json.to_owned());
    };
    let parts: Vec<Value> = serde_json::from_str(content).map_err(|_| Reject::BadContent)?;
    let joined = joined(&parts).ok_or(Reject::BadContent)?;
    message.set("content", Value::from(joined.text).to_string());
    if !joined.thoughts.is_empty() && message.get("reasoning_content").is_none() {
        message.set("reasoning_content", Value::from(joined.thoughts).to_string());
    }
    Ok(message.to_json())
}

/// Joins the texts of the parts of an answer. `None` if a part is neither a text nor a thought.
pub(super) fn joined(parts: &[Value]) -> Option<JoinedParts> {
    let mut all = JoinedParts::default();
    for part in parts {
        let text = |key: &str| part.get(key).and_then(Value::as_str);
        match part.get("type").and_then(Value::as_str) {
            // Anthropic withholds some thoughts and sends them encrypted.
            Some("redacted_thinking") => {}
            // Mistral nests the texts of a thought in a list.
            Some("thinking" | "reasoning") => match part.get("thinking").and_then(Value::as_array) {
                Some(inner) => all.thoughts.push_str(&joined(inner)?.text),
                None => all.thoughts.push_str(text("thinking").or(text("reasoning")).or(text("text"))?),
            },
            Some("text" | "output_text") => all.text.push_str(text("text")?),
            None => all.text.push_str(part.as_str().or(text("text"))?),
            Some(_) => return None,
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(content: &Value) -> Option<JoinedParts> {
        joined(content.as_array().unwrap())
    }

    fn both(text: &str, thoughts: &str) -> Option<JoinedParts> {
        Some(JoinedParts { text: text.to_owned(), thoughts: thoughts.to_owned() })
    }

    #[test]
    fn texts_are_joined_and_thoughts_kept_apart() {
        assert_eq!(
            of(&json!([{"type": "text", "text": "[[[A"}, {"type": "text", "text": "]]]"}])),
            both("[[[A]]]", "")
        );
        assert_eq!(of(&json!([{"type": "output_text", "text": "a", "annotations": []}, "b"])), both("ab", ""));
        let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "a"}]);
        assert_eq!(of(&thinking), both("a", "hm"));
        let anthropic = json!([{"type": "thinking", "thinking": "hm"}, {"type": "redacted_thinking", "data": "x"}]);
        assert_eq!(of(&anthropic), both("", "hm"));
    }

    #[test]
    fn parts_that_are_no_text_are_refused() {
        for part in
            [json!({"type": "image_url", "image_url": {}}), json!({"type": "refusal", "refusal": "no"}), json!(1)]
        {
            assert_eq!(of(&json!([{"type": "text", "text": "a"}, part])), None, "{part}");
        }
    }
}
