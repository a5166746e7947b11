//! The resources that a platform stores in a namespace, for a user who has lost their ledger.

use serde_json::Value;

use super::transport::read_json;

/// The kind of a stored thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredKind {
    Dataset,
    TrainingConfig,
    Adapter,
    /// The configuration of a deployment that is gone. It goes when the deployment is deleted once more.
    DeploymentConfig,
}

/// A stored thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub kind: StoredKind,
    pub name: String,
    /// The training jobs that an adapter is deleted with.
    pub jobs: Vec<String>,
    pub description: Option<String>,
    /// The creation time in epoch milliseconds.
    pub created_at_ms: Option<i64>,
}

impl Stored {
    /// Reads an item of a list.
    pub(super) fn read(kind: StoredKind, item: &Value) -> Option<Stored> {
        Some(Stored {
            kind,
            name: read_json::text(item, &["name"])?,
            jobs: Vec::new(),
            description: read_json::text(item, &["description"]),
            created_at_ms: read_json::millis(item, &["created_at"]),
        })
    }
}
