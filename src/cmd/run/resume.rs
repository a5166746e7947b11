//! `run --resume`: which run is continued.

use std::path::Path;

use crate::cmd::state_dir::named_run;
use crate::config::plan::Plan;
use crate::data::options::LogSource;
use crate::error::{Exit, Fault};
use crate::run::{liveness, outcome};
use crate::store::{RunRow, Store};

/// Returns the run to continue: the named one, or else the newest that has not completed.
pub(super) fn resumable_run(store: &Store, name: &str, state_dir: &Path) -> anyhow::Result<RunRow> {
    let row = if name.is_empty() {
        store.runs()?.into_iter().find(liveness::can_resume).ok_or_else(|| {
            Fault::new(Exit::Usage, format!("cannot resume: no run in {} is left to finish", state_dir.display()))
                .hint("start a new run without --resume; `dfwfd status` lists the runs")
        })?
    } else {
        named_run(Some(store), name, state_dir)?
    };
    if !liveness::can_resume(&row) {
        return Err(Fault::new(Exit::Usage, format!("cannot resume run {}: it has completed", row.id))
            .hint("start a new run without --resume")
            .into());
    }
    check_records(store, &row)?;
    Ok(row)
}

/// Checks that the records can be read again. Those of standard input cannot, unless their datasets are made.
fn check_records(store: &Store, row: &RunRow) -> anyhow::Result<()> {
    let plan: Plan = store.plan(&row.id)?;
    let made = store.fact::<serde_json::Value>(&row.id, outcome::MANIFEST)?.is_some();
    if plan.data.input == LogSource::Stdin && !made {
        let why = "it read its records from standard input and ended before its datasets were made";
        return Err(Fault::new(Exit::Usage, format!("cannot resume run {}: {why}", row.id))
            .hint("start a new run and feed it the records again")
            .into());
    }
    Ok(())
}
