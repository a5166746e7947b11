//! The NIMs of candidates and of the judge: deployment, waiting until they serve, and release.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};

use super::context::RunContext;
use super::event::Step;
use super::hold::{Lookup, ResourceSpec};
use super::outcome::{adopted_key, deployed_key};
use super::wait::{LastWord, TooLong, Unlisted};
use super::{base_model, names};
use crate::config::plan::{Candidate, LocalService, Plan, ValueSource};
use crate::nemo::{BaseModel, JobStatus, NewDeployment};
use crate::store::{Resource, ResourceKind};
use crate::vocabulary::Generation;

/// The default registry of NIM images.
const REGISTRY: &str = "nvcr.io/nim";

/// The end of the name of the judge's deployment. No name of a candidate ends like this.
pub(super) const JUDGE: &str = "llm-judge";

/// Words of Kubernetes about a deployment that somebody has to help.
const STUCK: [&str; 8] = [
    "errimagepull",
    "imagepullbackoff",
    "invalidimagename",
    "crashloopbackoff",
    "createcontainerconfigerror",
    "unbound immediate persistentvolumeclaims",
    "insufficient nvidia.com/gpu",
    "unschedulable",
];

/// The end of the name of the embedding model's deployment.
pub(super) const EMBEDDING: &str = "embedding";

/// A NIM that serves a model of this run.
#[derive(Debug)]
pub(super) enum Nim {
    /// Deployed by this run.
    Ours(Resource),
    /// Deployed by the operator. The run uses it (`--adopt`) and never deletes it.
    Adopted,
}

/// A NIM to deploy.
#[derive(Clone, Debug)]
pub(super) struct NimSpec<'a> {
    /// `None` for a NIM of the whole run.
    candidate: Option<&'a str>,
    step: Step,
    /// The name without an attempt number.
    base: String,
    model: &'a str,
    base_model: BaseModel,
    /// The server of the model and its image. Only on Helix.
    engine: Option<&'a String>,
    image: Option<&'a String>,
    /// The longest context, if the configuration names one.
    context_length: Option<u32>,
    gpus: u32,
    pvc_size: Option<&'a String>,
    tag: Option<&'a String>,
    registry_base: Option<&'a String>,
}

impl<'a> NimSpec<'a> {
    /// Returns the NIM of a candidate.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn of_candidate(run: &RunContext, candidate: &'a Candidate) -> anyhow::Result<NimSpec<'a>> {
        Ok(NimSpec {
            candidate: Some(&candidate.model_name),
            step: Step::Deploy,
            base: base_name(run, candidate)?,
            model: &candidate.model_name,
            base_model: base_model::of(candidate),
            engine: candidate.helix.engine.as_ref(),
            image: candidate.helix.image.as_ref(),
            context_length: names_context_length(&run.plan, candidate).then_some(candidate.context_length),
            gpus: candidate.gpus,
            pvc_size: candidate.pvc_size.as_ref(),
            tag: candidate.tag.as_ref(),
            registry_base: candidate.registry_base.as_ref(),
        })
    }

    /// Returns the NIM of the judge.
    pub(super) fn of_judge(run: &RunContext, model: &'a str, judge: &'a LocalService) -> NimSpec<'a> {
        NimSpec::of_service(names::of_run(&run.id, JUDGE), Step::Judge, model, judge)
    }

    /// Returns the NIM of the embedding model.
    pub(super) fn of_embedding(run: &RunContext, model: &'a str, service: &'a LocalService) -> NimSpec<'a> {
        NimSpec::of_service(names::of_run(&run.id, EMBEDDING), Step::DeployEmbedding, model, service)
    }

    fn of_service(base: String, step: Step, model: &'a str, service: &'a LocalService) -> NimSpec<'a> {
        NimSpec {
            candidate: None,
            step,
            base,
            model,
            base_model: base_model::named(model),
            engine: None,
            image: None,
            context_length: None,
            gpus: service.gpus,
            pvc_size: service.pvc_size.as_ref(),
            tag: service.tag.as_ref(),
            registry_base: service.registry_base.as_ref(),
        }
    }

    fn deployment(&self, run: &RunContext, row: &Resource, id: &str) -> NewDeployment {
        let registry = self.registry_base.map_or(REGISTRY, String::as_str).trim_end_matches('/');
        let is_helix = run.generation == Generation::Helix;
        let (image_name, image_tag) = match self.image {
            Some(image) => (image.clone(), self.tag.cloned().unwrap_or_default()),
            // Helix knows an image for each engine.
            None if is_helix => (String::new(), String::new()),
            None => (format!("{registry}/{}", self.model), self.tag.cloned().unwrap_or_else(|| "latest".to_owned())),
        };
        NewDeployment {
            namespace: run.plan.platform.namespace.clone(),
            name: row.name.clone(),
            model: id.to_owned(),
            image_name,
            image_tag,
            pvc_size: self.pvc_size.cloned(),
            gpu: self.gpus,
            envs: BTreeMap::new(),
            engine: self.engine.cloned(),
            context_length: self.context_length,
            lora_rank: run.plan.training.adapter_dim,
            description: names::description(&row.name, &run.owner),
        }
    }
}

/// Reports whether the configuration sets the context length of a candidate.
fn names_context_length(plan: &Plan, candidate: &Candidate) -> bool {
    let at = plan.candidates.iter().position(|one| one.model_name == candidate.model_name);
    let origin = at.and_then(|at| plan.origins.get(&format!("nims.{at}.context_length")));
    origin.is_some_and(|origin| origin.from != ValueSource::Default)
}

fn base_name(run: &RunContext, candidate: &Candidate) -> anyhow::Result<String> {
    run.name_of(candidate, ResourceKind::Deployment, "nim")
}

/// Deploys a NIM and waits until the proxy serves its model.
///
/// # Errors
/// When the deployment fails or takes too long, or its name is taken by another one.
pub(super) async fn deploy(run: &RunContext, wanted: &NimSpec<'_>) -> anyhow::Result<Nim> {
    let NimSpec { candidate, step, model, .. } = *wanted;
    let work = async {
        let id = &run.read(run.nemo.base_model_id(&wanted.base_model)).await?;
        if run.store.fact::<bool>(&run.id, &adopted_key(model))? == Some(true) {
            wait_until_served(run, None, candidate, id, step, run.plan.limits.deploy_ms, "deploy").await?;
            return Ok(Nim::Adopted);
        }
        base_model::ready(run, candidate, &wanted.base_model).await?;
        let spec = ResourceSpec { kind: ResourceKind::Deployment, base: &wanted.base, candidate, by_name: true };
        let row = run
            .hold(
                spec,
                |row| look_up(run, wanted, row, id),
                |row| async move { run.nemo.create_deployment(&wanted.deployment(run, &row, id)).await.map(|_| None) },
            )
            .await
            .with_context(|| format!("cannot deploy the NIM of {model}"))?;
        wait_for_rollout(run, wanted, &row).await?;
        wait_until_served(run, Some(&row), candidate, id, step, run.plan.limits.deploy_ms, "deploy").await?;
        if let Some(seconds) = run.seconds_of(&row) {
            run.store.remember(&run.id, &deployed_key(model), &seconds)?;
        }
        Ok(Nim::Ours(row))
    };
    run.step(candidate, step, work, |_| None).await
}

/// Releases the NIM of a candidate.
///
/// # Errors
/// When the platform does not delete it.
pub(super) async fn undeploy(run: &RunContext, candidate: &Candidate, nim: Nim) -> anyhow::Result<()> {
    match nim {
        Nim::Ours(row) => undeploy_row(run, Some(&candidate.model_name), Step::Undeploy, row).await,
        Nim::Adopted => Ok(()),
    }
}

/// Releases the NIM of the embedding model, if this run has deployed it.
///
/// # Errors
/// When the platform does not delete it.
pub(super) async fn undeploy_embedding(run: &RunContext) -> anyhow::Result<()> {
    let base = names::of_run(&run.id, EMBEDDING);
    match run.store.open_resource(&run.id, ResourceKind::Deployment, &base)? {
        Some(row) if row.platform == run.platform => undeploy_row(run, None, Step::UndeployEmbedding, row).await,
        _ => Ok(()),
    }
}

async fn undeploy_row(run: &RunContext, candidate: Option<&str>, step: Step, row: Resource) -> anyhow::Result<()> {
    let work = async {
        let on_release = |row: &Resource| run.tell_released(row);
        match run.releaser(&on_release).gpus(vec![row], names::millis(run.plan.limits.release_ms)).await.pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    };
    run.step(candidate, step, work, |()| None).await
}

/// Releases the NIM of a candidate after its last step. Returns whether it is gone. A failure does not touch the scores: it
/// becomes a warning, and the end of the run tries again.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn undeploy_last(run: &RunContext, candidate: &Candidate, nim: Nim) -> anyhow::Result<bool> {
    match undeploy(run, candidate, nim).await {
        Ok(()) => Ok(true),
        Err(error) => run.warn(format!("{}: {error:#}", candidate.model_name)).map(|()| false),
    }
}

/// Returns the deployment that this run has made for a candidate, if there is one.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn deployment_of(run: &RunContext, candidate: &Candidate) -> anyhow::Result<Option<Resource>> {
    Ok(run.store.open_resource(&run.id, ResourceKind::Deployment, &base_name(run, candidate)?)?)
}

/// Releases the deployment that an earlier process of this run left, if there is one.
///
/// # Errors
/// When the platform does not delete it.
pub(super) async fn undeploy_leftover(run: &RunContext, candidate: &Candidate) -> anyhow::Result<()> {
    match deployment_of(run, candidate)? {
        Some(row) if row.platform == run.platform => undeploy(run, candidate, Nim::Ours(row)).await,
        _ => Ok(()),
    }
}

/// Waits until the NIM proxy lists a model, which a deployment of this run serves, if one is given.
///
/// # Errors
/// When it takes longer than the limit of that key, or the deployment is gone.
pub(super) async fn wait_until_served(
    run: &RunContext,
    by: Option<&Resource>,
    candidate: Option<&str>,
    id: &str,
    step: Step,
    limit_ms: u64,
    key: &str,
) -> anyhow::Result<()> {
    let what = format!("{id} to be served");
    let ready = AtomicBool::new(false);
    let waited = run.wait(&what, names::millis(limit_ms), key, || async {
        let is_listed = run.nemo.served_models().await?.iter().any(|served| served == id);
        // An embedding model does not chat.
        if is_listed && (step == Step::DeployEmbedding || run.nemo.answers(id).await?) {
            return Ok(Some(()));
        }
        if let Some(row) = by {
            let Some(deployment) = run.nemo.deployment(&run.plan.platform.namespace, &row.name).await? else {
                bail!("deployment {} has disappeared from the platform", row.name);
            };
            ready.store(!is_listed && deployment.status == JobStatus::Done, Ordering::Relaxed);
        }
        run.progress(candidate, step, None, Some("waiting for the NIM proxy".to_owned()));
        Ok(None)
    });
    let waited = waited.await;
    // An adapter is late for reasons of its own: its base is listed already. NeMo Helix has no proxy beside its gateway.
    let by_proxy = step != Step::Adapter && run.generation == Generation::V1;
    let of_proxy = by_proxy && ready.load(Ordering::Relaxed);
    waited.map_err(|error| match by.filter(|_| of_proxy && error.is::<TooLong>()) {
        Some(row) => error.context(Unlisted { deployment: row.name.clone(), model: id.to_owned() }),
        None => error,
    })
}

/// Waits until a deployment is ready. Tells what the platform says about it whenever that changes, because it may wait for
/// something that never comes.
async fn wait_for_rollout(run: &RunContext, wanted: &NimSpec<'_>, row: &Resource) -> anyhow::Result<()> {
    let namespace = &run.plan.platform.namespace;
    let what = format!("deployment {}", row.name);
    let (latest, last_word) = (Mutex::new(String::new()), LastWord::default());
    let waited = run.wait(&what, names::millis(run.plan.limits.deploy_ms), "deploy", || async {
        let Some(deployment) = run.nemo.deployment(namespace, &row.name).await? else {
            bail!("deployment {} has disappeared from the platform", row.name);
        };
        last_word.note(&deployment.status, deployment.detail.as_deref());
        match deployment.status {
            JobStatus::Done => Ok(Some(())),
            JobStatus::Failed(why) => bail!("deployment {} failed: {why}", row.name),
            JobStatus::Cancelled => bail!("deployment {} was cancelled", row.name),
            JobStatus::Waiting | JobStatus::Running(_) | JobStatus::Unknown(_) => {
                let detail = deployment.detail.clone().unwrap_or_default();
                let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
                if *latest != detail {
                    tell_detail(run, row, &latest, &detail)?;
                    latest.clone_from(&detail);
                }
                run.progress(wanted.candidate, wanted.step, None, deployment.detail);
                Ok(None)
            }
        }
    });
    let waited = waited.await;
    last_word.explain(&what, waited)
}

/// Tells a detail that has changed. One that does not heal by waiting is a warning at once.
fn tell_detail(run: &RunContext, row: &Resource, before: &str, detail: &str) -> anyhow::Result<()> {
    let lower = detail.to_lowercase();
    if STUCK.iter().any(|word| lower.contains(word)) {
        run.warn(format!("deployment {} may never be ready: {detail}", row.name))?;
    } else if !before.is_empty() {
        tracing::info!("deployment {}: {detail}", row.name);
    }
    Ok(())
}

async fn look_up(run: &RunContext, wanted: &NimSpec<'_>, row: Resource, id: &str) -> anyhow::Result<Lookup> {
    let Some(there) = run.nemo.deployment(&run.plan.platform.namespace, &row.name).await? else {
        return Ok(Lookup::Absent);
    };
    if let Some(difference) = wanted.deployment(run, &row, id).differs_from(&there) {
        bail!("a deployment named {} exists and differs from the one of this run: {difference}", row.name);
    }
    Ok(Lookup::Found(None))
}
