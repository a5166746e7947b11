//! The eval set of a run with its true labels, and the evaluator's reply to each of its rows.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::data::label::{self, LabelReader};
use crate::data::record::Normaliser;
use crate::data::workload_type::WorkloadType;
use crate::nemo::{Call, EvaluatedRow};
use crate::source::dataset::Manifest;

/// The replies in the order of the eval set. `None`: the evaluator returned no row.
pub(super) type Replies<'r> = Vec<Option<&'r EvaluatedRow>>;

/// The eval set.
pub(super) struct EvalSet {
    pub(super) workload_type: WorkloadType,
    /// In the order of the manifest. For texts the logged reply of each row.
    pub(super) labels: Vec<String>,
    pub(super) reader: LabelReader,
    /// In the order of the file.
    pub(super) rows: Vec<EvalRow>,
    /// The group of each row. `None` if each row is one of its own.
    pub(super) units: Option<Vec<u64>>,
}

/// One row of the eval set.
pub(super) struct EvalRow {
    /// Recognises the row among the evaluator's.
    request: String,
    /// The id of the record, in hex.
    pub(super) id: String,
    /// The texts of the user, for people.
    pub(super) user: String,
    /// The logged calls.
    pub(super) calls: Vec<Call>,
    /// An index into the labels.
    pub(super) label: usize,
}

impl EvalSet {
    /// Reads the file of an eval set. The ids of its records are in `plain`, whose rows are the same without examples.
    pub(super) fn read(path: &Path, plain: &Path, reader: LabelReader, manifest: &Manifest) -> anyhow::Result<EvalSet> {
        let read =
            |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let (text, records) = (read(path)?, read(plain)?);
        let mut records = records.lines();
        let workload_type = manifest.workload_type;
        let labels = manifest.classes.keys().cloned().collect();
        let units = manifest.eval_units(text.lines().count());
        let mut set = EvalSet { workload_type, labels, reader, rows: Vec::new(), units };
        let mut ids = Normaliser::default();
        for (index, line) in text.lines().enumerate() {
            let row: Value = serde_json::from_str(line)
                .with_context(|| format!("cannot read row {} of {}", index + 1, path.display()))?;
            if workload_type == WorkloadType::Text {
                set.labels.push(text_of(&row).to_owned());
            }
            let label = set
                .label_of(&row)
                .with_context(|| format!("row {} of {} has no label of the manifest", index + 1, path.display()))?;
            let calls = row.pointer("/response/choices/0/message").map(Call::of_message).unwrap_or_default();
            let record = records.next().with_context(|| format!("{} has fewer rows", plain.display()))?;
            let id = ids.hex_id(record.as_bytes())?;
            set.rows.push(EvalRow { request: request(&row), id, user: user(&row), calls, label });
        }
        Ok(set)
    }

    fn label_of(&self, row: &Value) -> Option<usize> {
        let text = |pointer: &str| row.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match self.workload_type {
            WorkloadType::ToolCalling => {
                let function = label::key(text("/response/choices/0/message/tool_calls/0/function/name"));
                self.labels.iter().position(|known| label::key(known) == function)
            }
            WorkloadType::Classification => self.reader.strict(text_of(row), &self.labels),
            WorkloadType::Text => self.labels.len().checked_sub(1),
        }
    }

    /// Finds the reply to each row among the rows of the evaluator.
    pub(super) fn replies<'r>(&self, evaluated: &'r [EvaluatedRow]) -> anyhow::Result<Replies<'r>> {
        let mut by_request: HashMap<String, VecDeque<&EvaluatedRow>> = HashMap::with_capacity(evaluated.len());
        for row in evaluated {
            by_request.entry(request(&row.item)).or_default().push_back(row);
        }
        let reply = |row: &EvalRow| by_request.get_mut(&row.request).and_then(VecDeque::pop_front);
        let replies: Replies<'r> = self.rows.iter().map(reply).collect();
        let unknown: usize = by_request.values().map(VecDeque::len).sum();
        if replies.iter().all(Option::is_none) || unknown > 0 {
            bail!(
                "the evaluator returned {} rows, of which {} are not in the eval set of {} rows",
                evaluated.len(),
                unknown,
                self.rows.len()
            );
        }
        Ok(replies)
    }
}

/// Returns the text of the logged reply.
fn text_of(row: &Value) -> &str {
    row.pointer("/response/choices/0/message/content").and_then(Value::as_str).unwrap_or_default()
}

/// Returns the messages and tools of a row. Deduplication leaves no two rows of a dataset with the same ones. Evaluators
/// add nulls to objects and order their keys anew.
fn request(row: &Value) -> String {
    let part = |pointer: &str| sorted(row.pointer(pointer).unwrap_or(&Value::Null));
    json!([part("/request/messages"), part("/request/tools")]).to_string()
}

/// Returns a value with the keys of its objects in order and without nulls.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut filled: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            filled.sort_unstable_by_key(|(key, _)| *key);
            filled.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Returns the user messages of a row, or all messages if none is of the user.
fn user(row: &Value) -> String {
    let messages = row.pointer("/request/messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of_user = |message: &&Value| message["role"] == "user";
    let any = messages.iter().any(|message| of_user(&message));
    let asked = messages.iter().filter(|message| !any || of_user(message)).map(|message| &message["content"]);
    Value::Array(asked.cloned().collect()).to_string()
}
