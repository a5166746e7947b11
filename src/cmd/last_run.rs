//! `--since last-run`: from the end of the window that the newest completed run of the workload has seen.

use std::collections::BTreeSet;

use super::state_dir;
use crate::config::plan::Plan;
use crate::config::{self, Invocation};
use crate::error::{Exit, Fault};
use crate::run::outcome;
use crate::source::dataset::Manifest;
use crate::store::{RunRow, Store};
use crate::ui::Ui;
use crate::vocabulary::RunState;

const LAST_RUN: &str = "last-run";

/// Replaces `last-run` by a time, or by no limit where no run is completed yet.
pub(super) fn resolve(mut invocation: Invocation, ui: &Ui) -> anyhow::Result<Invocation> {
    if invocation.since.as_deref() != Some(LAST_RUN) {
        return Ok(invocation);
    }
    let store = state_dir::existing_store(&config::state_dir(&invocation))?;
    let runs = store.as_ref().map(Store::runs).transpose()?.unwrap_or_default();
    let is_meant = |row: &RunRow| invocation.workload.is_none() || row.workload == invocation.workload;
    // A rehearsal has used no record: the next run needs the records of its window.
    let rehearses = |store: &Store, row: &RunRow| store.plan(&row.id).is_ok_and(|plan: Plan| plan.rehearse);
    let is_rehearsal = |row: &RunRow| row.rehearsal || store.as_ref().is_some_and(|store| rehearses(store, row));
    let is_over = |row: &RunRow| row.state == RunState::Completed && !is_rehearsal(row);
    let completed: Vec<&RunRow> = runs.iter().filter(|row| is_meant(row) && is_over(row)).collect();
    let workloads: BTreeSet<&str> = completed.iter().filter_map(|row| row.workload.as_deref()).collect();
    if workloads.len() > 1 {
        let workloads: Vec<&str> = workloads.into_iter().collect();
        let message =
            format!("cannot tell which run --since last-run means: there are runs of {}", workloads.join(", "));
        return Err(Fault::new(Exit::Usage, message).hint("name one with --workload").into());
    }
    let newest = store.as_ref().zip(completed.first());
    invocation.since = match newest {
        Some((store, row)) => {
            let end = window_end(store, row)?.to_string();
            ui.note(&format!("taking records from {end} on, the end of run {}", row.id));
            Some(end)
        }
        None => {
            ui.note("no run is completed yet, so all records are taken");
            None
        }
    };
    Ok(invocation)
}

/// Returns the first moment that a run has not seen: its `--until`, else the second after its newest record.
fn window_end(store: &Store, row: &RunRow) -> anyhow::Result<jiff::Timestamp> {
    let plan: Plan = store.plan(&row.id)?;
    let manifest: Option<Manifest> = store.fact(&row.id, outcome::MANIFEST)?;
    let newest = manifest.and_then(|manifest| manifest.last);
    let end = plan.data.filter.until.or_else(|| newest.map(|newest| newest + 1));
    // A run of an older version does not tell its newest record.
    Ok(match end {
        Some(seconds) => jiff::Timestamp::from_second(seconds)?,
        None => jiff::Timestamp::from_millisecond(row.started_ms)?,
    })
}
