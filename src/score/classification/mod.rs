//! Scores of a classification, from the true label and the reply of each row. The caller reads labels from replies; strict
//! and lenient reading are two inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Estimate;
use super::bootstrap::{Plan, ROUNDS, ends};
use super::cells::{Cell, Cells};
use super::counts::{EXTRA_COLUMNS, Margins, Summary};

/// Column of the confusion matrix for replies with a label that is not on the list.
pub(crate) const OFF_TAXONOMY: &str = "(off taxonomy)";
/// Column of the confusion matrix for replies without a label.
pub(crate) const UNPARSEABLE: &str = "(unparseable)";

/// The bootstrap's stream of the seed.
const STREAM: u64 = 0x5c0e;

/// A row of the eval set: its true label, as a place in the list of labels, and the model's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    pub gold: usize,
    pub predicted: Prediction,
}

/// The label that was read from a reply. Only the true label is right, and only a label of the list can be a false
/// positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// A label, as a place in the list of labels.
    Label(usize),
    /// A label that is not on the list.
    OffTaxonomy,
    /// No label.
    Unparseable,
}

impl Prediction {
    /// Returns the column of the confusion matrix of so many classes.
    pub(super) fn column(self, classes: usize) -> usize {
        match self {
            Prediction::Label(label) => label,
            Prediction::OffTaxonomy => classes,
            Prediction::Unparseable => classes + 1,
        }
    }
}

/// The scores of a model's replies to the eval set.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    pub rows: u64,
    /// Share of right replies, with Wilson's interval.
    pub accuracy: Estimate,
    /// Mean F1 of the classes that occur in the eval set.
    pub macro_f1: Estimate,
    /// Mean F1 of these classes, weighted by how many rows are of each.
    pub weighted_f1: Estimate,
    /// F1 of the counts pooled over these classes.
    pub micro_f1: Estimate,
    /// Cohen's kappa with the true labels; `None` when chance agreement is certain.
    pub kappa: Option<Estimate>,
    /// Share of replies without a label, with Wilson's interval.
    pub unparseable: Estimate,
    /// Share of replies with a label that is not on the list, with Wilson's interval.
    pub off_taxonomy: Estimate,
    /// Every class that occurs in the eval set or in a reply, in the order of the list of labels.
    pub classes: Vec<ClassScore>,
    pub confusion: Confusion,
}

/// The scores of one class. Precision, recall and F1 are 0 where their denominator is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    pub label: String,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    /// Rows of the class; 0 for a class that only replies name, which no average counts.
    pub support: u64,
    /// Replies that name it.
    pub predicted: u64,
}

/// Counts of replies (columns) by true class (rows).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The labels of the rows, and of as many columns.
    pub labels: Vec<String>,
    /// All columns: the labels, then `OFF_TAXONOMY` and `UNPARSEABLE`.
    pub columns: Vec<String>,
    /// One line per label, one count per column.
    pub counts: Vec<Vec<u64>>,
}

/// Scores these rows; `None` without rows. Every place in `rows` is below `labels.len()`. The intervals depend on the
/// counts and the seed alone, not on the order of the rows.
pub fn score(rows: &[Judged], labels: &[String], seed: u64) -> Option<Scores> {
    score_clustered(rows, None, labels, seed)
}

/// Scores rows of which those with the same number in `groups` (near-duplicates) depend on each other, as every interval
/// allows for: the bootstrap draws them together, and shares have a design effect.
pub(crate) fn score_clustered(rows: &[Judged], groups: Option<&[u64]>, labels: &[String], seed: u64) -> Option<Scores> {
    score_in_rounds(rows, groups, labels, seed, ROUNDS)
}

fn score_in_rounds(
    rows: &[Judged],
    groups: Option<&[u64]>,
    labels: &[String],
    seed: u64,
    rounds: usize,
) -> Option<Scores> {
    let cells: Vec<Cell<1>> = rows.iter().map(|row| (row.gold, [row.predicted.column(labels.len())])).collect();
    let cells = Cells::new(&cells, groups, labels.len());
    let [margins] = cells.margins();
    let (point, n) = (margins.summary(), rows.len() as u64);
    if n == 0 {
        return None;
    }
    let ends = Ends::new(&cells, Plan { seed, stream: STREAM, rounds, threads: None });
    let share = |hit: fn(&Judged) -> bool| Estimate::of_share(&rows.iter().map(hit).collect::<Vec<_>>(), groups);
    Some(Scores {
        rows: n,
        accuracy: share(|row| row.predicted == Prediction::Label(row.gold)),
        macro_f1: Estimate::between(point.macro_f1, ends.macro_f1),
        weighted_f1: Estimate::between(point.weighted_f1, ends.weighted_f1),
        micro_f1: Estimate::between(point.micro_f1, ends.micro_f1),
        kappa: point.kappa.is_finite().then(|| Estimate::between(point.kappa, ends.kappa)),
        off_taxonomy: share(|row| row.predicted == Prediction::OffTaxonomy),
        unparseable: share(|row| row.predicted == Prediction::Unparseable),
        classes: class_table(&margins, labels),
        confusion: confusion(&cells, &margins, labels),
    })
}

impl Scores {
    /// Returns the scores by the names of the JSON contract. `suffix` sets those of another reading apart.
    pub fn named(&self, suffix: &str) -> BTreeMap<String, Estimate> {
        let named = [
            ("accuracy", Some(self.accuracy)),
            ("macro_f1", Some(self.macro_f1)),
            ("weighted_f1", Some(self.weighted_f1)),
            ("micro_f1", Some(self.micro_f1)),
            ("kappa", self.kappa),
            ("unparseable", Some(self.unparseable)),
            ("off_taxonomy", Some(self.off_taxonomy)),
        ];
        named.into_iter().filter_map(|(name, score)| Some((format!("{name}{suffix}"), score?))).collect()
    }
}

/// The ends of the bootstrap's intervals.
struct Ends {
    macro_f1: Option<(f64, f64)>,
    weighted_f1: Option<(f64, f64)>,
    micro_f1: Option<(f64, f64)>,
    kappa: Option<(f64, f64)>,
}

impl Ends {
    fn new(cells: &Cells<1>, plan: Plan) -> Ends {
        let rounds = cells.resample(plan);
        let of = |score: fn(&Summary) -> f64| {
            let low = rounds.iter().map(|round| score(&round.low[0])).collect();
            ends(low, rounds.iter().map(|round| score(&round.high[0])).collect())
        };
        Ends {
            macro_f1: of(|summary| summary.macro_f1),
            weighted_f1: of(|summary| summary.weighted_f1),
            micro_f1: of(|summary| summary.micro_f1),
            kappa: of(|summary| summary.kappa),
        }
    }
}

fn occurring(margins: &Margins) -> impl Iterator<Item = usize> + '_ {
    (0..margins.support.len()).filter(|&class| margins.support[class] + margins.predicted[class] > 0.0)
}

fn class_table(margins: &Margins, labels: &[String]) -> Vec<ClassScore> {
    let of = |class: usize| ClassScore {
        label: labels[class].clone(),
        precision: margins.precision(class),
        recall: margins.recall(class),
        f1: margins.f1(class),
        support: margins.support[class] as u64,
        predicted: margins.predicted[class] as u64,
    };
    occurring(margins).map(of).collect()
}

fn confusion(cells: &Cells<1>, margins: &Margins, labels: &[String]) -> Confusion {
    let kept: Vec<usize> = occurring(margins).collect();
    let place: BTreeMap<usize, usize> = kept
        .iter()
        .copied()
        .chain((0..EXTRA_COLUMNS).map(|extra| labels.len() + extra))
        .enumerate()
        .map(|(at, column)| (column, at))
        .collect();
    let mut table = vec![vec![0; kept.len() + EXTRA_COLUMNS]; kept.len()];
    for ((gold, [column]), n) in cells.counted() {
        table[place[&gold]][place[&column]] = n as u64;
    }
    let names: Vec<String> = kept.iter().map(|&class| labels[class].clone()).collect();
    let columns = names.iter().cloned().chain([OFF_TAXONOMY.to_owned(), UNPARSEABLE.to_owned()]).collect();
    Confusion { labels: names, columns, counts: table }
}

#[cfg(test)]
mod tests;
