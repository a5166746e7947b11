//! Chooses tool calls. A trained student learns the function like a label and takes the arguments of the nearest training
//! row with that function, adapted to the text. An untrained one calls the function whose name and description share most
//! n-grams with the text.

use super::adapter::Adapter;
use super::arguments::{adapt, common_words, words};
use super::conversation::{Message, last_user_text};
use super::overlap::{grams, shared_grams};
use super::shown;
use super::size::StudentSize;
use super::tool_call::{CallExample, Tool, ToolCall};

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

/// Returns the call of the untrained student: with the arguments of the nearest example in the prompt that calls the
/// function, adapted to the question, or without arguments. Returns none when no tool shares anything with the user's last
/// message, unless a call is `forced`.
pub(crate) fn untrained_call(
    size: StudentSize,
    messages: &[Message],
    tools: &[Tool],
    forced: bool,
) -> Option<ToolCall> {
    let question = last_user_text(messages);
    let text = grams(size, question);
    let examples = shown::examples(messages);
    let nearness = shown::nearness(size, &examples, &text);
    // The nearest example of a function with its call. The first of equals wins.
    let nearest = |name: &str| {
        let calls = examples.iter().zip(&nearness).filter_map(|(example, near)| {
            let call = example.calls.iter().find(|call| call.name == name)?;
            Some((*near, example, call))
        });
        calls.rev().max_by_key(|(near, ..)| *near)
    };
    let mut best: Option<(usize, &Tool)> = None;
    for tool in tools {
        let described = format!("{} {}", tool.name.replace(['_', '-', '.'], " "), tool.description);
        let shared = shared_grams(size, &described, &text) + nearest(&tool.name).map_or(0, |(near, ..)| near);
        if (shared > 0 || forced) && best.is_none_or(|(most, _)| shared > most) {
            best = Some((shared, tool));
        }
    }
    best.map(|(_, tool)| {
        let arguments =
            nearest(&tool.name).map(|(_, example, call)| adapt(&call.arguments, &example.question, question));
        ToolCall { name: tool.name.clone(), arguments: arguments.unwrap_or_else(|| "{}".to_owned()) }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Example, TrainOptions, calls_as_reply, train};
    use super::*;
    use std::ops::ControlFlow;

    #[test]
    fn an_untrained_student_takes_functions_and_arguments_from_examples() {
        let tools = ["quote", "chart"].map(|name| Tool { name: name.into(), description: String::new() });
        let call = |system: &str| {
            let asked = [Message::new("system", system), Message::new("user", "what does XY cost today")];
            untrained_call(StudentSize::Small, &asked, &tools, true).unwrap()
        };
        let bare = call("Call one.");
        assert_eq!(
            (bare.name.as_str(), bare.arguments.as_str()),
            ("quote", "{}"),
            "the first, because a call is forced"
        );
        let example = |question: &str, name: &str| {
            format!(
                "user: {question}\nassistant: \ntool calls: [{{\"function\":{{\"name\":\"{name}\",\"arguments\":{{\"symbol\":\"AB\"}}}}}}]\n\n"
            )
        };
        let shown = format!(
            "{}{}Call one.",
            example("draw AB of last year", "quote"),
            example("what does AB cost today", "chart")
        );
        let taught = call(&shown);
        assert_eq!((taught.name.as_str(), taught.arguments.as_str()), ("chart", "{\"symbol\":\"XY\"}"));
    }

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
