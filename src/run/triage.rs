//! Finds labels that are likely wrong: a classifier learns from the other rows, and is sure of another label. Reads no file
//! and asks no platform.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::source::dataset::{LabelledRow, Review, ReviewItem, ReviewReason};
use crate::student::{Example, Message, StudentSize, TrainOptions, train};

/// Parts of the rows. Each is judged by a classifier that learnt from the others.
const FOLDS: u64 = 5;
/// Rows below which a classifier learns too little to doubt a label.
const FEWEST_ROWS: usize = 50;

/// Returns the requests that a person should check: those of a review, then the others whose label is likely wrong.
pub(crate) fn doubtful(review: Review, seed: u64) -> Vec<ReviewItem> {
    let Review { mut items, rows } = review;
    let known: HashSet<String> = items.iter().map(|item| item.request.clone()).collect();
    items.extend(likely_wrong(&rows, seed).into_iter().filter(|item| !known.contains(&item.request)));
    items
}

/// Returns the rows whose label is likely wrong, the surest first. Rows of one group are in one part, so that no twin
/// teaches the label that is in doubt.
fn likely_wrong(rows: &[LabelledRow], seed: u64) -> Vec<ReviewItem> {
    if rows.len() < FEWEST_ROWS {
        return Vec::new();
    }
    let mut found: Vec<(f32, ReviewItem)> = (0..FOLDS).flat_map(|fold| doubted(rows, fold, seed)).collect();
    found.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.request.cmp(&right.request)));
    found.into_iter().map(|(_, item)| item).collect()
}

/// Returns the rows of a part whose label a classifier doubts, with the distance between its scores of both labels.
fn doubted(rows: &[LabelledRow], fold: u64, seed: u64) -> Vec<(f32, ReviewItem)> {
    let is_here = |row: &&LabelledRow| row.group % FOLDS == fold;
    let example = |row: &LabelledRow| Example {
        messages: messages(row),
        reply: format!("[[[{}]]]", row.label),
        calls: Vec::new(),
    };
    let lessons: Vec<Example> = rows.iter().filter(|row| !is_here(row)).map(example).collect();
    let options = TrainOptions { seed, ..TrainOptions::default() };
    let trained = train(StudentSize::Large, &lessons, &[], &options, &mut |_| ControlFlow::Continue(()));
    let Ok(student) = trained else { return Vec::new() };
    let judged = rows.iter().filter(is_here).filter_map(|row| {
        let scores = student.scored_replies(&messages(row));
        let own = format!("[[[{}]]]", row.label);
        let (_, own) = scores.iter().find(|(reply, _)| *reply == own)?;
        let (reply, best) = scores.iter().max_by(|(_, a), (_, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal))?;
        // Each label has a score of its own, which is above 0 where the classifier would give it.
        let is_doubted = *best > 0.0 && *own < 0.0;
        let evidence = format!("a classifier of the other rows scores it {own:.2}, and the suggestion {best:.2}");
        is_doubted.then(|| {
            let suggested = reply.trim_matches(['[', ']']).to_owned();
            let item = ReviewItem {
                request: row.request.clone(),
                reason: ReviewReason::LikelyWrong,
                label: row.label.clone(),
                suggested: Some(suggested),
                evidence,
                text: row.text.clone(),
            };
            (best - own, item)
        })
    });
    judged.collect()
}

fn messages(row: &LabelledRow) -> Vec<Message> {
    row.messages
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|message| serde_json::from_value(message.clone()).ok())
        .collect()
}
