//! Comparing a thing that exists on the platform with the one that we would make.

use std::fmt::Display;

/// Names a field whose two values differ, with both values.
pub(super) fn difference<T: PartialEq + Display>(field: &str, ours: T, theirs: T) -> Option<String> {
    (ours != theirs).then(|| format!("{field}: ours is {ours}, the platform has {theirs}"))
}

/// Compares two texts. A text that the platform does not return counts as equal.
pub(super) fn text_difference(field: &str, ours: &str, theirs: Option<&str>) -> Option<String> {
    difference(field, ours, theirs.unwrap_or(ours))
}

/// Reports whether a service hides a value behind asterisks.
pub(super) fn is_masked(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c == '*')
}
