//! Finds what carries a name of dfwfd on a platform and is in no ledger of this state directory: a state directory that is
//! gone has left it, or another one uses it. Looks only for what takes GPUs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::names;
use super::release::{Releaser, StillHeld};
use crate::nemo::{ApiError, Client, JobStatus};
use crate::store::{Resource, ResourceKind, ResourceState, Store, now_ms};
use crate::vocabulary::PlatformId;

/// A resource without a ledger.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    /// As a row of the ledger would have it.
    pub resource: Resource,
    /// `user@host`, if its description tells.
    pub owner: Option<String>,
    /// In ms UTC, if the service tells.
    pub created_ms: Option<i64>,
}

/// Finds deployments and unfinished jobs whose run is none of `own`.
///
/// # Errors
/// The first error of a service.
pub(crate) async fn find(
    nemo: &Client,
    namespace: &str,
    platform: &PlatformId,
    own: &BTreeSet<String>,
) -> Result<Vec<Orphan>, ApiError> {
    let orphan = |kind, name: &str, id: Option<String>, description: Option<&str>, created_ms| {
        let described = description.filter(|text| names::parse(text).is_some());
        let (run, owner) = names::parse(described.unwrap_or(name)).filter(|(run, _)| !own.contains(*run))?;
        let name = described.and_then(|text| text.split(" (").next()).unwrap_or(name);
        let resource = Resource {
            // No row of the ledger has this id, so what is recorded of it goes nowhere.
            id: 0,
            run: run.to_owned(),
            candidate: Some(name.to_owned()),
            kind,
            name: name.to_owned(),
            remote_id: id,
            platform: platform.clone(),
            state: ResourceState::Live,
            finished: false,
            looked_ms: None,
            intended_ms: now_ms(),
        };
        Some(Orphan { resource, owner: owner.map(str::to_owned), created_ms })
    };
    let mut found = Vec::new();
    for one in nemo.deployments().await?.iter().filter(|one| one.namespace == namespace) {
        found.extend(orphan(ResourceKind::Deployment, &one.name, None, one.description.as_deref(), one.created_at_ms));
    }
    let is_there = |of: Option<&String>, status: &JobStatus| {
        of.is_none_or(|namespace_of| namespace_of == namespace) && !status.is_terminal()
    };
    for job in nemo.training_jobs().await? {
        if is_there(job.namespace.as_ref(), &job.status) {
            let id = Some(job.id.clone());
            found.extend(orphan(ResourceKind::Training, &job.id, id, job.description.as_deref(), job.created_at_ms));
        }
    }
    for job in nemo.evaluation_jobs().await? {
        if is_there(job.namespace.as_ref(), &job.status) {
            let id = Some(job.id.clone());
            found.extend(orphan(ResourceKind::Evaluation, &job.id, id, job.description.as_deref(), job.created_at_ms));
        }
    }
    Ok(found)
}

/// Gives orphans back. Returns what is still there at the deadline.
pub(crate) async fn release(
    nemo: &Client,
    store: &Store,
    namespace: &str,
    orphans: Vec<Orphan>,
    deadline: Duration,
    on_release: &(dyn Fn(&Resource) + Send + Sync),
) -> Vec<StillHeld> {
    // Each has its id, so nothing is looked up by its owner, and nothing is still to appear.
    let releaser = Releaser { nemo, store, namespace, owner: "", settle: Duration::ZERO, on_release };
    releaser.gpus(orphans.into_iter().map(|orphan| orphan.resource).collect(), deadline).await
}
