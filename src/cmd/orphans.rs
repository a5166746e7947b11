//! `dfwfd cleanup --orphans`: shows what other state directories have left on the platform, and gives back what is this
//! user's, once somebody has agreed.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

use crate::cli::{Cleanup, Global};
use crate::config::{self, Need};
use crate::error::{self, Exit, Fault};
use crate::platform;
use crate::report::json::{CleanupReport, Held, OrphanRow, SCHEMA};
use crate::report::lists;
use crate::report::text::counted;
use crate::run::dead_runs::CleanupDepth;
use crate::run::orphans::{self, Orphan};
use crate::run::{dead_runs, names};
use crate::store::{Resource, ResourceState, Store, now_ms};
use crate::ui::Ui;
use crate::vocabulary::PlatformKind;

/// Lists, asks, and releases.
pub(super) async fn run(global: &Global, args: &Cleanup, ui: &Ui) -> anyhow::Result<Exit> {
    let invocation = super::invocation(global, Need::Candidates);
    let plan = config::load(&invocation)?;
    if plan.platform.kind == PlatformKind::Embedded {
        let message = "cannot look for orphans: the embedded platform ends with its run";
        return Err(Fault::new(Exit::Usage, message).hint("set nmp_config.platform to nemo").into());
    }
    super::state_dir::create(&plan.state_dir)?;
    let store = Store::open(&plan.state_dir)?;
    let platform = platform::connect(&plan, &config::environment(&invocation), 0)?;
    platform.nemo.check_api().await.context("cannot reach NeMo (nmp_config.nemo_base_url)")?;
    let own: BTreeSet<String> = dead_runs::own_resources(&store)?;
    let namespace = &plan.platform.namespace;
    let depth = if args.purge { CleanupDepth::Purge } else { CleanupDepth::Gpus };
    let found = orphans::find(&platform.nemo, namespace, &platform.id, &own, depth).await;
    let found = found.context("cannot look for orphans")?;
    let owner = args.owner.clone().unwrap_or_else(names::owner);
    let rows = found.iter().map(row).collect();
    let mut report = CleanupReport { orphans: rows, ..CleanupReport::new(SCHEMA) };
    let theirs: Vec<Orphan> = found.into_iter().filter(|orphan| orphan.owner.as_deref() == Some(&owner)).collect();
    let mut exit = Exit::Done;
    if !args.dry_run && !theirs.is_empty() {
        if !args.yes {
            agree(&report, theirs.len(), &owner, ui)?;
        }
        let released = Mutex::new(Vec::new());
        let on_release = |resource: &Resource| {
            let one = Held { state: ResourceState::Released, ..Held::from(resource) };
            released.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        };
        let deadline = names::millis(plan.limits.release_ms);
        let left = orphans::release(&platform.nemo, &store, namespace, theirs, deadline, &on_release).await;
        report.released = released.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (resource, error) in left {
            exit = if error::classify(&error).0 == Exit::Service { Exit::Service } else { Exit::Failed };
            ui.warn(&format!("{error:#}"));
            report.held.push(Held::from(&resource));
            report.error.get_or_insert_with(|| super::error_object(&error));
        }
    }
    ui.json(&report);
    ui.result(&lists::cleanup(&report, ui.width(), ui.color()));
    Ok(exit)
}

fn row(orphan: &Orphan) -> OrphanRow {
    let resource = &orphan.resource;
    OrphanRow {
        kind: resource.kind,
        name: resource.name.clone(),
        run: resource.run.clone(),
        owner: orphan.owner.clone(),
        age_seconds: orphan.created_ms.map(|created| (now_ms() - created).max(0) / 1000),
    }
}

/// Asks before anything is deleted that another process may be using.
fn agree(report: &CleanupReport, count: usize, owner: &str, ui: &Ui) -> anyhow::Result<()> {
    let what = counted(count as u64, "resource");
    if !std::io::stdin().is_terminal() {
        let message = format!("cannot delete {what} of {owner} without being told to");
        return Err(Fault::new(Exit::Usage, message).hint("--dry-run lists them; --yes deletes them").into());
    }
    ui.note(&lists::cleanup(report, ui.width(), false));
    ui.note(&format!("Delete {what} of {owner}? A run that uses them will fail. Type yes:"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Fault::new(Exit::Cancelled, format!("cannot delete {what}: nobody said yes")).into())
}
