//! The answer of a model: the message of the first choice, and how it ended. An answer that did not end is none.

use super::{Malformed, Reply, fields, is_kind, optional_text, tool_calls};
use crate::data::json::tape::{JsonKind, JsonText, JsonValue, KeyName};
use crate::data::reject::Reject;
use crate::data::thoughts;

pub(super) const RESPONSE: [KeyName; 2] = [KeyName::new("choices"), KeyName::new("error")];
pub(super) const CHOICE: [KeyName; 3] = [KeyName::new("message"), KeyName::new("finish_reason"), KeyName::new("error")];
pub(super) const REPLY: [KeyName; 3] =
    [KeyName::new("content"), KeyName::new("tool_calls"), KeyName::new("function_call")];

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    /// A limit cut it off.
    Cut,
    /// A filter withheld it.
    Filtered,
    /// It broke off.
    Failed,
}

/// Finish reasons that servers are known to give, in lower case. Any other may stand for an answer that broke off.
const ENDINGS: [(Ending, &[&str]); 4] = [
    // OpenAI, Anthropic, Text Generation Inference and Cohere. Some servers give an empty one.
    (
        Ending::Whole,
        &[
            "",
            "stop",
            "tool_calls",
            "tool_call",
            "tool_use",
            "function_call",
            "end_turn",
            "stop_sequence",
            "eos",
            "eos_token",
            "complete",
            "completed",
            "done",
        ],
    ),
    // OpenAI, Anthropic and Mistral.
    (
        Ending::Cut,
        &["length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded", "incomplete"],
    ),
    // OpenAI, Google, Anthropic, Amazon, Cohere and Zhipu.
    (
        Ending::Filtered,
        &[
            "content_filter",
            "content_filtered",
            "safety",
            "image_safety",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "refusal",
            "guardrail_intervened",
            "error_toxic",
            "sensitive",
        ],
    ),
    // OpenRouter, vLLM, DeepSeek, Zhipu, Cohere and Google.
    (
        Ending::Failed,
        &[
            "error",
            "abort",
            "cancelled",
            "canceled",
            "user_cancel",
            "timeout",
            "network_error",
            "insufficient_system_resource",
            "malformed_function_call",
            "unexpected_tool_call",
            "language",
            "other",
        ],
    ),
];

/// Reads the answer of a response.
pub(super) fn reply<'a>(response: Option<JsonValue<'_, 'a>>) -> Result<Reply<'a>, Reject> {
    let response = response.ok_or(Reject::NoResponse)?;
    if response.kind() != JsonKind::Object {
        return Err(Reject::BadResponse);
    }
    let [choices, error] = fields(response, RESPONSE)?;
    let first = choices.and_then(|choices| choices.items().next());
    let [message, finish_reason, own_error] = first.map_or(Ok([None; 3]), |first| fields(first, CHOICE))?;
    let ending = finish_reason.map_or(Some(Ending::Whole), ending);
    let has_error = [error, own_error].iter().flatten().any(|error| tells_of_error(error.raw()));
    if has_error || ending == Some(Ending::Failed) {
        return Err(Reject::FailedAnswer);
    }
    first.ok_or(Reject::NoChoices)?;
    if ending == Some(Ending::Filtered) {
        return Err(Reject::FilteredAnswer);
    }
    let ending = ending.ok_or(Reject::UnknownEnding)?;
    let message = message.filter(|message| is_kind(message, JsonKind::Object)).ok_or(Reject::NoMessage)?;
    let [content, calls, old_call] = fields(message, REPLY)?;
    let content = optional_text(content, Reject::BadContent)?.filter(holds_answer);
    if old_call.is_some() {
        return Err(Reject::BadFunctionCall);
    }
    let (tool_calls, is_truncated) = (tool_calls(calls)?, ending == Ending::Cut);
    match (&content, &tool_calls) {
        (None, Err(Malformed)) => Err(Reject::BadToolCalls),
        (None, Ok(calls)) if calls.is_empty() && is_truncated => Err(Reject::TruncatedAnswer),
        (None, Ok(calls)) if calls.is_empty() => Err(Reject::NoContent),
        _ => Ok(Reply { content, tool_calls, is_truncated }),
    }
}

/// Returns how an answer with this finish reason ended. `None` if it cannot be told.
fn ending(reason: JsonValue<'_, '_>) -> Option<Ending> {
    ending_of(&reason.text()?.read())
}

fn ending_of(reason: &str) -> Option<Ending> {
    let is_known = |(_, reasons): &&(_, &[&str])| reasons.iter().any(|known| reason.eq_ignore_ascii_case(known));
    ENDINGS.iter().find(is_known).map(|(ending, _)| *ending)
}

/// Returns true for a finish reason of a whole answer.
pub(crate) fn is_whole(reason: &str) -> bool {
    ending_of(reason) == Some(Ending::Whole)
}

/// Returns true if an `error` member, as it is written, tells of an error. Some loggers write an empty one.
pub(crate) fn tells_of_error(json: &str) -> bool {
    let inside = ['{', '[', '"'].iter().find_map(|opens| json.strip_prefix(*opens));
    match inside {
        Some(inside) => !inside[..inside.len().saturating_sub(1)].trim().is_empty(),
        None => !matches!(json, "null" | "false" | "0"),
    }
}

fn holds_answer(content: &JsonText<'_>) -> bool {
    let (JsonText::Plain(written) | JsonText::Written(written)) = content;
    !content.is_blank() && (!thoughts::may_stand_in(written) || !thoughts::without(&content.read()).trim().is_empty())
}
