//! Texts as Python's evaluation scripts see them: white space, normalisation, exact match and token F1
//! (docs/nemo-api.md, Token F1 and exact match).

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::embedded::services::evaluator::python_values::{self, is_space};

/// Prints a value as Python does.
pub(crate) fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python_values::text(&python_values::wrapped(other)),
    }
}

/// Returns a value as prediction or ground truth. A null is empty; the word `None` comes from a null that a template
/// printed.
pub(crate) fn answer(value: &Value) -> String {
    if value.is_null() { String::new() } else { printed(value) }
}

/// Splits at white space, as Python does.
pub(crate) fn words(text: &str) -> Vec<&str> {
    text.split(is_space).filter(|word| !word.is_empty()).collect()
}

/// Returns the token F1 of the SQuAD evaluation script.
pub(crate) fn token_f1(gold: &str, predicted: &str) -> f64 {
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

/// Returns whether two texts are equal after normalisation.
pub(crate) fn exact_match(gold: &str, predicted: &str) -> bool {
    words(&normalise(gold)) == words(&normalise(predicted))
}

/// Words of Python's `\b`: neither accents that stand alone nor joiners belong to a word, but fractions do.
static WORDS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+").expect("the pattern is a constant and valid"));

/// Converts to lower case, deletes ASCII punctuation, and blanks articles.
fn normalise(text: &str) -> String {
    let lower: String = text.to_lowercase().chars().filter(|letter| !letter.is_ascii_punctuation()).collect();
    let without = |word: &Captures<'_>| match &word[0] {
        "a" | "an" | "the" => " ".to_owned(),
        other => other.to_owned(),
    };
    WORDS.replace_all(&lower, without).into_owned()
}
