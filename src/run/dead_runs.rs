//! Dead runs, whose process has ended: which of their resources are still on a platform, and their release.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::release::{Releaser, StillHeld};
use crate::config::plan::Plan;
use crate::nemo::Client;
use crate::store::{Resource, ResourceClass, ResourceKind, RunRow, Store};

/// How much a cleanup removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CleanupDepth {
    /// The resources of class GPU.
    Gpus,
    /// Everything that only this run has.
    Purge,
    /// Also the base models that it shares, unless another run has them.
    BaseModels,
}

impl CleanupDepth {
    /// Tells whether a cleanup of this depth removes the resource.
    pub(crate) fn includes(self, resource: &Resource) -> bool {
        match self {
            CleanupDepth::Gpus => resource.class() == ResourceClass::Gpu,
            CleanupDepth::Purge => !matches!(resource.class(), ResourceClass::Record | ResourceClass::Shared),
            CleanupDepth::BaseModels => resource.class() != ResourceClass::Record,
        }
    }
}

/// Returns the names and the ids of all that this state directory still has to release, to tell it from what others have.
/// Released rows and ended trainings are not included: a resource that is still there is an orphan. A job with an id is
/// told by it alone, because a create that was sent twice makes two jobs of one name.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn own_resources(store: &Store) -> anyhow::Result<BTreeSet<String>> {
    let mut own = BTreeSet::new();
    for run in store.runs()? {
        for row in store.open_resources(&run.id)? {
            let is_job = matches!(row.kind, ResourceKind::Training | ResourceKind::Evaluation);
            match (row.class(), row.remote_id) {
                (ResourceClass::Record, _) => {}
                (_, Some(id)) if is_job => _ = own.insert(id),
                (_, id) => own.extend(id.into_iter().chain([row.name])),
            }
        }
    }
    Ok(own)
}

/// Returns the open resources of a run, except those that ended with the process of their platform.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn open_resources(store: &Store, run: &str) -> anyhow::Result<Vec<Resource>> {
    let mut open = store.open_resources(run)?;
    open.retain(|resource| !resource.platform.ends_with_its_process());
    Ok(open)
}

/// Marks the resources that ended with the process of their platform as released.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) fn settle_ended_platforms(store: &Store, run: &str) -> anyhow::Result<()> {
    for resource in store.open_resources(run)?.iter().filter(|open| open.platform.ends_with_its_process()) {
        store.mark_released(resource.id)?;
    }
    Ok(())
}

/// Returns what releases the resources of a run without a process.
pub(crate) fn releaser<'a>(
    store: &'a Store,
    nemo: &'a Client,
    plan: &'a Plan,
    row: &'a RunRow,
    on_release: &'a (dyn Fn(&Resource) + Send + Sync),
) -> Releaser<'a> {
    Releaser {
        nemo,
        store,
        namespace: &plan.platform.namespace,
        owner: &row.owner,
        settle: names::millis(plan.limits.settle_ms),
        jobs_of_adapters: BTreeMap::new(),
        on_release,
    }
}

/// Releases what a run without a process has on the platform. `on_release` hears of each resource.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn release(
    store: &Store,
    nemo: &Client,
    plan: &Plan,
    row: &RunRow,
    open: Vec<Resource>,
    depth: CleanupDepth,
    on_release: &(dyn Fn(&Resource) + Send + Sync),
) -> anyhow::Result<Vec<StillHeld>> {
    let releaser = releaser(store, nemo, plan, row, on_release);
    let deadline = names::millis(plan.limits.release_ms);
    let mut left = releaser.gpus(open, deadline).await;
    if depth != CleanupDepth::Gpus && left.is_empty() {
        // Read again, because running jobs have become finished ones.
        let mut rest = store.open_resources(&row.id)?;
        rest.retain(|resource| depth.includes(resource));
        left = releaser.storage(rest, deadline).await;
    }
    Ok(left)
}
