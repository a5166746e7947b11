//! Gives back what earlier runs have left on the platform, before a run starts.

use std::path::Path;

use crate::cmd::cleanup::release;
use crate::cmd::environment_of;
use crate::config::plan::Plan;
use crate::platform;
use crate::run::dead_runs::{self, CleanupDepth};
use crate::run::{liveness, names, twins};
use crate::store::{Resource, RunRow, Store};
use crate::ui::Ui;

/// Releases what all ended runs but one hold, before a run starts; of the one, which is resumed, only what it does not
/// know. A failure is a warning.
pub(super) async fn give_back(store: &Store, state_dir: &Path, except: Option<&str>, ui: &Ui) -> anyhow::Result<()> {
    for row in store.runs()? {
        if except == Some(row.id.as_str()) {
            if !dead_runs::open_resources(store, &row.id)?.is_empty() {
                release_twins(store, &row).await?;
            }
            continue;
        }
        if liveness::is_alive(&row, state_dir) {
            continue;
        }
        dead_runs::settle_ended_platforms(store, &row.id)?;
        let mut open = dead_runs::open_resources(store, &row.id)?;
        open.retain(|resource| CleanupDepth::Gpus.includes(resource));
        if open.is_empty() {
            continue;
        }
        ui.note(&format!("releasing what run {} has left on the platform", row.id));
        let on_release = |resource: &Resource| tracing::info!(name = resource.name, "released");
        let still_held = release(store, &row, open, CleanupDepth::Gpus, &on_release).await;
        match still_held.map(|still_held| still_held.into_iter().next()) {
            Ok(None) => {}
            Ok(Some((_, error))) | Err(error) => {
                ui.warn(&format!("run {} still holds something: {error:#}", row.id));
                ui.hint(&format!("dfwfd cleanup {}", row.id));
            }
        }
    }
    Ok(())
}

/// Releases the jobs that a gateway made twice for a run that goes on: else they would look like those of another.
async fn release_twins(store: &Store, row: &RunRow) -> anyhow::Result<()> {
    let plan: Plan = store.plan(&row.id)?;
    let platform = platform::connect(&plan, &environment_of(&plan), 0)?;
    let releaser = dead_runs::releaser(store, &platform.nemo, &plan, row, &|_| {});
    twins::release(&releaser, &row.id, &platform.id, names::millis(plan.limits.release_ms)).await;
    Ok(())
}
