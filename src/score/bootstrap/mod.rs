//! The stratified bootstrap (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13): resamples
//! the rows of each stratum with replacement. Rows that depend on each other form a unit and are drawn together (the
//! cluster bootstrap: Field and Welsh 2007, JRSS B 69:369).

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use super::random::Draws;

/// Resamples of an interval.
pub(super) const ROUNDS: usize = 2_000;

/// Draws and tallies below which another thread costs more than it saves.
const WORTH_A_THREAD: usize = 100_000;

/// Rows to resample: which kind of row each is, its stratum, and which rows belong together. Rows of a kind are alike.
pub(super) struct Sample {
    /// Kinds of row.
    kinds: usize,
    /// The units of each stratum that has any.
    strata: Vec<Stratum>,
    /// Where the kinds of each unit start in `members`, and where the last ends.
    starts: Vec<u32>,
    /// The kinds of the rows of all units, one after the other.
    members: Vec<u32>,
}

/// Units that are resampled among themselves.
struct Stratum {
    first: u32,
    units: u32,
}

/// One row of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleRow {
    /// A number for all that matters of the row.
    pub kind: u32,
    /// Where it is drawn. A unit is drawn in the stratum that most of its rows are of.
    pub stratum: u32,
    /// Rows with the same number are drawn together; `None` for a row by itself.
    pub unit: Option<u64>,
}

impl Sample {
    /// Prepares the rows, whose order is no matter.
    pub(super) fn new(rows: &[SampleRow], kinds: usize) -> Sample {
        let mut units: Vec<(u32, Vec<u32>)> = units(rows);
        units.sort_unstable();
        let mut sample = Sample { kinds, strata: Vec::new(), starts: vec![0], members: Vec::new() };
        let mut last = None;
        for (at, (stratum, members)) in (0_u32..).zip(units) {
            if last != Some(stratum) {
                sample.strata.push(Stratum { first: at, units: 0 });
                last = Some(stratum);
            }
            if let Some(stratum) = sample.strata.last_mut() {
                stratum.units += 1;
            }
            sample.members.extend(members);
            sample.starts.push(sample.members.len() as u32);
        }
        sample
    }

    /// Draws `rounds` resamples and hands each on as how often every kind of row was drawn. `worker` makes the function
    /// that a thread applies to its resamples; the results come in the order of the rounds, whatever the threads.
    pub(super) fn resample<T, F>(&self, plan: Plan, worker: impl Fn() -> F + Sync) -> Vec<T>
    where
        T: Send,
        F: FnMut(&mut Draws, &mut [f64]) -> T,
    {
        let singles = self.members.len() + 1 == self.starts.len();
        plan.run(self.members.len(), || {
            let mut each = worker();
            let mut drawn = vec![0.0; self.kinds];
            move |draws: &mut Draws| {
                drawn.fill(0.0);
                if singles {
                    self.draw_rows(draws, &mut drawn)
                } else {
                    self.draw_units(draws, &mut drawn)
                }
                each(draws, &mut drawn)
            }
        })
    }

    fn draw_rows(&self, draws: &mut Draws, drawn: &mut [f64]) {
        for stratum in &self.strata {
            let members = &self.members[stratum.first as usize..][..stratum.units as usize];
            for _ in 0..stratum.units {
                drawn[members[draws.below(stratum.units) as usize] as usize] += 1.0;
            }
        }
    }

    fn draw_units(&self, draws: &mut Draws, drawn: &mut [f64]) {
        for stratum in &self.strata {
            for _ in 0..stratum.units {
                let unit = (stratum.first + draws.below(stratum.units)) as usize;
                for &kind in &self.members[self.starts[unit] as usize..self.starts[unit + 1] as usize] {
                    drawn[kind as usize] += 1.0;
                }
            }
        }
    }

    /// Returns the kinds of the rows of each unit.
    pub(super) fn units(&self) -> impl Iterator<Item = &[u32]> {
        self.starts.windows(2).map(|ends| &self.members[ends[0] as usize..ends[1] as usize])
    }
}

/// Gathers rows into units: the stratum and the sorted kinds of each.
fn units(rows: &[SampleRow]) -> Vec<(u32, Vec<u32>)> {
    let mut gathered: BTreeMap<u64, Vec<&SampleRow>> = BTreeMap::new();
    let mut units = Vec::with_capacity(rows.len());
    for row in rows {
        match row.unit {
            Some(unit) => gathered.entry(unit).or_default().push(row),
            None => units.push((row.stratum, vec![row.kind])),
        }
    }
    for members in gathered.into_values() {
        let mut often: BTreeMap<u32, usize> = BTreeMap::new();
        for row in &members {
            *often.entry(row.stratum).or_default() += 1;
        }
        // Of strata that are as frequent, the first.
        let stratum = often.iter().rev().max_by_key(|(_, n)| **n).map_or(0, |(stratum, _)| *stratum);
        let mut kinds: Vec<u32> = members.iter().map(|row| row.kind).collect();
        kinds.sort_unstable();
        units.push((stratum, kinds));
    }
    units
}

/// How a simulation runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Seed of its random numbers.
    pub seed: u64,
    /// Sets its numbers apart from those of other simulations of the seed.
    pub stream: u64,
    /// How often it is repeated.
    pub rounds: usize,
    /// Threads to use; all cores without a number.
    pub threads: Option<NonZero<usize>>,
}

impl Plan {
    /// Runs every round with random numbers of its own. `size` is the work of one round, in draws.
    pub(super) fn run<T, F>(self, size: usize, worker: impl Fn() -> F + Sync) -> Vec<T>
    where
        T: Send,
        F: FnMut(&mut Draws) -> T,
    {
        let work = self.rounds.saturating_mul(size);
        let cores = || if work < WORTH_A_THREAD { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) };
        let threads = self.threads.map_or_else(cores, NonZero::get);
        let run = |from: usize, to: usize| -> Vec<T> {
            let mut each = worker();
            (from..to).map(|round| each(&mut Draws::of_round(self.seed, self.stream, round as u64))).collect()
        };
        if threads == 1 {
            return run(0, self.rounds);
        }
        let share = self.rounds.div_ceil(threads).max(1);
        thread::scope(|scope| {
            let run = &run;
            let parts: Vec<_> = (0..self.rounds)
                .step_by(share)
                .map(|from| scope.spawn(move || run(from, (from + share).min(self.rounds))))
                .collect();
            // A thread ends early only by a panic, which goes on here.
            parts
                .into_iter()
                .flat_map(|part| part.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)))
                .collect()
        })
    }
}

/// Returns the quantile of sorted values at this share, with linear interpolation between neighbours (type 7 of Hyndman
/// and Fan 1996, Am. Stat. 50:361, the default of numpy); `None` without values.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

/// Returns the values in order, without those that are no number.
pub(super) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    values
}

/// Returns the 2.5 % point of `lows` and the 97.5 % point of `highs`, `None` where either has no value.
pub(super) fn ends(lows: Vec<f64>, highs: Vec<f64>) -> Option<(f64, f64)> {
    Some((quantile(&sorted(lows), 0.025)?, quantile(&sorted(highs), 0.975)?))
}

#[cfg(test)]
mod tests;
