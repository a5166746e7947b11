//! Numbers as people write them.

use indicatif::HumanCount;

/// Returns a count with its thousands set apart: `1,206`.
pub(crate) fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// Returns a count with its noun: `1 row`, `1,206 rows`. The plural is the noun with an `s`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}
