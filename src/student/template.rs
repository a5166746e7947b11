//! What of a conversation is text and what is instruction. Owns telling the two apart over a training set and taking the
//! instruction away again from a single conversation; knows nothing of labels or features.

use std::collections::{BTreeMap, BTreeSet};

use super::Message;
use super::features::hash;

/// A line is instruction when this share of the training rows has it: every row, but for a stray row of another shape.
const SHARED_BY: f64 = 0.9;
/// A line of a system message is instruction much sooner: several versions of a prompt may stand in one log.
const SHARED_BY_SYSTEM: f64 = 0.1;

/// What stands around the text in a training set's conversations.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Template {
    /// Hashes of the lines that carry no information, by role.
    pub(super) lines: BTreeSet<u64>,
    /// What the remaining text begins with in (nearly) every row.
    pub(super) prefix: String,
    /// What the remaining text ends with in (nearly) every row.
    pub(super) suffix: String,
}

impl Template {
    /// Finds the lines that (nearly) all conversations share, and what the rest of them begins and ends with.
    pub(super) fn of(rows: &[&[Message]]) -> Template {
        let mut counts: BTreeMap<u64, (usize, bool)> = BTreeMap::new();
        for row in rows {
            let lines: BTreeMap<u64, bool> =
                lines(row).map(|(message, line)| (line_key(message, line), is_system(message))).collect();
            for (key, system) in lines {
                counts.entry(key).or_insert((0, system)).0 += 1;
            }
        }
        let needed = |system| share(rows.len(), if system { SHARED_BY_SYSTEM } else { SHARED_BY });
        let lines = counts.into_iter().filter(|(_, (n, system))| *n >= needed(*system)).map(|(key, _)| key).collect();
        let mut template = Template { lines, ..Template::default() };

        let mut texts: Vec<String> = rows.iter().map(|row| template.text(row)).collect();
        template.prefix = common_start(&mut texts);
        let mut reversed: Vec<String> = texts
            .iter()
            .map(|text| text.strip_prefix(&template.prefix).unwrap_or(text).chars().rev().collect())
            .collect();
        template.suffix = common_start(&mut reversed).chars().rev().collect();
        template
    }

    /// The text of `messages` without what stands in every training row.
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

/// The lines that hold something, trimmed, with the message that they stand in.
fn lines(messages: &[Message]) -> impl Iterator<Item = (&Message, &str)> {
    messages
        .iter()
        .flat_map(|message| message.content.lines().map(move |line| (message, line.trim())))
        .filter(|(_, line)| !line.is_empty())
}

fn is_system(message: &Message) -> bool {
    matches!(message.role.as_str(), "system" | "developer")
}

fn line_key(message: &Message, line: &str) -> u64 {
    hash(if is_system(message) { 1 } else { 0 }, line.as_bytes())
}

/// How many of `rows` make up `part` of them: at least two, or all when there are fewer.
fn share(rows: usize, part: f64) -> usize {
    ((rows as f64 * part).ceil() as usize).clamp(rows.min(2), rows.max(1)).max(1)
}

/// The longest start, up to the end of a word, that (nearly) all texts share. Sorts them.
fn common_start(texts: &mut [String]) -> String {
    texts.sort_unstable();
    let together = share(texts.len(), SHARED_BY);
    let longest = texts.windows(together).map(|run| shared_start(&run[0], &run[together - 1])).max_by_key(|s| s.len());
    longest.unwrap_or_default().to_string()
}

/// The start that `a` and `b` share, cut after its last character that is not part of a word.
fn shared_start<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    let shared = &a[..same.unwrap_or(a.len().min(b.len()))];
    if shared.len() == a.len() && a.len() == b.len() {
        return shared;
    }
    shared.trim_end_matches(|c: char| c.is_alphanumeric())
}
