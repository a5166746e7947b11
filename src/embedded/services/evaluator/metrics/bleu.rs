//! BLEU as sacrebleu computes it: the 13a tokenizer, n-grams up to four, exponential smoothing. A sentence counts only
//! the orders that it is long enough for. A corpus adds the counts of its rows first.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::text::words;
use crate::embedded::services::evaluator::python_values::is_space;

const ORDERS: usize = 4;

/// The n-grams that a candidate has in common with its references.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    correct: [usize; ORDERS],
    total: [usize; ORDERS],
    length: usize,
    reference_length: usize,
}

impl Counts {
    /// Counts the n-grams of a candidate and its references.
    pub(crate) fn of(candidate: &str, references: &[String]) -> Self {
        let candidate = tokenized(candidate);
        let candidate = words(&candidate);
        let references: Vec<String> = references.iter().map(|reference| tokenized(reference)).collect();
        let references: Vec<Vec<&str>> = references.iter().map(|reference| words(reference)).collect();
        let mut counts = Counts { length: candidate.len(), ..Counts::default() };
        // The closest reference length; the shorter one of two that are equally close.
        let closest = references.iter().map(Vec::len).min_by_key(|length| (length.abs_diff(candidate.len()), *length));
        counts.reference_length = closest.unwrap_or_default();
        for order in 1..=ORDERS {
            let mut allowed: HashMap<&[&str], usize> = HashMap::new();
            for reference in &references {
                for (gram, count) in grams(reference, order) {
                    let most = allowed.entry(gram).or_default();
                    *most = count.max(*most);
                }
            }
            for (gram, count) in grams(&candidate, order) {
                counts.total[order - 1] += count;
                counts.correct[order - 1] += count.min(allowed.get(gram).copied().unwrap_or_default());
            }
        }
        counts
    }

    fn add(&mut self, other: &Counts) {
        for order in 0..ORDERS {
            self.correct[order] += other.correct[order];
            self.total[order] += other.total[order];
        }
        self.length += other.length;
        self.reference_length += other.reference_length;
    }

    /// Returns the BLEU of one sentence, 0 to 100.
    pub(crate) fn sentence(&self) -> f64 {
        self.bleu(true)
    }

    fn bleu(&self, only_possible_orders: bool) -> f64 {
        if self.correct.iter().all(|count| *count == 0) {
            return 0.0;
        }
        let mut logarithms = 0.0;
        let mut orders = ORDERS;
        let mut smoothing = 1.0;
        for order in 0..ORDERS {
            let (correct, total) = (self.correct[order] as f64, self.total[order] as f64);
            if self.total[order] == 0 {
                if !only_possible_orders {
                    return 0.0;
                }
                break;
            }
            if only_possible_orders {
                orders = order + 1;
            }
            let precision = if self.correct[order] == 0 {
                smoothing *= 2.0;
                100.0 / (smoothing * total)
            } else {
                100.0 * correct / total
            };
            logarithms += precision.ln();
        }
        let brevity = if self.length < self.reference_length {
            (1.0 - self.reference_length as f64 / self.length as f64).exp()
        } else {
            1.0
        };
        brevity * (logarithms / orders as f64).exp()
    }
}

/// Returns the BLEU of a corpus, 0 to 100, from the counts of its rows.
pub(crate) fn corpus<'a>(rows: impl Iterator<Item = &'a Counts>) -> f64 {
    let mut sum = Counts::default();
    rows.for_each(|row| sum.add(row));
    sum.bleu(false)
}

fn grams<'a>(tokens: &'a [&'a str], order: usize) -> HashMap<&'a [&'a str], usize> {
    let mut counts = HashMap::new();
    for gram in tokens.windows(order) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

static SIGNS: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).expect("the pattern is a constant and valid");
    [
        // ASCII signs except apostrophe, comma, hyphen and full stop stand alone.
        (regex(r"([\{-~\[-` -&\(-\+:-@/])"), " $1 "),
        // A full stop or comma stands alone, unless it is between digits.
        (regex(r"([^0-9])([.,])"), "$1 $2 "),
        (regex(r"([.,])([^0-9])"), " $1 $2"),
        // A hyphen after a digit stands alone.
        (regex(r"([0-9])(-)"), "$1 $2 "),
    ]
});

/// Separates the tokens of a text by spaces, as mteval-v13a does.
fn tokenized(text: &str) -> String {
    let text = text.trim_end_matches(is_space);
    let mut line = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if line.contains('&') {
        line = line.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    }
    line = format!(" {line} ");
    for (pattern, apart) in SIGNS.iter() {
        line = pattern.replace_all(&line, *apart).into_owned();
    }
    line
}
