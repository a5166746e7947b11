//! Runs whose process has gone: what they are called, which can be continued, and giving back what they hold.

use std::collections::BTreeSet;
use std::path::Path;

use super::lock;
use super::names;
use super::release::{Left, Releaser};
use crate::config::plan::Plan;
use crate::nemo::Client;
use crate::store::{Resource, ResourceClass, RunRow, Store};
use crate::vocabulary::RunState;

/// Returns the state to show: a run that is recorded as running and has no process was interrupted.
pub fn shown_state(row: &RunRow, state_dir: &Path) -> RunState {
    if row.state == RunState::Running && !is_alive(row, state_dir) { RunState::Interrupted } else { row.state }
}

/// Tells whether a process works on the run right now.
pub fn is_alive(row: &RunRow, state_dir: &Path) -> bool {
    row.state == RunState::Running && lock::holder(state_dir).is_some_and(|run| run.as_deref() == Some(row.id.as_str()))
}

/// Tells whether the run was killed or cancelled, so that it can be resumed.
pub fn can_resume(row: &RunRow) -> bool {
    matches!(row.state, RunState::Running | RunState::Cancelled)
}

/// The runs of a state directory, for telling one's own resources from others'.
///
/// # Errors
/// When the store cannot be read.
pub fn own_runs(store: &Store) -> anyhow::Result<BTreeSet<String>> {
    Ok(store.runs()?.into_iter().map(|row| row.id).collect())
}

/// The rows of a run that still stand for something: what was on an in-process platform went with its process.
///
/// # Errors
/// When the store cannot be read.
pub fn open_rows(store: &Store, run: &str) -> anyhow::Result<Vec<Resource>> {
    let mut open = store.open_resources(run)?;
    open.retain(|row| !row.platform.ends_with_its_process());
    Ok(open)
}

/// Ticks off what went with an in-process platform.
///
/// # Errors
/// When the store cannot be read or written.
pub fn tick_off_the_dead(store: &Store, run: &str) -> anyhow::Result<()> {
    for row in store.open_resources(run)?.iter().filter(|row| row.platform.ends_with_its_process()) {
        store.mark_released(row.id)?;
    }
    Ok(())
}

/// What to take off a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Class GPU only.
    Gpus,
    /// Everything.
    Purge,
}

/// Gives back what a run without a process has on the platform. `told` hears of each row.
///
/// # Errors
/// When the store cannot be read.
pub async fn release(
    store: &Store,
    nemo: &Client,
    plan: &Plan,
    row: &RunRow,
    open: Vec<Resource>,
    depth: Depth,
    told: &(dyn Fn(&Resource) + Send + Sync),
) -> anyhow::Result<Vec<Left>> {
    let releaser = Releaser {
        nemo,
        store,
        namespace: &plan.platform.namespace,
        owner: &row.owner,
        settle: names::millis(plan.limits.settle_ms),
        told,
    };
    let deadline = names::millis(plan.limits.release_ms);
    let mut left = releaser.gpus(open, deadline).await;
    if depth == Depth::Purge && left.is_empty() {
        // Read again: what was a running job is a finished one now.
        let rest = store.open_resources(&row.id)?;
        let rest = rest.into_iter().filter(|row| row.class() != ResourceClass::Record).collect();
        left = releaser.storage(rest, deadline).await;
    }
    Ok(left)
}
