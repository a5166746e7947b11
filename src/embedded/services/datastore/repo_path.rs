//! Repositories and revisions in paths, and the refusals for those that do not exist.

use axum::http::StatusCode;

use crate::embedded::state::repositories::{RepoKind, RepoName};
use crate::embedded::wire::refusal::Refusal;

/// Returns the kind of repository that a path segment names: `datasets` or `models`.
pub(super) fn kind_of(segment: &str) -> Result<RepoKind, Refusal> {
    match segment {
        "datasets" => Ok(RepoKind::Dataset),
        "models" => Ok(RepoKind::Model),
        _ => Err(Refusal::not_found("Not Found")),
    }
}

/// Returns the refusal for a repository that does not exist.
pub(super) fn not_found(name: &RepoName) -> Refusal {
    Refusal::datastore(StatusCode::NOT_FOUND, Some("RepoNotFound"), format!("Repository {} not found", name.path()))
}

/// Returns the refusal for a revision that does not exist.
pub(super) fn no_revision(revision: &str) -> Refusal {
    let text = format!("Invalid rev id: {revision}");
    Refusal::datastore(StatusCode::NOT_FOUND, Some("RevisionNotFound"), text)
}
