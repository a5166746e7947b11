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
        match self.manifest.workload_type {
            WorkloadType::Classification => "macro_f1",
            WorkloadType::ToolCalling => tool_scores::HEADLINE,
            WorkloadType::Text if self.judged => text_scores::SIMILARITY,
            WorkloadType::Text => text_scores::OVERLAP,
        }
    }

    /// Tells whether a reply counts otherwise when a label without brackets is one.
    pub(super) fn depends_on_reading(&self, rows: &[OutputRow]) -> bool {
        let labels: Vec<String> = self.manifest.classes.keys().cloned().collect();
        let by = |row, reading| self.prediction(row, &labels, reading);
        rows.iter().any(|row| by(row, Reading::Strict) != by(row, Reading::Lenient))
    }

    /// Returns the score of `b` less that of `a`, which are replies to the same rows in the same order.
    pub(super) fn difference(&self, a: &[OutputRow], b: &[OutputRow], reading: Reading) -> Option<Difference> {
        let simulation = Simulation::new(self.seed);
        if !self.is_classification() {
            let score = |row: &OutputRow| match self.manifest.workload_type {
                WorkloadType::Text => row.text_score(self.judged),
                WorkloadType::ToolCalling | WorkloadType::Classification => Some(row.call_score()),
            };
            // A row that the judge has not rated for one model says nothing of the other.
            let rows: Vec<(f64, f64)> = b.iter().zip(a).filter_map(|(b, a)| Some((score(b)?, score(a)?))).collect();
            return difference::of_values(&rows, None, simulation);
        }
        let labels: Vec<String> = self.manifest.classes.keys().cloned().collect();
        let place = |label: &str| labels.iter().position(|known| known == label);
        let paired = b.iter().zip(a).filter_map(|(b, a)| {
            let (first, second) = (self.prediction(b, &labels, reading), self.prediction(a, &labels, reading));
            Some(PairedReply { gold: place(&a.gold)?, first, second })
        });
        let paired: Vec<PairedReply> = paired.collect();
        difference::of_replies(&paired, None, labels.len(), Metric::MacroF1, simulation)
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

/// Puts the rows of an evaluation into the order of another eval set; `None` unless both have the same rows.
pub(super) fn aligned(rows: Vec<OutputRow>, to: &[OutputRow]) -> Option<Vec<OutputRow>> {
    let mut by_row: HashMap<(String, String), OutputRow> =
        rows.into_iter().map(|row| ((row.user.clone(), row.gold.clone()), row)).collect();
    let found: Option<Vec<OutputRow>> =
        to.iter().map(|row| by_row.remove(&(row.user.clone(), row.gold.clone()))).collect();
    found.filter(|_| by_row.is_empty())
}
