//! Thoughts that a model wrote into its answer, between `<think>` and `</think>`. They are no part of the answer. Knows
//! texts, not records.

use std::borrow::Cow;

use memchr::memmem;

/// The tags of thoughts. Models that are prompted for thoughts write the longer word.
const NAMES: [&str; 2] = ["think>", "thinking>"];

/// Returns true if a text may hold thoughts. Also sees tags whose brackets are written as JSON escapes.
pub(crate) fn may_stand_in(text: &str) -> bool {
    memmem::find(text.as_bytes(), b"think").is_some()
}

/// Returns the pieces of a text outside of its thoughts, in order. An unclosed thought reaches to the end. What stands
/// before a closing tag without an opening one is a thought, because some prompts end with the opening tag.
pub(crate) fn pieces_outside(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut is_thought) = (0, false);
    for (at, _) in text.match_indices('<') {
        let rest = &text[at + 1..];
        let (name, closes) = rest.strip_prefix('/').map_or((rest, false), |name| (name, true));
        let Some(tag) = NAMES.iter().find(|tag| name.starts_with(**tag)) else { continue };
        let end = at + 1 + usize::from(closes) + tag.len();
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
            start = end;
        }
    }
    if !is_thought {
        pieces.push(&text[start..]);
    }
    pieces
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
    use super::without;

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
        ] {
            assert_eq!(without(text), answer, "{text}");
        }
    }
}
