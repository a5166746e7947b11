//! Two models compared by their replies to the same rows of an eval set, of one run or of two.

use std::collections::HashMap;

use super::evaluate::{text_scores, tool_scores};
use super::rows::OutputRow;
use crate::data::label::LabelReader;
use crate::data::workload_type::WorkloadType;
use crate::score::classification::Prediction;
use crate::score::difference::{self, Difference, Metric, PairedReply, Simulation};
use crate::source::dataset::Manifest;

/// How replies are turned into predictions.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reading {
    Strict,
    Lenient,
}

/// Compares models by their replies to the same rows.
pub(super) struct Comparer<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) reader: &'a LabelReader,
    pub(super) seed: u64,
    /// `verdict.margin`.
    pub(super) margin: f64,
    /// A judge has rated the replies.
    pub(super) judged: bool,
}

impl Comparer<'_> {
    /// Tells whether replies hold labels.
    pub(super) fn is_classification(&self) -> bool {
        self.manifest.workload_type == WorkloadType::Classification
    }

    /// Returns the name of the score that decides.
    pub(super) fn metric(&self) -> &'static str {
        metric(self.manifest.workload_type, self.judged)
    }

    /// Tells whether a reply counts otherwise when a label without brackets is one.
    pub(super) fn depends_on_reading(&self, rows: &[OutputRow]) -> bool {
        let labels: Vec<String> = self.manifest.classes.keys().cloned().collect();
        let by = |row, reading| self.prediction(row, &labels, reading);
        rows.iter().any(|row| by(row, Reading::Strict) != by(row, Reading::Lenient))
    }

    /// Returns the score of `b` less the score of `a`, which are replies to the same rows in the same order.
    pub(super) fn difference(&self, a: &[OutputRow], b: &[OutputRow], reading: Reading) -> Option<Difference> {
        let simulation = Simulation::new(self.seed);
        let units = self.manifest.eval_units(a.len());
        let unit = |at: usize| units.as_ref().map_or(at as u64, |units| units[at]);
        let pairs = || b.iter().zip(a).enumerate();
        if self.manifest.workload_type == WorkloadType::Text {
            let score = |row: &OutputRow| row.text_score(self.judged);
            // A row that the judge has not rated for one model says nothing of the other.
            let rated = pairs().filter_map(|(at, (b, a))| Some(((score(b)?, score(a)?), unit(at))));
            let (rows, kept): (Vec<(f64, f64)>, Vec<u64>) = rated.unzip();
            return difference::of_values(&rows, units.is_some().then_some(&kept), simulation);
        }
        let labels: Vec<String> = self.manifest.classes.keys().cloned().collect();
        let place = |label: &str| labels.iter().position(|known| known == label);
        let is_classification = self.is_classification();
        let paired = pairs().filter_map(|(at, (b, a))| {
            if !is_classification {
                let called = |row: &OutputRow| match row.is_right(self.manifest.workload_type) {
                    true => Prediction::Label(0),
                    false => Prediction::OffTaxonomy,
                };
                return Some((PairedReply { gold: 0, first: called(b), second: called(a) }, unit(at)));
            }
            let (first, second) = (self.prediction(b, &labels, reading), self.prediction(a, &labels, reading));
            Some((PairedReply { gold: place(&a.gold)?, first, second }, unit(at)))
        });
        let (rows, kept): (Vec<PairedReply>, Vec<u64>) = paired.unzip();
        let metric = if is_classification { Metric::MacroF1 } else { Metric::Accuracy };
        difference::of_replies(&rows, units.is_some().then_some(&kept), labels.len(), metric, simulation)
    }

    fn prediction(&self, row: &OutputRow, labels: &[String], reading: Reading) -> Prediction {
        let strict = row.predicted.as_deref();
        let place = match reading {
            Reading::Strict => strict.and_then(|label| labels.iter().position(|known| known == label)),
            Reading::Lenient => row.reply.as_deref().and_then(|reply| self.reader.lenient(reply, labels)),
        };
        match place {
            Some(place) => Prediction::Label(place),
            None if strict.is_some() => Prediction::OffTaxonomy,
            None => Prediction::Unparseable,
        }
    }
}

/// Returns the name of the score that decides.
pub(super) fn metric(workload: WorkloadType, judged: bool) -> &'static str {
    match workload {
        WorkloadType::Classification => "macro_f1",
        WorkloadType::ToolCalling => tool_scores::HEADLINE,
        WorkloadType::Text if judged => text_scores::SIMILARITY,
        WorkloadType::Text => text_scores::OVERLAP,
    }
}

/// Puts the rows of an evaluation into the order of another eval set; `None` unless both have the same rows.
pub(super) fn aligned(rows: Vec<OutputRow>, to: &[OutputRow]) -> Option<Vec<OutputRow>> {
    let mut by_row: HashMap<(String, String), OutputRow> =
        rows.into_iter().map(|row| ((row.user.clone(), row.gold.clone()), row)).collect();
    let found: Option<Vec<OutputRow>> =
        to.iter().map(|row| by_row.remove(&(row.user.clone(), row.gold.clone()))).collect();
    found.filter(|_| by_row.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::data::options::LabelRules;
    use crate::score::mcnemar;

    fn manifest(workload_type: &str, groups: &[[u32; 2]]) -> Manifest {
        serde_json::from_value(json!({
            "workload": "w", "workload_type": workload_type, "source": "jsonl", "read": 0, "rejected": {}, "other": 0,
            "duplicates": 0, "over_limit": 0, "kept": 0, "eval": 60, "eval_groups": groups, "train": 0, "validation": 0,
            "held_back": 0, "conflicts": 0, "seed": 1, "files": [], "inputs": [], "warnings": [],
            "classes": {"a": {"eval": 0, "train": 0, "validation": 0}, "b": {"eval": 0, "train": 0, "validation": 0}},
            "types": {"records": 0, "labels": 0, "tool_calls": 0}, "labels": {}
        }))
        .unwrap()
    }

    fn compared(manifest: &Manifest, a: &[OutputRow], b: &[OutputRow]) -> Difference {
        let reader = LabelReader::new(&LabelRules::default()).unwrap();
        let comparer = Comparer { manifest, reader: &reader, seed: 1, margin: 0.02, judged: false };
        comparer.difference(a, b, Reading::Strict).unwrap()
    }

    #[test]
    fn tool_calls_are_compared_by_the_exact_test() {
        let rows = |right: std::ops::Range<usize>| -> Vec<OutputRow> {
            let row = |at: usize| {
                let score = f64::from(u8::from(right.contains(&at)));
                let scores = BTreeMap::from([("function_name_and_args_accuracy".to_owned(), score)]);
                let scores = BTreeMap::from([(crate::nemo::TOOL_METRIC.to_owned(), scores)]);
                OutputRow { gold: "a".into(), scores, ..OutputRow::default() }
            };
            (0..60).map(row).collect()
        };
        let found = compared(&manifest("tool_calling", &[]), &rows(5..40), &rows(0..53));
        assert!((found.value - 18.0 / 60.0).abs() < 1e-12, "{found:?}");
        assert_eq!(found.p, mcnemar::exact(18, 0));
    }

    #[test]
    fn rows_of_one_group_are_drawn_together() {
        let rows = |right: std::ops::Range<usize>| -> Vec<OutputRow> {
            let row = |at: usize| {
                let gold = ["a", "b"][at / 2 % 2];
                let said = if right.contains(&at) { gold } else { ["b", "a"][at / 2 % 2] };
                OutputRow { gold: gold.into(), predicted: Some(said.into()), ..OutputRow::default() }
            };
            (0..60).map(row).collect()
        };
        let groups: Vec<[u32; 2]> = (0..30).map(|at| [2 * at, 2 * at + 1]).collect();
        let (a, b) = (rows(0..40), rows(0..52));
        let alone = compared(&manifest("classification", &[]), &a, &b);
        let together = compared(&manifest("classification", &groups), &a, &b);
        assert_eq!(alone.value, together.value);
        let width = |one: &Difference| one.high - one.low;
        assert!(width(&together) > 1.2 * width(&alone), "{alone:?} {together:?}");
        assert!(together.p > 2.0 * alone.p, "{alone:?} {together:?}");
        let one = compared(&manifest("classification", &[[0, 99]]), &a, &b);
        assert_eq!(one, alone, "a place that no row has");
    }
}
