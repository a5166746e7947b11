//! Everything before a run begins: its plan, the lock, the release of what dead runs hold, and the check of the platform. Creates
//! nothing on the platform.

use super::begin::{self, LockedRun, Prepared};
use super::{earlier_runs, platform_check};
use super::{preview, resume};
use crate::cli::{Global, Run};
use crate::cmd::{eval_set, gates, invocation_for, last_run, memory_limit, state_dir, trace};
use crate::config::plan::Plan;
use crate::config::{self, Invocation, Need};
use crate::doctor::StateDir;
use crate::error::{Exit, Fault};
use crate::run::lock::Lock;
use crate::run::signals::Stop;
use crate::run::{dead_runs, gates as run_gates, names, outcome};
use crate::source::dataset;
use crate::store::Store;
use crate::ui::Ui;

/// The result of preparing.
pub(super) enum Start {
    /// `--plan` has shown the plan.
    Shown,
    Run(Box<Prepared>),
}

/// Prepares a new run, or the one to resume.
pub(super) async fn prepare(global: &Global, args: &Run, ui: &Ui, stop: &Stop) -> anyhow::Result<Start> {
    let invocation = last_run::resolve(invocation_for(global, &args.records, Need::Candidates), ui)?;
    let mut invocation = eval_set::resolve(invocation, args.datasets.eval_set.as_deref())?;
    invocation.only.clone_from(&args.only);
    invocation.corrections.clone_from(&args.datasets.corrections);
    invocation.rehearse = args.rehearse;
    invocation.measure_latency = args.measure_latency;
    let plan = new_plan(global, args, &invocation)?;
    if let Some(plan) = plan.as_ref().filter(|_| args.plan) {
        ui.warn_of_plan(&plan.warnings);
        preview::show(plan, global, args, ui, stop).await?;
        return Ok(Start::Shown);
    }
    let locked = lock(plan, global, args, ui, stop).await?;
    let log = trace::start(global.verbose, locked.plan.log_level, ui);
    match &locked.resumed {
        None => ui.warn_of_plan(&locked.plan.warnings),
        Some(row) => {
            for name in config::overriding(&invocation, &locked.plan) {
                ui.warn(&format!("{name} is ignored: run {} goes on as it was started", row.id));
            }
        }
    }
    let asked = gates::asked(&args.gates, &locked.plan, locked.resumed.as_ref(), &locked.store, &locked.state_dir)?;
    let id = &locked.id;
    earlier_runs::give_back(&locked.store, &locked.state_dir, Some(id), ui).await?;
    let keys = platform_check::service_keys(&locked.plan, global)?;
    let checked = platform_check::check(&locked.plan, &locked.store, id, args, &keys).await;
    if checked.is_err() && !dead_runs::open_resources(&locked.store, id)?.is_empty() {
        ui.warn(&format!("run {id} still holds something on the platform"));
        ui.hint(&format!("dfwfd cleanup {id}"));
    }
    let prepared = begin::begin(locked, checked?, keys, args, &log, ui, stop)?;
    let context = &prepared.context;
    context.store.remember(&context.id, outcome::DFWFD_VERSION, &env!("CARGO_PKG_VERSION"))?;
    // A resumed run keeps the gates that it was started with, unless it gets others.
    if !asked.is_empty() {
        context.store.remember(&context.id, run_gates::ASKED, &asked)?;
    }
    Ok(Start::Run(Box::new(prepared)))
}

/// Loads the plan of a new run, and checks the files that it names. A resumed run has a plan.
fn new_plan(global: &Global, args: &Run, invocation: &Invocation) -> anyhow::Result<Option<Plan>> {
    match args.resume {
        Some(_) if !global.set.is_empty() => {
            let message = "cannot use --set with --resume: a run goes on as it was started";
            Err(Fault::new(Exit::Usage, message).hint("start a new run to use other settings").into())
        }
        Some(_) => Ok(None),
        None => {
            let plan = config::load(invocation)?;
            dataset::check_corrections(&plan.data)?;
            Ok(Some(plan))
        }
    }
}

/// Takes the lock for a new run with this plan, or for the run to resume.
async fn lock(plan: Option<Plan>, global: &Global, args: &Run, ui: &Ui, stop: &Stop) -> anyhow::Result<LockedRun> {
    let state_dir = plan.as_ref().map_or_else(|| state_dir::path(global), |plan| plan.state_dir.clone());
    state_dir::create(&state_dir)?;
    memory_limit::set(args.datasets.memory, &state_dir)?;
    for warning in StateDir::check_before_run(&state_dir)? {
        ui.warn(&warning);
    }
    let mut lock = match args.wait {
        true => Lock::wait(&state_dir, stop).await?,
        false => Lock::take(&state_dir)?,
    };
    let store = Store::open(&state_dir)?;
    let (plan, resumed) = match plan {
        Some(plan) => (plan, None),
        None => {
            let row = resume::resumable_run(&store, args.resume.as_deref().unwrap_or_default(), &state_dir)?;
            (store.plan(&row.id)?, Some(row))
        }
    };
    let id = resumed.as_ref().map_or_else(names::new_run_id, |row| row.id.clone());
    lock.write_holder(&id)?;
    Ok(LockedRun { id, plan, resumed, state_dir, store, lock })
}
