//! The untrained student: picks, of the labels that the prompt lists, the one that shares most n-grams with the text to
//! classify. Owns finding labels and text in a prompt that it has never seen; learns nothing.

use super::features::{char_grams, hash, word_grams};
use super::reply::naming;
use super::{Message, Size};

/// A line without a colon that has more words than this is an instruction, not a label.
const MAX_LABEL_WORDS: usize = 5;

/// What is said when no listed label shares anything with the text, or none is listed.
const PROSE: &str = "I cannot tell which category this text belongs to.";

/// The reply of the untrained student of `size`: a listed label in brackets, or prose when the prompt lists no labels or
/// none of them has anything in common with the text.
pub fn base_reply(size: Size, messages: &[Message]) -> String {
    let (system, asked): (Vec<&Message>, Vec<&Message>) =
        messages.iter().partition(|message| matches!(message.role.as_str(), "system" | "developer"));
    let last = asked.iter().rev().find(|message| message.role == "user").map_or("", |message| message.content.as_str());
    let mut labels: Vec<Label> = system.iter().flat_map(|message| labels(&message.content)).collect();
    let text = if labels.is_empty() {
        labels.extend(asked.iter().flat_map(|message| self::labels(&message.content)));
        without_labels(last)
    } else {
        last.to_string()
    };
    let text = grams(size, &text);
    let mut best: Option<(usize, &str)> = None;
    for label in &labels {
        let described = match size {
            Size::Small => label.name.to_string(),
            Size::Large => format!("{} {}", label.name, label.description),
        };
        let shared = grams(size, &described).iter().filter(|gram| text.binary_search(gram).is_ok()).count();
        if shared > best.map_or(0, |(most, _)| most) {
            best = Some((shared, label.name));
        }
    }
    best.map_or_else(|| PROSE.to_string(), |(_, name)| naming(name))
}

/// A candidate: what to answer, and what the prompt says of it.
#[derive(Debug, PartialEq)]
struct Label<'a> {
    name: &'a str,
    description: &'a str,
}

/// The labels that the `- LABEL` and `- LABEL: text` lines of `prompt` name.
fn labels(prompt: &str) -> impl Iterator<Item = Label<'_>> {
    prompt.lines().filter_map(label)
}

fn label(line: &str) -> Option<Label<'_>> {
    let item = line.trim().strip_prefix("- ")?;
    let (name, description) = item.split_once(':').unwrap_or((item, ""));
    let name = name.trim().trim_matches(['*', '`', '"', '\'', '[', ']']).trim();
    let fits = name.split_whitespace().count() <= MAX_LABEL_WORDS && !name.ends_with('.');
    (fits && !name.is_empty()).then_some(Label { name, description: description.trim() })
}

/// What of a message that lists labels itself is to be classified: what follows the list, or what precedes it when nothing
/// does.
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

/// The distinct n-grams, in order, by which text and labels are compared.
pub(super) fn grams(size: Size, text: &str) -> Vec<u64> {
    let text = text.to_lowercase();
    let mut grams = Vec::new();
    word_grams(&text, (1, 1), &mut |gram| grams.push(hash(0, gram.as_bytes())));
    let runs = match size {
        Size::Small => (3, 3),
        Size::Large => (3, 5),
    };
    char_grams(&text, runs, &mut |gram| grams.push(hash(1, gram.as_bytes())));
    grams.sort_unstable();
    grams.dedup();
    grams
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "Classify the headline.\n- Earnings: results of a quarter\n- **Analyst Rating**: upgrades\n- Dividends\n\
        - Answer with exactly one of the labels above and nothing else.\nWrite [[[label]]].";

    fn ask(size: Size, system: &str, user: &str) -> String {
        base_reply(size, &[Message::new("system", system), Message::new("user", user)])
    }

    #[test]
    fn the_label_that_shares_most_with_the_text_is_picked() {
        for size in [Size::Small, Size::Large] {
            assert_eq!(ask(size, SYSTEM, "Acme earnings beat"), "[[[Earnings]]]");
            assert_eq!(ask(size, SYSTEM, "ANALYST lifts its rating of Acme"), "[[[Analyst Rating]]]");
            assert_eq!(ask(size, SYSTEM, "Special dividend at Acme"), "[[[Dividends]]]");
        }
    }

    #[test]
    fn only_the_large_one_reads_descriptions() {
        assert_eq!(ask(Size::Large, SYSTEM, "Q4 upgrades"), "[[[Analyst Rating]]]");
        assert_eq!(ask(Size::Small, SYSTEM, "Q4 upgrades"), PROSE);
    }

    #[test]
    fn nothing_in_common_or_no_labels_is_answered_in_prose() {
        for size in [Size::Small, Size::Large] {
            assert_eq!(ask(size, SYSTEM, "Ж 99"), PROSE);
            assert_eq!(ask(size, SYSTEM, ""), PROSE);
            assert_eq!(ask(size, "Classify the headline.", "Acme earnings beat"), PROSE);
            assert_eq!(base_reply(size, &[]), PROSE);
        }
        assert_eq!(super::super::reply::bracketed(PROSE), None);
    }

    #[test]
    fn a_user_message_may_hold_labels_and_text() {
        let list = "Classify earnings news into one of:\n- Earnings\n- Dividends\n";
        for user in [
            format!("{list}\nHeadline: dividend cut\n\nAnswer:"),
            format!("Text: dividend cut\nLabels:\n{}", &list[36..]),
        ] {
            let messages = [Message::new("user", user)];
            assert_eq!(base_reply(Size::Small, &messages), "[[[Dividends]]]", "{messages:?}");
        }
    }

    #[test]
    fn labels_are_read_from_their_lines_alone() {
        let names: Vec<&str> = labels(SYSTEM).map(|label| label.name).collect();
        assert_eq!(names, ["Earnings", "Analyst Rating", "Dividends"]);
        let others = labels("-5 %\n-\n- \n- : x\n* A\n  - [[[Indented]]] : b: c").collect::<Vec<_>>();
        assert_eq!(others, [Label { name: "Indented", description: "b: c" }]);
    }
}
