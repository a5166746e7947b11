//! What kind of task a workload is, as configured or as most of its records show.

use serde::{Deserialize, Serialize};

use crate::data::options::TypeChoice;
use crate::data::unusable::Unusable;

/// How many selected records have what; the grounds on which `auto` decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCounts {
    /// Selected records.
    pub records: u64,
    /// Whose reply holds tool calls.
    pub tool_calls: u64,
    /// Whose reply holds a label.
    pub labels: u64,
}

/// What kind of task a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadType {
    /// Each reply holds one label.
    Classification,
    /// Each reply holds tool calls.
    ToolCalling,
}

impl WorkloadType {
    /// As in configuration and manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkloadType::Classification => "classification",
            WorkloadType::ToolCalling => "tool_calling",
        }
    }
}

/// Most of the records decide; what is asked for and cannot be is an error.
pub(crate) fn decide(choice: TypeChoice, types: TypeCounts) -> Result<WorkloadType, Unusable> {
    let mostly_tools = types.tool_calls * 2 > types.records;
    let mostly_labels = types.labels * 2 > types.records;
    match choice {
        TypeChoice::Classification if mostly_tools && !mostly_labels => Err(Unusable::ToolCalls { types }),
        TypeChoice::Classification => Ok(WorkloadType::Classification),
        TypeChoice::ToolCalling => Ok(WorkloadType::ToolCalling),
        TypeChoice::Auto if mostly_tools => Ok(WorkloadType::ToolCalling),
        TypeChoice::Auto if mostly_labels => Ok(WorkloadType::Classification),
        TypeChoice::Auto => Err(Unusable::FreeText { types }),
    }
}
