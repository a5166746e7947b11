//! `dfwfd status`: lists the runs of a state directory, newest first, or shows one of them in detail.

use std::path::Path;
use std::time::Duration;

use crate::cli::{Global, Status};
use crate::error::Exit;
use crate::report::json::{RunList, RunSummary, SCHEMA};
use crate::report::{assemble, lists, run_tables};
use crate::store::Store;
use crate::ui::Ui;
use crate::vocabulary::RunState;

/// How often `--watch` looks at the state directory.
const POLL: Duration = Duration::from_millis(500);

/// Shows once. With `--watch` shows every change, until no run is running.
pub(super) async fn run(global: &Global, args: &Status, ui: &Ui) -> anyhow::Result<Exit> {
    let state_dir = super::state_dir::named(global)?;
    let mut last = String::new();
    loop {
        let shown = show(args.run.as_deref(), &state_dir, ui)?;
        if shown.text != last {
            ui.frame(&shown.text, args.watch && !last.is_empty());
            last.clone_from(&shown.text);
        }
        if !args.watch || !shown.goes_on {
            ui.json(&shown.json);
            return Ok(Exit::Done);
        }
        tokio::time::sleep(POLL).await;
    }
}

struct Shown {
    text: String,
    json: serde_json::Value,
    goes_on: bool,
}

fn show(run: Option<&str>, state_dir: &Path, ui: &Ui) -> anyhow::Result<Shown> {
    let Some(name) = run else {
        let rows = match super::state_dir::existing_store(state_dir)? {
            Some(store) => list(&store, state_dir, ui)?,
            None => Vec::new(),
        };
        if rows.is_empty() {
            ui.hint("`dfwfd run` starts one");
        }
        let goes_on = rows.iter().any(|row| row.state == RunState::Running);
        let text = lists::runs(&rows, ui.width(), ui.color());
        return Ok(Shown { text, json: serde_json::to_value(RunList { schema: SCHEMA, runs: rows })?, goes_on });
    };
    let (store, row) = super::state_dir::stored_run(state_dir, name)?;
    let report = assemble::assemble(&store, &row, state_dir)?;
    let goes_on = report.state == RunState::Running;
    Ok(Shown { text: run_tables::full(&report, ui.width(), ui.color()), json: serde_json::to_value(&report)?, goes_on })
}

fn list(store: &Store, state_dir: &Path, ui: &Ui) -> anyhow::Result<Vec<RunSummary>> {
    let mut rows = Vec::new();
    for row in store.runs()? {
        match assemble::assemble(store, &row, state_dir) {
            Ok(report) => rows.push(RunSummary::from(&report)),
            // A run that cannot be read must not hide the others.
            Err(error) => ui.warn(&format!("cannot show run {}: {error:#}", row.id)),
        }
    }
    Ok(rows)
}
