//! The beginning of a run: records it in the store and makes its context.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::events::{self, SharedViews};
use super::platform_check::{CheckedPlatform, ServiceKeys};
use crate::cli::Run;
use crate::cmd::trace::RunLog;
use crate::cmd::{credentials_of, environment_of, state_dir};
use crate::config::plan::{Candidate, Plan};
use crate::nemo::Secret;
use crate::platform::Platform;
use crate::run::context::RunContext;
use crate::run::event::EventStream;
use crate::run::gpus::GpuPool;
use crate::run::lock::Lock;
use crate::run::names::{self, CandidateNames};
use crate::run::signals::Stop;
use crate::run::{estimate, outcome, rehearsal};
use crate::store::{NewRun, RunRow, Store, now_ms};
use crate::ui::Ui;

/// A run that holds the lock of its state directory.
pub(super) struct LockedRun {
    pub(super) id: String,
    pub(super) plan: Plan,
    /// The row of the run to resume. `None` for a new run.
    pub(super) resumed: Option<RunRow>,
    pub(super) state_dir: PathBuf,
    pub(super) store: Store,
    pub(super) lock: Lock,
}

/// A run that is recorded and can go on.
pub(super) struct Prepared {
    pub(super) context: Arc<RunContext>,
    /// An earlier process began the run.
    pub(super) resumed: bool,
    /// The warnings of the check.
    pub(super) warnings: Vec<String>,
    pub(super) views: SharedViews,
    pub(super) state_dir: PathBuf,
    pub(super) platform: Platform,
    pub(super) lock: Lock,
}

/// Records that a run begins or goes on, and makes its context.
pub(super) fn begin(
    locked: LockedRun,
    checked: CheckedPlatform,
    keys: ServiceKeys,
    args: &Run,
    log: &RunLog,
    ui: &Ui,
    stop: &Stop,
) -> anyhow::Result<Prepared> {
    let LockedRun { id, plan, resumed, state_dir, store, lock } = locked;
    let CheckedPlatform { platform, budget, findings } = checked;
    let dir = state_dir.join("runs").join(&id);
    state_dir::create(&dir)?;
    log.attach(&dir.join("log.jsonl"))?;
    let views = events::open(args.events.as_deref(), &dir.join("log.jsonl"), ui)?;
    let rehearsal = rehearsal::is_rehearsal(platform.kind, &plan.candidates);
    let owner = resumed.as_ref().map_or_else(names::owner, |row| row.owner.clone());
    match &resumed {
        Some(row) => store.continue_run(&row.id)?,
        None => store.begin_run(&NewRun {
            id: &id,
            workload: plan.data.filter.workload.as_deref(),
            owner: &owner,
            platform: platform.kind,
            rehearsal,
            plan: &plan,
        })?,
    }
    for model in &findings.adopted {
        store.remember(&id, &outcome::adopted_key(model), &true)?;
    }
    store.remember(&id, outcome::BUDGET, &budget)?;
    store.remember(&id, outcome::PLATFORM_VERSION, &findings.version)?;
    let context = RunContext {
        expected: estimate::of(Some(&store), platform.kind, rehearsal, &plan.candidates)?,
        events: EventStream::new(&id, events::sink(&views)),
        id,
        nemo: platform.nemo.clone(),
        platform: platform.id.clone(),
        platform_kind: platform.kind,
        generation: findings.version.generation,
        store: Arc::new(store),
        stop: stop.clone(),
        budget: budget.gpus,
        gpus: GpuPool::of(&plan, budget.gpus),
        repository_tokens: repository_tokens(&plan),
        judge_key: keys.judge,
        embedding_key: keys.embedding,
        teacher_key: keys.teacher,
        started_ms: now_ms(),
        owner,
        dir,
        names: CandidateNames::new(plan.candidates.iter().map(|candidate| candidate.model_name.as_str())),
        credentials: credentials_of(&plan),
        plan,
        rehearsal,
    };
    let (context, warnings) = (Arc::new(context), findings.warnings);
    Ok(Prepared { context, resumed: resumed.is_some(), warnings, views, state_dir, platform, lock })
}

/// Returns the tokens of the repositories that base models are made from, by the name of the model.
fn repository_tokens(plan: &Plan) -> BTreeMap<String, Secret> {
    let environment = environment_of(plan);
    let token = |candidate: &Candidate| {
        let token = environment.get(candidate.helix.token_env.as_deref()?)?;
        Some((candidate.model_name.clone(), Secret::new(token)))
    };
    plan.candidates.iter().filter_map(token).collect()
}
