//! ROUGE as rouge_scorer computes it with its stemmer: F-measures of n-grams up to three and of the longest common
//! subsequence, over ASCII letters and digits.

use std::collections::HashMap;

use super::porter;

/// Returns the F-measures of ROUGE-1, -2, -3 and -L.
pub(crate) fn scores(gold: &str, predicted: &str) -> [f64; 4] {
    let (gold, predicted) = (tokens(gold), tokens(predicted));
    let common = |order: usize| {
        let (expected, given) = (grams(&gold, order), grams(&predicted, order));
        let same: usize = expected.iter().map(|(gram, count)| count.min(given.get(gram).unwrap_or(&0))).sum();
        measure(same, expected.values().sum(), given.values().sum())
    };
    [common(1), common(2), common(3), measure(longest_common(&gold, &predicted), gold.len(), predicted.len())]
}

fn measure(same: usize, expected: usize, given: usize) -> f64 {
    if same == 0 {
        return 0.0;
    }
    let (precision, recall) = (same as f64 / given as f64, same as f64 / expected as f64);
    2.0 * precision * recall / (precision + recall)
}

/// Splits a text into words, and stems those of more than three letters.
fn tokens(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| if word.len() > 3 { porter::stem(word) } else { word.to_owned() }).collect()
}

fn grams(tokens: &[String], order: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for gram in tokens.windows(order) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

/// Returns the length of the longest common subsequence.
fn longest_common(left: &[String], right: &[String]) -> usize {
    let mut row = vec![0; right.len() + 1];
    for word in left {
        let mut diagonal = 0;
        for (at, other) in right.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == other { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[right.len()]
}
