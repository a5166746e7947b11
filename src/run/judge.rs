//! The judge of tool calls or texts: whether a run asks one, and that it answers before anything is evaluated. `deploy` deploys
//! its NIM, `evaluate` reads its ratings.

use anyhow::Context as _;

use super::context::RunContext;
use super::deploy::{self, NimSpec};
use super::event::Step;
use super::gpus::check_fit;
use super::obstacle::Obstacle;
use super::outcome::{MANIFEST, is_all_evaluated};
use crate::config::plan::{Candidate, JudgePlan, LocalService, Plan, ServicePlace};
use crate::data::options::TypeChoice;
use crate::data::workload_type::WorkloadType;
use crate::nemo::{Client, JudgeModel, RemoteModel, Secret};
use crate::source::dataset::Manifest;
use crate::vocabulary::PlatformKind;

/// The warning that no language model gave the ratings.
const STAND_IN: &str = "the ratings come from the stand-in of the embedded platform, which compares replies by rule. They do \
    not show what a language model would judge";

/// A judge with its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JudgeWithKey<'a> {
    pub judge: &'a JudgePlan,
    pub key: Option<&'a Secret>,
}

/// Returns the judge if the plan alone tells that it is asked. With `workload_type: auto` only the records tell.
pub(crate) fn known_from_plan(plan: &Plan) -> Option<&JudgePlan> {
    match plan.data.workload_type {
        TypeChoice::ToolCalling => plan.judge_of(WorkloadType::ToolCalling),
        TypeChoice::Text => plan.judge_of(WorkloadType::Text),
        TypeChoice::Auto | TypeChoice::Classification => None,
    }
}

impl JudgeWithKey<'_> {
    /// Returns the judge in the form that the Evaluator takes.
    pub(crate) fn for_evaluator(&self) -> JudgeModel {
        match self.remote() {
            Some(remote) => JudgeModel::Remote(remote),
            None => JudgeModel::Served(self.judge.model_name.clone()),
        }
    }

    /// Asks a remote judge a short question. A local judge is not deployed yet and is not asked.
    ///
    /// # Errors
    /// [`Obstacle::Judge`].
    pub(crate) async fn probe(&self, nemo: &Client) -> Result<(), Obstacle> {
        let Some(remote) = self.remote() else { return Ok(()) };
        nemo.probe_judge(&remote).await.map_err(|error| {
            let (model, url) = (remote.model, remote.url);
            Obstacle::Judge { model, url, error: Box::new(error) }
        })
    }

    fn remote(&self) -> Option<RemoteModel> {
        let ServicePlace::Remote { url, .. } = &self.judge.place else { return None };
        Some(RemoteModel { url: url.clone(), model: self.judge.model_name.clone(), key: self.key.cloned() })
    }
}

/// Returns the judge of the run. `None` until the records are read.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn of_run(run: &RunContext) -> anyhow::Result<Option<JudgeWithKey<'_>>> {
    let manifest: Option<Manifest> = run.store.fact(&run.id, MANIFEST)?;
    let judge = manifest.and_then(|manifest| run.plan.judge_of(manifest.workload_type));
    Ok(judge.map(|judge| JudgeWithKey { judge, key: run.judge_key.as_ref() }))
}

/// Deploys the judge, or checks that a remote one answers, if one of these candidates is still to be evaluated. Takes
/// the GPUs of the judge out of the pool.
///
/// # Errors
/// When the judge cannot be asked, or leaves a candidate too few GPUs.
pub(crate) async fn make_ready(run: &RunContext, todo: &[&Candidate]) -> anyhow::Result<()> {
    let Some(judge) = of_run(run)? else { return Ok(()) };
    check_fit(&run.plan, Some(judge.judge), run.budget)?;
    if run.budget.is_some() {
        run.gpus.reserve(judge.judge.gpus());
    }
    let mut evaluated = true;
    for candidate in todo {
        evaluated &= is_all_evaluated(&run.store, &run.id, &run.plan, candidate)?;
    }
    if evaluated {
        return Ok(());
    }
    match &judge.judge.place {
        ServicePlace::Local(local) => deploy_judge(run, &judge.judge.model_name, local).await,
        // The check of the plan has asked it already.
        ServicePlace::Remote { .. } if known_from_plan(&run.plan).is_some() => Ok(()),
        ServicePlace::Remote { .. } => {
            let probe = async { Ok(judge.probe(&run.nemo).await?) };
            run.step(None, Step::Judge, probe, |()| None).await
        }
    }
}

async fn deploy_judge(run: &RunContext, model: &str, local: &LocalService) -> anyhow::Result<()> {
    deploy::deploy(run, &NimSpec::of_judge(run, model, local)).await.context("cannot deploy the judge")?;
    if run.platform_kind == PlatformKind::Embedded { run.warn(STAND_IN) } else { Ok(()) }
}
