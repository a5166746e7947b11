//! Texts as Python's evaluation scripts see them: white space, normalisation, exact match and token F1 (nemo-wire 6.4.1).

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::super::python;

/// A value as Python prints it.
pub(super) fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python::text(&python::wrapped(other)),
    }
}

/// A value as a prediction or ground truth: null is no text, and so empty. (The word `None` comes of a null that a
/// template printed.)
pub(super) fn answer(value: &Value) -> String {
    if value.is_null() { String::new() } else { printed(value) }
}

/// White space by Python's reckoning, which counts four control characters more.
pub(in crate::embedded::evaluator) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// Split where Python splits.
pub(super) fn words(text: &str) -> Vec<&str> {
    text.split(is_space).filter(|word| !word.is_empty()).collect()
}

/// The token F1 of the SQuAD evaluation script.
pub(super) fn token_f1(gold: &str, predicted: &str) -> f64 {
    let (gold, predicted) = (normalise(gold), normalise(predicted));
    let (gold, predicted) = (words(&gold), words(&predicted));
    if gold.is_empty() || predicted.is_empty() {
        return f64::from(u8::from(gold.is_empty() && predicted.is_empty()));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for token in &gold {
        *left.entry(token).or_default() += 1;
    }
    let mut same = 0;
    for token in &predicted {
        if let Some(count) = left.get_mut(token).filter(|count| **count > 0) {
            *count -= 1;
            same += 1;
        }
    }
    if same == 0 {
        return 0.0;
    }
    let precision = f64::from(same) / predicted.len() as f64;
    let recall = f64::from(same) / gold.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

/// Whether both are the same once normalised.
pub(super) fn exact_match(gold: &str, predicted: &str) -> bool {
    words(&normalise(gold)) == words(&normalise(predicted))
}

static ARTICLES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(a|an|the)\b").expect("the pattern is a constant and valid"));

/// Lower case, without ASCII punctuation (deleted, not replaced), articles blanked.
fn normalise(text: &str) -> String {
    let lower: String = text.to_lowercase().chars().filter(|letter| !letter.is_ascii_punctuation()).collect();
    ARTICLES.replace_all(&lower, " ").into_owned()
}
