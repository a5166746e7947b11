//! The row-level outputs of an evaluation as a later reader finds them: the comparisons of a run, and its reports.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

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

/// Reads the rows of an evaluation.
///
/// # Errors
/// When the file cannot be read or holds something else.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<OutputRow>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    rows.with_context(|| format!("cannot read the rows of {}", path.display()))
}
