//! The difference between two models that answered the same rows, with its paired interval and test.

use std::collections::BTreeMap;
use std::num::NonZero;

use super::bootstrap::{Plan, Sample, SampleRow, ends};
use super::cells::{Cell, Cells};
use super::classification::Prediction;
use super::counts::Summary;
use super::random::Draws;
use super::{Estimate, mcnemar, randomization};

/// Resamples of an interval, and swaps of a test less one.
const ROUNDS: usize = 10_000;

/// Streams of the seed, apart from those of the intervals of one model.
const RESAMPLES: u64 = 0xd1f0;
const SWAPS: u64 = 0xd1f1;

/// The standard normal's 97.5 % point.
const Z: f64 = 1.959_963_984_540_054;

/// A score of a classification that two models are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Accuracy,
    MacroF1,
    WeightedF1,
}

/// A row with the replies of both models. `gold` is a place in the list of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairedReply {
    pub gold: usize,
    pub first: Prediction,
    pub second: Prediction,
}

/// The first model's score less the second's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    pub rows: u64,
    /// The rows, or groups of rows, on which the models differ. The test rests on these alone.
    pub differing: u64,
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
    /// Two-sided p value for no difference, not corrected for other comparisons.
    pub p: f64,
}

impl Difference {
    /// Returns the difference with its interval.
    pub(crate) fn estimate(&self) -> Estimate {
        Estimate::between(self.value, Some((self.low, self.high)))
    }

    /// Returns the standard deviation of the difference of one row that the interval's width stands for. It includes
    /// the loss by rows that depend on each other.
    pub(crate) fn deviation(&self) -> f64 {
        self.deviation_of((self.high - self.low) / 2.0)
    }

    /// Returns [`Self::deviation`] by the half of the interval towards zero, which is the wider one where no difference
    /// can be told.
    pub(crate) fn deviation_towards_none(&self) -> f64 {
        match self.value {
            value if value > 0.0 => self.deviation_of(value - self.low),
            value if value < 0.0 => self.deviation_of(self.high - value),
            _ => self.deviation(),
        }
    }

    fn deviation_of(&self, half: f64) -> f64 {
        half / Z * (self.rows as f64).sqrt()
    }
}

/// How the simulations of a comparison run.
#[derive(Clone, Copy, Debug)]
pub struct Simulation {
    pub seed: u64,
    /// Resamples of the interval; the test swaps one time less.
    pub rounds: usize,
    /// Threads to use; all cores without a number. The result does not depend on it.
    pub threads: Option<NonZero<usize>>,
}

impl Simulation {
    /// Returns the simulation of a verdict: 10,000 rounds on all cores.
    pub fn new(seed: u64) -> Simulation {
        Simulation { seed, rounds: ROUNDS, threads: None }
    }

    fn resamples(self) -> Plan {
        Plan { seed: self.seed, stream: RESAMPLES, rounds: self.rounds, threads: self.threads }
    }

    fn swaps(self) -> Plan {
        Plan { seed: self.seed, stream: SWAPS, rounds: self.rounds.saturating_sub(1), threads: self.threads }
    }
}

/// Compares the replies of two models; `None` without rows. The interval is a stratified percentile bootstrap of the
/// pairs that allows for differences no row showed (see docs/scores.md). The test is McNemar's exact one for accuracy,
/// and approximate randomisation for an F1 average and for rows in `groups`, whose members depend on each other.
pub fn of_replies(
    rows: &[PairedReply],
    groups: Option<&[u64]>,
    classes: usize,
    metric: Metric,
    simulation: Simulation,
) -> Option<Difference> {
    let score: fn(&Summary) -> f64 = match metric {
        Metric::Accuracy => |summary| summary.accuracy,
        Metric::MacroF1 => |summary| summary.macro_f1,
        Metric::WeightedF1 => |summary| summary.weighted_f1,
    };
    // Accuracy knows no classes: a row is right or wrong.
    let classes = if metric == Metric::Accuracy { 1 } else { classes };
    let cell = |row: &PairedReply| -> Cell<2> {
        let replies = [row.first, row.second];
        match metric {
            Metric::Accuracy => (0, replies.map(|reply| usize::from(reply != Prediction::Label(row.gold)))),
            Metric::MacroF1 | Metric::WeightedF1 => (row.gold, replies.map(|reply| reply.column(classes))),
        }
    };
    let cells = Cells::new(&rows.iter().map(cell).collect::<Vec<_>>(), groups, classes);
    let rounds = cells.resample(simulation.resamples());
    let low = rounds.iter().map(|round| score(&round.low[0]) - score(&round.low[1])).collect();
    let high = rounds.iter().map(|round| score(&round.high[0]) - score(&round.high[1])).collect();
    let p = if metric == Metric::Accuracy && groups.is_none() {
        mcnemar_p(rows)
    } else {
        randomization::of_cells(&cells, classes, score, simulation.swaps())
    };
    let [first, second] = cells.margins().map(|margins| score(&margins.summary()));
    difference((rows.len(), cells.differing()), first - second, ends(low, high)?, p)
}

/// Compares two models by a score of each row within 0 to 1, such as a judge's; `None` without rows.
pub(crate) fn of_values(rows: &[(f64, f64)], groups: Option<&[u64]>, simulation: Simulation) -> Option<Difference> {
    if rows.is_empty() {
        return None;
    }
    let leads: Vec<f64> = rows.iter().map(|(first, second)| first - second).collect();
    let unit = |at: usize| groups.and_then(|groups| groups.get(at).copied());
    let sampled: Vec<SampleRow> =
        (0..leads.len()).map(|at| SampleRow { kind: at as u32, stratum: 0, unit: unit(at) }).collect();
    let sample = Sample::new(&sampled, leads.len());
    let units = sample.units().count() as f64;
    // A row that differs as much as one can, for a direction that no row shows.
    let harm = leads.iter().all(|lead| *lead >= 0.0);
    let gain = leads.iter().all(|lead| *lead <= 0.0);
    let means: Vec<(f64, f64)> = sample.resample(simulation.resamples(), || {
        |draws: &mut Draws, drawn: &mut [f64]| {
            let (sum, n) =
                drawn.iter().zip(&leads).fold((0.0, 0.0), |(sum, n), (times, lead)| (sum + times * lead, n + times));
            let mean = sum / n;
            let mut toward = |end: f64, unseen: bool| {
                let share = if unseen { draws.unseen_share(units) } else { 0.0 };
                mean * (1.0 - share) + end * share
            };
            (toward(-1.0, harm), toward(1.0, gain))
        }
    });
    let (low, high) = means.into_iter().unzip();
    let mut sums: BTreeMap<(bool, u64), f64> = BTreeMap::new();
    for (at, lead) in leads.iter().enumerate() {
        *sums.entry((unit(at).is_some(), unit(at).unwrap_or(at as u64))).or_insert(0.0) += lead;
    }
    let sums: Vec<f64> = sums.into_values().filter(|sum| *sum != 0.0).collect();
    let p = randomization::of_sums(&sums, simulation.swaps());
    difference((rows.len(), sums.len() as u64), leads.iter().sum::<f64>() / leads.len() as f64, ends(low, high)?, p)
}

fn difference((rows, differing): (usize, u64), value: f64, (low, high): (f64, f64), p: f64) -> Option<Difference> {
    let (rows, low, high) = (rows as u64, low.min(value), high.max(value));
    (rows > 0).then_some(Difference { rows, differing, value, low, high, p })
}

fn mcnemar_p(rows: &[PairedReply]) -> f64 {
    let only = |right: fn(&PairedReply) -> Prediction, wrong: fn(&PairedReply) -> Prediction| {
        let alone =
            |row: &&PairedReply| right(row) == Prediction::Label(row.gold) && wrong(row) != Prediction::Label(row.gold);
        rows.iter().filter(alone).count() as u64
    };
    mcnemar::exact(only(|row| row.first, |row| row.second), only(|row| row.second, |row| row.first))
}

#[cfg(test)]
mod tests;
