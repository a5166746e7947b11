//! The row-level outputs of an evaluation as a later reader finds them: the comparisons of a run, and its reports.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::evaluate::text_scores;
use crate::data::thoughts;
use crate::data::workload_type::WorkloadType;
use crate::nemo::Call;
use crate::score::text::rouge_l;

/// One row of the eval set with the reply to it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct OutputRow {
    pub gold: String,
    /// The logged calls. Empty for other replies, and from an earlier version.
    #[serde(default)]
    pub gold_calls: Vec<Call>,
    /// The label, or the name of the called function. `None` when the reply has none.
    pub predicted: Option<String>,
    pub reply: Option<String>,
    /// The functions that the model called. Empty for other replies, and from an earlier version.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// The contents of the user messages, a JSON list.
    #[serde(default)]
    pub user: String,
    /// By metric, then by score.
    #[serde(default)]
    pub scores: BTreeMap<String, BTreeMap<String, f64>>,
}

impl OutputRow {
    /// Returns 1 for a call whose name and arguments are right, else 0.
    pub(crate) fn call_score(&self) -> f64 {
        let scores = self.scores.get(crate::nemo::TOOL_METRIC);
        scores.and_then(|scores| scores.get("function_name_and_args_accuracy")).copied().unwrap_or(0.0)
    }
}

impl OutputRow {
    /// Tells whether the reply is what the log says. No text is.
    pub(crate) fn is_right(&self, workload_type: WorkloadType) -> bool {
        match workload_type {
            WorkloadType::Classification => self.predicted.as_ref() == Some(&self.gold),
            WorkloadType::ToolCalling => self.call_score() >= 1.0,
            WorkloadType::Text => false,
        }
    }

    /// Returns what the model said: its text, or the calls that it made. `None` if it said nothing.
    pub(crate) fn said(&self) -> Option<Cow<'_, str>> {
        let text = self.reply.as_deref().filter(|text| !text.trim().is_empty());
        let called = || in_words(&self.calls).map(Cow::Owned).or_else(|| self.predicted.as_deref().map(Cow::Borrowed));
        text.map(Cow::Borrowed).or_else(called)
    }

    /// Returns what the log says.
    pub(crate) fn wanted(&self) -> Cow<'_, str> {
        in_words(&self.gold_calls).map_or(Cow::Borrowed(&self.gold), Cow::Owned)
    }

    /// Returns how alike the reply and the logged text are: as the judge has rated it, or by the words that both have.
    pub(crate) fn text_score(&self, judged: bool) -> Option<f64> {
        let reply = self.reply.as_deref().unwrap_or_default();
        if !judged {
            return Some(rouge_l(&self.gold, &thoughts::without(reply)));
        }
        if reply.trim().is_empty() {
            return Some(0.0);
        }
        let rating = self.scores.get(crate::nemo::JUDGE_METRIC).and_then(|scores| scores.get(crate::nemo::JUDGE_SCORE));
        text_scores::rated(rating.copied())
    }
}

fn in_words(calls: &[Call]) -> Option<String> {
    let words: Vec<String> = calls.iter().map(|call| format!("{}({})", call.name, call.arguments)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Reads the rows of an evaluation.
///
/// # Errors
/// When the file cannot be read or holds something else.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<OutputRow>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    rows.with_context(|| format!("cannot read the rows of {}", path.display()))
}
