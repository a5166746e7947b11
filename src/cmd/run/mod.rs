//! `dfwfd run`: the whole flywheel. `prepare` resolves the plan, takes the lock and checks the plan against the platform;
//! `finish` records and shows the end; the flywheel itself is in the crate's `run`.

mod finish;
mod prepare;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context as _;

use crate::cli::{Global, Run};
use crate::config::plan::{Candidate, Plan};
use crate::error::{Exit, Fault};
use crate::nemo::Secret;
use crate::run::cx::Cx;
use crate::run::event::Event;
use crate::run::gpus::Gpus;
use crate::run::names::{self, Slugs};
use crate::run::stop::Stop;
use crate::run::{self, outcome};
use crate::store::{NewRun, Store, now_ms};
use crate::ui::jsonl::Jsonl;
use crate::ui::{Ui, View as _, Views};
use crate::vocabulary::RunState;

use prepare::{Prepared, Start};

/// Runs or resumes, until the end or a second Ctrl-C.
pub(super) async fn run(global: &Global, args: &Run, ui: &Ui) -> anyhow::Result<Exit> {
    let stop = Stop::default();
    let begun = OnceLock::new();
    tokio::select! {
        exit = start(global, args, ui, &stop, &begun) => return exit,
        () = stop.watch_signals() => {}
        () = stop.forced() => {}
    }
    let mut cleanup = "dfwfd cleanup".to_owned();
    if let Some((state_dir, id)) = begun.get() {
        cleanup.push_str(&format!(" {id}"));
        let code = Exit::Cancelled.code();
        if let Err(error) = Store::open(state_dir).and_then(|store| store.end_run(id, RunState::Cancelled, code, None))
        {
            tracing::warn!(%error, "recording the end of the run");
        }
    }
    let forced = "ended by a second Ctrl-C, before everything was given back";
    Err(Fault::new(Exit::Cancelled, forced).hint(cleanup).into())
}

/// The state directory and the id of a run that has begun.
type Begun = OnceLock<(PathBuf, String)>;

async fn start(global: &Global, args: &Run, ui: &Ui, stop: &Stop, begun: &Begun) -> anyhow::Result<Exit> {
    // Nothing is made before the run begins: there a stop simply ends the command.
    let prepared = tokio::select! {
        prepared = prepare::prepare(global, args, ui, stop) => prepared?,
        interrupted = stop.asked() => return Err(interrupted.into()),
    };
    match prepared {
        Start::Shown => Ok(Exit::Done),
        Start::Run(prepared) => flywheel(*prepared, args, ui, stop, begun).await,
    }
}

/// Returns the tokens of the repositories that base models are made from, by the name of the model.
fn repository_tokens(plan: &Plan) -> BTreeMap<String, Secret> {
    let environment = super::environment_of(plan);
    let token = |candidate: &Candidate| {
        let token = environment.get(candidate.helix.token_env.as_deref()?)?;
        Some((candidate.model_name.clone(), Secret::new(token)))
    };
    plan.candidates.iter().filter_map(token).collect()
}

async fn flywheel(prepared: Prepared, args: &Run, ui: &Ui, stop: &Stop, begun: &Begun) -> anyhow::Result<Exit> {
    let Prepared { plan, id, resumed, store, lock, platform, budget, findings, judge_key, rehearsal, dir, state_dir } =
        prepared;
    let views = Arc::new(Mutex::new(views(args, &dir, ui)?));
    match &resumed {
        Some(row) => store.continue_run(&row.id)?,
        None => store.begin_run(&NewRun {
            id: &id,
            workload: plan.data.filter.workload.as_deref(),
            owner: &names::owner(),
            platform: platform.kind,
            rehearsal,
            plan: &plan,
        })?,
    }
    for model in &findings.adopted {
        store.remember(&id, &outcome::adopted_key(model), &true)?;
    }
    begun.set((state_dir.clone(), id.clone())).ok();
    store.remember(&id, outcome::BUDGET, &budget)?;
    let version = findings.version;
    store.remember(&id, outcome::PLATFORM_VERSION, &version)?;
    let started_ms = now_ms();
    let cx = Arc::new(Cx {
        run: id,
        nemo: platform.nemo.clone(),
        platform: platform.id.clone(),
        store: Arc::new(store),
        sink: sink(&views),
        stop: stop.clone(),
        budget: budget.gpus,
        gpus: Gpus::new(budget.gpus.unwrap_or(1), plan.platform.nim_parallelism),
        repository_tokens: repository_tokens(&plan),
        judge_key,
        started_ms,
        owner: resumed.as_ref().map_or_else(names::owner, |row| row.owner.clone()),
        dir,
        slugs: Slugs::new(plan.candidates.iter().map(|candidate| candidate.model_name.as_str())),
        credentials: super::credentials_of(&plan),
        plan,
        kind: platform.kind,
        generation: version.generation,
        rehearsal,
    });
    for warning in findings.warnings {
        cx.warn(warning)?;
    }
    let end = run::execute(Arc::clone(&cx), resumed.is_some()).await;
    let exit = finish::record(&cx, &end, started_ms, ui);
    views.lock().unwrap_or_else(PoisonError::into_inner).close();
    let exit = exit?;
    finish::show(&cx, &end, exit, &state_dir, ui)?;
    // The in-process platform and the lock live until here.
    drop((platform, lock));
    Ok(exit)
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
