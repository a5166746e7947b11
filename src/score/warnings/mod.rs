//! Warnings that belong beside a score.

use super::classification::ClassScore;
use super::verdict::{Decision, Standing};

/// Eval rows below which the score of a class is an anecdote: with 30 rows that are all right, the 95 % interval of the
/// recall begins at 0.89 (Wilson 1927).
pub(crate) const FEW_ROWS: u64 = 30;

/// Eval rows that a class needs for a score of its own. With 5 rows that are all right, the 95 % interval of the recall
/// begins at 0.57 (Wilson 1927), with 3 at 0.44. A warning of the datasets names the classes below, and counts those below
/// [`FEW_ROWS`] too.
pub(crate) const SCARCE_ROWS: u64 = 5;

/// Rows from which a class that is never predicted speaks against a model: one that has half of them right misses all of
/// five in 3 % of eval sets.
const ENOUGH_TO_MISS: u64 = 5;

/// Above this share of unreadable replies, a score reflects the format as much as the model.
pub(crate) const MANY_FORMAT_FAILURES: f64 = 0.02;

/// A caveat that the reader of a score must know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Warning {
    /// The model never predicts these classes of the eval set.
    NeverPredicted(Vec<ClassRows>),
    /// The eval set has fewer than [`FEW_ROWS`] rows of these classes, and is not warned about for its rarest ones.
    FewRows(Vec<ClassRows>),
    /// The score counts this share of replies as wrong for their format: they hold no label of the list.
    FormatFailures { unparseable: f64, off_taxonomy: f64 },
    /// Strict and lenient reading of the replies lead to different verdicts.
    ReadingFlip { strict: Standing, lenient: Standing },
}

/// A class and its rows in the eval set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassRows {
    pub label: String,
    pub rows: u64,
}

impl Warning {
    /// Checks whether the warning speaks against the recommendation of the model.
    pub(crate) fn disqualifies(&self) -> bool {
        matches!(self, Warning::NeverPredicted(classes) if classes.iter().any(|class| class.rows >= ENOUGH_TO_MISS))
    }
}

/// Returns the warning that this many classes have fewer than [`FEW_ROWS`] rows.
pub(crate) fn few_rows(few: usize, classes: usize) -> String {
    format!(
        "{few} of {classes} classes have fewer than {FEW_ROWS} eval rows: do not rely on the scores of single classes"
    )
}

/// Returns the warnings on one model: its classes, and the shares of its replies that hold no label and none of the list.
pub(crate) fn of_classes(scores: &[ClassScore], unparseable: f64, off_taxonomy: f64) -> Vec<Warning> {
    let classes = |which: fn(u64, u64) -> bool| -> Vec<ClassRows> {
        let occurring = scores.iter().filter(|class| class.support > 0);
        occurring
            .filter(|class| which(class.support, class.predicted))
            .map(|class| ClassRows { label: class.label.clone(), rows: class.support })
            .collect()
    };
    let missed = classes(|_, predicted| predicted == 0);
    let few = classes(|rows, _| rows < FEW_ROWS);
    let told = few.iter().any(|class| class.rows < SCARCE_ROWS);
    let found = [
        (!missed.is_empty()).then_some(Warning::NeverPredicted(missed)),
        (!few.is_empty() && !told).then_some(Warning::FewRows(few)),
        (unparseable + off_taxonomy >= MANY_FORMAT_FAILURES)
            .then_some(Warning::FormatFailures { unparseable, off_taxonomy }),
    ];
    found.into_iter().flatten().collect()
}

/// Returns the warning on a verdict that depends on how replies are read.
pub(crate) fn of_readings(strict: &Decision, lenient: &Decision) -> Option<Warning> {
    let (strict, lenient) = (strict.standing, lenient.standing);
    (strict != lenient).then_some(Warning::ReadingFlip { strict, lenient })
}

#[cfg(test)]
mod tests;
