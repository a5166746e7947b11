//! The quality gates of `run` and `report`: read from the command line, and told when they are missed.

use std::path::Path;

use super::state_dir::named_run;
use crate::cli;
use crate::config::plan::Plan;
use crate::error::{Exit, Fault};
use crate::run::across::{self, PastRun};
use crate::run::gates::{Gate, Gates, LATEST, Minimum, is_comparable};
use crate::store::{RunRow, Store};
use crate::ui::Ui;
use crate::vocabulary::RunState;

/// Reads the gates of the command line for a run with this plan, which is recorded already if it is the `judged` one.
pub(super) fn asked(
    args: &cli::Gates,
    plan: &Plan,
    judged: Option<&RunRow>,
    store: &Store,
    state_dir: &Path,
) -> anyhow::Result<Gates> {
    let models: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.model_name.as_str()).collect();
    let minimum = |text: &String| {
        let refused = |why| {
            let fault = Fault::new(Exit::Usage, format!("cannot read the gate --min {text}: {why}"));
            fault.hint("write it as in --min macro_f1=0.85 or --min 'recall[CLASS]=0.7'")
        };
        Minimum::parse(text, &models).map_err(refused)
    };
    let minimums = args.min.iter().map(minimum).collect::<Result<_, _>>()?;
    let baseline = args.baseline.as_deref().map(|name| baseline(name, plan, judged, store, state_dir)).transpose()?;
    Ok(Gates { minimums, baseline })
}

/// Finds the run that `--baseline` names. Which run is the latest is decided at the end, where only the records tell the
/// workload or the score that decides.
fn baseline(
    name: &str,
    plan: &Plan,
    judged: Option<&RunRow>,
    store: &Store,
    state_dir: &Path,
) -> anyhow::Result<String> {
    let workload = judged.and_then(|row| row.workload.as_deref()).or(plan.data.filter.workload.as_deref());
    let recorded = judged.and_then(|row| metric_of(&row.id, store, state_dir));
    let own = recorded.or_else(|| across::planned_metric(plan));
    let refused = |why: String| {
        let fault = Fault::new(Exit::Usage, format!("cannot use --baseline {name}: {why}"));
        anyhow::Error::from(
            fault.hint("`dfwfd status` lists the runs; without --baseline a run has no earlier one to keep up with"),
        )
    };
    if name == LATEST {
        let mut rows = store.runs()?;
        if let Some(at) = judged.and_then(|own| rows.iter().position(|row| row.id == own.id)) {
            rows.drain(..=at);
        }
        let mut earlier = rows.into_iter().filter(|row| is_comparable(row, workload, plan.rehearse));
        let found = earlier.find(|row| same_score(&row.id, own, store, state_dir).is_ok());
        let none = || {
            let of = workload.map_or_else(String::new, |workload| format!(" of the workload {workload}"));
            refused(format!("there is no earlier completed run{of} that the same score decides"))
        };
        let found = found.ok_or_else(none)?;
        return Ok(if workload.is_some() && own.is_some() { found.id } else { LATEST.to_owned() });
    }
    let row = named_run(Some(store), name, state_dir)?;
    if judged.is_some_and(|own| own.id == row.id) {
        return Err(refused("it is the run itself".to_owned()));
    }
    match (workload, row.workload.as_deref()) {
        (Some(own), Some(other)) if own != other => {
            Err(refused(format!("it is of the workload {other}, and this run of {own}")))
        }
        _ if !matches!(row.state, RunState::Completed | RunState::Partial) => {
            Err(refused(format!("it is {}", row.state.as_str())))
        }
        _ => same_score(&row.id, own, store, state_dir).map_err(refused).map(|()| row.id),
    }
}

fn metric_of(run: &str, store: &Store, state_dir: &Path) -> Option<&'static str> {
    across::metric(&PastRun::read(store, run, state_dir).ok()?).ok()
}

/// Checks that the score that decides this run decides an earlier one too, where both are known.
fn same_score(earlier: &str, own: Option<&'static str>, store: &Store, state_dir: &Path) -> Result<(), String> {
    match own.zip(metric_of(earlier, store, state_dir)) {
        Some((own, other)) if own != other => {
            Err(format!("run {earlier} was decided by {other}, and this run is by {own}"))
        }
        _ => Ok(()),
    }
}

/// Tells which gates were missed. Returns the exit code of a command that has otherwise done what it should.
pub(super) fn told(gates: &[Gate], exit: Exit, ui: &Ui) -> Exit {
    for missed in gates.iter().filter(|gate| !gate.met) {
        ui.warn(&format!("gate missed: {}: {}", missed.gate, missed.explanation));
    }
    match exit {
        Exit::Done if gates.iter().any(|gate| !gate.met) => Exit::Gate,
        exit => exit,
    }
}
