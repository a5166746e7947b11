//! The answer of a model: the message of the first choice, and how it ended. An answer that did not end is none.

use super::{Malformed, Reply, fields, is_kind, optional_text, tool_calls};
use crate::data::json::tape::{JsonKind, JsonText, JsonValue, KeyName};
use crate::data::reject::Reject;
use crate::data::thoughts;

pub(super) const RESPONSE: [KeyName; 2] = [KeyName::new("choices"), KeyName::new("error")];
pub(super) const CHOICE: [KeyName; 3] = [KeyName::new("message"), KeyName::new("finish_reason"), KeyName::new("error")];
pub(super) const REPLY: [KeyName; 3] =
    [KeyName::new("content"), KeyName::new("tool_calls"), KeyName::new("function_call")];

/// Finish reasons of answers that a limit cut off, as OpenAI, Anthropic and Mistral name them.
const CUT: [&str; 4] = ["length", "max_tokens", "max_output_tokens", "model_length"];
/// Finish reasons of answers that a filter withheld, as OpenAI and Google name them.
const FILTERED: [&str; 5] = ["content_filter", "safety", "recitation", "blocklist", "prohibited_content"];
/// Finish reasons of answers that broke off, as OpenRouter and vLLM name them.
const FAILED: [&str; 3] = ["error", "abort", "cancelled"];

/// Reads the answer of a response.
pub(super) fn reply<'a>(response: Option<JsonValue<'_, 'a>>) -> Result<Reply<'a>, Reject> {
    let response = response.ok_or(Reject::NoResponse)?;
    if response.kind() != JsonKind::Object {
        return Err(Reject::BadResponse);
    }
    let [choices, error] = fields(response, RESPONSE)?;
    let first = choices.and_then(|choices| choices.items().next());
    let [message, finish_reason, own_error] = first.map_or(Ok([None; 3]), |first| fields(first, CHOICE))?;
    let ended_by = |reasons: &[&str]| {
        let reason = finish_reason.and_then(|reason| reason.text());
        reason.is_some_and(|reason| reasons.iter().any(|known| reason.read().eq_ignore_ascii_case(known)))
    };
    if error.is_some_and(is_error) || own_error.is_some_and(is_error) || ended_by(&FAILED) {
        return Err(Reject::FailedAnswer);
    }
    first.ok_or(Reject::NoChoices)?;
    if ended_by(&FILTERED) {
        return Err(Reject::FilteredAnswer);
    }
    let message = message.filter(|message| is_kind(message, JsonKind::Object)).ok_or(Reject::NoMessage)?;
    let [content, calls, old_call] = fields(message, REPLY)?;
    let content = optional_text(content, Reject::BadContent)?.filter(holds_answer);
    if old_call.is_some() {
        return Err(Reject::BadFunctionCall);
    }
    let (tool_calls, is_truncated) = (tool_calls(calls)?, ended_by(&CUT));
    match (&content, &tool_calls) {
        (None, Err(Malformed)) => Err(Reject::BadToolCalls),
        (None, Ok(calls)) if calls.is_empty() && is_truncated => Err(Reject::TruncatedAnswer),
        (None, Ok(calls)) if calls.is_empty() => Err(Reject::NoContent),
        _ => Ok(Reply { content, tool_calls, is_truncated }),
    }
}

/// Returns true if an `error` member tells of an error. Some loggers write an empty one.
fn is_error(error: JsonValue<'_, '_>) -> bool {
    match error.text() {
        Some(text) => !text.is_blank(),
        None => error.members().next().is_some(),
    }
}

fn holds_answer(content: &JsonText<'_>) -> bool {
    let (JsonText::Plain(written) | JsonText::Written(written)) = content;
    !content.is_blank() && (!thoughts::may_stand_in(written) || !thoughts::without(&content.read()).trim().is_empty())
}
