//! The scores of tool calls, from the row scores of the evaluator: right functions, right arguments, and the ratings of a
//! judge.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::nemo::{EvaluatedRow, JUDGE_METRIC, JUDGE_SCORE, TOOL_METRIC};
use crate::score::Estimate;
use crate::student::ToolCall;

/// The score that decides.
pub(crate) const HEADLINE: &str = "name_and_arguments_accuracy";

/// The share of right rows among those that the judge rated.
pub(crate) const CORRECTNESS: &str = "judge_correctness";

/// The share of rows that the judge did not rate.
pub(crate) const UNRATED: &str = "judge_unrated";

/// Our names of the scores and the evaluator's.
const SCORES: [(&str, &str); 2] =
    [("function_name_accuracy", "function_name_accuracy"), (HEADLINE, "function_name_and_args_accuracy")];

/// The judge's rating of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rating {
    Right,
    Wrong,
    /// There is no rating, or it means neither.
    Unrated,
}

/// Returns the shares of right rows. A row without a score (no reply, arguments that are not JSON) is wrong. A row that the
/// judge has not rated is neither right nor wrong.
pub(crate) fn scores(
    replies: &[Option<&EvaluatedRow>],
    units: Option<&[u64]>,
    judged: bool,
) -> BTreeMap<String, Estimate> {
    let accuracy = |theirs: &str| {
        let right = |reply: &&Option<&EvaluatedRow>| {
            let scores = reply.and_then(|row| row.scores.get(TOOL_METRIC));
            scores.and_then(|scores| scores.get(theirs)).is_some_and(|score| *score >= 1.0)
        };
        Estimate::of_share(&replies.iter().map(|reply| right(&reply)).collect::<Vec<_>>(), units)
    };
    let mut scores: BTreeMap<String, Estimate> =
        SCORES.iter().map(|(ours, theirs)| ((*ours).to_owned(), accuracy(theirs))).collect();
    if judged {
        let ratings: Vec<Rating> = replies.iter().map(|reply| rating(*reply)).collect();
        let unrated: Vec<bool> = ratings.iter().map(|rating| *rating == Rating::Unrated).collect();
        scores.insert(UNRATED.to_owned(), Estimate::of_share(&unrated, units));
        let rated = || (0..ratings.len()).filter(|at| !unrated[*at]);
        if rated().next().is_some() {
            let right: Vec<bool> = rated().map(|at| ratings[at] == Rating::Right).collect();
            let units: Option<Vec<u64>> = units.map(|units| rated().map(|at| units[at]).collect());
            scores.insert(CORRECTNESS.to_owned(), Estimate::of_share(&right, units.as_deref()));
        }
    }
    scores
}

/// Counts the rows that the judge has not rated, and returns the first reason that the evaluator gives.
pub(crate) fn unrated<'r>(replies: &[Option<&'r EvaluatedRow>]) -> (usize, Option<&'r str>) {
    let unrated = || replies.iter().filter(|reply| rating(**reply) == Rating::Unrated);
    (unrated().count(), unrated().find_map(|reply| reply.as_ref()?.error.as_deref()))
}

/// Reads tool calls, whose arguments are objects or, as they were logged, texts.
pub(crate) fn calls_of(calls: &Value) -> Vec<ToolCall> {
    let call = |call: &Value| {
        let function = &call["function"];
        let arguments = match &function["arguments"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(ToolCall { name: function["name"].as_str()?.to_owned(), arguments })
    };
    calls.as_array().into_iter().flatten().filter_map(call).collect()
}

/// Scores calls by the rules of NeMo's evaluator (docs/nemo-api.md, Tool-calling accuracy).
pub(crate) fn scores_of_calls(gold: &[ToolCall], called: &[ToolCall]) -> BTreeMap<String, f64> {
    let by_name = |calls: &[ToolCall]| -> BTreeMap<String, Option<Value>> {
        calls.iter().map(|call| (call.name.clone(), serde_json::from_str(&call.arguments).ok())).collect()
    };
    let (gold, called) = (by_name(gold), by_name(called));
    let names = gold.keys().eq(called.keys());
    let score = |right: bool| f64::from(u8::from(right));
    BTreeMap::from([
        ("function_name_accuracy".to_owned(), score(names)),
        ("function_name_and_args_accuracy".to_owned(), score(names && gold == called)),
    ])
}

/// Returns the rating of a row. A row without a reply is wrong, even if a judge rated it.
fn rating(reply: Option<&EvaluatedRow>) -> Rating {
    let Some(row) = reply.filter(|row| row.output_text.is_some() || !row.called.is_empty()) else {
        return Rating::Wrong;
    };
    match row.scores.get(JUDGE_METRIC).and_then(|scores| scores.get(JUDGE_SCORE)) {
        Some(score) if *score == 1.0 => Rating::Right,
        Some(score) if *score == 0.0 => Rating::Wrong,
        _ => Rating::Unrated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemo::Call;

    fn row(scores: &[(&str, f64)]) -> EvaluatedRow {
        let scores = scores.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect();
        EvaluatedRow {
            task: "custom-tool-calling".into(),
            item: serde_json::Value::Null,
            output_text: None,
            called: vec![Call { name: "f".to_owned(), arguments: "{}".to_owned() }],
            cut_off: false,
            prompt_tokens: None,
            completion_tokens: None,
            took: None,
            scores: BTreeMap::from([(TOOL_METRIC.to_owned(), scores)]),
            error: None,
        }
    }

    fn rated(rating: Option<f64>) -> EvaluatedRow {
        let mut row = row(&[("function_name_accuracy", 1.0), ("function_name_and_args_accuracy", 0.0)]);
        let rating = rating.map(|rating| (JUDGE_SCORE.to_owned(), rating)).into_iter().collect();
        row.scores.insert(JUDGE_METRIC.to_owned(), rating);
        row
    }

    #[test]
    fn a_row_without_a_score_is_wrong() {
        let right = row(&[("function_name_accuracy", 1.0), ("function_name_and_args_accuracy", 1.0)]);
        let other = row(&[("function_name_accuracy", 1.0), ("function_name_and_args_accuracy", 0.0)]);
        let unread = row(&[("function_name_accuracy", 1.0)]);
        let scores = scores(&[Some(&right), Some(&other), Some(&unread), None], None, false);
        assert_eq!((scores["function_name_accuracy"].value, scores[HEADLINE].value), (0.75, 0.25));
        assert!(scores[HEADLINE].low.is_some_and(|low| low > 0.0 && low < 0.25));
        assert_eq!(scores.len(), 2, "nobody judges");
    }

    #[test]
    fn what_the_judge_has_not_rated_counts_neither_way() {
        let rows = [rated(Some(1.0)), rated(Some(1.0)), rated(Some(0.0)), rated(None), rated(Some(7.0))];
        let silent = EvaluatedRow { called: Vec::new(), ..rated(Some(1.0)) };
        let mut replies: Vec<Option<&EvaluatedRow>> = rows.iter().map(Some).collect();
        replies.extend([Some(&silent), None]);
        let judged = scores(&replies, None, true);
        // Two right, one wrong, two without an answer; two without a rating.
        assert_eq!((judged[CORRECTNESS].value, judged[UNRATED].value), (0.4, 2.0 / 7.0));
        let (low, high) = crate::score::interval::wilson(2.0, 5.0).unwrap();
        assert_eq!((judged[CORRECTNESS].low, judged[CORRECTNESS].high), (Some(low), Some(high)));
        assert_eq!(unrated(&replies), (2, None));
    }

    #[test]
    fn a_judge_that_rates_nothing_gives_no_score() {
        let failed = EvaluatedRow { error: Some("401 Unauthorized".to_owned()), ..rated(None) };
        let replies = [Some(&failed), Some(&failed)];
        let judged = scores(&replies, None, true);
        assert!(!judged.contains_key(CORRECTNESS));
        assert_eq!(judged[UNRATED].value, 1.0);
        assert_eq!(unrated(&replies), (2, Some("401 Unauthorized")));
    }

    fn calls(calls: &[(&str, &str)]) -> Vec<ToolCall> {
        calls.iter().map(|(name, text)| ToolCall { name: (*name).into(), arguments: (*text).into() }).collect()
    }

    #[test]
    fn calls_are_right_by_name_and_by_arguments() {
        let gold = calls(&[("quote", r#"{"symbol":"X","days":2}"#)]);
        for (called, name, both) in [
            (calls(&[("quote", r#"{"days":2, "symbol":"X"}"#)]), 1.0, 1.0),
            (calls(&[("quote", r#"{"symbol":"Y","days":2}"#)]), 1.0, 0.0),
            (calls(&[("chart", r#"{"symbol":"X","days":2}"#)]), 0.0, 0.0),
            (calls(&[("quote", r#"{"symbol":"X","days":2}"#), ("chart", "{}")]), 0.0, 0.0),
            (calls(&[]), 0.0, 0.0),
        ] {
            let scores = scores_of_calls(&gold, &called);
            let found = (scores["function_name_accuracy"], scores["function_name_and_args_accuracy"]);
            assert_eq!(found, (name, both), "{called:?}");
        }
    }
}
