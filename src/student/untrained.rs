//! The untrained student. Finds the labels and the text in a prompt that it has never seen, and picks the label that
//! shares most n-grams with the text. Examples in the prompt count for their labels.

use super::conversation::{Message, last_user_text};
use super::overlap::{grams, shared_grams};
use super::reply::label_reply;
use super::shown::{self, ShownExample};
use super::size::StudentSize;

/// A line without a colon and with more words than this is an instruction, not a label.
const MAX_LABEL_WORDS: usize = 5;

/// The reply when the prompt lists no labels, or none of them shares anything with the text.
const NO_LABEL: &str = "I cannot tell which category this text belongs to.";

/// Returns the reply of the untrained student of `size`: a listed label in brackets, or prose when the prompt lists no
/// labels or none of them shares anything with the text.
pub fn untrained_reply(size: StudentSize, messages: &[Message]) -> String {
    let (system, asked): (Vec<&Message>, Vec<&Message>) = messages.iter().partition(|message| message.is_instruction());
    let last = last_user_text(messages);
    let mut labels: Vec<ListedLabel> = system.iter().flat_map(|message| labels(&message.content)).collect();
    let text = if labels.is_empty() {
        labels.extend(asked.iter().flat_map(|message| self::labels(&message.content)));
        without_labels(last)
    } else {
        last.to_string()
    };
    let text = grams(size, &text);
    let examples = shown::examples(messages);
    let nearness = shown::nearness(size, &examples, &text);
    let shown = examples.iter().filter_map(|example| example.label.as_deref());
    labels.extend(shown.map(|name| ListedLabel { name, description: "" }));
    let mut best: Option<(usize, &str)> = None;
    for label in &labels {
        let described = match size {
            StudentSize::Small => label.name.to_string(),
            StudentSize::Large => format!("{} {}", label.name, label.description),
        };
        let of_label =
            |(example, near): (&ShownExample, &usize)| (example.label.as_deref() == Some(label.name)).then_some(*near);
        let shown = examples.iter().zip(&nearness).filter_map(of_label).max().unwrap_or_default();
        let shared = shared_grams(size, &described, &text) + shown;
        if shared > best.map_or(0, |(most, _)| most) {
            best = Some((shared, label.name));
        }
    }
    // Where nothing has a label, the answer to the nearest example will do.
    let texts = examples.iter().zip(&nearness).filter(|_| labels.is_empty());
    let text =
        texts.filter(|(_, near)| **near > 0).max_by_key(|(_, near)| **near).map(|(example, _)| example.answer.clone());
    match best {
        Some((_, name)) => label_reply(name),
        None => text.unwrap_or_else(|| NO_LABEL.to_string()),
    }
}

/// A label that a prompt lists, with its description.
#[derive(Debug, PartialEq)]
struct ListedLabel<'a> {
    name: &'a str,
    description: &'a str,
}

/// Reads the labels from the `- LABEL` and `- LABEL: text` lines of `prompt`.
fn labels(prompt: &str) -> impl Iterator<Item = ListedLabel<'_>> {
    prompt.lines().filter_map(label)
}

fn label(line: &str) -> Option<ListedLabel<'_>> {
    let item = line.trim().strip_prefix("- ")?;
    let (name, description) = item.split_once(':').unwrap_or((item, ""));
    let name = name.trim().trim_matches(['*', '`', '"', '\'', '[', ']']).trim();
    let fits = name.split_whitespace().count() <= MAX_LABEL_WORDS && !name.ends_with('.');
    (fits && !name.is_empty()).then_some(ListedLabel { name, description: description.trim() })
}

/// Returns the text to classify of a message that also lists the labels: the part after the list, or the part before it
/// when nothing follows.
fn without_labels(message: &str) -> String {
    let lines: Vec<&str> = message.lines().collect();
    let Some(last) = lines.iter().rposition(|line| label(line).is_some()) else {
        return message.to_string();
    };
    let after = lines[last + 1..].join("\n");
    if after.chars().any(char::is_alphanumeric) {
        return after;
    }
    lines[..last].iter().filter(|line| label(line).is_none()).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "Classify the headline.\n- Earnings: results of a quarter\n- **Analyst Rating**: upgrades\n- Dividends\n\
        - Answer with exactly one of the labels above and nothing else.\nWrite [[[label]]].";

    fn ask(size: StudentSize, system: &str, user: &str) -> String {
        untrained_reply(size, &[Message::new("system", system), Message::new("user", user)])
    }

    #[test]
    fn the_label_that_shares_most_with_the_text_is_picked() {
        for size in [StudentSize::Small, StudentSize::Large] {
            assert_eq!(ask(size, SYSTEM, "Acme earnings beat"), "[[[Earnings]]]");
            assert_eq!(ask(size, SYSTEM, "ANALYST lifts its rating of Acme"), "[[[Analyst Rating]]]");
            assert_eq!(ask(size, SYSTEM, "Special dividend at Acme"), "[[[Dividends]]]");
        }
    }

    #[test]
    fn only_the_large_one_reads_descriptions() {
        assert_eq!(ask(StudentSize::Large, SYSTEM, "Q4 upgrades"), "[[[Analyst Rating]]]");
        assert_eq!(ask(StudentSize::Small, SYSTEM, "Q4 upgrades"), NO_LABEL);
    }

    #[test]
    fn nothing_in_common_or_no_labels_is_answered_in_prose() {
        for size in [StudentSize::Small, StudentSize::Large] {
            assert_eq!(ask(size, SYSTEM, "Ж 99"), NO_LABEL);
            assert_eq!(ask(size, SYSTEM, ""), NO_LABEL);
            assert_eq!(ask(size, "Classify the headline.", "Acme earnings beat"), NO_LABEL);
            assert_eq!(untrained_reply(size, &[]), NO_LABEL);
        }
        assert_eq!(super::super::reply::bracketed_label(NO_LABEL), None);
    }

    #[test]
    fn a_user_message_may_hold_labels_and_text() {
        let list = "Classify earnings news into one of:\n- Earnings\n- Dividends\n";
        for user in [
            format!("{list}\nHeadline: dividend cut\n\nAnswer:"),
            format!("Text: dividend cut\nLabels:\n{}", &list[36..]),
        ] {
            let messages = [Message::new("user", user)];
            assert_eq!(untrained_reply(StudentSize::Small, &messages), "[[[Dividends]]]", "{messages:?}");
        }
    }

    #[test]
    fn examples_in_the_prompt_count_for_their_labels() {
        let taught = |examples: &str, user: &str| ask(StudentSize::Small, &format!("{examples}{SYSTEM}"), user);
        let examples = "user: Acme lifts payout\nassistant: [[[Dividends]]]\n\nuser: Acme sales of autumn\nassistant: [[[Earnings]]]\n\n";
        assert_eq!(taught("", "Bolt lifts payout"), NO_LABEL);
        assert_eq!(taught(examples, "Bolt lifts payout"), "[[[Dividends]]]");
        // A label that no list names is known from its example.
        let alone = ask(StudentSize::Small, &format!("{examples}Classify."), "Bolt lifts payout");
        assert_eq!(alone, "[[[Dividends]]]");
        assert_eq!(taught(examples, "Ж 99"), NO_LABEL, "all examples are equally far");
    }

    #[test]
    fn without_labels_the_answer_to_the_nearest_example_is_given() {
        let examples =
            "user: profit of Acme\nassistant: Acme earns more.\n\nuser: court of Acme\nassistant: Acme is fined.\n\n";
        let asked = |prompt: &str, user: &str| ask(StudentSize::Small, &format!("{prompt}Sum up."), user);
        assert_eq!(asked(examples, "profit of Bolt"), "Acme earns more.");
        assert_eq!(asked("", "profit of Bolt"), NO_LABEL);
    }

    #[test]
    fn labels_are_read_from_their_lines_alone() {
        let names: Vec<&str> = labels(SYSTEM).map(|label| label.name).collect();
        assert_eq!(names, ["Earnings", "Analyst Rating", "Dividends"]);
        let others = labels("-5 %\n-\n- \n- : x\n* A\n  - [[[Indented]]] : b: c").collect::<Vec<_>>();
        assert_eq!(others, [ListedLabel { name: "Indented", description: "b: c" }]);
    }
}
