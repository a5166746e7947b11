//! The scores of tool calls, from the evaluator's row scores: whether the right functions were called, and with the right
//! arguments. Asking and matching rows is `evaluate`'s.

use std::collections::BTreeMap;

use crate::nemo::{RowOutput, TOOL_METRIC};
use crate::score::{Estimate, interval};

/// The score that decides.
pub const HEADLINE: &str = "name_and_arguments_accuracy";

/// Our names, and those of the evaluator.
const SCORES: [(&str, &str); 2] =
    [("function_name_accuracy", "function_name_accuracy"), (HEADLINE, "function_name_and_args_accuracy")];

/// The shares of rows that are right. A row without a score (no reply, arguments that are no JSON) is wrong.
pub fn scores(replies: &[Option<&RowOutput>]) -> BTreeMap<String, Estimate> {
    let rows = replies.len() as u64;
    let share = |theirs: &str| {
        let right = |reply: &&Option<&RowOutput>| {
            let scores = reply.and_then(|row| row.scores.get(TOOL_METRIC));
            scores.and_then(|scores| scores.get(theirs)).is_some_and(|score| *score >= 1.0)
        };
        let right = replies.iter().filter(right).count() as u64;
        Estimate::between(right as f64 / rows.max(1) as f64, interval::wilson(right, rows))
    };
    SCORES.iter().map(|(ours, theirs)| ((*ours).to_owned(), share(theirs))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scores: &[(&str, f64)]) -> RowOutput {
        let scores = scores.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect();
        RowOutput {
            task: "custom-tool-calling".into(),
            item: serde_json::Value::Null,
            output_text: None,
            called: Vec::new(),
            prompt_tokens: None,
            completion_tokens: None,
            latency_ms: None,
            scores: BTreeMap::from([(TOOL_METRIC.to_owned(), scores)]),
        }
    }

    #[test]
    fn a_row_without_a_score_is_wrong() {
        let right = row(&[("function_name_accuracy", 1.0), ("function_name_and_args_accuracy", 1.0)]);
        let other = row(&[("function_name_accuracy", 1.0), ("function_name_and_args_accuracy", 0.0)]);
        let unread = row(&[("function_name_accuracy", 1.0)]);
        let scores = scores(&[Some(&right), Some(&other), Some(&unread), None]);
        assert_eq!((scores["function_name_accuracy"].value, scores[HEADLINE].value), (0.75, 0.25));
        assert!(scores[HEADLINE].low.is_some_and(|low| low > 0.0 && low < 0.25));
    }
}
