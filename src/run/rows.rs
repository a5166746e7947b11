//! The row-level outputs of an evaluation as a later reader finds them: the comparisons of a run, and its reports.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::evaluate::text_scores;
use crate::data::thoughts;
use crate::score::text::rouge_l;

/// One row of the eval set with the reply to it.
#[derive(Debug, Deserialize)]
pub(crate) struct OutputRow {
    pub gold: String,
    /// The label, or the name of the called function. `None` when the reply has none.
    pub predicted: Option<String>,
    pub reply: Option<String>,
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

/// Reads the rows of an evaluation.
///
/// # Errors
/// When the file cannot be read or holds something else.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<OutputRow>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    rows.with_context(|| format!("cannot read the rows of {}", path.display()))
}
