//! The JSON objects of the commands other than `run` (schema 1, docs/json.md). Fields may be added, never renamed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::{Data, ErrorObject, Held, RunState};

/// The best score of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// Its name in `scores`.
    pub metric: String,
    /// The candidate that reached it.
    pub model: String,
    /// The score.
    pub value: f64,
}

/// One run of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id.
    pub run: String,
    /// Its workload, once it is known.
    pub workload: Option<String>,
    /// What became of it.
    pub state: RunState,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Wall time.
    pub seconds: Option<f64>,
    /// Its best score.
    pub headline: Option<Headline>,
}

/// What `status` prints without a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunList {
    /// The version of the contract.
    pub schema: u32,
    /// Newest first.
    pub runs: Vec<RunRow>,
}

/// What `split` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// The version of the contract.
    pub schema: u32,
    /// The counts.
    pub data: Data,
    /// The code that the process ends with, when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// Why it fails all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// What `load` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The version of the contract.
    pub schema: u32,
    /// The counts.
    pub data: LoadCounts,
    /// The code that the process ends with, when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// Why it fails all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// The counts of a load: read = added + present + rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadCounts {
    /// Records read.
    pub read: u64,
    /// New in the log store.
    pub added: u64,
    /// There before.
    pub present: u64,
    /// Could not be used, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Of the others, those of which an index admits nothing but the five fields, and which had more.
    #[serde(default)]
    pub trimmed: u64,
}

/// What `logs` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogList {
    /// The version of the contract.
    pub schema: u32,
    /// By name.
    pub workloads: Vec<LogRow>,
}

/// One workload of the log store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// The workload.
    pub workload: String,
    /// Its records.
    pub records: u64,
    /// Records by client.
    pub clients: BTreeMap<String, u64>,
    /// Records by label; a record without one is in none.
    pub labels: BTreeMap<String, u64>,
    /// The oldest record, RFC 3339 in UTC.
    pub first: Option<String>,
    /// The newest record, RFC 3339 in UTC.
    pub last: Option<String>,
}

/// What `cleanup` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupReport {
    /// The version of the contract.
    pub schema: u32,
    /// Given back.
    pub released: Vec<Held>,
    /// Still there.
    pub held: Vec<Held>,
    /// Why something is still there.
    pub error: Option<ErrorObject>,
}
