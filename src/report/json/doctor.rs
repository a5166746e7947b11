//! The object of `doctor`.

use serde::{Deserialize, Serialize};

/// The output of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DoctorReport {
    pub schema: u32,
    /// The exit code of the worst check.
    pub exit_code: u8,
    /// In the order of the page.
    pub checks: Vec<Check>,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// The part of the page.
    pub section: String,
    pub subject: String,
    pub state: CheckState,
    pub detail: String,
    /// The way to mend it. Present with `warning` and `failed`.
    pub remedy: Option<String>,
    /// The code with which a run would end. 0 unless the check failed.
    pub exit_code: u8,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CheckState {
    Ok,
    /// A run would start, but something is not as it should be.
    Warning,
    Failed,
    /// Not looked at, because something else failed.
    Skipped,
}

impl CheckState {
    /// Returns the word of the page.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            CheckState::Ok => "ok",
            CheckState::Warning => "warning",
            CheckState::Failed => "failed",
            CheckState::Skipped => "skipped",
        }
    }
}
