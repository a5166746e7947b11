//! Calling tools: which function is called is learnt like a label, the arguments are those of the nearest training row that
//! called it, fitted to the text; untrained, the function is the one whose name and description share most with the text. Owns tools and
//! calls; what a request may choose is the server's business.

use super::adapter::Adapter;
use super::base::grams;
use super::{Message, Size, fitting};

/// Of one function so many training rows are compared with a text.
const MAX_COMPARED: usize = 512;

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The name of the function.
    pub name: String,
    /// Its arguments, an object as JSON text.
    pub arguments: String,
}

/// A function that may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
}

/// A training row that called tools, as far as an adapter keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Remembered {
    pub(super) class: usize,
    /// What was asked.
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
}

/// The class of a reply that makes these calls.
pub fn calls_as_reply(calls: &[ToolCall]) -> String {
    calls.iter().map(|call| call.name.as_str()).collect::<Vec<_>>().join(" + ")
}

impl Adapter {
    /// The calls that answer a conversation, of these tools only, with the arguments of the nearest training row fitted to
    /// what is asked; none when the answer is a text, which a call can be `forced` to replace.
    pub fn calls(&self, messages: &[Message], tools: &[Tool], forced: bool) -> Option<Vec<ToolCall>> {
        let scores = self.weights.scores(&self.vectorizer.row(&self.template.text(messages)));
        let mut classes: Vec<usize> = (0..scores.len()).collect();
        classes.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let text = asked(messages);
        for class in classes {
            let mut of_class = self.memory.iter().filter(|kept| kept.class == class).peekable();
            let is_text = of_class.peek().is_none();
            if let Some(kept) = nearest(of_class.filter(|kept| kept.fits(tools)), text) {
                let fit = |call: &ToolCall| ToolCall {
                    name: call.name.clone(),
                    arguments: fitting::fit(&call.arguments, &kept.text, text),
                };
                return Some(kept.calls.iter().map(fit).collect());
            }
            if is_text && !forced {
                return None;
            }
        }
        None
    }
}

impl Remembered {
    fn fits(&self, tools: &[Tool]) -> bool {
        self.calls.iter().all(|call| tools.iter().any(|tool| tool.name == call.name))
    }
}

/// The row whose text shares the greatest part of its words with this one, in the same order; the first of equals.
fn nearest<'a>(rows: impl Iterator<Item = &'a Remembered>, text: &str) -> Option<&'a Remembered> {
    let words = fitting::words(text);
    let mut best: Option<(f64, &Remembered)> = None;
    for kept in rows.take(MAX_COMPARED) {
        let others = fitting::words(&kept.text);
        let all = (words.len() + others.len()).max(1);
        let likeness = 2.0 * fitting::shared(&others, &words).len() as f64 / all as f64;
        if best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, kept));
        }
    }
    best.map(|(_, kept)| kept)
}

/// What was asked: the last message of the user.
pub(super) fn asked(messages: &[Message]) -> &str {
    messages.iter().rev().find(|message| message.role == "user").map_or("", |message| message.content.as_str())
}

/// The call of the untrained student: without arguments, and none when no tool shares anything with the last message of
/// the user, unless it is `forced`.
pub fn base_call(size: Size, messages: &[Message], tools: &[Tool], forced: bool) -> Option<ToolCall> {
    let text = grams(size, asked(messages));
    let mut best: Option<(usize, &Tool)> = None;
    for tool in tools {
        let described = format!("{} {}", tool.name.replace(['_', '-', '.'], " "), tool.description);
        let shared = grams(size, &described).iter().filter(|gram| text.binary_search(gram).is_ok()).count();
        if (shared > 0 || forced) && best.is_none_or(|(most, _)| shared > most) {
            best = Some((shared, tool));
        }
    }
    best.map(|(_, tool)| ToolCall { name: tool.name.clone(), arguments: "{}".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::{Example, TrainOptions, train};
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
        let adapter = train(Size::Small, &rows, &[], &TrainOptions::default(), on).unwrap();
        let read = Adapter::from_bytes(&adapter.to_bytes()).unwrap();
        assert_eq!(read, adapter);
        let tools = ["quote", "chart"].map(|name| Tool { name: name.into(), description: String::new() });
        let asked = [Message::new("user", "history of XY today")];
        let expected = ToolCall { name: "chart".into(), arguments: "{\"symbol\":\"XY\"}".into() };
        assert_eq!(read.calls(&asked, &tools, false), Some(vec![expected]));
        // Only what is offered is called.
        assert_eq!(read.calls(&asked, &tools[..1], false).unwrap()[0].name, "quote");
        assert_eq!(read.calls(&asked, &[], true), None);
    }
}
