//! Jobs that a run has made without knowing: a gateway has sent a create twice. They take GPUs and are in no ledger until they are found.

use std::time::Duration;

use tokio::time::Instant;

use super::dead_runs::{self, CleanupDepth};
use super::orphans::{self, Orphan};
use super::release::{Releaser, StillHeld};
use crate::store::{NewResource, Resource, ResourceKind};
use crate::vocabulary::PlatformId;

/// Cancels the unfinished jobs of a run that are not in its ledger. Returns what is still held at the deadline. A platform
/// that cannot be asked is only a warning, because most often there are none.
pub(crate) async fn release(
    releaser: &Releaser<'_>,
    run: &str,
    platform: &PlatformId,
    deadline: Duration,
) -> Vec<StillHeld> {
    find_and_release(releaser, run, platform, deadline).await.unwrap_or_else(|error| {
        tracing::warn!(error = format!("{error:#}"), "cannot look for jobs that were made twice");
        Vec::new()
    })
}

/// Enters a twin into the ledger, so that one that cannot be cancelled now is not lost. It has a base name of its own,
/// because a resumed run takes the resource of its own base name for its job.
fn record(releaser: &Releaser<'_>, twin: &Resource) -> anyhow::Result<Resource> {
    let base = format!("{}-twin", twin.name);
    let (run, kind, platform) = (twin.run.as_str(), twin.kind, &twin.platform);
    let row = releaser.store.record_intent(&NewResource { run, candidate: None, kind, base: &base, platform })?;
    releaser.store.mark_live(row.id, twin.remote_id.as_deref())?;
    Ok(Resource { state: twin.state, remote_id: twin.remote_id.clone(), ..row })
}

async fn find_and_release(
    releaser: &Releaser<'_>,
    run: &str,
    platform: &PlatformId,
    deadline: Duration,
) -> anyhow::Result<Vec<StillHeld>> {
    let started = Instant::now();
    let is_job = |row: &Resource| matches!(row.kind, ResourceKind::Training | ResourceKind::Evaluation);
    if !releaser.store.all_resources(run)?.iter().any(is_job) {
        return Ok(Vec::new());
    }
    let own = dead_runs::own_resources(releaser.store)?;
    let find = orphans::find(releaser.nemo, releaser.namespace, platform, &own, CleanupDepth::Gpus);
    let found: Vec<Orphan> = tokio::time::timeout(deadline, find).await??;
    let of_run = found.into_iter().map(|orphan| orphan.resource).filter(|row| row.run == run && is_job(row));
    let rows = of_run.map(|twin| record(releaser, &twin)).collect::<anyhow::Result<Vec<Resource>>>()?;
    Ok(releaser.gpus(rows, deadline.saturating_sub(started.elapsed())).await)
}
