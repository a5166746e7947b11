//! Approximate randomisation: were two models alike, each row's replies could as well be swapped. The p value is the share
//! of random swaps that show a difference as large as the one observed (Noreen 1989, Computer-Intensive Methods for
//! Testing Hypotheses; Yeh 2000, COLING, for F1). Rows that depend on each other are swapped together.

use std::collections::BTreeMap;

use super::bootstrap::Plan;
use super::cells::{Cell, Cells};
use super::counts::{Margins, Summary};
use super::random::Draws;

/// Differences closer than this are the same: sums in another order differ in their last bits.
const ROUNDING: f64 = 1e-12;

/// Returns the two-sided p value of the difference of a score of replies.
pub(super) fn of_cells(cells: &Cells<2>, classes: usize, score: fn(&Summary) -> f64, plan: Plan) -> f64 {
    let table = Swaps::new(cells);
    let mut margins = [Margins::new(classes), Margins::new(classes)];
    let observed = table.difference(&table.counts, &mut margins, score).abs();
    let swaps = plan.run(table.units.len() / 8, || {
        let mut counts = table.counts.clone();
        let mut margins = margins.clone();
        let table = &table;
        move |draws: &mut Draws| {
            counts.copy_from_slice(&table.counts);
            table.swap(draws, &mut counts);
            table.difference(&counts, &mut margins, score).abs()
        }
    });
    p_value(&swaps, observed)
}

/// Returns the two-sided p value of a sum of differences, one per unit that is swapped.
pub(super) fn of_sums(sums: &[f64], plan: Plan) -> f64 {
    let observed = sums.iter().sum::<f64>().abs();
    let swaps = plan.run(sums.len() / 8, || {
        |draws: &mut Draws| {
            let signed = |(coins, sums): (u64, &[f64])| -> f64 {
                sums.iter().enumerate().map(|(at, sum)| if coins >> at & 1 == 1 { -sum } else { *sum }).sum()
            };
            sums.chunks(64).map(|sums| signed((draws.coins(), sums))).sum::<f64>().abs()
        }
    });
    p_value(&swaps, observed)
}

/// Returns the share of swaps with at least the observed difference, which itself is one of them.
fn p_value(swaps: &[f64], observed: f64) -> f64 {
    let as_large = swaps.iter().filter(|swapped| **swapped >= observed - ROUNDING).count();
    (as_large + 1) as f64 / (swaps.len() + 1) as f64
}

/// Rows counted by cell, and where each cell goes when its replies are swapped.
struct Swaps {
    cells: Vec<Cell<2>>,
    counts: Vec<f64>,
    /// The cells, before and after a swap, of the rows of each unit that a swap changes.
    units: Vec<Vec<(usize, usize)>>,
}

impl Swaps {
    fn new(counted: &Cells<2>) -> Swaps {
        let mut cells: Vec<Cell<2>> = Vec::new();
        let mut counts: Vec<f64> = Vec::new();
        for (cell, n) in counted.counted() {
            cells.push(cell);
            counts.push(n);
        }
        let mut places: BTreeMap<Cell<2>, usize> =
            cells.iter().copied().enumerate().map(|(at, cell)| (cell, at)).collect();
        let swapped: Vec<usize> = cells
            .clone()
            .into_iter()
            .map(|(gold, [first, second])| {
                *places.entry((gold, [second, first])).or_insert_with(|| {
                    cells.push((gold, [second, first]));
                    cells.len() - 1
                })
            })
            .collect();
        counts.resize(cells.len(), 0.0);
        let changed = |unit: &[u32]| -> Vec<(usize, usize)> {
            let pairs = unit.iter().map(|&kind| (kind as usize, swapped[kind as usize]));
            pairs.filter(|(from, to)| from != to).collect()
        };
        let units = counted.units().map(changed).filter(|unit| !unit.is_empty()).collect();
        Swaps { cells, counts, units }
    }

    fn swap(&self, draws: &mut Draws, counts: &mut [f64]) {
        for units in self.units.chunks(64) {
            let coins = draws.coins();
            for (_, unit) in units.iter().enumerate().filter(|(at, _)| coins >> at & 1 == 1) {
                for &(from, to) in unit {
                    counts[from] -= 1.0;
                    counts[to] += 1.0;
                }
            }
        }
    }

    fn difference(&self, counts: &[f64], margins: &mut [Margins; 2], score: fn(&Summary) -> f64) -> f64 {
        margins.iter_mut().for_each(Margins::clear);
        for ((gold, columns), &n) in self.cells.iter().zip(counts).filter(|(_, n)| **n > 0.0) {
            margins[0].add(*gold, columns[0], n);
            margins[1].add(*gold, columns[1], n);
        }
        score(&margins[0].summary()) - score(&margins[1].summary())
    }
}
