//! The kind of task that a workload is.

use serde::{Deserialize, Serialize};

/// The kind of task that a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadType {
    /// Each reply holds one label.
    Classification,
    /// Each reply holds tool calls.
    ToolCalling,
}

impl WorkloadType {
    /// Returns the word for it in configuration and manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkloadType::Classification => "classification",
            WorkloadType::ToolCalling => "tool_calling",
        }
    }
}
