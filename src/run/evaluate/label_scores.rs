//! The scores of a classification: the label of each reply against the true one, read strictly and leniently, and NeMo's
//! own score.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::eval_set::{EvalSet, Replies};
use crate::nemo::{EvaluatedRow, EvaluationScores};
use crate::score::classification::{ClassScore, Confusion, Judged, Prediction, score_clustered};
use crate::score::{Estimate, interval};

/// The random stream of the bootstrap of NeMo's score. Those of our own scores are others.
const NEMO_STREAM: u64 = 0xf1;

/// The scores of a classification.
pub(super) struct LabelScores {
    /// Strict scores, lenient ones with `_lenient`, and `nemo_f1`.
    pub(super) scores: BTreeMap<String, Estimate>,
    pub(super) classes: Vec<ClassScore>,
    pub(super) confusion: Confusion,
}

/// Scores the replies. A row without a reply counts as wrong.
pub(super) fn label_scores(
    set: &EvalSet,
    replies: &Replies<'_>,
    platform: &EvaluationScores,
    seed: u64,
) -> anyhow::Result<LabelScores> {
    let judged = |read: &dyn Fn(&str) -> Option<usize>| -> Vec<Judged> {
        let predicted = |reply: &Option<&EvaluatedRow>| {
            let text = reply.and_then(|row| row.output_text.as_deref());
            text.map_or(Prediction::Unparseable, |text| prediction(read(text), set.reader.read(text).is_some()))
        };
        let rows = set.rows.iter().zip(replies);
        rows.map(|(row, reply)| Judged { gold: row.label, predicted: predicted(reply) }).collect()
    };
    let strict = judged(&|text| set.reader.strict(text, &set.labels));
    let lenient = judged(&|text| set.reader.lenient(text, &set.labels));
    let units = set.units.as_deref();
    let scored =
        |judged: &[Judged]| score_clustered(judged, units, &set.labels, seed).context("the eval set has no rows");
    let both_alike = strict == lenient;
    let strict = scored(&strict)?;
    let mut scores = strict.named("");
    scores.extend(if both_alike { strict.named("_lenient") } else { scored(&lenient)?.named("_lenient") });
    if let Some(nemo) = nemo_f1(replies, units, platform, seed) {
        scores.insert("nemo_f1".to_owned(), nemo);
    }
    Ok(LabelScores { scores, classes: strict.classes, confusion: strict.confusion })
}

fn prediction(label: Option<usize>, has_label: bool) -> Prediction {
    match (label, has_label) {
        (Some(label), _) => Prediction::Label(label),
        (None, true) => Prediction::OffTaxonomy,
        (None, false) => Prediction::Unparseable,
    }
}

/// Returns NeMo's own score. It has an interval if every row has a score.
fn nemo_f1(replies: &Replies<'_>, units: Option<&[u64]>, platform: &EvaluationScores, seed: u64) -> Option<Estimate> {
    let value = platform.token_f1()?;
    let of =
        |row: &EvaluatedRow| row.scores.get("f1").and_then(|f1| f1.get("f1_score").or_else(|| f1.get("f1"))).copied();
    let each: Option<Vec<f64>> = replies.iter().map(|row| row.and_then(of)).collect();
    let ends = each.and_then(|each| interval::mean(&each, units, seed, NEMO_STREAM));
    Some(Estimate::between(value, ends))
}
