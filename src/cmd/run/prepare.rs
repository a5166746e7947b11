//! Everything before a run begins: its plan, the lock, what dead runs have left, the platform, and the plan held against
//! it. Makes nothing on the platform.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::{Global, Run};
use crate::cmd::{
    cleanup, credentials_of, environment_of, existing_store, invocation_for, make_state_dir, named_run, state_dir,
    trace,
};
use crate::config::plan::{Plan, PlatformKind};
use crate::config::{self, Need};
use crate::data::options::Input;
use crate::error::{Exit, Fault};
use crate::platform::{self, Platform};
use crate::report::plan as plan_report;
use crate::run::check::{self, Budget, Findings, Obstacle, Who};
use crate::run::lock::Lock;
use crate::run::stop::Stop;
use crate::run::{datasets, dead, names, outcome};
use crate::store::{RunRow, Store};
use crate::ui::Ui;

/// What comes of preparing.
pub(super) enum Start {
    /// `--plan` has shown the plan.
    Shown,
    /// A run can begin.
    Run(Box<Prepared>),
}

/// A run that can begin.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) id: String,
    pub(super) resumed: Option<RunRow>,
    pub(super) store: Store,
    pub(super) lock: Lock,
    pub(super) platform: Platform,
    pub(super) budget: Budget,
    pub(super) findings: Findings,
    pub(super) kind: &'static str,
    pub(super) rehearsal: bool,
    pub(super) dir: PathBuf,
    pub(super) state_dir: PathBuf,
}

/// Prepares a new run, or the one to resume.
pub(super) async fn prepare(global: &Global, args: &Run, ui: &Ui, stop: &Stop) -> anyhow::Result<Start> {
    let mut invocation = invocation_for(global, &args.records, Need::Candidates);
    invocation.only.clone_from(&args.only);
    invocation.rehearse = args.rehearse;
    let (plan, state_dir) = match args.resume {
        Some(_) if !global.set.is_empty() => {
            return Err(Fault::new(Exit::Usage, "--set cannot be used with --resume: a run goes on as it was started")
                .hint("start a new run to use other settings")
                .into());
        }
        Some(_) => (None, state_dir(global)),
        None => {
            let plan = config::load(&invocation)?;
            let state_dir = plan.state_dir.clone();
            (Some(plan), state_dir)
        }
    };
    if let Some(plan) = plan.as_ref().filter(|_| args.plan) {
        show_plan(plan, args, ui, stop).await?;
        return Ok(Start::Shown);
    }
    make_state_dir(&state_dir)?;
    let mut lock = match args.wait {
        true => Lock::wait(&state_dir, stop).await?,
        false => Lock::take(&state_dir)?,
    };
    let store = Store::open(&state_dir)?;
    let (plan, resumed) = match plan {
        Some(plan) => (plan, None),
        None => {
            let row = resumable(&store, args.resume.as_deref().unwrap_or_default(), &state_dir)?;
            (store.plan(&row.id).context("reading the plan of the run")?, Some(row))
        }
    };
    let log = trace::start(global.verbose, plan.log_level, ui);
    if resumed.is_none() {
        warn(&plan, ui);
    }
    let id = resumed.as_ref().map_or_else(names::new_run_id, |row| row.id.clone());
    lock.name(&id)?;
    cleanup::before_a_run(&store, &state_dir, Some(&id), ui).await?;
    let checked = check_plan(&plan, &store, &id, args).await;
    if checked.is_err() && !dead::open_rows(&store, &id, platform::died_with_its_process)?.is_empty() {
        ui.warn(&format!("run {id} still has something on the platform"));
        ui.hint(&format!("dfwfd cleanup {id}"));
    }
    let (platform, budget, findings) = checked?;
    let kind = match platform.kind {
        PlatformKind::Nemo => "nemo",
        PlatformKind::Embedded => "embedded",
    };
    let rehearsal = platform.kind == PlatformKind::Embedded && !platform::all_students(&plan.candidates);
    let dir = state_dir.join("runs").join(&id);
    make_state_dir(&dir)?;
    log.attach(&dir.join("log.jsonl"))?;
    Ok(Start::Run(Box::new(Prepared {
        plan,
        id,
        resumed,
        store,
        lock,
        platform,
        budget,
        findings,
        kind,
        rehearsal,
        dir,
        state_dir,
    })))
}

/// Reaches the platform and holds the plan against it. A run that goes on keeps its budget: what it holds itself must
/// not count as taken by others.
async fn check_plan(plan: &Plan, store: &Store, id: &str, args: &Run) -> anyhow::Result<(Platform, Budget, Findings)> {
    let budget = match store.fact::<Budget>(id, outcome::BUDGET)? {
        Some(budget) => budget,
        None => check::budget(plan, platform::free_gpus)?,
    };
    let mut platform = reach(plan, &budget)?;
    let mut own = dead::own_runs(store)?;
    own.insert(id.to_owned());
    let mut adopted = args.adopt;
    for candidate in &plan.candidates {
        adopted |= store.fact::<bool>(id, &outcome::adopted_key(&candidate.model_name))?.unwrap_or(false);
    }
    let who = Who { own: &own, adopt: adopted, share: args.share };
    let findings = check::check(plan, &platform.nemo, &budget, &who).await.context("checking the plan")?;
    platform.recognise();
    Ok((platform, budget, findings))
}

/// The run to continue: the one named, else the newest that was killed or cancelled.
fn resumable(store: &Store, name: &str, state_dir: &Path) -> anyhow::Result<RunRow> {
    if !name.is_empty() {
        let row = named_run(Some(store), name, state_dir)?;
        if dead::can_resume(&row) {
            return can_read_again(store, row);
        }
        return Err(Fault::new(
            Exit::Usage,
            format!("run {} was neither killed nor cancelled: it is {}", row.id, row.state),
        )
        .hint("start a new run without --resume")
        .into());
    }
    let row = store.runs()?.into_iter().find(dead::can_resume).ok_or_else(|| {
        Fault::new(Exit::Usage, format!("no run in {} was killed or cancelled", state_dir.display()))
            .hint("`dfwfd status` lists the runs")
    })?;
    can_read_again(store, row)
}

/// Records from standard input are there again only once the datasets were made of them.
fn can_read_again(store: &Store, row: RunRow) -> anyhow::Result<RunRow> {
    let plan: Plan = store.plan(&row.id)?;
    let made = store.fact::<serde_json::Value>(&row.id, outcome::MANIFEST)?.is_some();
    if plan.data.input == Input::Stdin && !made {
        return Err(Fault::new(
            Exit::Usage,
            format!("run {} read its records from standard input and ended before its datasets were made", row.id),
        )
        .hint("start a new run and feed it the records again")
        .into());
    }
    Ok(row)
}

/// Notes about the configuration; a cron job that asks for quiet has seen them.
fn warn(plan: &Plan, ui: &Ui) {
    for warning in plan.warnings.iter().filter(|_| !ui.quiet()) {
        ui.warn(warning);
    }
}

/// Reaches or starts the platform; the embedded one knows its students, unless they stand in.
fn reach(plan: &Plan, budget: &Budget) -> anyhow::Result<Platform> {
    if plan.platform.kind == PlatformKind::Embedded && !plan.rehearse {
        let known = |model: &str| crate::student::NAMES.contains(&model);
        if let Some(stranger) = plan.candidates.iter().find(|candidate| !known(&candidate.model_name)) {
            return Err(Obstacle::NoStudent { model: stranger.model_name.clone() }.into());
        }
    }
    platform::connect(plan, &environment_of(plan), budget.gpus.unwrap_or(check::VIRTUAL_GPUS))
}

async fn show_plan(plan: &Plan, args: &Run, ui: &Ui, stop: &Stop) -> anyhow::Result<()> {
    warn(plan, ui);
    let budget = check::budget(plan, platform::free_gpus)?;
    let platform = reach(plan, &budget)?;
    let own = existing_store(&plan.state_dir)?.as_ref().map(dead::own_runs).transpose()?.unwrap_or_default();
    let who = Who { own: &own, adopt: args.adopt, share: args.share };
    let findings = check::check(plan, &platform.nemo, &budget, &who).await.context("checking the plan")?;
    // Whether the records are enough is found out as the run would, and thrown away.
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let manifest = datasets::build(&plan.data, &credentials_of(plan), folder.path(), stop).await?;
    let shown = plan_report::Shown::new(plan, &budget, &findings, &manifest);
    ui.json(&shown);
    ui.result(&shown.text(ui.width(), ui.color()));
    Ok(())
}
