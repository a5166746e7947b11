//! The end of a run: recorded in the store, told as an event, shown as a report.

use std::path::Path;

use anyhow::Context as _;

use crate::error::{self, Exit};
use crate::report::json::ErrorObject;
use crate::report::{assemble, run_tables};
use crate::run::End;
use crate::run::cx::Cx;
use crate::run::event::EventKind;
use crate::store::now_ms;
use crate::ui::Ui;

/// Records the end and tells it.
pub(super) fn record(cx: &Cx, end: &End, started_ms: i64, ui: &Ui) -> anyhow::Result<Exit> {
    let exit = error::of_run(end);
    let error = end.errors.first().map(|chain| ErrorObject::new(chain, error::classify(chain).1.as_deref()));
    let json = error.as_ref().map(serde_json::to_string).transpose().context("recording the error of the run")?;
    cx.store.end_run(&cx.run, end.state, exit.code(), json.as_deref())?;
    #[expect(clippy::cast_precision_loss, reason = "a run takes hours at most")]
    let seconds = (now_ms() - started_ms) as f64 / 1000.0;
    cx.tell(EventKind::RunDone { state: end.state, exit_code: exit.code(), seconds });
    for (resource, error) in &end.left {
        ui.warn(&format!("still held: {} {}: {error:#}", resource.kind.as_str(), resource.name));
    }
    Ok(exit)
}

/// Prints the report, and the errors of a run that has not completed.
pub(super) fn show(cx: &Cx, end: &End, exit: Exit, state_dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    let row = cx.store.run(&cx.run)?.context("the run is not in the store any more")?;
    let report = assemble::assemble(&cx.store, &row, state_dir)?;
    ui.json(&report);
    // Without datasets nothing was tried: the error says it all.
    if report.data.is_some() {
        ui.result(&run_tables::summary(&report, ui.width(), ui.color()));
    }
    for chain in &end.errors {
        let (_, hint) = error::classify(chain);
        ui.error(chain, exit, hint.as_deref());
    }
    if !end.left.is_empty() {
        ui.hint(&format!("dfwfd cleanup {}", cx.run));
    }
    Ok(())
}
