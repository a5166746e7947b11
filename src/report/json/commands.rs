//! The objects of the commands other than `run`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::failure::ErrorObject;
use super::run::{Headline, Held, Report};
use crate::source::dataset::Manifest;
use crate::store::ResourceKind;
use crate::vocabulary::RunState;

/// One run of `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunSummary {
    pub run: String,
    pub workload: Option<String>,
    pub state: RunState,
    /// RFC 3339 in UTC.
    pub started_at: String,
    pub seconds: Option<f64>,
    pub headline: Option<Headline>,
}

impl From<&Report> for RunSummary {
    fn from(report: &Report) -> RunSummary {
        RunSummary {
            run: report.run.clone(),
            workload: report.workload.clone(),
            state: report.state,
            started_at: report.started_at.clone(),
            seconds: report.seconds,
            headline: report.headline(),
        }
    }
}

/// The output of `status` without a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunList {
    pub schema: u32,
    /// Newest first.
    pub runs: Vec<RunSummary>,
}

/// The output of `split`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SplitReport {
    pub schema: u32,
    pub data: Manifest,
    /// Requests in the review file by the reason to check them. Absent without `--review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<BTreeMap<String, u64>>,
    /// Present when `--strict` makes the command fail, as `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// The output of `load`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadReport {
    pub schema: u32,
    pub data: LoadCounts,
    /// Present when the command fails, as `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorObject>,
}

/// The counts of a load: read = added + present + rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadCounts {
    pub read: u64,
    /// New in the log store.
    pub added: u64,
    /// In the log store before.
    pub present: u64,
    /// By reason.
    pub rejected: BTreeMap<String, u64>,
    /// The records that lost fields, because the index admits no more than five. They count in `added` or `present`.
    #[serde(default)]
    pub trimmed: u64,
    /// Headers of tables that were repeated below the first row. They do not count in `read`.
    #[serde(default)]
    pub repeated_headers: u64,
    /// Masked values by kind. Absent if `redact` is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<BTreeMap<String, u64>>,
}

/// The output of `logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogList {
    pub schema: u32,
    /// By name.
    pub workloads: Vec<LogRow>,
}

/// One workload of the log store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRow {
    pub workload: String,
    pub records: u64,
    /// Records by client.
    pub clients: BTreeMap<String, u64>,
    /// Records by label. A record without a label is in none.
    pub labels: BTreeMap<String, u64>,
    /// The time of the oldest record, RFC 3339 in UTC.
    pub first: Option<String>,
    /// The time of the newest record, RFC 3339 in UTC.
    pub last: Option<String>,
}

/// The output of `cleanup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CleanupReport {
    pub schema: u32,
    pub released: Vec<Held>,
    pub held: Vec<Held>,
    /// Lists what `--orphans` found, released or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<OrphanRow>,
    /// Why something is still held.
    pub error: Option<ErrorObject>,
}

impl CleanupReport {
    /// Returns the report of a cleanup that has done nothing yet.
    pub(crate) fn new(schema: u32) -> CleanupReport {
        CleanupReport { schema, released: Vec::new(), held: Vec::new(), orphans: Vec::new(), error: None }
    }
}

/// A resource of a dfwfd that is in no ledger of this state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrphanRow {
    pub kind: ResourceKind,
    pub name: String,
    /// The id of the run that made it.
    pub run: String,
    /// `user@host`, if its description tells.
    pub owner: Option<String>,
    /// Since its creation, if the service tells.
    pub age_seconds: Option<i64>,
}
