//! Rows counted by their true class and the replies of `N` models, ready to resample within each class.
//!
//! A bootstrap alone calls certain what a class of few rows did not show: with three rows out of three right, every
//! resample is right. So each resample also draws how often such an unseen event may happen, from what Jeffreys' prior
//! says after the units of the class: Beta(1/2, n + 1/2), the posterior behind the Jeffreys interval (Brown, Cai and
//! DasGupta 2001, Statistical Science 16:101), used here as Goutte and Gaussier (ECIR 2005, LNCS 3408:345) do for
//! precision, recall and F1. The lower end of an interval allows for errors that did not occur, the upper end for right
//! answers that did not. Where a class shows both, the bootstrap is left as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::bootstrap::{Plan, Sample, SampleRow};
use super::counts::{Margins, Summary};
use super::random::Draws;

/// A row: its true class and the column of each model's reply.
pub(super) type Cell<const N: usize> = (usize, [usize; N]);

/// Rows counted by cell.
pub(super) struct Cells<const N: usize> {
    classes: usize,
    /// The cells that occur, in order, then those that only an unseen event fills.
    cells: Vec<Cell<N>>,
    /// Rows of each cell.
    counts: Vec<f64>,
    sample: Sample,
    /// Unseen events that would lower the first model's score, or its lead over the second.
    harms: Vec<Unseen>,
    /// Unseen events that would raise it.
    gains: Vec<Unseen>,
}

/// An event that no row of a class shows.
struct Unseen {
    /// Units that could have shown it.
    units: f64,
    /// The cells of the class that occur.
    seen: Vec<usize>,
    /// The cells of the event, all as likely.
    event: Vec<usize>,
}

/// The scores of each model in the two tables of a resample.
pub(super) struct Resample<const N: usize> {
    /// With unseen harms.
    pub low: [Summary; N],
    /// With unseen gains.
    pub high: [Summary; N],
}

impl Cells<2> {
    /// Counts the units in which the models do not reply alike.
    pub(super) fn differing(&self) -> u64 {
        let differs = |&kind: &u32| self.cells.get(kind as usize).is_some_and(|(_, [first, second])| first != second);
        self.units().filter(|unit| unit.iter().any(differs)).count() as u64
    }
}

impl<const N: usize> Cells<N> {
    /// Counts the rows. `groups`, where given, holds a number for each row, and rows with the same one are drawn
    /// together.
    pub(super) fn new(rows: &[Cell<N>], groups: Option<&[u64]>, classes: usize) -> Cells<N> {
        let places: BTreeMap<Cell<N>, usize> = rows
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .enumerate()
            .map(|(at, cell)| (cell, at))
            .collect();
        let cells: Vec<Cell<N>> = places.keys().copied().collect();
        let mut counts = vec![0.0; cells.len()];
        let kinds: Vec<usize> = rows.iter().map(|row| places[row]).collect();
        kinds.iter().for_each(|&kind| counts[kind] += 1.0);
        let row = |(at, &kind): (usize, &usize)| SampleRow {
            kind: kind as u32,
            stratum: cells[kind].0 as u32,
            unit: groups.and_then(|groups| groups.get(at).copied()),
        };
        let drawn: Vec<SampleRow> = kinds.iter().enumerate().map(row).collect();
        let sample = Sample::new(&drawn, cells.len());
        let mut counted = Cells { classes, cells, counts, sample, harms: Vec::new(), gains: Vec::new() };
        counted.expect_unseen();
        counted
    }

    /// Returns the cells that occur with their rows.
    pub(super) fn counted(&self) -> impl Iterator<Item = (Cell<N>, f64)> {
        self.cells.iter().copied().zip(self.counts.iter().copied())
    }

    /// Returns the counts of each model.
    pub(super) fn margins(&self) -> [Margins; N] {
        let mut margins = std::array::from_fn(|_| Margins::new(self.classes));
        self.fill(&mut margins, &self.counts);
        margins
    }

    /// Returns the cells of each unit, by their place in [`Self::counted`].
    pub(super) fn units(&self) -> impl Iterator<Item = &[u32]> {
        self.sample.units()
    }

    /// Scores every resample.
    pub(super) fn resample(&self, plan: Plan) -> Vec<Resample<N>> {
        let places = self.cells.len();
        self.sample.resample(plan, || {
            let mut margins = std::array::from_fn(|_| Margins::new(self.classes));
            let mut table = vec![0.0; places];
            move |draws: &mut Draws, drawn: &mut [f64]| {
                let mut scores = |unseen: &[Unseen]| {
                    table.fill(0.0);
                    table[..drawn.len()].copy_from_slice(drawn);
                    unseen.iter().for_each(|unseen| unseen.happen(draws, &mut table));
                    self.fill(&mut margins, &table);
                    std::array::from_fn(|model| margins[model].summary())
                };
                let low = scores(&self.harms);
                let high = if self.harms.is_empty() && self.gains.is_empty() { low } else { scores(&self.gains) };
                Resample { low, high }
            }
        })
    }

    fn fill(&self, margins: &mut [Margins; N], counts: &[f64]) {
        margins.iter_mut().for_each(Margins::clear);
        // The innermost loop of all resamples: once over the cells for all models.
        for (at, &n) in counts.iter().enumerate() {
            if n > 0.0 {
                let (gold, columns) = &self.cells[at];
                (0..N).for_each(|model| margins[model].add(*gold, columns[model], n));
            }
        }
    }

    /// Finds the events that a class does not show, and adds their cells. The harm of one model is a wrong reply; of two,
    /// a row that the second alone has right. The gains are the reverse.
    fn expect_unseen(&mut self) {
        let occurring: BTreeSet<usize> = self.cells.iter().map(|(gold, _)| *gold).collect();
        let shown = self.cells.clone();
        for &class in &occurring {
            let seen: Vec<usize> = (0..shown.len()).filter(|&at| shown[at].0 == class).collect();
            let units = self.units().filter(|unit| unit.iter().any(|&kind| shown[kind as usize].0 == class)).count();
            for first_right in [false, true] {
                let right = |model: usize| (model == 0) == first_right;
                let happened = |&at: &usize| (0..N).all(|model| (shown[at].1[model] == class) == right(model));
                if seen.iter().any(happened) {
                    continue;
                }
                let mut wrong: Vec<usize> = occurring.iter().copied().filter(|&other| other != class).collect();
                if wrong.is_empty() {
                    wrong.push(self.classes + 1);
                }
                let all_right = (0..N).all(right);
                wrong.truncate(if all_right { 1 } else { wrong.len() });
                let from = self.cells.len();
                let columns = |wrong| std::array::from_fn(|model| if right(model) { class } else { wrong });
                self.cells.extend(wrong.into_iter().map(|wrong| (class, columns(wrong))));
                let event =
                    Unseen { units: units as f64, seen: seen.clone(), event: (from..self.cells.len()).collect() };
                if first_right { self.gains.push(event) } else { self.harms.push(event) }
            }
        }
    }
}

impl Unseen {
    /// Moves a random share of the rows of the class to the event.
    fn happen(&self, draws: &mut Draws, table: &mut [f64]) {
        let share = draws.unseen_share(self.units);
        let mut moved = 0.0;
        for &at in &self.seen {
            moved += table[at] * share;
            table[at] *= 1.0 - share;
        }
        for &at in &self.event {
            table[at] += moved / self.event.len() as f64;
        }
    }
}
