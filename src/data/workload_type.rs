//! The kind of task that a workload is.

use serde::{Deserialize, Serialize};

/// The kind of task that a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkloadType {
    /// Each reply holds one label.
    Classification,
    /// Each reply holds tool calls.
    ToolCalling,
    /// Replies are texts that hold neither.
    Text,
}
