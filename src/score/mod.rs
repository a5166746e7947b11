//! Scores: what a model's replies are worth, with intervals. Pure: counts in, numbers out; reading a label from a reply is
//! data's, fetching replies is run's. docs/scores.md says what each number means.

pub mod classification;
pub mod interval;
mod tally;

use serde::{Deserialize, Serialize};

/// A number with its 95 % interval, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

impl Estimate {
    /// A number that comes without an interval, such as one that the platform computed.
    pub fn bare(value: f64) -> Estimate {
        Estimate { value, low: None, high: None }
    }

    /// A number between two ends. An interval that misses its number, as a percentile interval of a biased score can, is
    /// widened to hold it.
    pub fn between(value: f64, ends: Option<(f64, f64)>) -> Estimate {
        Estimate { value, low: ends.map(|(low, _)| low.min(value)), high: ends.map(|(_, high)| high.max(value)) }
    }
}
