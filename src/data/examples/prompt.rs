//! Writes examples as text, and puts them into the first system message of an eval row.

use std::sync::OnceLock;

use serde_json::Value;

use super::choice::fitting;
use super::twins::Asked;
use super::{ExampleRules, most_tokens, tokens};
use crate::data::json::canonical;
use crate::data::json::edit::{edit, edit_items, items};
use crate::data::reject::Reject;

/// The line before the examples.
const INTRODUCTION: &str = "Earlier conversations with the answers that they got, as examples:\n\n";

/// A training row as an example.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Example {
    /// The conversation and its answer.
    pub(crate) text: String,
    /// The conversation without its answer.
    pub(crate) asked: Asked,
    /// Counted when it is first asked for.
    tokens: OnceLock<u64>,
}

impl Example {
    /// Writes a training row as an example.
    pub(crate) fn of(row: &Value) -> Example {
        let messages = row["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let mut text: String = messages.iter().map(message).collect();
        text.push('\n');
        let asked = asked(messages.split_last().map_or(&[][..], |(_, before)| before));
        Example { text, asked, tokens: OnceLock::new() }
    }

    /// Returns the tokens that it takes in a prompt.
    pub(crate) fn tokens(&self) -> u64 {
        *self.tokens.get_or_init(|| tokens(&self.text))
    }
}

/// Returns how many of these examples a request has room for, in this order.
pub(crate) fn shown(request: &Value, examples: &[&Example], rules: &ExampleRules) -> usize {
    let asked = request_text(request);
    let texts = [asked.as_str(), INTRODUCTION].into_iter().chain(examples.iter().map(|example| example.text.as_str()));
    let most = texts.map(|text| most_tokens(text.len())).sum::<u64>() + rules.reserved_tokens;
    // Counting takes far longer than the rest of the choice, and most rows have more room than they can fill.
    if most <= rules.max_context_length {
        return examples.len();
    }
    let own = rules.reserved_tokens + tokens(&asked) + tokens(INTRODUCTION);
    fitting(examples.iter().map(|example| example.tokens()), rules.max_context_length.saturating_sub(own))
}

/// Returns what of a request takes room, as it was logged.
fn request_text(request: &Value) -> String {
    let messages = request["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut text: String = messages.iter().map(message).collect();
    text.extend(request.get("tools").filter(|tools| !tools.is_null()).map(Value::to_string));
    text
}

/// Returns what the messages of a request ask.
pub(crate) fn asked(messages: &[Value]) -> Asked {
    let whole: String = messages.iter().map(message).collect();
    Asked::new(question(messages), &whole)
}

/// Returns the last message of the user.
pub(crate) fn question(messages: &[Value]) -> String {
    messages
        .iter()
        .rfind(|message| message["role"] == "user")
        .map(|asked| content(&asked["content"]))
        .unwrap_or_default()
}

/// Returns an eval row with examples in front of its first system message, or in a new one. Without examples it stays as
/// it is.
///
/// # Errors
/// When the row is not one of an eval set.
pub(crate) fn with_examples(row: &str, examples: &[&Example]) -> Result<String, Reject> {
    if examples.is_empty() {
        return Ok(row.to_owned());
    }
    let shown: String = examples.iter().map(|example| example.text.as_str()).collect();
    let shown = format!("{INTRODUCTION}{shown}");
    edit(row, &mut |key, value| match key {
        "request" => edit(value, &mut |key, value| match key {
            "messages" => in_first_system_message(value, &shown),
            _ => Ok(value.to_owned()),
        }),
        _ => Ok(value.to_owned()),
    })
}

fn in_first_system_message(messages: &str, shown: &str) -> Result<String, Reject> {
    let is_system = |message: &Value| message["role"] == "system";
    let parsed: Vec<Value> = serde_json::from_str(messages).map_err(|_| Reject::InvalidJson)?;
    let Some(first) = parsed.iter().position(is_system) else {
        let own = format!("{{\"content\":{},\"role\":\"system\"}}", json(shown.trim_end()));
        let others = items(messages)?.into_iter().map(|message| message.get().to_owned());
        return Ok(format!("[{}]", std::iter::once(own).chain(others).collect::<Vec<_>>().join(",")));
    };
    edit_items(messages, &mut |at, message| match at == first {
        true => {
            edit(message, &mut |key, value| Ok(if key == "content" { before(value, shown) } else { value.to_owned() }))
        }
        false => Ok(message.to_owned()),
    })
}

/// Puts a text before a content, which is a text, a list of parts, or null.
fn before(content: &str, shown: &str) -> String {
    match serde_json::from_str(content) {
        Ok(Value::String(text)) => json(&format!("{shown}{text}")),
        Ok(Value::Array(parts)) => {
            let own = format!("{{\"text\":{},\"type\":\"text\"}}", json(shown));
            let others = parts.iter().map(Value::to_string);
            format!("[{}]", std::iter::once(own).chain(others).collect::<Vec<_>>().join(","))
        }
        _ => json(shown.trim_end()),
    }
}

/// Writes a message as lines of an example.
fn message(message: &Value) -> String {
    let role = message["role"].as_str().unwrap_or_default();
    let mut text = format!("{role}: {}\n", content(&message["content"]));
    if let Some(calls) =
        message.get("tool_calls").filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()))
    {
        text.push_str(&format!("tool calls: {calls}\n"));
    }
    text
}

/// Returns the text of a content. Parts that are no text are left out.
fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn json(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 16);
    canonical::write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
