//! The scores of free text: overlap of words with the logged reply, and the rating of a judge.

use std::collections::BTreeMap;

use super::eval_set::{EvalSet, Replies};
use crate::data::thoughts;
use crate::nemo::{EvaluatedRow, JUDGE_METRIC, JUDGE_SCORE, MOST_ALIKE};
use crate::score::text::{rouge_l, token_f1};
use crate::score::{Estimate, interval};

/// The score that decides without a judge.
pub(crate) const OVERLAP: &str = "rouge_l";

/// The score that decides with a judge: its ratings, from 0 to 1.
pub(crate) const SIMILARITY: &str = "judge_similarity";

/// The share of rows that the judge did not rate.
const UNRATED: &str = "judge_unrated";

/// The random stream of the bootstrap of these scores.
const STREAM: u64 = 0x7e;

/// Returns the mean scores of the rows. A row without a reply scores 0. A row that the judge has not rated counts only as
/// such.
pub(super) fn scores(set: &EvalSet, replies: &Replies<'_>, judged: bool, seed: u64) -> BTreeMap<String, Estimate> {
    let mut scores = BTreeMap::new();
    let units = set.units.as_deref();
    let mut mean = |name: &str, each: &[f64], units: Option<&[u64]>| {
        if !each.is_empty() {
            let value = each.iter().sum::<f64>() / each.len() as f64;
            scores.insert(name.to_owned(), Estimate::between(value, interval::mean(each, units, seed, STREAM)));
        }
    };
    let overlap = |of: fn(&str, &str) -> f64| -> Vec<f64> {
        let rows = set.rows.iter().zip(replies);
        rows.map(|(row, reply)| of(&set.labels[row.label], &said(*reply).unwrap_or_default())).collect()
    };
    mean(OVERLAP, &overlap(rouge_l), units);
    mean("token_f1", &overlap(token_f1), units);
    if judged {
        let each: Vec<Option<f64>> = replies.iter().map(|reply| similarity(*reply)).collect();
        let rated: Vec<f64> = each.iter().copied().flatten().collect();
        let is_rated = |(unit, one): (&u64, &Option<f64>)| one.map(|_| *unit);
        let rated_units: Option<Vec<u64>> = units.map(|units| units.iter().zip(&each).filter_map(is_rated).collect());
        mean(SIMILARITY, &rated, rated_units.as_deref());
        let unrated: Vec<bool> = each.iter().map(Option::is_none).collect();
        scores.insert(UNRATED.to_owned(), Estimate::of_share(&unrated, units));
    }
    scores
}

/// Counts the rows that the judge has not rated, and returns the first reason that the evaluator gives.
pub(super) fn unrated<'r>(replies: &Replies<'r>) -> (usize, Option<&'r str>) {
    let unrated = || replies.iter().filter(|reply| similarity(**reply).is_none());
    (unrated().count(), unrated().find_map(|reply| reply.as_ref()?.error.as_deref()))
}

fn said(reply: Option<&EvaluatedRow>) -> Option<String> {
    let text = reply?.output_text.as_deref()?;
    Some(thoughts::without(text).into_owned())
}

fn similarity(reply: Option<&EvaluatedRow>) -> Option<f64> {
    match reply.filter(|row| row.output_text.as_deref().is_some_and(|text| !text.trim().is_empty())) {
        None => Some(0.0),
        Some(row) => rated(row.scores.get(JUDGE_METRIC).and_then(|scores| scores.get(JUDGE_SCORE)).copied()),
    }
}

/// Returns a rating of the judge as a share. `None`: there is none, or it is out of bounds.
pub(crate) fn rated(rating: Option<f64>) -> Option<f64> {
    rating.filter(|rating| (0.0..=MOST_ALIKE).contains(rating)).map(|rating| rating / MOST_ALIKE)
}
