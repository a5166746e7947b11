//! A run in MLflow's terms.

/// The content of a run in MLflow.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrackedRun {
    /// The name of the experiment, which is created if it does not exist.
    pub experiment: String,
    /// Where a new experiment keeps its artefacts. `None` leaves it to the server.
    pub artifact_location: Option<String>,
    /// The id of the run here, by which it is found again there.
    pub id: String,
    pub status: RunStatus,
    /// Milliseconds since the epoch, as all times of MLflow.
    pub started_ms: i64,
    pub ended_ms: i64,
    pub tags: Vec<(String, String)>,
    pub params: Vec<(String, String)>,
    pub metrics: Vec<Metric>,
    pub datasets: Vec<Dataset>,
    pub artifacts: Vec<Artifact>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RunStatus {
    #[default]
    Finished,
    Failed,
    Killed,
}

impl RunStatus {
    /// Returns MLflow's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            RunStatus::Finished => "FINISHED",
            RunStatus::Failed => "FAILED",
            RunStatus::Killed => "KILLED",
        }
    }
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    pub key: String,
    /// A finite number.
    pub value: f64,
    pub timestamp_ms: i64,
    pub step: u64,
}

/// A dataset that the run used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dataset {
    pub name: String,
    /// Hex digits of its hash.
    pub digest: String,
    /// The URI of its file.
    pub uri: String,
    pub rows: u64,
    /// Its purpose, such as `training`.
    pub context: &'static str,
}

/// A file of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub name: &'static str,
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}
