//! Examples that stand in a prompt: conversations written as lines that begin with a role, each with the answer that it
//! got. An untrained student takes from them what it would otherwise learn in training.

use serde::Deserialize;

use super::conversation::Message;
use super::overlap::shared_grams;
use super::reply::bracketed_label;
use super::size::StudentSize;
use super::tool_call::ToolCall;

/// A question with its answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ShownExample {
    pub(super) question: String,
    /// The text of the answer.
    pub(super) answer: String,
    pub(super) label: Option<String>,
    pub(super) calls: Vec<ToolCall>,
}

/// The calls of a line, as a chat request writes them.
#[derive(Deserialize)]
struct ShownCall {
    function: ShownFunction,
}

#[derive(Deserialize)]
struct ShownFunction {
    name: String,
    #[serde(default)]
    arguments: serde_json::Value,
}

/// Reads the examples in the instructions of a prompt.
pub(super) fn examples(messages: &[Message]) -> Vec<ShownExample> {
    let mut found: Vec<ShownExample> = Vec::new();
    for message in messages.iter().filter(|message| message.is_instruction()) {
        let (mut question, mut answer): (Option<String>, Option<String>) = (None, None);
        let mut close = |question: &Option<String>, answer: &mut Option<String>| {
            if let (Some(question), Some(answer)) = (question, answer.take()) {
                let label = bracketed_label(&answer).map(str::to_owned);
                found.push(ShownExample { question: question.clone(), label, calls: calls(&answer), answer });
            }
        };
        for line in message.content.lines() {
            let role = line.split_once(": ").map(|(role, _)| role).unwrap_or(line.trim_end_matches(':'));
            if matches!(role, "user" | "assistant" | "system" | "developer" | "tool") || line.is_empty() {
                close(&question, &mut answer);
            }
            match line.split_once(": ") {
                Some(("user", asked)) => question = Some(asked.to_owned()),
                Some(("assistant", said)) => answer = Some(said.to_owned()),
                Some(("system" | "developer" | "tool", _)) => {}
                _ => {
                    if let Some(text) = answer.as_mut().or(question.as_mut()) {
                        text.push('\n');
                        text.push_str(line);
                    }
                }
            }
        }
        close(&question, &mut answer);
    }
    found
}

fn calls(answer: &str) -> Vec<ToolCall> {
    let line = answer.lines().find_map(|line| line.strip_prefix("tool calls: "));
    let calls: Vec<ShownCall> = line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let call = |call: ShownCall| {
        let arguments = match call.function.arguments {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        ToolCall { name: call.function.name, arguments }
    };
    calls.into_iter().map(call).collect()
}

/// Returns how much more each example shares with a text, whose grams these are, than the one that shares least.
pub(super) fn nearness(size: StudentSize, examples: &[ShownExample], text: &[u64]) -> Vec<usize> {
    let shared: Vec<usize> = examples.iter().map(|example| shared_grams(size, &example.question, text)).collect();
    let least = shared.iter().min().copied().unwrap_or_default();
    shared.into_iter().map(|shared| shared - least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_read_from_their_lines() {
        let prompt = "Earlier conversations:\n\nsystem: Sort.\n- A: x\nuser: first\nline\nassistant: hm\n[[[A]]]\n\n\
            user: call\nassistant: \ntool calls: [{\"function\":{\"name\":\"f\",\"arguments\":{\"n\":1}}}]\n\nSort.\n- A: x";
        let found = examples(&[Message::new("system", prompt), Message::new("user", "user: x\nassistant: [[B]]")]);
        let first = ShownExample {
            question: "first\nline".into(),
            answer: "hm\n[[[A]]]".into(),
            label: Some("A".into()),
            calls: Vec::new(),
        };
        let call = ToolCall { name: "f".into(), arguments: "{\"n\":1}".into() };
        let second = ("call", None, vec![call]);
        let [found_first, found_second] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(*found_first, first);
        assert_eq!((&*found_second.question, found_second.label.as_deref(), found_second.calls.clone()), second);
        assert!(
            examples(&[Message::new("system", "Sort.\n- A: x\nassistant: [[A]]")]).is_empty(),
            "without a question"
        );
    }
}
