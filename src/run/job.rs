//! Steps that training and evaluation jobs share.

/// A job was cancelled. If an earlier process of the run created it, that process had begun to release it, and another
/// job is due.
#[derive(Debug, thiserror::Error)]
#[error("{job} was cancelled by somebody else")]
pub(super) struct JobCancelled {
    /// Such as `evaluation job eval-1`.
    pub job: String,
}
