//! The quality gates of `run` and `report`: read from the command line, and told when they are missed.

use std::path::Path;

use super::state_dir::named_run;
use crate::cli;
use crate::config::plan::Plan;
use crate::error::{Exit, Fault};
use crate::run::gates::{Gate, Gates, Minimum};
use crate::store::Store;
use crate::ui::Ui;

/// Reads the gates of the command line for a run with this plan.
pub(super) fn asked(args: &cli::Gates, plan: &Plan, store: &Store, state_dir: &Path) -> anyhow::Result<Gates> {
    let models: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.model_name.as_str()).collect();
    let minimum = |text: &String| {
        let refused = |why| {
            let fault = Fault::new(Exit::Usage, format!("cannot read the gate --min {text}: {why}"));
            fault.hint("write it as in --min macro_f1=0.85 or --min 'recall[CLASS]=0.7'")
        };
        Minimum::parse(text, &models).map_err(refused)
    };
    let minimums = args.min.iter().map(minimum).collect::<Result<_, _>>()?;
    let baseline = args.baseline.as_ref().map(|name| named_run(Some(store), name, state_dir)).transpose()?;
    Ok(Gates { minimums, baseline: baseline.map(|row| row.id) })
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
