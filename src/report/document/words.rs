//! How a document writes numbers, names and states.

use crate::report::text::clean;
use crate::score::Estimate;

/// Returns remote text as a document may show it.
pub(super) fn shown(text: &str) -> String {
    clean(text).into_owned()
}

/// Returns the text with a capital first letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Writes a score.
pub(super) fn number(value: f64) -> String {
    format!("{value:.3}")
}

/// Writes the interval of a score.
pub(super) fn interval(estimate: &Estimate) -> Option<String> {
    Some(format!("{}–{}", number(estimate.low?), number(estimate.high?)))
}
