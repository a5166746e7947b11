//! Counts of what became of lines, and of what the selected records hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::reject::Reject;

/// The outcome of the lines that were read. The records in none of these counts are divided into datasets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCounts {
    /// All lines.
    pub(crate) read: u64,
    /// Refused lines by reason.
    pub(crate) rejected: BTreeMap<Reject, u64>,
    /// Valid records of another workload, client or time.
    pub(crate) other: u64,
    /// Records whose messages and tools a newer record has.
    pub(crate) duplicates: u64,
}

impl LineCounts {
    /// Returns the number of refused lines.
    pub(crate) fn all_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// How many selected records hold what. `auto` decides the workload type by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TypeCounts {
    /// All selected records.
    pub(crate) records: u64,
    /// Records whose reply holds tool calls.
    pub(crate) tool_calls: u64,
    /// Records whose reply holds a label.
    pub(crate) labels: u64,
}
