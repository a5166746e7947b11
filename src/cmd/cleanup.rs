//! `dfwfd cleanup`: gives back what runs without a process still hold, and with `--purge` deletes all that is theirs.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use crate::cli::{Cleanup, Global};
use crate::config::plan::Plan;
use crate::error::{self, Exit, Fault};
use crate::nemo::ErrorKind;
use crate::platform;
use crate::report::json::CleanupReport;
use crate::report::json::{ErrorObject, Held, SCHEMA};
use crate::report::lists;
use crate::run::dead::{self, Depth};
use crate::run::lock::{self, Lock};
use crate::run::release::Left;
use crate::store::{Resource, ResourceClass, ResourceState, RunRow, Store};
use crate::ui::Ui;

/// Gives back, and says what.
pub(super) async fn run(global: &Global, args: &Cleanup, ui: &Ui) -> anyhow::Result<Exit> {
    let state_dir = super::state_dir::path(global);
    let store = super::state_dir::existing_store(&state_dir)?;
    let depth = if args.purge { Depth::Purge } else { Depth::Gpus };
    let rows = match &args.run {
        Some(name) => vec![super::state_dir::named_run(store.as_ref(), name, &state_dir)?],
        None => store.as_ref().map(Store::runs).transpose()?.unwrap_or_default(),
    };
    let mut report = CleanupReport { schema: SCHEMA, released: Vec::new(), held: Vec::new(), error: None };
    let mut exit = Exit::Done;
    // A run that starts meanwhile would be mistaken for a dead one; looking needs no lock.
    let running = lock::holder(&state_dir).flatten();
    let _lock = match args.dry_run || running.is_some() || store.is_none() {
        true => None,
        false => Some(Lock::take(&state_dir)?),
    };
    if let Some(store) = &store {
        for row in rows {
            if running.as_deref() == Some(row.id.as_str()) {
                if args.run.is_some() {
                    return Err(Fault::new(Exit::Locked, format!("run {} is running", row.id))
                        .hint(format!("dfwfd cancel {}", row.id))
                        .into());
                }
                continue;
            }
            if let Err(error) = one(store, &row, depth, args.dry_run, &mut report).await {
                let (code, hint) = error::classify(&error);
                exit = if code == Exit::Service || exit == Exit::Service { Exit::Service } else { Exit::Failed };
                ui.warn(&format!("{error:#}"));
                report.error.get_or_insert(ErrorObject::new(&error, hint.as_deref()));
            }
        }
    }
    ui.json(&report);
    ui.result(&lists::cleanup(&report, ui.width(), ui.color()));
    Ok(exit)
}

/// One run. What could not be given back is in the report, and its first cause is the error.
async fn one(
    store: &Store,
    row: &RunRow,
    depth: Depth,
    dry_run: bool,
    report: &mut CleanupReport,
) -> anyhow::Result<()> {
    let wanted = |resource: &Resource| match depth {
        Depth::Gpus => resource.class() == ResourceClass::Gpu,
        Depth::Purge => resource.class() != ResourceClass::Record,
    };
    let mut open = dead::open_rows(store, &row.id)?;
    open.retain(wanted);
    if dry_run {
        report.held.extend(open.iter().map(Held::from));
        return Ok(());
    }
    dead::tick_off_the_dead(store, &row.id)?;
    if open.is_empty() {
        return Ok(());
    }
    let released = Mutex::new(Vec::new());
    let told = |resource: &Resource| {
        let given_back = Held { state: ResourceState::Released, ..Held::from(resource) };
        released.lock().unwrap_or_else(PoisonError::into_inner).push(given_back);
    };
    let left = release(store, row, open, depth, &told).await;
    report.released.extend(released.into_inner().unwrap_or_else(PoisonError::into_inner));
    report.held.extend(store.open_resources(&row.id)?.iter().filter(|resource| wanted(resource)).map(Held::from));
    match left.with_context(|| format!("giving back what run {} holds", row.id))?.into_iter().next() {
        Some((_, error)) => Err(error.context(format!("giving back what run {} holds", row.id))),
        None => Ok(()),
    }
}

/// Connects as the run did, by its own plan, and gives back.
async fn release(
    store: &Store,
    row: &RunRow,
    open: Vec<Resource>,
    depth: Depth,
    told: &(dyn Fn(&Resource) + Send + Sync),
) -> anyhow::Result<Vec<Left>> {
    let plan: Plan = store.plan(&row.id)?;
    let platform = platform::connect(&plan, &super::environment_of(&plan), 0)?;
    // Nothing listens at that address any more: waiting for each thing in turn until its deadline gives nothing back.
    match platform.nemo.check_api().await {
        Err(error) if error.kind == ErrorKind::Connect => return Err(error.into()),
        _ => {}
    }
    dead::release(store, &platform.nemo, &plan, row, open, depth, told).await
}

/// Gives back what all dead runs but one hold, before a run starts. What cannot be is told and left for later.
pub(super) async fn before_a_run(store: &Store, state_dir: &Path, except: Option<&str>, ui: &Ui) -> anyhow::Result<()> {
    for row in store.runs()? {
        if except == Some(row.id.as_str()) || dead::is_alive(&row, state_dir) {
            continue;
        }
        dead::tick_off_the_dead(store, &row.id)?;
        let mut open = dead::open_rows(store, &row.id)?;
        open.retain(|resource| resource.class() == ResourceClass::Gpu);
        if open.is_empty() {
            continue;
        }
        ui.note(&format!("run {} has left something on the platform; giving it back", row.id));
        let told = |resource: &Resource| tracing::info!(name = resource.name, "given back");
        let left = release(store, &row, open, Depth::Gpus, &told).await;
        match left.map(|left| left.into_iter().next()) {
            Ok(None) => {}
            Ok(Some((_, error))) | Err(error) => {
                ui.warn(&format!("run {} still holds something: {error:#}", row.id));
                ui.hint(&format!("dfwfd cleanup {}", row.id));
            }
        }
    }
    Ok(())
}
