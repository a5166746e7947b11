//! `dfwfd report`: shows a recorded run again, in the form that is asked for.

use anyhow::Context as _;

use super::publish::{self, Ended};
use super::{gates, gold, whole_file};
use crate::cli::{Global, Report};
use crate::config::plan::Plan;
use crate::error::{Exit, Fault};
use crate::report::document::{self, Extras, Form};
use crate::report::{assemble, run_tables};
use crate::run::gates as run_gates;
use crate::ui::{Format, Ui};

/// Shows the report, or writes it to a file.
pub(super) async fn run(global: &Global, args: &Report, ui: &Ui) -> anyhow::Result<Exit> {
    let state_dir = super::state_dir::named(global)?;
    let (store, row) = super::state_dir::stored_run(&state_dir, &args.run)?;
    let plan: Plan = store.plan(&row.id)?;
    if args.publish {
        again(Ended { store: &store, row: &row, plan: &plan, state_dir: &state_dir }, ui).await?;
    }
    let mut report = assemble::assemble(&store, &row, &state_dir)?;
    let asked = gates::asked(&args.gates, &plan, Some(&row), &store, &state_dir)?;
    let exit = if asked.is_empty() {
        Exit::Done
    } else {
        report.gates = run_gates::judge(&store, &row.id, &state_dir, &asked)?;
        gates::told(&report.gates, Exit::Done, ui)
    };
    if let Some(path) = &args.gold {
        report.gold = Some(gold::measure(&store, &row.id, &state_dir, path)?);
    }
    let report = if args.no_texts { report.without_texts() } else { report };
    let document = |form| {
        let extras = Extras::of(&store, &row, &report, &state_dir, !args.no_texts)?;
        document::render(&report, &extras, form)
    };
    // A file gets no colour, and the width of a page.
    let (width, color) = if args.output.is_some() { (100, false) } else { (ui.width(), ui.color()) };
    let text = match args.format {
        Format::Human => run_tables::full(&report, width, color),
        Format::Json => serde_json::to_string(&report).context("cannot write the report as JSON")?,
        Format::Markdown => document(Form::Markdown)?,
        Format::Junit => document(Form::JUnit)?,
        Format::Html => document(Form::Html)?,
    };
    match (&args.output, args.format) {
        (Some(path), _) => {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            let written = whole_file::write(path, format!("{text}{end}").as_bytes());
            written.with_context(|| format!("cannot write the report to {}", path.display()))?;
        }
        (None, Format::Human) => ui.result(&text),
        (None, Format::Json) => ui.json(&report),
        (None, _) => ui.payload(&text),
    }
    Ok(exit)
}

/// Sends the run where its plan says.
async fn again(run: Ended<'_>, ui: &Ui) -> anyhow::Result<()> {
    let id = &run.row.id;
    let refused = |why: &str, hint: &str| {
        Err(Fault::new(Exit::Usage, format!("cannot publish run {id}: {why}")).hint(hint).into())
    };
    if !publish::is_asked(run.plan) {
        let hint = "set mlflow_config.enabled (docs/mlflow.md) or logs.elasticsearch.runs_index before the run";
        return refused("its configuration names no place to send it to", hint);
    }
    if run.row.ended_ms.is_none() {
        return refused("it has not ended", &format!("dfwfd status {id}"));
    }
    for warning in publish::publish(run, std::future::pending()).await? {
        ui.warn(&warning);
    }
    Ok(())
}
