//! Adapts the arguments of a known call to another text. Aligns the words of both texts; where they differ, a value of the
//! old text becomes the words of the new one.

use std::ops::Range;

use serde_json::Value;

/// The words that are read of a text.
const MAX_WORDS: usize = 64;

/// Splits a text into words. Numbers keep their decimal point.
pub(super) fn words(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '.'));
    words.map(|word| word.trim_matches('.')).filter(|word| !word.is_empty()).take(MAX_WORDS).collect()
}

/// Returns the positions of the longest common subsequence of the words of two texts.
pub(super) fn common_words(left: &[&str], right: &[&str]) -> Vec<(usize, usize)> {
    let same = |at: usize, other: usize| left[at].to_lowercase() == right[other].to_lowercase();
    let mut longest = vec![vec![0_u32; right.len() + 1]; left.len() + 1];
    for at in (0..left.len()).rev() {
        for other in (0..right.len()).rev() {
            longest[at][other] = if same(at, other) {
                longest[at + 1][other + 1] + 1
            } else {
                longest[at + 1][other].max(longest[at][other + 1])
            };
        }
    }
    let (mut at, mut other, mut pairs) = (0, 0, Vec::new());
    while at < left.len() && other < right.len() {
        if same(at, other) {
            pairs.push((at, other));
            at += 1;
            other += 1;
        } else if longest[at + 1][other] >= longest[at][other + 1] {
            at += 1;
        } else {
            other += 1;
        }
    }
    pairs
}

/// Adapts arguments that were right for the text `from` to the text `to`.
pub(super) fn adapt(arguments: &str, from: &str, to: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(arguments) else { return arguments.to_owned() };
    let (old, new) = (words(from), words(to));
    let pairs = common_words(&old, &new);
    for member in value.as_object_mut().into_iter().flatten().map(|(_, member)| member) {
        if let Some(adapted) = new_value(member, &old, &new, &pairs) {
            *member = adapted;
        }
    }
    value.to_string()
}

/// Returns the value of the new text where the old text has `value`. Returns none when the old text lacks it, or the
/// texts agree there.
fn new_value(value: &Value, old: &[&str], new: &[&str], pairs: &[(usize, usize)]) -> Option<Value> {
    let written = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let wanted = words(&written);
    let start = (0..=old.len().checked_sub(wanted.len())?).find(|&at| {
        !wanted.is_empty()
            && wanted.iter().zip(&old[at..]).all(|(word, other)| word.to_lowercase() == other.to_lowercase())
    })?;
    let (gap, instead) = gaps(start, old.len(), new.len(), pairs)?;
    let place = start..start + wanted.len();
    let instead = if gap == place {
        instead
    } else if gap.len() == instead.len() && place.end <= gap.end {
        instead.start + place.start - gap.start..instead.start + place.end - gap.start
    } else {
        return None;
    };
    let said = new[instead].join(" ");
    match value {
        Value::Number(_) => serde_json::from_str(&said).ok().filter(Value::is_number),
        _ if said.is_empty() => None,
        _ if written == written.to_lowercase() => Some(Value::String(said.to_lowercase())),
        _ if written == written.to_uppercase() => Some(Value::String(said.to_uppercase())),
        _ => Some(Value::String(said)),
    }
}

/// Returns the gap between common words that holds `at`, in the old text and in the new one. Returns none when `at` is a
/// common word.
fn gaps(at: usize, old: usize, new: usize, pairs: &[(usize, usize)]) -> Option<(Range<usize>, Range<usize>)> {
    let before = pairs.iter().rev().find(|(place, _)| *place <= at);
    if before.is_some_and(|(place, _)| *place == at) {
        return None;
    }
    let (start, other_start) = before.map_or((0, 0), |(place, other)| (place + 1, other + 1));
    let (end, other_end) = pairs.iter().find(|(place, _)| *place > at).copied().unwrap_or((old, new));
    Some((start..end, other_start..other_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_exchanged_where_the_texts_differ() {
        let cases = [
            (
                r#"{"symbol":"VLST","days":90}"#,
                "Chart VLST for 90 days",
                "Chart ORRD for 30 days",
                r#"{"symbol":"ORRD","days":30}"#,
            ),
            (r#"{"price":30.5}"#, "below 30.5.", "below 7", r#"{"price":7}"#),
            (r#"{"kind":"prospectus"}"#, "Prospectus documents", "Insider documents", r#"{"kind":"insider"}"#),
            (
                r#"{"topic":"bond auctions","hour":14}"#,
                "Briefing: bond auctions, at 14:00",
                "Briefing: freight, at 10:00",
                r#"{"topic":"freight","hour":10}"#,
            ),
            // Neighbouring words are exchanged one by one.
            (r#"{"from":"EUR","to":"USD"}"#, "convert EUR USD", "convert GBP JPY", r#"{"from":"GBP","to":"JPY"}"#),
            // A value stays when the text lacks it, still has it, or no longer has a number there.
            (
                r#"{"symbol":"WXDR","deep":{"a":1}}"#,
                "Watch Wexdera",
                "Watch Orrdon",
                r#"{"symbol":"WXDR","deep":{"a":1}}"#,
            ),
            (r#"{"days":90}"#, "for 90 days", "for ninety days", r#"{"days":90}"#),
            ("not json", "a", "b", "not json"),
            (r#"{"a":""}"#, "", "b", r#"{"a":""}"#),
        ];
        for (arguments, from, to, expected) in cases {
            assert_eq!(adapt(arguments, from, to), expected, "{from} -> {to}");
        }
    }
}
