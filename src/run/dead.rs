//! Runs whose process has gone: what they are called, which can be continued, and giving back what they hold.

use std::collections::BTreeSet;
use std::path::Path;

use super::lock;
use super::names;
use super::release::{Left, Releaser};
use crate::config::plan::Plan;
use crate::nemo::Client;
use crate::store::{Class, Resource, RunRow, Store};

/// The state that a reader sees: a run that says it runs while nobody works on it was interrupted.
pub fn shown_state(row: &RunRow, state_dir: &Path) -> &'static str {
    match row.state.as_str() {
        "running" if is_alive(row, state_dir) => "running",
        "running" => "interrupted",
        "completed" => "completed",
        "partial" => "partial",
        "cancelled" => "cancelled",
        _ => "failed",
    }
}

/// Whether a process works on this run right now.
pub fn is_alive(row: &RunRow, state_dir: &Path) -> bool {
    row.state == "running" && lock::holder(state_dir).is_some_and(|run| run.as_deref() == Some(row.id.as_str()))
}

/// Whether a run can be continued: it was killed or cancelled.
pub fn can_resume(row: &RunRow) -> bool {
    matches!(row.state.as_str(), "running" | "cancelled")
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
pub fn open_rows(store: &Store, run: &str, died: fn(&str) -> bool) -> anyhow::Result<Vec<Resource>> {
    let mut open = store.open_resources(run)?;
    open.retain(|row| !died(&row.platform));
    Ok(open)
}

/// Ticks off what went with an in-process platform.
///
/// # Errors
/// When the store cannot be read or written.
pub fn tick_off_the_dead(store: &Store, run: &str, died: fn(&str) -> bool) -> anyhow::Result<()> {
    for row in store.open_resources(run)?.iter().filter(|row| died(&row.platform)) {
        store.released(row.id)?;
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
        let rest = rest.into_iter().filter(|row| row.class() != Class::Record).collect();
        left = releaser.storage(rest, deadline).await;
    }
    Ok(left)
}
