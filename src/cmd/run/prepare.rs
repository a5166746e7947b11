//! Everything before a run begins: its plan, the lock, what dead runs have left, the platform, and the plan held against
//! it. Makes nothing on the platform.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::{Global, Run};
use crate::cmd::state_dir::{self, existing_store, named_run};
use crate::cmd::{cleanup, credentials_of, environment_of, invocation_for, trace};
use crate::config::plan::{JudgeKey, JudgePlace, Plan};
use crate::config::{self, Need};
use crate::data::options::LogSource;
use crate::error::{Exit, Fault};
use crate::nemo::Secret;
use crate::platform::{self, Platform};
use crate::report::plan::PlanReport;
use crate::run::check::{self, Budget, Findings, Obstacle, Who};
use crate::run::judge::{self, Asked};
use crate::run::lock::Lock;
use crate::run::stop::Stop;
use crate::run::{datasets, dead, names, outcome};
use crate::source::dataset::Manifest;
use crate::store::{RunRow, Store};
use crate::ui::Ui;
use crate::vocabulary::PlatformKind;

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
    pub(super) judge_key: Option<Secret>,
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
        Some(_) => (None, state_dir::path(global)),
        None => {
            let plan = config::load(&invocation)?;
            let state_dir = plan.state_dir.clone();
            (Some(plan), state_dir)
        }
    };
    if let Some(plan) = plan.as_ref().filter(|_| args.plan) {
        show_plan(plan, global, args, ui, stop).await?;
        return Ok(Start::Shown);
    }
    state_dir::create(&state_dir)?;
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
    match &resumed {
        None => warn(&plan, ui),
        Some(row) => {
            for name in config::overriding(&invocation) {
                ui.warn(&format!("{name} is not used: run {} goes on as it was started", row.id));
            }
        }
    }
    let id = resumed.as_ref().map_or_else(names::new_run_id, |row| row.id.clone());
    lock.name(&id)?;
    cleanup::before_a_run(&store, &state_dir, Some(&id), ui).await?;
    let judge_key = judge_key(&plan, global)?;
    let checked = check_plan(&plan, &store, &id, args, judge_key.as_ref()).await;
    if checked.is_err() && !dead::open_rows(&store, &id)?.is_empty() {
        ui.warn(&format!("run {id} still has something on the platform"));
        ui.hint(&format!("dfwfd cleanup {id}"));
    }
    let (platform, budget, findings) = checked?;
    let rehearsal = platform.kind == PlatformKind::Embedded && !platform::all_students(&plan.candidates);
    let dir = state_dir.join("runs").join(&id);
    state_dir::create(&dir)?;
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
        judge_key,
        rehearsal,
        dir,
        state_dir,
    })))
}

/// Reaches the platform and holds the plan against it. A run that goes on keeps its budget: what it holds itself must
/// not count as taken by others.
async fn check_plan(
    plan: &Plan,
    store: &Store,
    id: &str,
    args: &Run,
    judge_key: Option<&Secret>,
) -> anyhow::Result<(Platform, Budget, Findings)> {
    let budget = match store.fact::<Budget>(id, outcome::BUDGET)? {
        Some(budget) => budget,
        None => check::budget(plan, platform::free_gpus)?,
    };
    let mut platform = reach(plan, &budget)?;
    let mut own = dead::own_runs(store)?;
    own.insert(id.to_owned());
    let mut adopted = args.adopt;
    let models = plan.candidates.iter().map(|candidate| &candidate.model_name);
    for model in models.chain(plan.judge.iter().map(|judge| &judge.model_name)) {
        adopted |= store.fact::<bool>(id, &outcome::adopted_key(model))?.unwrap_or(false);
    }
    let who = Who { own: &own, adopt: adopted, share: args.share };
    // Once there are datasets, it is known whether the records are tool calls.
    let judge = match store.fact::<Manifest>(id, outcome::MANIFEST)? {
        Some(manifest) => plan.judge_of(manifest.workload_type),
        None => judge::certain(plan),
    };
    let asked = judge.map(|judge| Asked { judge, key: judge_key });
    let findings = check::check(plan, &platform.nemo, &budget, &who, asked).await.context("checking the plan")?;
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
            format!("run {} was neither killed nor cancelled: it is {}", row.id, row.state.as_str()),
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
    if plan.data.input == LogSource::Stdin && !made {
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

/// The key of a judge that is somewhere else. One that was written in the configuration is looked up where it is now: no
/// secret is kept with a run.
fn judge_key(plan: &Plan, global: &Global) -> anyhow::Result<Option<Secret>> {
    let key = config::judge_key(plan, &global.set, &environment_of(plan));
    let written = plan
        .judge
        .as_ref()
        .is_some_and(|judge| matches!(&judge.place, JudgePlace::Remote { key, .. } if *key == JudgeKey::Written));
    if key.is_none() && written {
        let message = "the key of the judge is not where the run was started with it (llm_judge_config.api_key)";
        return Err(Fault::new(Exit::Usage, message).hint("set LLM_JUDGE_API_KEY").into());
    }
    Ok(key.map(Secret::new))
}

async fn show_plan(plan: &Plan, global: &Global, args: &Run, ui: &Ui, stop: &Stop) -> anyhow::Result<()> {
    warn(plan, ui);
    // Whether the records are enough is found out as the run would, and thrown away.
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let built = datasets::build(&plan.data, &credentials_of(plan), folder.path(), stop).await;
    let key = judge_key(plan, global)?;
    let judge = match &built {
        Ok(manifest) => plan.judge_of(manifest.workload_type),
        Err(_) => judge::certain(plan),
    };
    let asked = judge.map(|judge| Asked { judge, key: key.as_ref() });
    let budget = check::budget(plan, platform::free_gpus)?;
    let platform = reach(plan, &budget)?;
    let own = existing_store(&plan.state_dir)?.as_ref().map(dead::own_runs).transpose()?.unwrap_or_default();
    let who = Who { own: &own, adopt: args.adopt, share: args.share };
    let findings = check::check(plan, &platform.nemo, &budget, &who, asked).await.context("checking the plan")?;
    let manifest = built?;
    let shown = PlanReport::new(plan, &budget, &findings, &manifest);
    ui.json(&shown);
    ui.result(&shown.text(ui.width(), ui.color()));
    Ok(())
}
