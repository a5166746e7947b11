//! Each warning, and none without a reason.

use super::super::classification::{Judged, Prediction, Scores, score};
use super::*;

fn scores(rows: &[(usize, Prediction, usize)]) -> Scores {
    let labels: Vec<String> = ["a", "b", "c"].map(String::from).into();
    let all = rows.iter().flat_map(|&(gold, predicted, n)| std::iter::repeat_n(Judged { gold, predicted }, n));
    score(&all.collect::<Vec<_>>(), &labels, 42).unwrap()
}

fn class(label: &str, rows: u64) -> ClassRows {
    ClassRows { label: label.into(), rows }
}

fn of_one(scores: &Scores) -> Vec<Warning> {
    of_classes(&scores.classes, scores.unparseable.value, scores.off_taxonomy.value)
}

#[test]
fn a_good_model_on_enough_rows_is_not_warned_about() {
    let rows = [(0, Prediction::Label(0), 50), (1, Prediction::Label(1), 30), (1, Prediction::Unparseable, 1)];
    assert_eq!(of_one(&scores(&rows)), []);
}

#[test]
fn missed_classes_few_rows_and_failures_of_format_are_told() {
    let rows = [
        (0, Prediction::Label(0), 40),
        (0, Prediction::Label(2), 1),
        (1, Prediction::Label(0), 4),
        (1, Prediction::Unparseable, 3),
        (1, Prediction::OffTaxonomy, 2),
    ];
    let found = of_one(&scores(&rows));
    let format = Warning::FormatFailures { unparseable: 3.0 / 50.0, off_taxonomy: 2.0 / 50.0 };
    let missed = Warning::NeverPredicted(vec![class("b", 9)]);
    assert_eq!(found, [missed, Warning::FewRows(vec![class("b", 9)]), format], "c does not occur");
    assert_eq!(found.iter().map(Warning::disqualifies).collect::<Vec<_>>(), [true, false, false]);
    assert!(!Warning::NeverPredicted(vec![class("b", 4)]).disqualifies(), "four rows may be missed by chance");
}

#[test]
fn few_rows_are_told_once() {
    let rows =
        |rarest| [(0, Prediction::Label(0), 40), (1, Prediction::Label(1), 9), (2, Prediction::Label(2), rarest)];
    assert_eq!(of_one(&scores(&rows(5))), [Warning::FewRows(vec![class("b", 9), class("c", 5)])]);
    assert_eq!(of_one(&scores(&rows(4))), [], "the datasets have a warning that counts all of them");
}

#[test]
fn a_verdict_that_depends_on_the_reading_is_told() {
    let decision = |standing| Decision {
        standing,
        not_worse: true,
        not_better: false,
        p_adjusted: 0.5,
        detectable: Some(0.1),
        more_rows: None,
    };
    let (better, same) = (decision(Standing::Better), decision(Standing::Same));
    let flip = Warning::ReadingFlip { strict: Standing::Same, lenient: Standing::Better };
    assert_eq!((of_readings(&same, &better), of_readings(&same, &same)), (Some(flip), None));
}
