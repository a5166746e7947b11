//! The n-grams that two texts share, by which untrained students compare them.

use super::features::{char_grams, hash, word_grams};
use super::size::StudentSize;

/// Returns the distinct n-grams of a text as sorted hashes.
pub(super) fn grams(size: StudentSize, text: &str) -> Vec<u64> {
    let text = text.to_lowercase();
    let mut grams = Vec::new();
    word_grams(&text, (1, 1), &mut |gram| grams.push(hash(0, gram.as_bytes())));
    let runs = match size {
        StudentSize::Small => (3, 3),
        StudentSize::Large => (3, 5),
    };
    char_grams(&text, runs, &mut |gram| grams.push(hash(1, gram.as_bytes())));
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// Counts the distinct n-grams of `described` that are among `grams`.
pub(super) fn shared_grams(size: StudentSize, described: &str, grams: &[u64]) -> usize {
    self::grams(size, described).iter().filter(|gram| grams.binary_search(gram).is_ok()).count()
}
