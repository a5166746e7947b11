//! Chooses tool calls. A trained student learns the function like a label and takes the arguments of the nearest training
//! row with that function, adapted to the text. An untrained one calls the function whose name and description share most
//! n-grams with the text.

use super::adapter::Adapter;
use super::arguments::{adapt, common_words, words};
use super::conversation::{Message, last_user_text};
use super::size::StudentSize;
use super::tool_call::{CallExample, Tool, ToolCall};
use super::untrained::{grams, shared_grams};

/// The training rows of one function that are compared with a text.
const MAX_COMPARED: usize = 512;

impl Adapter {
    /// Returns the calls that answer a conversation, of these tools only, with the arguments of the nearest training row
    /// adapted to the question. Returns none when the answer is a text, unless a call is `forced`.
    pub fn calls(&self, messages: &[Message], tools: &[Tool], forced: bool) -> Option<Vec<ToolCall>> {
        let scores = self.class_scores(messages);
        let mut classes: Vec<usize> = (0..scores.len()).collect();
        classes.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let text = last_user_text(messages);
        for class in classes {
            let mut of_class = self.call_examples.iter().filter(|kept| kept.class == class).peekable();
            let is_text = of_class.peek().is_none();
            if let Some(kept) = nearest(of_class.filter(|kept| kept.uses_only(tools)), text) {
                let adapted = |call: &ToolCall| ToolCall {
                    name: call.name.clone(),
                    arguments: adapt(&call.arguments, &kept.text, text),
                };
                return Some(kept.calls.iter().map(adapted).collect());
            }
            if is_text && !forced {
                return None;
            }
        }
        None
    }
}

/// Returns the row whose text shares the greatest part of its words with `text`, in the same order. The first of equals
/// wins.
fn nearest<'a>(rows: impl Iterator<Item = &'a CallExample>, text: &str) -> Option<&'a CallExample> {
    let asked = words(text);
    let mut best: Option<(f64, &CallExample)> = None;
    for kept in rows.take(MAX_COMPARED) {
        let others = words(&kept.text);
        let all = (asked.len() + others.len()).max(1);
        let likeness = 2.0 * common_words(&others, &asked).len() as f64 / all as f64;
        if best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, kept));
        }
    }
    best.map(|(_, kept)| kept)
}

/// Returns the call of the untrained student, without arguments. Returns none when no tool shares anything with the
/// user's last message, unless a call is `forced`.
pub fn untrained_call(size: StudentSize, messages: &[Message], tools: &[Tool], forced: bool) -> Option<ToolCall> {
    let text = grams(size, last_user_text(messages));
    let mut best: Option<(usize, &Tool)> = None;
    for tool in tools {
        let described = format!("{} {}", tool.name.replace(['_', '-', '.'], " "), tool.description);
        let shared = shared_grams(size, &described, &text);
        if (shared > 0 || forced) && best.is_none_or(|(most, _)| shared > most) {
            best = Some((shared, tool));
        }
    }
    best.map(|(_, tool)| ToolCall { name: tool.name.clone(), arguments: "{}".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::{Example, TrainOptions, calls_as_reply, train};
    use super::*;
    use std::ops::ControlFlow;

    #[test]
    fn what_is_saved_calls_the_same() {
        let example = |at: usize| {
            let (name, text) = [("quote", "price of"), ("chart", "history of")][at % 2];
            let calls = vec![ToolCall { name: name.to_owned(), arguments: format!("{{\"symbol\":\"S{at}\"}}") }];
            let messages = vec![Message::new("user", format!("{text} S{at} today"))];
            Example { messages, reply: calls_as_reply(&calls), calls }
        };
        let rows: Vec<Example> = (0..20).map(example).collect();
        let on = &mut |_: &_| ControlFlow::Continue(());
        let adapter = train(StudentSize::Small, &rows, &[], &TrainOptions::default(), on).unwrap();
        let read = Adapter::from_bytes(&adapter.to_bytes()).unwrap();
        assert_eq!(read, adapter);
        let tools = ["quote", "chart"].map(|name| Tool { name: name.into(), description: String::new() });
        let asked = [Message::new("user", "history of XY today")];
        let expected = ToolCall { name: "chart".into(), arguments: "{\"symbol\":\"XY\"}".into() };
        assert_eq!(read.calls(&asked, &tools, false), Some(vec![expected]));
        // A call uses only the tools that are offered.
        assert_eq!(read.calls(&asked, &tools[..1], false).unwrap()[0].name, "quote");
        assert_eq!(read.calls(&asked, &[], true), None);
    }
}
