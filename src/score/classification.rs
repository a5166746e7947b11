//! Scores of a classification, from the true label of every row and what was read from the model's reply. Which labels
//! there are and how one is read from a reply is decided outside; strict and lenient reading are two inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Estimate;
use super::interval::{Draws, bootstrap, percentiles, wilson};
use super::tally::{EXTRA_COLUMNS, Margins, Summary};

/// What the confusion matrix calls replies that hold a label which is not on the list.
pub const OFF_TAXONOMY: &str = "(off taxonomy)";
/// What the confusion matrix calls replies that no label could be read from.
pub const UNPARSEABLE: &str = "(unparseable)";

/// The bootstrap's stream of the run's seed.
const STREAM: u64 = 0x5c0e;

/// One row of the eval set with what the model said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The true label, as a place in the list of labels.
    pub gold: usize,
    /// What was read from the reply.
    pub predicted: Prediction,
}

/// What was read from a reply. All but the true label is a wrong answer; only a label of the list can be somebody's false
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

/// What a model's replies to the eval set are worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Rows judged.
    pub rows: u64,
    /// Share of right replies, with Wilson's interval.
    pub accuracy: Estimate,
    /// Mean F1 of the classes that occur in the eval set.
    pub macro_f1: Estimate,
    /// The same mean, weighted by how many rows are of a class.
    pub weighted_f1: Estimate,
    /// F1 of the counts pooled over these classes.
    pub micro_f1: Estimate,
    /// Cohen's kappa with the true labels; `None` when chance agreement is certain.
    pub kappa: Option<Estimate>,
    /// Share of replies that no label could be read from, with Wilson's interval.
    pub unparseable: Estimate,
    /// Share of replies with a label that is not on the list, with Wilson's interval.
    pub off_taxonomy: Estimate,
    /// Every class that occurs in the eval set or in a reply, in the order of the list of labels.
    pub classes: Vec<ClassScore>,
    /// What was said for what.
    pub confusion: Confusion,
}

/// How one class fared. Precision, recall and F1 are 0 where their denominator is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Its label.
    pub label: String,
    /// Right among the replies that say it.
    pub precision: f64,
    /// Right among the rows that are of it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows that are of it; 0 for a class that only replies name, which no average counts.
    pub support: u64,
    /// Replies that say it.
    pub predicted: u64,
}

/// What was said (columns) for what (rows).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The labels of the rows, and of as many columns.
    pub labels: Vec<String>,
    /// All columns: the labels, then [`OFF_TAXONOMY`] and [`UNPARSEABLE`].
    pub columns: Vec<String>,
    /// Rows of counts, one count per column.
    pub counts: Vec<Vec<u64>>,
}

/// The scores of these rows, `None` without rows. Every place in `rows` is below `labels.len()`. The intervals depend on
/// the counts and the seed alone, not on the order of the rows.
pub fn score(rows: &[Judged], labels: &[String], seed: u64) -> Option<Scores> {
    let counted = count(rows, labels.len());
    let (cells, counts): (Vec<(usize, usize)>, Vec<u64>) = counted.into_iter().unzip();
    let mut margins = Margins::new(labels.len());
    margins.fill(&cells, &counts);
    let (point, n) = (margins.summary(), rows.len() as u64);
    if n == 0 {
        return None;
    }
    let ends = resampled(&cells, &counts, labels.len(), seed);
    let share = |hits: u64| Estimate::between(hits as f64 / n as f64, wilson(hits, n));
    let column = |extra: usize| {
        cells.iter().zip(&counts).filter(|((_, column), _)| *column == labels.len() + extra).map(|(_, n)| n).sum()
    };
    Some(Scores {
        rows: n,
        accuracy: share(margins.right.iter().sum()),
        macro_f1: Estimate::between(point.macro_f1, ends.macro_f1),
        weighted_f1: Estimate::between(point.weighted_f1, ends.weighted_f1),
        micro_f1: Estimate::between(point.micro_f1, ends.micro_f1),
        kappa: point.kappa.is_finite().then(|| Estimate::between(point.kappa, ends.kappa)),
        off_taxonomy: share(column(0)),
        unparseable: share(column(1)),
        classes: class_table(&margins, labels),
        confusion: confusion(&cells, &counts, &margins, labels),
    })
}

impl Scores {
    /// The scores by the names of the JSON contract; `suffix` sets those of another reading apart.
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

/// How many rows there are of each true label and column, in one order.
fn count(rows: &[Judged], labels: usize) -> BTreeMap<(usize, usize), u64> {
    let mut cells = BTreeMap::new();
    for row in rows {
        let column = match row.predicted {
            Prediction::Label(label) => label,
            Prediction::OffTaxonomy => labels,
            Prediction::Unparseable => labels + 1,
        };
        *cells.entry((row.gold, column)).or_insert(0) += 1;
    }
    cells
}

/// The ends of the bootstrap's intervals.
struct Ends {
    macro_f1: Option<(f64, f64)>,
    weighted_f1: Option<(f64, f64)>,
    micro_f1: Option<(f64, f64)>,
    kappa: Option<(f64, f64)>,
}

/// Every score's definition applied to each resample; a class that a resample misses is not counted in it.
fn resampled(cells: &[(usize, usize)], counts: &[u64], labels: usize, seed: u64) -> Ends {
    let mut margins = Margins::new(labels);
    let mut rounds: Vec<Summary> = Vec::new();
    bootstrap(counts, &mut Draws::new(seed, STREAM), |drawn| {
        margins.fill(cells, drawn);
        rounds.push(margins.summary());
    });
    let ends = |of: fn(&Summary) -> f64| percentiles(rounds.iter().map(of).collect());
    Ends {
        macro_f1: ends(|summary| summary.macro_f1),
        weighted_f1: ends(|summary| summary.weighted_f1),
        micro_f1: ends(|summary| summary.micro_f1),
        kappa: ends(|summary| summary.kappa),
    }
}

fn occurring(margins: &Margins) -> impl Iterator<Item = usize> + '_ {
    (0..margins.support.len()).filter(|&class| margins.support[class] + margins.predicted[class] > 0)
}

fn class_table(margins: &Margins, labels: &[String]) -> Vec<ClassScore> {
    let of = |class: usize| ClassScore {
        label: labels[class].clone(),
        precision: margins.precision(class),
        recall: margins.recall(class),
        f1: margins.f1(class),
        support: margins.support[class],
        predicted: margins.predicted[class],
    };
    occurring(margins).map(of).collect()
}

fn confusion(cells: &[(usize, usize)], counts: &[u64], margins: &Margins, labels: &[String]) -> Confusion {
    let kept: Vec<usize> = occurring(margins).collect();
    let place: BTreeMap<usize, usize> = kept
        .iter()
        .copied()
        .chain((0..EXTRA_COLUMNS).map(|extra| labels.len() + extra))
        .enumerate()
        .map(|(at, column)| (column, at))
        .collect();
    let mut table = vec![vec![0; kept.len() + EXTRA_COLUMNS]; kept.len()];
    for ((gold, column), n) in cells.iter().zip(counts) {
        table[place[gold]][place[column]] = *n;
    }
    let names: Vec<String> = kept.iter().map(|&class| labels[class].clone()).collect();
    let columns = names.iter().cloned().chain([OFF_TAXONOMY.to_owned(), UNPARSEABLE.to_owned()]).collect();
    Confusion { labels: names, columns, counts: table }
}

#[cfg(test)]
mod tests;
