//! Tells the text of a conversation from its instruction: learns the instruction from a training set and removes it from a
//! single conversation.

use std::collections::{BTreeMap, BTreeSet};

use super::conversation::Message;
use super::features::hash;

/// The share of the training rows that must have a line for it to be instruction. Allows a stray row of another shape.
const SHARED_BY: f64 = 0.9;
/// The share for lines of system messages. Low, because one log may hold several versions of a prompt.
const SHARED_BY_SYSTEM: f64 = 0.1;

/// The parts around the text in the conversations of a training set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PromptTemplate {
    /// Hashes of the lines that are instruction, by role.
    pub(super) lines: BTreeSet<u64>,
    /// The start that the remaining text has in (nearly) every row.
    pub(super) prefix: String,
    /// The end that the remaining text has in (nearly) every row.
    pub(super) suffix: String,
}

impl PromptTemplate {
    /// Finds the lines that (nearly) all conversations share, and the start and end of the remaining text.
    pub(super) fn of(rows: &[&[Message]]) -> PromptTemplate {
        let mut counts: BTreeMap<u64, (usize, bool)> = BTreeMap::new();
        for row in rows {
            let lines: BTreeMap<u64, bool> =
                lines(row).map(|(message, line)| (line_key(message, line), message.is_instruction())).collect();
            for (key, system) in lines {
                counts.entry(key).or_insert((0, system)).0 += 1;
            }
        }
        let needed = |system| share(rows.len(), if system { SHARED_BY_SYSTEM } else { SHARED_BY });
        let lines = counts.into_iter().filter(|(_, (n, system))| *n >= needed(*system)).map(|(key, _)| key).collect();
        let mut template = PromptTemplate { lines, ..PromptTemplate::default() };

        let mut texts: Vec<String> = rows.iter().map(|row| template.text(row)).collect();
        template.prefix = common_start(&mut texts);
        let mut reversed: Vec<String> = texts
            .iter()
            .map(|text| text.strip_prefix(&template.prefix).unwrap_or(text).chars().rev().collect())
            .collect();
        template.suffix = common_start(&mut reversed).chars().rev().collect();
        template
    }

    /// Returns the text of `messages` without the instruction.
    pub(super) fn text(&self, messages: &[Message]) -> String {
        let mut text = String::new();
        for (message, line) in lines(messages) {
            if !self.lines.contains(&line_key(message, line)) {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(line);
            }
        }
        let inner = text.strip_prefix(&self.prefix).unwrap_or(&text);
        inner.strip_suffix(&self.suffix).unwrap_or(inner).to_string()
    }
}

/// Returns the trimmed lines that are not empty, with their messages.
fn lines(messages: &[Message]) -> impl Iterator<Item = (&Message, &str)> {
    messages
        .iter()
        .flat_map(|message| message.content.lines().map(move |line| (message, line.trim())))
        .filter(|(_, line)| !line.is_empty())
}

fn line_key(message: &Message, line: &str) -> u64 {
    hash(if message.is_instruction() { 1 } else { 0 }, line.as_bytes())
}

/// Returns how many rows make up `part` of them: at least two, or all when there are fewer.
fn share(rows: usize, part: f64) -> usize {
    ((rows as f64 * part).ceil() as usize).clamp(rows.min(2), rows.max(1)).max(1)
}

/// Returns the longest start, up to the end of a word, that (nearly) all texts share. Sorts the texts.
fn common_start(texts: &mut [String]) -> String {
    texts.sort_unstable();
    let together = share(texts.len(), SHARED_BY);
    let longest = texts.windows(together).map(|run| shared_start(&run[0], &run[together - 1])).max_by_key(|s| s.len());
    longest.unwrap_or_default().to_string()
}

/// Returns the start that `a` and `b` share, cut at the end of a word.
fn shared_start<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    let shared = &a[..same.unwrap_or(a.len().min(b.len()))];
    if shared.len() == a.len() && a.len() == b.len() {
        return shared;
    }
    shared.trim_end_matches(|c: char| c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(system: &str, user: &str) -> Vec<Message> {
        vec![Message::new("system", system), Message::new("user", user)]
    }

    fn texts(rows: &[Vec<Message>]) -> Vec<String> {
        let borrowed: Vec<&[Message]> = rows.iter().map(Vec::as_slice).collect();
        let template = PromptTemplate::of(&borrowed);
        rows.iter().map(|row| template.text(row)).collect()
    }

    const HEADLINES: [&str; 4] = ["Acme profit up", "Borealis pays dividend", "Cobalt strike ends", "Acme — loss (Q1)"];

    #[test]
    fn what_every_row_has_is_dropped_whatever_the_prompt_looks_like() {
        let shapes: [fn(&str) -> Vec<Message>; 4] = [
            |text| asked("Classify.\n- A\n- B", &format!("Headline: {text}")),
            |text| asked("", &format!("Pick one of:\n- A\n- B\n\nHeadline: {text}\n\nAnswer:")),
            |text| asked("", &format!("What does the headline '{text}' report? Reply with [[[label]]].")),
            |text| asked("", text),
        ];
        for shape in shapes {
            assert_eq!(texts(&HEADLINES.map(shape)), HEADLINES);
        }
    }

    #[test]
    fn a_text_of_several_lines_stays_whole() {
        let rows = ["one\ntwo", "three\n\n  four", "five"].map(|text| asked("S", &format!("Text: {text}\nLabel:")));
        assert_eq!(texts(&rows), ["one\ntwo", "three\nfour", "five"]);
    }

    #[test]
    fn two_versions_of_a_system_prompt_are_both_instruction() {
        let rows: Vec<Vec<Message>> = (0..20)
            .map(|n| asked(if n % 3 == 0 { "Old words" } else { "New words" }, &format!("text {n} end{n}")))
            .collect();
        assert!(texts(&rows).iter().all(|text| !text.contains("words")), "{:?}", texts(&rows));
    }

    #[test]
    fn one_stray_row_does_not_bring_the_instruction_back() {
        let mut rows: Vec<Vec<Message>> = (10..40).map(|n| asked("S", &format!("Headline: a{n} b{n}"))).collect();
        rows.push(asked("other", "Please classify: stray"));
        let texts = texts(&rows);
        assert_eq!(texts[0], "a10 b10");
        assert_eq!(texts[30], "other\nPlease classify: stray");
    }

    #[test]
    fn a_prompt_that_lacks_the_instruction_is_all_text() {
        let rows = HEADLINES.map(|text| asked("S", &format!("Headline: {text}")));
        let borrowed: Vec<&[Message]> = rows.iter().map(Vec::as_slice).collect();
        assert_eq!(PromptTemplate::of(&borrowed).text(&[Message::new("user", "Delta profit")]), "Delta profit");
    }

    #[test]
    fn words_are_never_cut() {
        assert_eq!(texts(&["Acme rises", "Acme rose"].map(|text| asked("", text))), ["rises", "rose"]);
        assert_eq!(texts(&["Äpfel", "Äpfeln"].map(|text| asked("", text))), ["Äpfel", "Äpfeln"]);
    }

    #[test]
    fn rows_that_are_all_the_same_or_empty_leave_no_text() {
        assert_eq!(texts(&[asked("S", "same"), asked("S", "same")]), ["", ""]);
        assert_eq!(texts(&[asked("S", "only")]), [""]);
        assert_eq!(texts(&[vec![], vec![]]), ["", ""]);
        assert_eq!(PromptTemplate::of(&[]), PromptTemplate::default());
    }
}
