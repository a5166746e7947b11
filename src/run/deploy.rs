//! NIMs, of candidates and of the judge: deployed, served, given back.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use super::cx::{Cx, Look, Spec};
use super::event::Step;
use super::outcome::adopted_key;
use super::{base_model, names};
use crate::config::plan::{Candidate, LocalJudge};
use crate::nemo::{BaseModel, JobStatus, NewDeployment};
use crate::store::{Resource, ResourceKind};
use crate::vocabulary::Generation;

/// Where NIM images are when the configuration does not say.
const REGISTRY: &str = "nvcr.io/nim";

/// The kind in the name of the judge's deployment; no candidate's name ends so.
const JUDGE: &str = "llm-judge";

/// A NIM that serves a model of this run.
#[derive(Debug)]
pub enum Nim {
    /// Deployed by this run.
    Ours(Resource),
    /// Deployed by the operator, used with `--adopt`, never deleted.
    Adopted,
}

/// What is to be deployed.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The candidate that it is for; `None`: the whole run.
    candidate: Option<&'a str>,
    /// The step that deploys it.
    step: Step,
    /// The name of the deployment without an attempt number.
    base: String,
    model: &'a str,
    base_model: BaseModel,
    /// What serves it, and its image; only on Helix.
    engine: Option<&'a String>,
    image: Option<&'a String>,
    gpus: u32,
    pvc_size: Option<&'a String>,
    tag: Option<&'a String>,
    registry_base: Option<&'a String>,
}

impl<'a> Wanted<'a> {
    /// The NIM of a candidate.
    pub fn of_candidate(cx: &Cx, candidate: &'a Candidate) -> Wanted<'a> {
        Wanted {
            candidate: Some(&candidate.model_name),
            step: Step::Deploy,
            base: base_name(cx, candidate),
            model: &candidate.model_name,
            base_model: base_model::of(candidate),
            engine: candidate.helix.engine.as_ref(),
            image: candidate.helix.image.as_ref(),
            gpus: candidate.gpus,
            pvc_size: candidate.pvc_size.as_ref(),
            tag: candidate.tag.as_ref(),
            registry_base: candidate.registry_base.as_ref(),
        }
    }

    /// The NIM of the judge, which serves all candidates.
    pub fn of_judge(cx: &Cx, model: &'a str, judge: &'a LocalJudge) -> Wanted<'a> {
        Wanted {
            candidate: None,
            step: Step::Judge,
            base: names::of_run(&cx.run, JUDGE),
            model,
            base_model: base_model::named(model),
            engine: None,
            image: None,
            gpus: judge.gpus,
            pvc_size: judge.pvc_size.as_ref(),
            tag: judge.tag.as_ref(),
            registry_base: judge.registry_base.as_ref(),
        }
    }

    fn deployment(&self, cx: &Cx, row: &Resource, id: &str) -> NewDeployment {
        let registry = self.registry_base.map_or(REGISTRY, String::as_str).trim_end_matches('/');
        let is_helix = cx.generation == Generation::Helix;
        let (image_name, image_tag) = match self.image {
            Some(image) => (image.clone(), self.tag.cloned().unwrap_or_default()),
            // Helix knows an image for each engine.
            None if is_helix => (String::new(), String::new()),
            None => (format!("{registry}/{}", self.model), self.tag.cloned().unwrap_or_else(|| "latest".to_owned())),
        };
        NewDeployment {
            namespace: cx.plan.platform.namespace.clone(),
            name: row.name.clone(),
            model: id.to_owned(),
            image_name,
            image_tag,
            pvc_size: self.pvc_size.cloned(),
            gpu: self.gpus,
            envs: BTreeMap::new(),
            engine: self.engine.cloned(),
            lora_rank: cx.plan.training.adapter_dim,
            description: names::description(&row.name, &cx.owner),
        }
    }
}

fn base_name(cx: &Cx, candidate: &Candidate) -> String {
    names::of_candidate(&cx.run, cx.slugs.of(&candidate.model_name), "nim")
}

/// Deploys a NIM and waits until the proxy serves its model.
///
/// # Errors
/// When the deployment ends badly, takes too long, or one of that name is there that is not ours.
pub async fn deploy(cx: &Cx, wanted: &Wanted<'_>) -> anyhow::Result<Nim> {
    let Wanted { candidate, step, model, .. } = *wanted;
    let work = async {
        let id = &cx.read(cx.nemo.base_model_id(&wanted.base_model)).await?;
        if cx.store.fact::<bool>(&cx.run, &adopted_key(model))? == Some(true) {
            served(cx, candidate, id, step, cx.plan.limits.deploy_ms, "deploy").await?;
            return Ok(Nim::Adopted);
        }
        base_model::ready(cx, &wanted.base_model).await?;
        let spec = Spec { kind: ResourceKind::Deployment, base: &wanted.base, candidate, by_name: true };
        let row = cx
            .hold(
                spec,
                |row| look(cx, wanted, row, id),
                |row| async move { cx.nemo.create_deployment(&wanted.deployment(cx, &row, id)).await.map(|_| None) },
            )
            .await
            .with_context(|| format!("deploying the NIM of {model}"))?;
        rolled_out(cx, wanted, &row).await?;
        served(cx, candidate, id, step, cx.plan.limits.deploy_ms, "deploy").await?;
        Ok(Nim::Ours(row))
    };
    cx.step(candidate, step, work, |_| None).await
}

/// Gives the NIM of a candidate back.
///
/// # Errors
/// When the platform does not take it.
pub async fn undeploy(cx: &Cx, candidate: &Candidate, nim: Nim) -> anyhow::Result<()> {
    let Nim::Ours(row) = nim else { return Ok(()) };
    let work = async {
        let told = |row: &Resource| cx.tell_released(row);
        match cx.releaser(&told).gpus(vec![row], names::millis(cx.plan.limits.release_ms)).await.pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    };
    cx.step(Some(&candidate.model_name), Step::Undeploy, work, |()| None).await
}

/// Gives the NIM of a candidate back after its last step. What does not succeed now is tried again with all else that is
/// held, and takes nothing from the scores.
///
/// # Errors
/// When the store cannot be written.
pub async fn undeploy_at_the_end(cx: &Cx, candidate: &Candidate, nim: Nim) -> anyhow::Result<()> {
    match undeploy(cx, candidate, nim).await {
        Ok(()) => Ok(()),
        Err(error) => cx.warn(format!("{}: {error:#}", candidate.model_name)),
    }
}

/// Gives back a deployment that an earlier process of this run left, if there is one.
///
/// # Errors
/// When the platform does not take it.
pub async fn undeploy_left(cx: &Cx, candidate: &Candidate) -> anyhow::Result<()> {
    match cx.store.open_resource(&cx.run, ResourceKind::Deployment, &base_name(cx, candidate))? {
        Some(row) if row.platform == cx.platform => undeploy(cx, candidate, Nim::Ours(row)).await,
        _ => Ok(()),
    }
}

/// Waits until the proxy lists a model.
///
/// # Errors
/// When it takes longer than the limit of that key.
pub async fn served(
    cx: &Cx,
    candidate: Option<&str>,
    id: &str,
    step: Step,
    limit_ms: u64,
    key: &str,
) -> anyhow::Result<()> {
    let what = format!("{id} to be served");
    cx.wait(&what, names::millis(limit_ms), key, || async {
        if cx.nemo.served_models().await?.iter().any(|served| served == id) && cx.nemo.answers(id).await? {
            return Ok(Some(()));
        }
        cx.progress(candidate, step, None, Some("waiting for the NIM proxy".to_owned()));
        Ok(None)
    })
    .await
}

async fn rolled_out(cx: &Cx, wanted: &Wanted<'_>, row: &Resource) -> anyhow::Result<()> {
    let namespace = &cx.plan.platform.namespace;
    let what = format!("deployment {}", row.name);
    cx.wait(&what, names::millis(cx.plan.limits.deploy_ms), "deploy", || async {
        let Some(deployment) = cx.nemo.deployment(namespace, &row.name).await? else {
            bail!("deployment {} has gone from the platform", row.name);
        };
        match deployment.status {
            JobStatus::Done => Ok(Some(())),
            JobStatus::Failed(why) => bail!("deployment {} failed: {why}", row.name),
            JobStatus::Cancelled => bail!("deployment {} was cancelled", row.name),
            JobStatus::Waiting | JobStatus::Running(_) | JobStatus::Unknown(_) => {
                cx.progress(wanted.candidate, wanted.step, None, deployment.detail);
                Ok(None)
            }
        }
    })
    .await
}

async fn look(cx: &Cx, wanted: &Wanted<'_>, row: Resource, id: &str) -> anyhow::Result<Look> {
    let Some(there) = cx.nemo.deployment(&cx.plan.platform.namespace, &row.name).await? else {
        return Ok(Look::Absent);
    };
    if let Some(difference) = wanted.deployment(cx, &row, id).differs_from(&there) {
        bail!("a deployment named {} is there and is not the one that is wanted: {difference}", row.name);
    }
    Ok(Look::There(None))
}
