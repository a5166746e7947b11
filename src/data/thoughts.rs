//! Thoughts that a model wrote into its answer, between `<think>` and `</think>`. They are no part of the answer. Knows
//! texts, not records.

use std::borrow::Cow;

use memchr::memmem;

/// The names of the tags of thoughts, in any case: of models, and of prompts that ask for thoughts.
const NAMES: [&str; 6] = ["think>", "thinking>", "thought>", "thoughts>", "reasoning>", "seed:think>"];
/// Other marks that begin and end thoughts, as Mistral, Kimi and gpt-oss write them.
const MARKS: [[&str; 2]; 3] = [
    ["[THINK]", "[/THINK]"],
    ["\u{25c1}think\u{25b7}", "\u{25c1}/think\u{25b7}"],
    ["<|channel|>analysis<|message|>", "<|channel|>final<|message|>"],
];
/// A word of each mark.
const WORDS: [&str; 4] = ["think", "thought", "reasoning", "channel|"];

/// Returns true if a text may hold thoughts. Also sees marks whose brackets are written as JSON escapes.
pub(crate) fn may_stand_in(text: &str) -> bool {
    // The first byte of each mark that is no square bracket, and of an escape. Labels are full of square brackets.
    let has_mark = || memchr::memchr3(b'<', b'\\', 0xe2, text.as_bytes()).is_some();
    if !has_mark() && memmem::find(text.as_bytes(), b"THINK]").is_none() {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

/// Returns the pieces of a text outside of its thoughts, in order. An unclosed thought reaches to the end. What stands
/// before a closing mark without an opening one is a thought, because some prompts end with the opening mark.
pub(crate) fn pieces_outside(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut is_thought) = (0, false);
    for (at, _) in text.match_indices(['<', '[', '\u{25c1}']) {
        let Some((closes, length)) = mark_at(text, at) else { continue };
        match (is_thought, closes) {
            (false, false) => {
                pieces.push(&text[start..at]);
                is_thought = true;
            }
            (false, true) => pieces.clear(),
            (true, true) => is_thought = false,
            (true, false) => {}
        }
        if closes {
            start = at + length;
        }
    }
    if !is_thought {
        pieces.push(&text[start..]);
    }
    pieces
}

/// Returns whether the mark at a place of a text closes a thought, and its length. `None` if no mark stands there.
fn mark_at(text: &str, at: usize) -> Option<(bool, usize)> {
    let rest = &text[at..];
    if let Some((closes, mark)) = MARKS.iter().find_map(|marks| {
        let found = marks.iter().position(|mark| rest.starts_with(mark))?;
        Some((found == 1, marks[found]))
    }) {
        // A class may have this name. It stands in further brackets.
        let is_label = mark.starts_with('[') && (text[..at].ends_with('[') || rest[mark.len()..].starts_with(']'));
        return (!is_label).then_some((closes, mark.len()));
    }
    let inside = rest.strip_prefix('<')?;
    let (name, closes) = inside.strip_prefix('/').map_or((inside, false), |name| (name, true));
    let is_tag = |tag: &&&str| name.get(..tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(tag));
    let tag = NAMES.iter().find(is_tag)?;
    Some((closes, 1 + usize::from(closes) + tag.len()))
}

/// Returns a text without its thoughts. White space at the ends goes with them.
pub(crate) fn without(text: &str) -> Cow<'_, str> {
    if !may_stand_in(text) {
        return Cow::Borrowed(text);
    }
    match *pieces_outside(text) {
        [whole] if whole.len() == text.len() => Cow::Borrowed(text),
        [one] => Cow::Borrowed(one.trim()),
        ref pieces => Cow::Owned(pieces.concat().trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{may_stand_in, without};

    #[test]
    fn thoughts_are_no_part_of_the_answer() {
        for (text, answer) in [
            ("[[A]]", "[[A]]"),
            (" I think so ", " I think so "),
            (" a < b, <thinker> ", " a < b, <thinker> "),
            ("<think>maybe [[A]]</think>\n\n[[B]]", "[[B]]"),
            ("<thinking>maybe [[A]]</thinking>[[B]]", "[[B]]"),
            ("so [[A]] <think>or [[B]]", "so [[A]]"),
            ("<think>cut", ""),
            ("opened by the prompt [[A]]</think>[[B]]", "[[B]]"),
            ("one <think>x</think>two<think>y</think> three", "one two three"),
            ("<think>a <think>b</think> c</think> d", "d"),
            ("<think></think>", ""),
            ("<Think>maybe [[A]]</THINK>[[B]]", "[[B]]"),
            ("<thought>maybe [[A]]</thought>[[B]]", "[[B]]"),
            ("<reasoning>maybe [[A]]</reasoning>[[B]]", "[[B]]"),
            ("<seed:think>maybe [[A]]</seed:think>[[B]]", "[[B]]"),
            ("<Thinking>cut [[A]]", ""),
            ("[THINK]maybe [[A]][/THINK][[B]]", "[[B]]"),
            ("[THINK]cut [[A]]", ""),
            ("[[[THINK]]] and [[THINK]] and [think]", "[[[THINK]]] and [[THINK]] and [think]"),
            ("\u{25c1}think\u{25b7}maybe [[A]]\u{25c1}/think\u{25b7}[[B]]", "[[B]]"),
            (
                "<|channel|>analysis<|message|>maybe [[A]]<|end|><|start|>assistant<|channel|>final<|message|>[[B]]",
                "[[B]]",
            ),
            ("<|channel|>analysis<|message|>cut [[A]]", ""),
            ("<thoughtful> < \u{25c1} reasoning", "<thoughtful> < \u{25c1} reasoning"),
            ("a <\u{e9}\u{e9}\u{e9} thought", "a <\u{e9}\u{e9}\u{e9} thought"),
        ] {
            assert_eq!(without(text), answer, "{text}");
            let has_thoughts = text != answer;
            let json = serde_json::Value::from(text).to_string();
            for json in [json.replace('<', "\\u003c").replace('\u{25c1}', "\\u25c1"), json] {
                assert!(may_stand_in(&json) || !has_thoughts, "{json}");
            }
        }
        assert!(!may_stand_in(r#""I think [[[Reasoning]]]""#), "most answers are not looked at twice");
    }
}
