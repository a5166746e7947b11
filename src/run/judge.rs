//! The judge of tool calls: whether a run asks it, how the Evaluator is told of it, and that it can be asked before
//! anything is evaluated. Its NIM is `deploy`'s, its ratings are `tool_scores`'.

use anyhow::Context as _;

use super::candidate;
use super::check::Obstacle;
use super::cx::Cx;
use super::deploy::{self, Wanted};
use super::event::Step;
use super::outcome::MANIFEST;
use crate::config::plan::{Candidate, JudgePlace, JudgePlan, LocalJudge, Plan};
use crate::data::options::TypeChoice;
use crate::nemo::{Client, JudgeModel, RemoteJudge, Secret};
use crate::source::dataset::Manifest;
use crate::vocabulary::PlatformKind;

/// What is said of ratings that no language model gave.
const STAND_IN: &str = "judge_correctness is the word of the embedded platform's stand-in, which compares the calls by \
    rule: it says nothing about what a language model would judge";

/// A judge that is going to be asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who.
    pub judge: &'a JudgePlan,
    /// Its key, when it has one.
    pub key: Option<&'a Secret>,
}

/// The judge of a plan as far as the plan alone says that there is one: under `auto` the records decide.
pub fn certain(plan: &Plan) -> Option<&JudgePlan> {
    plan.judge.as_ref().filter(|_| plan.data.workload_type == TypeChoice::ToolCalling)
}

impl Asked<'_> {
    /// The judge as the Evaluator is told of it.
    pub fn told(&self) -> JudgeModel {
        match self.remote() {
            Some(remote) => JudgeModel::Remote(remote),
            None => JudgeModel::Served(self.judge.model_name.clone()),
        }
    }

    /// Asks a remote judge something short. A judge of one's own is not there yet.
    ///
    /// # Errors
    /// [`Obstacle::Judge`].
    pub async fn probe(&self, nemo: &Client) -> Result<(), Obstacle> {
        let Some(remote) = self.remote() else { return Ok(()) };
        nemo.probe_judge(&remote).await.map_err(|error| {
            let (model, url) = (remote.model, remote.url);
            Obstacle::Judge { model, url, error: Box::new(error) }
        })
    }

    fn remote(&self) -> Option<RemoteJudge> {
        let JudgePlace::Remote { url, .. } = &self.judge.place else { return None };
        Some(RemoteJudge { url: url.clone(), model: self.judge.model_name.clone(), key: self.key.cloned() })
    }
}

/// The judge of this run, once its records are known.
///
/// # Errors
/// When the store cannot be read.
pub fn asked(cx: &Cx) -> anyhow::Result<Option<Asked<'_>>> {
    let manifest: Option<Manifest> = cx.store.fact(&cx.run, MANIFEST)?;
    let judge = manifest.and_then(|manifest| cx.plan.judge_of(manifest.workload_type));
    Ok(judge.map(|judge| Asked { judge, key: cx.judge_key.as_ref() }))
}

/// Sees to it that the judge can be asked, when one of these candidates is still to be evaluated: deploys it, or makes
/// sure that it answers. Its GPUs are its own from here on.
///
/// # Errors
/// When it cannot be asked, or leaves a candidate too few GPUs.
pub async fn ready(cx: &Cx, todo: &[&Candidate]) -> anyhow::Result<()> {
    let Some(asked) = asked(cx)? else { return Ok(()) };
    let gpus = asked.judge.gpus();
    fits(&cx.plan, Some(asked.judge), cx.budget)?;
    if cx.budget.is_some() {
        cx.gpus.reserve(gpus);
    }
    let mut evaluated = true;
    for candidate in todo {
        evaluated &= candidate::is_all_evaluated(cx, candidate)?;
    }
    if evaluated {
        return Ok(());
    }
    match &asked.judge.place {
        JudgePlace::Local(local) => deployed(cx, &asked.judge.model_name, local).await,
        // Where the plan was certain of it, it was asked before anything was made.
        JudgePlace::Remote { .. } if certain(&cx.plan).is_some() => Ok(()),
        JudgePlace::Remote { .. } => {
            let probe = async { Ok(asked.probe(&cx.nemo).await?) };
            cx.step(None, Step::Judge, probe, |()| None).await.context("asking the judge")
        }
    }
}

async fn deployed(cx: &Cx, model: &str, local: &LocalJudge) -> anyhow::Result<()> {
    deploy::deploy(cx, &Wanted::of_judge(cx, model, local)).await.context("deploying the judge")?;
    if cx.kind == PlatformKind::Embedded { cx.warn(STAND_IN) } else { Ok(()) }
}

/// Whether every candidate has the GPUs that it needs, beside those of the judge.
///
/// # Errors
/// [`Obstacle::TooSmall`].
pub fn fits(plan: &Plan, judge: Option<&JudgePlan>, budget: Option<u32>) -> Result<(), Obstacle> {
    let Some(budget) = budget else { return Ok(()) };
    let beside = judge.map_or(0, JudgePlan::gpus);
    let too_small = |model: &str, need, beside| Obstacle::TooSmall { model: model.to_owned(), need, beside, budget };
    if let Some(judge) = judge.filter(|_| beside > budget) {
        return Err(too_small(&judge.model_name, beside, 0));
    }
    for candidate in &plan.candidates {
        let (_, need) = candidate::mode(candidate, Some(budget - beside));
        if need > budget - beside {
            return Err(too_small(&candidate.model_name, need, beside));
        }
    }
    Ok(())
}
