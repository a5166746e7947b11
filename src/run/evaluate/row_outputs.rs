//! The file of row-level outputs: the reply to each row of the eval set, the label read in it, and the true label.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::eval_set::{EvalSet, Replies};
use crate::data::workload_type::WorkloadType;
use crate::nemo::Call;

/// One line of the file.
#[derive(Serialize)]
struct RowOutput<'a> {
    row: usize,
    /// The id of the record.
    id: &'a str,
    gold: &'a str,
    /// The logged calls.
    #[serde(skip_serializing_if = "<[Call]>::is_empty")]
    gold_calls: &'a [Call],
    predicted: Option<&'a str>,
    reply: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Call]>::is_empty")]
    calls: &'a [Call],
    user: &'a str,
    scores: BTreeMap<&'a str, &'a BTreeMap<String, f64>>,
}

/// Writes the file, complete or not at all. Labels are spelled as in the manifest.
pub(super) fn write(path: &Path, set: &EvalSet, replies: &Replies<'_>) -> anyhow::Result<()> {
    let act = || format!("cannot write {}", path.display());
    let mut text = String::new();
    for (index, (row, reply)) in set.rows.iter().zip(replies).enumerate() {
        let output = reply.and_then(|row| row.output_text.as_deref());
        let calls = reply.map_or(&[][..], |row| &row.called);
        let predicted = match set.workload_type {
            WorkloadType::Text => None,
            WorkloadType::ToolCalling => calls.first().map(|call| call.name.as_str()),
            WorkloadType::Classification => output.and_then(|text| match set.reader.strict(text, &set.labels) {
                Some(label) => Some(set.labels[label].as_str()),
                None => set.reader.read(text),
            }),
        };
        let line = RowOutput {
            row: index,
            id: &row.id,
            gold: &set.labels[row.label],
            gold_calls: &row.calls,
            predicted,
            // Evaluators note an empty text beside a call.
            reply: output.filter(|text| calls.is_empty() || !text.trim().is_empty()),
            calls,
            user: &row.user,
            scores: reply
                .map(|row| row.scores.iter().map(|(name, scores)| (name.as_str(), scores)).collect())
                .unwrap_or_default(),
        };
        text.push_str(&serde_json::to_string(&line).with_context(act)?);
        text.push('\n');
    }
    let partial = path.with_extension("part");
    std::fs::write(&partial, text).with_context(act)?;
    std::fs::rename(&partial, path).with_context(act)
}
