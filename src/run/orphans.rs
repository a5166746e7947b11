//! Finds what carries a name of dfwfd on a platform and is open in no ledger of this state directory: a state directory that
//! is gone has left it, another one uses it, or it was taken for released.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::dead_runs::CleanupDepth;
use super::names;
use super::release::{Releaser, StillHeld};
use crate::nemo::{ApiError, Client, JobStatus, Stored, StoredKind};
use crate::store::{Resource, ResourceClass, ResourceKind, ResourceState, Store, now_ms};
use crate::vocabulary::PlatformId;

/// A resource without a ledger.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    /// As a row of the ledger would have it.
    pub resource: Resource,
    /// `user@host`, if a description of its run tells.
    pub owner: Option<String>,
    /// In ms UTC, if the service tells.
    pub created_ms: Option<i64>,
    /// The training jobs that an adapter is deleted with.
    pub jobs: Vec<String>,
}

/// A thing as the lists of a platform tell of it.
struct Listed<'a> {
    kind: ResourceKind,
    name: &'a str,
    id: Option<&'a str>,
    description: Option<&'a str>,
    created_ms: Option<i64>,
    finished: bool,
    jobs: &'a [String],
}

fn thing(kind: ResourceKind, name: &str) -> Listed<'_> {
    Listed { kind, name, id: None, description: None, created_ms: None, finished: false, jobs: &[] }
}

fn job_of<'a>(kind: ResourceKind, id: &'a str, status: &JobStatus) -> Listed<'a> {
    Listed { id: Some(id), finished: status.is_terminal(), ..thing(kind, id) }
}

/// Collects orphans, and the owners of runs.
struct Search<'a> {
    platform: &'a PlatformId,
    own: &'a BTreeSet<String>,
    found: Vec<Orphan>,
    owners: BTreeMap<String, String>,
}

impl Search<'_> {
    fn add(&mut self, listed: &Listed<'_>) {
        let described = listed.description.filter(|text| names::parse(text).is_some());
        let Some((run, owner)) = names::parse(described.unwrap_or(listed.name)) else { return };
        // The name of a job is in its description.
        let name = described.and_then(|text| text.split(" (").next()).filter(|_| listed.id.is_some());
        if [Some(name.unwrap_or(listed.name)), listed.id].into_iter().flatten().any(|name| self.own.contains(name)) {
            return;
        }
        if let Some(owner) = owner {
            self.owners.insert(run.to_owned(), owner.to_owned());
        }
        let resource = Resource {
            // No row of the ledger has this id, so what is recorded of it goes nowhere.
            id: 0,
            run: run.to_owned(),
            candidate: Some(name.unwrap_or(listed.name).to_owned()),
            kind: listed.kind,
            name: name.unwrap_or(listed.name).to_owned(),
            remote_id: listed.id.map(str::to_owned),
            platform: self.platform.clone(),
            state: ResourceState::Live,
            finished: listed.finished,
            looked_ms: None,
            intended_ms: now_ms(),
            live_ms: None,
            released_ms: None,
        };
        self.found.push(Orphan { resource, owner: None, created_ms: listed.created_ms, jobs: listed.jobs.to_vec() });
    }
}

/// Finds what a cleanup of this depth removes and what is none of `own`, by name or id.
///
/// # Errors
/// The first error of a service.
pub(crate) async fn find(
    nemo: &Client,
    namespace: &str,
    platform: &PlatformId,
    own: &BTreeSet<String>,
    depth: CleanupDepth,
) -> Result<Vec<Orphan>, ApiError> {
    let mut search = Search { platform, own, found: Vec::new(), owners: BTreeMap::new() };
    for one in nemo.deployments().await?.iter().filter(|one| one.namespace == namespace) {
        let listed = thing(ResourceKind::Deployment, &one.name);
        search.add(&Listed { description: one.description.as_deref(), created_ms: one.created_at_ms, ..listed });
    }
    let is_here = |of: Option<&String>| of.is_none_or(|of| of == namespace);
    for job in nemo.training_jobs().await?.iter().filter(|job| is_here(job.namespace.as_ref())) {
        let listed = job_of(ResourceKind::Training, &job.id, &job.status);
        search.add(&Listed { description: job.description.as_deref(), created_ms: job.created_at_ms, ..listed });
    }
    for job in nemo.evaluation_jobs().await?.iter().filter(|job| is_here(job.namespace.as_ref())) {
        let listed = job_of(ResourceKind::Evaluation, &job.id, &job.status);
        search.add(&Listed { description: job.description.as_deref(), created_ms: job.created_at_ms, ..listed });
    }
    if depth != CleanupDepth::Gpus {
        for Stored { kind, name, jobs, description, created_at_ms } in &nemo.stored(namespace).await? {
            let kind = match kind {
                StoredKind::Dataset => ResourceKind::Dataset,
                StoredKind::TrainingConfig => ResourceKind::TrainingConfig,
                StoredKind::Adapter => ResourceKind::Adapter,
                StoredKind::DeploymentConfig => ResourceKind::Deployment,
            };
            let listed = thing(kind, name);
            search.add(&Listed { description: description.as_deref(), created_ms: *created_at_ms, jobs, ..listed });
        }
    }
    let Search { mut found, owners, .. } = search;
    found.retain(|orphan| depth.includes(&orphan.resource));
    for orphan in &mut found {
        orphan.owner = owners.get(&orphan.resource.run).cloned();
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
    let adapters = orphans.iter().filter(|orphan| orphan.resource.kind == ResourceKind::Adapter);
    let jobs_of_adapters = adapters.map(|orphan| (orphan.resource.name.clone(), orphan.jobs.clone())).collect();
    // Each has its id, so nothing is looked up by its owner, and nothing is still to appear.
    let settle = Duration::ZERO;
    let releaser = Releaser { nemo, store, namespace, owner: "", settle, on_release, jobs_of_adapters };
    let rows: Vec<Resource> = orphans.into_iter().map(|orphan| orphan.resource).collect();
    let mut left = releaser.gpus(rows.clone(), deadline).await;
    let mut stored = rows;
    stored.retain(|row| row.class() != ResourceClass::Gpu);
    for row in &mut stored {
        // By run, so that an adapter goes before the configuration that it was trained with.
        row.candidate = Some(row.run.clone());
    }
    left.extend(releaser.storage(stored, deadline).await);
    left
}
