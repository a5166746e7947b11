//! Statistics: scores of replies, their intervals, tests between models and the verdict. Pure: values in, numbers out.
//! docs/scores.md says what each number means.

mod bootstrap;
mod cells;
pub mod classification;
mod counts;
pub mod difference;
pub(crate) mod holm;
pub(crate) mod homogeneity;
pub mod interval;
pub mod mcnemar;
pub(crate) mod power;
pub mod random;
mod randomization;
pub(crate) mod ranks;
#[cfg(test)]
mod testing;
pub mod text;
pub mod verdict;
pub mod warnings;

use serde::{Deserialize, Serialize};

/// A number with its 95 % interval, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Estimate {
    /// Returns a number without an interval, such as one that the platform computed.
    pub fn bare(value: f64) -> Estimate {
        Estimate { value, low: None, high: None }
    }

    /// Returns a number between two ends. A percentile interval of a biased score can miss its number: it is widened to
    /// hold it.
    pub fn between(value: f64, ends: Option<(f64, f64)>) -> Estimate {
        Estimate { value, low: ends.map(|(low, _)| low.min(value)), high: ends.map(|(_, high)| high.max(value)) }
    }

    /// Returns the share of rows that are hits, 0 without rows. Rows with the same number in `units` depend on each other.
    pub(crate) fn of_share(hits: &[bool], units: Option<&[u64]>) -> Estimate {
        let count = hits.iter().filter(|hit| **hit).count();
        Estimate::between(count as f64 / hits.len().max(1) as f64, interval::share(hits, units))
    }
}
