//! Connects to the platform of a plan and checks the plan against it. Creates nothing there.

use anyhow::Context as _;
use serde::de::IgnoredAny;

use crate::cli::{Global, Run};
use crate::cmd::environment_of;
use crate::config;
use crate::config::plan::{Plan, ServiceKey, ServicePlace};
use crate::error::{Exit, Fault};
use crate::nemo::Secret;
use crate::platform::{self, Platform};
use crate::run::check::{self, CheckOptions, Findings};
use crate::run::gpus::{Budget, VIRTUAL_GPUS};
use crate::run::judge::{self, JudgeWithKey};
use crate::run::{dead_runs, outcome, rehearsal};
use crate::source::dataset::Manifest;
use crate::store::Store;

/// A platform on which a plan can run.
pub(super) struct CheckedPlatform {
    pub(super) platform: Platform,
    pub(super) budget: Budget,
    pub(super) findings: Findings,
}

/// Connects and checks. A resumed run keeps its budget, because what it holds itself is not taken by others.
pub(super) async fn check(
    plan: &Plan,
    store: &Store,
    id: &str,
    args: &Run,
    keys: &ServiceKeys,
) -> anyhow::Result<CheckedPlatform> {
    let budget = match store.fact::<Budget>(id, outcome::BUDGET)? {
        Some(budget) => budget,
        None => Budget::of(plan)?,
    };
    let mut platform = connect(plan, &budget)?;
    let own = dead_runs::own_resources(store)?;
    let mut adopt = args.adopt;
    let models = plan.candidates.iter().map(|candidate| &candidate.model_name);
    for model in models
        .chain(plan.any_judge().map(|judge| &judge.model_name))
        .chain(plan.embedding().map(|embedding| &embedding.model_name))
    {
        adopt |= store.fact::<bool>(id, &outcome::adopted_key(model))?.unwrap_or(false);
    }
    // A resumed run that has its examples asks the embedding model no more.
    let has_examples = store.fact::<IgnoredAny>(id, outcome::EXAMPLES)?.is_some();
    let embedding = plan.embedding().filter(|_| !has_examples).map(|plan| (plan, keys.embedding.as_ref()));
    let options = CheckOptions { own: &own, adopt, share: args.share, embedding };
    // Once the datasets are made, it is known whether the records are judged.
    let judge = match store.fact::<Manifest>(id, outcome::MANIFEST)? {
        Some(manifest) => plan.judge_of(manifest.workload_type),
        None => judge::known_from_plan(plan),
    };
    let judge = judge.map(|judge| JudgeWithKey { judge, key: keys.judge.as_ref() });
    let findings = check::check(plan, &platform.nemo, &budget, &options, judge).await;
    let findings = findings.context("cannot run this plan")?;
    platform.recognise();
    Ok(CheckedPlatform { platform, budget, findings })
}

/// Connects to the platform, or starts the embedded one.
pub(super) fn connect(plan: &Plan, budget: &Budget) -> anyhow::Result<Platform> {
    rehearsal::check_candidates(plan)?;
    platform::connect(plan, &environment_of(plan), budget.gpus.unwrap_or(VIRTUAL_GPUS))
}

/// The API keys of remote models.
pub(super) struct ServiceKeys {
    pub(super) judge: Option<Secret>,
    pub(super) embedding: Option<Secret>,
    pub(super) teacher: Option<Secret>,
}

/// Returns the keys of remote models. One in the configuration is read from there again, because a run keeps no secret.
pub(super) fn service_keys(plan: &Plan, global: &Global) -> anyhow::Result<ServiceKeys> {
    let environment = environment_of(plan);
    let judge = config::judge_key(plan, &global.set, &environment);
    let embedding = config::embedding_key(plan, &global.set, &environment);
    let is_written = |place: &ServicePlace| matches!(place, ServicePlace::Remote { key: ServiceKey::Written, .. });
    let missing = |what: &str, variable: &str| {
        let message = format!("cannot find the key of {what}: its api_key is not where the run was started with it");
        Fault::new(Exit::Usage, message).hint(format!("set {variable}"))
    };
    if judge.is_none() && plan.any_judge().is_some_and(|judge| is_written(&judge.place)) {
        return Err(missing("the judge", "LLM_JUDGE_API_KEY").into());
    }
    if embedding.is_none() && plan.embedding().is_some_and(|embedding| is_written(&embedding.place)) {
        return Err(missing("the embedding model", "EMB_API_KEY").into());
    }
    let teacher = plan.teacher.as_ref().and_then(|teacher| teacher.key_env.as_deref());
    let teacher = teacher.and_then(|name| environment.get(name)).map(Secret::new);
    Ok(ServiceKeys { judge: judge.map(Secret::new), embedding: embedding.map(Secret::new), teacher })
}
