//! `dfwfd run`: the whole flywheel. This file resolves the plan, takes the lock, reaches the platform, and hands the
//! result on; the flywheel itself is in `run`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::sync::Semaphore;

use super::{cleanup, trace};
use crate::cli::{Global, Run};
use crate::config::env::Environment;
use crate::config::plan::{Plan, PlatformKind};
use crate::config::{self, Need};
use crate::data::options::TypeChoice;
use crate::error::{self, Exit, Fault};
use crate::platform::{self, Platform};
use crate::report::model::ErrorObject;
use crate::report::{assemble, plan as plan_report, table};
use crate::run::check::{self, Budget, Findings, Obstacle, Who};
use crate::run::cx::Cx;
use crate::run::event::{Event, What};
use crate::run::gpus::Gpus;
use crate::run::lock::Lock;
use crate::run::names::{self, Slugs};
use crate::run::stop::Stop;
use crate::run::{self, End, dead, outcome};
use crate::store::{NewRun, RunRow, Store, now_ms};
use crate::ui::jsonl::Jsonl;
use crate::ui::{Ui, View as _, Views};

/// Runs or resumes, until the end or a second Ctrl-C.
pub(super) async fn run(global: &Global, args: &Run, ui: &Ui) -> anyhow::Result<Exit> {
    let stop = Stop::default();
    let work = start(global, args, ui, &stop);
    tokio::select! {
        exit = work => exit,
        () = stop.watch_signals() => Ok(Exit::Cancelled),
        () = stop.forced() => Err(Fault::new(Exit::Cancelled, "ended by a second Ctrl-C, before everything was given back")
            .hint("dfwfd cleanup")
            .into()),
    }
}

async fn start(global: &Global, args: &Run, ui: &Ui, stop: &Stop) -> anyhow::Result<Exit> {
    let mut invocation = super::invocation_for(global, &args.records, Need::Candidates);
    invocation.only.clone_from(&args.only);
    invocation.rehearse = args.rehearse;
    let environment = config::environment(&invocation);
    let (plan, state_dir) = match args.resume {
        Some(_) => (None, super::state_dir(global)),
        None => {
            let plan = config::load(&invocation)?;
            let state_dir = plan.state_dir.clone();
            (Some(plan), state_dir)
        }
    };
    if args.plan {
        let plan = plan.context("--plan shows the plan of a new run")?;
        return show_plan(&plan, args, &environment, ui).await;
    }
    super::make_state_dir(&state_dir)?;
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
    warn(&plan, resumed.is_some(), ui);
    refuse_tool_calling(&plan)?;
    let id = resumed.as_ref().map_or_else(names::new_run_id, |row| row.id.clone());
    lock.name(&id)?;
    cleanup::before_a_run(&store, &state_dir, Some(&id), &environment, ui).await?;
    let budget = check::budget(&plan, platform::free_gpus)?;
    let platform = reach(&plan, &environment, &budget)?;
    let (platform, findings) = look(platform, &plan, &budget, &store, &id, args).await?;
    let rehearsal = platform.kind == PlatformKind::Embedded && !platform::all_students(&plan.candidates);
    let dir = state_dir.join("runs").join(&id);
    super::make_state_dir(&dir)?;
    log.attach(&dir.join("log.jsonl"))?;
    let kind = word(platform.kind);
    match &resumed {
        Some(row) => store.continue_run(&row.id)?,
        None => store.begin_run(&NewRun {
            id: &id,
            workload: plan.data.filter.workload.as_deref(),
            owner: &names::owner(),
            platform: kind,
            rehearsal,
            plan: &plan,
        })?,
    }
    for model in &findings.adopted {
        store.remember(&id, &outcome::adopted_key(model), &true)?;
    }
    let views = Arc::new(Mutex::new(views(args, &dir, ui)?));
    let started_ms = now_ms();
    let cx = Arc::new(Cx {
        run: id.clone(),
        nemo: platform.nemo.clone(),
        platform: platform.identity.clone(),
        store: Arc::new(store),
        sink: sink(&views),
        stop: stop.clone(),
        budget: budget.gpus,
        gpus: Gpus::new(budget.gpus.unwrap_or(1)),
        nims: Semaphore::new(plan.platform.nim_parallelism.map_or(Semaphore::MAX_PERMITS, |most| most.max(1) as usize)),
        owner: resumed.as_ref().map_or_else(names::owner, |row| row.owner.clone()),
        dir,
        slugs: Slugs::new(plan.candidates.iter().map(|candidate| candidate.model_name.as_str())),
        plan,
        kind,
        rehearsal,
    });
    for warning in findings.warnings {
        cx.warn(warning)?;
    }
    let end = run::execute(Arc::clone(&cx), resumed.is_some()).await;
    let exit = finish(&cx, &end, &state_dir, started_ms, ui);
    views.lock().unwrap_or_else(PoisonError::into_inner).close();
    let exit = exit?;
    show(&cx, &end, exit, &state_dir, ui)?;
    // The in-process platform and the lock live until here.
    drop((platform, lock));
    Ok(exit)
}

/// Records the end and tells it.
fn finish(cx: &Cx, end: &End, _state_dir: &Path, started_ms: i64, ui: &Ui) -> anyhow::Result<Exit> {
    let exit = error::of_run(end);
    let error = end.errors.first().map(|chain| ErrorObject::new(chain, error::classify(chain).1.as_deref()));
    let json = error.as_ref().map(serde_json::to_string).transpose().context("recording the error of the run")?;
    cx.store.end_run(&cx.run, end.state.as_str(), exit.code(), json.as_deref())?;
    #[expect(clippy::cast_precision_loss, reason = "a run takes hours at most")]
    let seconds = (now_ms() - started_ms) as f64 / 1000.0;
    cx.tell(What::RunDone { state: end.state.as_str().to_owned(), exit_code: exit.code(), seconds });
    for (resource, error) in &end.left {
        ui.warn(&format!("still held: {} {}: {error:#}", resource.kind.as_str(), resource.name));
    }
    Ok(exit)
}

/// Prints the report, and the errors of a run that has not completed.
fn show(cx: &Cx, end: &End, exit: Exit, state_dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    let row = cx.store.run(&cx.run)?.context("the run is not in the store any more")?;
    let report = assemble::assemble(&cx.store, &row, state_dir)?;
    ui.json(&report);
    ui.result(&table::summary(&report, ui.width(), ui.color()));
    for chain in &end.errors {
        let (_, hint) = error::classify(chain);
        ui.error(chain, exit, hint.as_deref());
    }
    if !end.left.is_empty() {
        ui.hint(&format!("dfwfd cleanup {}", cx.run));
    }
    Ok(())
}

/// The run to continue: the one named, else the newest that was killed or cancelled.
fn resumable(store: &Store, name: &str, state_dir: &Path) -> anyhow::Result<RunRow> {
    if !name.is_empty() {
        let row = super::named_run(Some(store), name, state_dir)?;
        if dead::can_resume(&row) {
            return Ok(row);
        }
        return Err(Fault::new(
            Exit::Usage,
            format!("run {} was neither killed nor cancelled: it is {}", row.id, row.state),
        )
        .hint("start a new run without --resume")
        .into());
    }
    store.runs()?.into_iter().find(dead::can_resume).ok_or_else(|| {
        Fault::new(Exit::Usage, format!("no run in {} was killed or cancelled", state_dir.display()))
            .hint("`dfwfd status` lists the runs")
            .into()
    })
}

fn warn(plan: &Plan, resumed: bool, ui: &Ui) {
    if !resumed {
        for warning in &plan.warnings {
            ui.warn(warning);
        }
    }
}

fn refuse_tool_calling(plan: &Plan) -> anyhow::Result<()> {
    if plan.data.workload_type == TypeChoice::ToolCalling {
        return Err(Fault::new(
            Exit::Usage,
            "evaluation_config.workload_type is tool_calling, which `run` does not do yet",
        )
        .hint("`dfwfd split` makes the datasets of a tool-calling workload")
        .into());
    }
    Ok(())
}

/// Reaches or starts the platform; the embedded one knows its students, unless they stand in.
fn reach(plan: &Plan, environment: &Environment, budget: &Budget) -> anyhow::Result<Platform> {
    if plan.platform.kind == PlatformKind::Embedded && !plan.rehearse {
        let known = |model: &str| crate::student::NAMES.contains(&model);
        if let Some(stranger) = plan.candidates.iter().find(|candidate| !known(&candidate.model_name)) {
            return Err(Obstacle::NoStudent { model: stranger.model_name.clone() }.into());
        }
    }
    platform::connect(plan, environment, budget.gpus.unwrap_or(check::VIRTUAL_GPUS))
}

async fn look(
    mut platform: Platform,
    plan: &Plan,
    budget: &Budget,
    store: &Store,
    id: &str,
    args: &Run,
) -> anyhow::Result<(Platform, Findings)> {
    let mut own = dead::own_runs(store)?;
    own.insert(id.to_owned());
    let who = Who { own: &own, adopt: args.adopt, share: args.share };
    let findings = check::check(plan, &platform.nemo, budget, &who).await.context("checking the plan")?;
    platform.recognise();
    Ok((platform, findings))
}

async fn show_plan(plan: &Plan, args: &Run, environment: &Environment, ui: &Ui) -> anyhow::Result<Exit> {
    warn(plan, false, ui);
    refuse_tool_calling(plan)?;
    let budget = check::budget(plan, platform::free_gpus)?;
    let platform = reach(plan, environment, &budget)?;
    let own = super::existing_store(&plan.state_dir)?.as_ref().map(dead::own_runs).transpose()?.unwrap_or_default();
    let who = Who { own: &own, adopt: args.adopt, share: args.share };
    let findings = check::check(plan, &platform.nemo, &budget, &who).await.context("checking the plan")?;
    let shown = plan_report::Shown::new(plan, &budget, &findings);
    ui.json(&shown);
    ui.result(&shown.text(ui.width(), ui.color()));
    Ok(Exit::Done)
}

fn word(kind: PlatformKind) -> &'static str {
    match kind {
        PlatformKind::Nemo => "nemo",
        PlatformKind::Embedded => "embedded",
    }
}

fn views(args: &Run, dir: &Path, ui: &Ui) -> anyhow::Result<Views> {
    let mut views = Views::new(vec![ui.view()]);
    let log = dir.join("log.jsonl");
    views.add(Jsonl::append(&log, ui).with_context(|| format!("opening {}", log.display()))?);
    if let Some(path) = &args.events {
        views.add(Jsonl::append(path, ui).with_context(|| format!("opening the events file {}", path.display()))?);
    }
    Ok(views)
}

fn sink(views: &Arc<Mutex<Views>>) -> Box<dyn Fn(&Event) + Send + Sync> {
    let views = Arc::clone(views);
    Box::new(move |event| views.lock().unwrap_or_else(PoisonError::into_inner).event(event))
}
