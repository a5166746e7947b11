//! Overlap of a free-text reply with its reference. Both scores are weak: they count shared words and know nothing of
//! what a text means.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Returns the F-measure of ROUGE-L: the longest common subsequence of words (Lin 2004, ROUGE: A Package for Automatic
/// Evaluation of Summaries). It equals `rouge_score` 0.1.2 without a stemmer: words are runs of ASCII letters and digits
/// in lower case, and a text without any scores 0.
pub fn rouge_l(reference: &str, reply: &str) -> f64 {
    let (reference, reply) = (rouge_words(reference), rouge_words(reply));
    f_measure(longest_common_subsequence(&reference, &reply), reference.len(), reply.len())
}

/// Returns the F1 of the words that both texts hold, as the SQuAD evaluation script does (Rajpurkar et al. 2016, EMNLP):
/// in lower case, without punctuation and articles. Two texts without words score 1.
pub fn token_f1(reference: &str, reply: &str) -> f64 {
    let (reference, reply) = (squad_words(reference), squad_words(reply));
    if reference.is_empty() || reply.is_empty() {
        return if reference.is_empty() && reply.is_empty() { 1.0 } else { 0.0 };
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &reference {
        *left.entry(word).or_insert(0) += 1;
    }
    let mut shared = 0;
    for word in &reply {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    f_measure(shared, reference.len(), reply.len())
}

fn f_measure(shared: usize, reference: usize, reply: usize) -> f64 {
    if shared == 0 {
        return 0.0;
    }
    let (precision, recall) = (shared as f64 / reply as f64, shared as f64 / reference as f64);
    2.0 * precision * recall / (precision + recall)
}

fn rouge_words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Words of Python's `\b`: neither accents that stand alone nor joiners belong to a word, but fractions do.
static WORDS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+").expect("the pattern is a constant and valid"));

fn squad_words(text: &str) -> Vec<String> {
    let bare: String = text.to_lowercase().chars().filter(|letter| !letter.is_ascii_punctuation()).collect();
    let words = WORDS.replace_all(&bare, |word: &Captures<'_>| match &word[0] {
        "a" | "an" | "the" => " ".to_owned(),
        other => other.to_owned(),
    });
    words.split(is_python_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Python counts four control characters among white space.
fn is_python_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

fn longest_common_subsequence(left: &[String], right: &[String]) -> usize {
    let mut lengths = vec![0; right.len() + 1];
    for word in left {
        let mut diagonal = 0;
        for (at, other) in right.iter().enumerate() {
            let above = lengths[at + 1];
            lengths[at + 1] = if word == other { diagonal + 1 } else { above.max(lengths[at]) };
            diagonal = above;
        }
    }
    lengths[right.len()]
}

#[cfg(test)]
mod tests;
