//! Examples in the prompt: which training rows an eval row shows, and how (docs/examples-in-the-prompt.md). Takes rows as
//! JSON texts, returns rows as JSON texts. Rows of the training set never share a group with an eval row (`split`), and one
//! that still asks nearly the same (`twins`) is never its example.

pub(crate) mod choice;
pub(crate) mod prompt;
pub(crate) mod twins;

use serde::{Deserialize, Serialize};

/// The checked values of `icl_config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExampleRules {
    /// The largest number of tokens of a prompt and its answer.
    pub(crate) max_context_length: u64,
    /// The tokens of these that are kept for the answer.
    pub(crate) reserved_tokens: u64,
    pub(crate) max_examples: usize,
    /// A row with fewer examples is counted.
    pub(crate) min_examples: usize,
    /// The share of the places that go to the nearest rows. `None`: the same examples for every row.
    pub(crate) relevance_ratio: Option<f64>,
}

/// Estimates the tokens of a text: those of the cl100k encoding and a fifth more, because the tokenizer of a model is not at hand.
pub(crate) fn tokens(text: &str) -> u64 {
    let counted = tiktoken_rs::cl100k_base_singleton().count_ordinary(text) as u64;
    (counted * 6).div_ceil(5)
}

/// Returns the most tokens that a text of so many bytes can have, without reading it: no token is shorter than a byte.
fn most_tokens(bytes: usize) -> u64 {
    (bytes as u64 * 6).div_ceil(5)
}

#[cfg(test)]
mod tests;
