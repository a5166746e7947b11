//! `dfwfd cleanup`: releases what runs without a process still hold. `--purge` deletes everything that they made.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use crate::cli::{Cleanup, Global};
use crate::config::plan::Plan;
use crate::error::{self, Exit, Fault};
use crate::nemo::ErrorKind;
use crate::platform;
use crate::report::json::{CleanupReport, Held, SCHEMA};
use crate::report::lists;
use crate::run::dead_runs::{self, CleanupDepth};
use crate::run::lock::{self, Lock};
use crate::run::release::StillHeld;
use crate::run::{names, twins};
use crate::store::{Resource, ResourceState, RunRow, Store, now_ms};
use crate::ui::Ui;

/// Releases, and prints what was released.
pub(super) async fn run(global: &Global, args: &Cleanup, ui: &Ui) -> anyhow::Result<Exit> {
    let state_dir = super::state_dir::named(global)?;
    let store = super::state_dir::existing_store(&state_dir)?;
    let depth = match (args.purge, args.base_models) {
        (_, true) => CleanupDepth::BaseModels,
        (true, _) => CleanupDepth::Purge,
        _ => CleanupDepth::Gpus,
    };
    let mut rows = match &args.run {
        Some(name) => vec![super::state_dir::named_run(store.as_ref(), name, &state_dir)?],
        None => store.as_ref().map(Store::runs).transpose()?.unwrap_or_default(),
    };
    if let Some(age) = &args.older_than {
        let age = super::duration("--older-than", age)?;
        let before = now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        // A run that was killed has no end. It worked at least until it was resumed.
        rows.retain(|row| row.ended_ms.unwrap_or(row.started_ms.max(row.resumed_ms)) < before);
    }
    let mut report = CleanupReport::new(SCHEMA);
    let (mut exit, mut hints) = (Exit::Done, BTreeSet::new());
    // The lock keeps a new run from being taken for an ended one. A look needs no lock.
    let running = lock::holder(&state_dir).flatten();
    let _lock = match args.dry_run || running.is_some() || store.is_none() {
        true => None,
        false => Some(Lock::take(&state_dir)?),
    };
    if let Some(store) = &store {
        for row in rows {
            if running.as_deref() == Some(row.id.as_str()) {
                if args.run.is_some() {
                    let message = format!("cannot clean up run {}: it is running", row.id);
                    return Err(Fault::new(Exit::Locked, message).hint(format!("dfwfd cancel {}", row.id)).into());
                }
                continue;
            }
            if let Err(error) = clean_up(store, &row, depth, args.dry_run, &mut report).await {
                let (code, hint) = error::classify(&error);
                hints.insert(hint.unwrap_or_else(|| format!("`{}` tries again", again(&row, args))));
                exit = if code == Exit::Service || exit == Exit::Service { Exit::Service } else { Exit::Failed };
                ui.warn(&format!("{error:#}"));
                report.error.get_or_insert_with(|| super::error_object(&error));
            }
        }
    }
    ui.json(&report);
    ui.result(&lists::cleanup(&report, ui.width(), ui.color()));
    hints.iter().for_each(|hint| ui.hint(hint));
    Ok(exit)
}

/// Returns the command that cleans up one run in the same way.
fn again(row: &RunRow, args: &Cleanup) -> String {
    let flags = [(args.purge, " --purge"), (args.base_models, " --base-models")];
    let given = flags.iter().filter(|(is_given, _)| *is_given).map(|(_, flag)| *flag);
    format!("dfwfd cleanup {}{}", row.id, given.collect::<String>())
}

/// Cleans up one run. The report names what is still held, the error says why.
async fn clean_up(
    store: &Store,
    row: &RunRow,
    depth: CleanupDepth,
    dry_run: bool,
    report: &mut CleanupReport,
) -> anyhow::Result<()> {
    let mut open = dead_runs::open_resources(store, &row.id)?;
    open.retain(|resource| depth.includes(resource));
    if dry_run {
        report.held.extend(open.iter().map(Held::from));
        return Ok(());
    }
    dead_runs::settle_ended_platforms(store, &row.id)?;
    if open.is_empty() {
        return Ok(());
    }
    let released = Mutex::new(Vec::new());
    let on_release = |resource: &Resource| {
        let released_one = Held { state: ResourceState::Released, ..Held::from(resource) };
        released.lock().unwrap_or_else(PoisonError::into_inner).push(released_one);
    };
    let still_held = release(store, row, open, depth, &on_release).await;
    report.released.extend(released.into_inner().unwrap_or_else(PoisonError::into_inner));
    let rest = store.open_resources(&row.id)?;
    report.held.extend(rest.iter().filter(|resource| depth.includes(resource)).map(Held::from));
    let act = || format!("cannot release what run {} holds", row.id);
    match still_held.with_context(act)?.into_iter().next() {
        Some((_, error)) => Err(error.context(act())),
        None => Ok(()),
    }
}

/// Connects by the plan of the run and releases.
pub(super) async fn release(
    store: &Store,
    row: &RunRow,
    open: Vec<Resource>,
    depth: CleanupDepth,
    on_release: &(dyn Fn(&Resource) + Send + Sync),
) -> anyhow::Result<Vec<StillHeld>> {
    let plan: Plan = store.plan(&row.id)?;
    let platform = platform::connect(&plan, &super::environment_of(&plan), 0)?;
    // If nothing listens there any more, waiting for each resource would not help.
    match platform.nemo.check_api().await {
        Err(error) if error.kind == ErrorKind::Connect => return Err(error.into()),
        _ => {}
    }
    let mut left = dead_runs::release(store, &platform.nemo, &plan, row, open, depth, on_release).await?;
    let releaser = dead_runs::releaser(store, &platform.nemo, &plan, row, on_release);
    left.extend(twins::release(&releaser, &row.id, &platform.id, names::millis(plan.limits.release_ms)).await);
    Ok(left)
}
