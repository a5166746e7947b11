//! The `error` of every JSON object.

use serde::{Deserialize, Serialize};

use crate::vocabulary::Failure;

/// Why a command failed, and what to type next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorObject {
    #[serde(flatten)]
    pub failure: Failure,
    pub hint: Option<String>,
}

impl ErrorObject {
    /// Returns the chain of an error with its hint.
    pub(crate) fn new(chain: &anyhow::Error, hint: Option<&str>) -> ErrorObject {
        ErrorObject { failure: Failure::new(chain), hint: hint.map(str::to_owned) }
    }
}
