//! The end of a run: recorded in the store, told as an event, shown as a report.

use std::path::Path;

use anyhow::Context as _;

use crate::cmd::publish::{self, Ended};
use crate::cmd::{error_object, gates, gold, whole_file};
use crate::error::{self, Exit, Fault};
use crate::report::json::ErrorObject;
use crate::report::{assemble, prometheus, run_tables};
use crate::run::End;
use crate::run::context::RunContext;
use crate::run::event::EventKind;
use crate::run::gates::{self as run_gates, Gate, Gates};
use crate::run::outcome::GOLD;
use crate::run::release::Unrecorded;
use crate::store::{RunRow, now_ms};
use crate::ui::Ui;
use crate::vocabulary::RunState;

/// The end of a run as its store has it, or would have it.
pub(super) struct Recorded {
    pub(super) exit: Exit,
    /// The row of the run.
    row: RunRow,
    /// The store has it. A disk that became full leaves the run unrecorded, and it still is told.
    pub(super) is_kept: bool,
}

/// Records the end and tells it.
pub(super) fn record(run: &RunContext, end: &End, state_dir: &Path, ui: &Ui) -> anyhow::Result<Recorded> {
    let judged = judge_gates(run, end, state_dir)?;
    let mut exit = gates::told(&judged, error::of_run(end), ui);
    let mut error = end.errors.first().map(error_object);
    let json = |error: &Option<ErrorObject>| error.as_ref().map(serde_json::to_string).transpose();
    let act = "cannot record the error of the run";
    let kept = run.store.end_run(&run.id, end.state, exit.code(), json(&error).context(act)?.as_deref());
    let mut row = run.store.run(&run.id)?.context("the run is no longer in the store")?;
    let is_kept = kept.is_ok();
    if let Err(lost) = kept {
        let lost = anyhow::Error::new(lost).context("cannot record the end of the run");
        ui.warn(&format!("{lost:#}"));
        if matches!(exit, Exit::Done | Exit::Partial | Exit::Gate) {
            exit = Exit::Failed;
        }
        error.get_or_insert_with(|| error_object(&lost));
        let (error, exit_code) = (json(&error).context(act)?, Some(exit.code()));
        row = RunRow { state: end.state, exit_code, error, ended_ms: Some(now_ms()), ..row };
    }
    #[expect(clippy::cast_precision_loss, reason = "a run takes hours at most")]
    let seconds = (now_ms() - run.started_ms) as f64 / 1000.0;
    run.events.tell(EventKind::RunDone { state: end.state, exit_code: exit.code(), seconds });
    tell_held(end, ui);
    Ok(Recorded { exit, row, is_kept })
}

fn tell_held(end: &End, ui: &Ui) {
    for (resource, error) in &end.still_held {
        let state = if error.is::<Unrecorded>() { "released, but not recorded" } else { "still held" };
        ui.warn(&format!("{state}: {} {}: {error:#}", resource.kind.in_words(), resource.name));
    }
}

/// Judges the gates of a run that has got to its scores.
fn judge_gates(run: &RunContext, end: &End, state_dir: &Path) -> anyhow::Result<Vec<Gate>> {
    let asked: Gates = run.store.fact(&run.id, run_gates::ASKED)?.unwrap_or_default();
    if asked.is_empty() || !matches!(end.state, RunState::Completed | RunState::Partial) {
        return Ok(Vec::new());
    }
    let judged = run_gates::judge(&run.store, &run.id, state_dir, &asked)?;
    if let Err(error) = run.store.remember(&run.id, run_gates::JUDGED, &judged) {
        tracing::warn!(%error, "cannot record the gates");
    }
    Ok(judged)
}

/// Checks that the metrics can be written, before anything is spent.
pub(super) fn check_metrics(metrics: Option<&Path>) -> anyhow::Result<()> {
    match metrics {
        Some(path) if !whole_file::folder_of(path).is_dir() => {
            let why = format!("cannot write metrics to {}: there is no such folder", path.display());
            Err(Fault::new(Exit::Usage, why).hint(format!("mkdir -p {}", whole_file::folder_of(path).display())).into())
        }
        _ => Ok(()),
    }
}

/// Compares the models with labels of people. A comparison that is not possible does not touch the scores.
pub(super) fn measure_gold(run: &RunContext, state_dir: &Path, path: &Path) -> anyhow::Result<()> {
    match gold::measure(&run.store, &run.id, state_dir, path) {
        Ok(fact) => Ok(run.store.remember(&run.id, GOLD, &fact)?),
        Err(error) => run.warn(format!("{error:#}")),
    }
}

/// Sends the run where its plan says, until a further request to stop.
pub(super) async fn publish(run: &RunContext, recorded: &Recorded, state_dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    let was_stopped = run.stop.check().is_err();
    let interrupted = async { if was_stopped { std::future::pending().await } else { run.stop.asked().await } };
    let ended = Ended { store: &run.store, row: &recorded.row, plan: &run.plan, state_dir };
    for warning in publish::publish(ended, interrupted).await? {
        ui.warn(&warning);
    }
    Ok(())
}

/// Prints the report, and the errors of a run that has not completed. Writes the metrics.
pub(super) fn show(
    run: &RunContext,
    end: &End,
    recorded: &Recorded,
    state_dir: &Path,
    metrics: Option<&Path>,
    ui: &Ui,
) -> anyhow::Result<()> {
    let exit = recorded.exit;
    let mut report = assemble::assemble(&run.store, &recorded.row, state_dir)?;
    let unrecorded = end.still_held.iter().filter(|(_, error)| error.is::<Unrecorded>());
    let gone: Vec<&str> = unrecorded.map(|(resource, _)| resource.name.as_str()).collect();
    report.held.retain(|held| !gone.contains(&held.name.as_str()));
    if let Some(path) = metrics
        && let Err(error) = whole_file::write(path, prometheus::text(&report).as_bytes())
    {
        ui.warn(&format!("cannot write metrics to {}: {error}", path.display()));
    }
    ui.json(&report);
    // Without datasets nothing was tried, and the error says everything.
    if report.data.is_some() {
        ui.result(&run_tables::summary(&report, ui.width(), ui.color()));
    }
    for chain in &end.errors {
        let (_, hint) = error::classify(chain);
        ui.error(chain, exit, hint.as_deref());
    }
    if !end.still_held.is_empty() {
        ui.hint(&format!("dfwfd cleanup {}", run.id));
    }
    if end.state == RunState::Cancelled {
        ui.hint(&format!("`dfwfd run --resume {}` continues the run", run.id));
    }
    // Unsuitable records stay so: a resumed run has the plan and the records of the first.
    if matches!(end.state, RunState::Partial | RunState::Failed) && exit != Exit::Data {
        ui.hint(&format!("`dfwfd run --resume {}` keeps what is done and does again what failed", run.id));
    }
    Ok(())
}
