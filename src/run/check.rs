//! Checks a plan against the platform before anything is created: services, targets, GPUs, and what others have deployed.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::base_model;
use super::counterparts;
use super::embed;
use super::gpus::{Budget, Mode, check_fit, least_gpus, mode};
use super::judge::JudgeWithKey;
use super::obstacle::Obstacle;
use super::others::{self, Other};
use crate::config::plan::{Candidate, EmbeddingPlan, Plan, ServicePlace};
use crate::nemo::{ApiError, Client, Deployment, ErrorKind, Secret, TrainingTarget};
use crate::retry::Backoff;
use crate::vocabulary::{Generation, PlatformVersion};

/// How often the list of served models is read before the proxy counts as away.
const LOOKS: Backoff = Backoff::SHORT;

/// The result of the check.
#[derive(Debug)]
pub(crate) struct Findings {
    /// How each candidate would run, in the order of the plan.
    pub modes: Vec<(String, Mode, u32)>,
    /// The models whose NIM the operator has deployed. Only with `--adopt`.
    pub adopted: Vec<String>,
    pub version: PlatformVersion,
    pub warnings: Vec<String>,
}

/// The exceptions that a check allows.
pub(crate) struct CheckOptions<'a> {
    /// The names of what this state directory still has to release.
    pub own: &'a BTreeSet<String>,
    /// Use NIMs that the operator has deployed (`--adopt`).
    pub adopt: bool,
    /// Run beside what another dfwfd has on the platform (`--share`).
    pub share: bool,
    /// The embedding model that is still to be asked, and its key.
    pub embedding: Option<(&'a EmbeddingPlan, Option<&'a Secret>)>,
}

/// Checks a plan. Asks every service once, and the judge if there is one.
///
/// # Errors
/// [`Obstacle`], or the error of a service.
pub(crate) async fn check(
    plan: &Plan,
    nemo: &Client,
    budget: &Budget,
    options: &CheckOptions<'_>,
    judge: Option<JudgeWithKey<'_>>,
) -> anyhow::Result<Findings> {
    check_fit(plan, judge.map(|judge| judge.judge), budget.gpus)?;
    let leasable = budget.gpus.map(|gpus| gpus.saturating_sub(judge.map_or(0, |judge| judge.judge.gpus())));
    let modes = plan.candidates.iter().map(|candidate| {
        let (mode, gpus) = mode(candidate, leasable);
        (candidate.model_name.clone(), mode, gpus)
    });
    let modes = modes.collect();
    let version = check_services(nemo).await?;
    check_namespace(plan, nemo).await?;
    let mut warnings = counterparts::warnings(plan, version.generation);
    let deployments = nemo.deployments().await.map_err(not_there);
    let deployments = deployments.context("cannot list deployments (nmp_config.nemo_base_url)")?;
    let others = others::find(nemo, &deployments, options.own).await.map_err(not_there);
    let others = others.context("cannot list customization jobs (nmp_config.nemo_base_url)")?;
    warnings.extend(check_others(plan, others, budget, options)?);
    let served = match served_models(nemo).await {
        Ok(served) => served,
        // A proxy without a NIM behind it may answer with anything but a list.
        Err(error) if error.is_transient() && error.status().is_some() && !error.is_refused() => {
            warnings.push(format!("the platform does not list the models that it serves yet: {error}"));
            Vec::new()
        }
        Err(error) => {
            let key = if version.generation == Generation::Helix { "nemo_base_url" } else { "nim_base_url" };
            return Err(error).with_context(|| format!("cannot list the models that are served (nmp_config.{key})"));
        }
    };
    let mut adopted = Vec::new();
    for (model, id) in deployed_models(plan, judge, nemo).await? {
        if let Some(by) = served_by_operator(&id, &deployments, &served, options.own) {
            if !options.adopt {
                return Err(Obstacle::Operator { model: model.to_owned(), by }.into());
            }
            adopted.push(model.to_owned());
        }
    }
    check_targets(plan, nemo).await?;
    if let Some((embedding, key)) = options.embedding {
        embed::probe(embedding, key, nemo).await?;
    }
    if let Some(judge) = judge {
        warnings.extend(check_judge(judge, nemo).await?);
    }
    Ok(Findings { modes, adopted, version, warnings })
}

/// Reads the list of served models, which the client does not repeat, because others poll it.
async fn served_models(nemo: &Client) -> Result<Vec<String>, ApiError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match nemo.served_models().await.map_err(not_there) {
            Err(error) if error.is_transient() && (error.status().is_none() || error.is_refused()) => {
                match LOOKS.pause(tries, None) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                }
            }
            answered => return answered,
        }
    }
}

/// Checks that every service answers. Returns what the platform says that it is.
async fn check_services(nemo: &Client) -> anyhow::Result<PlatformVersion> {
    nemo.check_api().await.context("cannot reach NeMo (nmp_config.nemo_base_url)")?;
    let version = nemo.version().await?;
    for &service in nemo.services().await? {
        match nemo.probe(service).await.map_err(not_there) {
            Err(error) if error.is_unreachable() => {
                return Err(error).with_context(|| format!("cannot reach {service}"));
            }
            // A service that answers is there, even if its answer is an error.
            _ => {}
        }
    }
    Ok(version)
}

/// Words a 404 of a whole service: its paths are somewhere else, most often because the base URL is wrong.
fn not_there(mut error: ApiError) -> ApiError {
    if error.status() == Some(404) {
        let what = format!("no such path, so the service is not at this address ({})", error.kind);
        error.kind = ErrorKind::Unreadable(what);
    }
    error
}

/// Checks that the namespace can exist, if it does not yet.
///
/// # Errors
/// [`Obstacle::Namespace`], or the error of the platform.
pub(crate) async fn check_namespace(plan: &Plan, nemo: &Client) -> anyhow::Result<()> {
    let name = &plan.platform.namespace;
    if nemo.takes_name(name).await? { Ok(()) } else { Err(Obstacle::Namespace { name: name.clone() }.into()) }
}

/// Returns the models that the run would deploy, each with the id under which it is served.
///
/// # Errors
/// [`Obstacle::SameModel`], or the error of the platform.
pub(crate) async fn deployed_models<'a>(
    plan: &'a Plan,
    judge: Option<JudgeWithKey<'a>>,
    nemo: &Client,
) -> anyhow::Result<Vec<(&'a str, String)>> {
    let ids = base_model::ids(plan, nemo).await?;
    let names = plan.candidates.iter().map(|candidate| candidate.model_name.as_str());
    let mut models: Vec<(&str, String)> = names.zip(ids).collect();
    let local = |place: &ServicePlace| matches!(place, ServicePlace::Local(_));
    let judge = judge.filter(|judge| local(&judge.judge.place)).map(|judge| judge.judge.model_name.as_str());
    let embedding = plan.embedding().filter(|model| local(&model.place)).map(|model| model.model_name.as_str());
    for service in judge.into_iter().chain(embedding) {
        if !models.iter().any(|(model, _)| *model == service) {
            models.push((service, nemo.base_model_id(&base_model::named(service)).await?));
        }
    }
    for (at, (second, id)) in models.iter().enumerate() {
        if let Some((first, _)) = models[..at].iter().find(|(_, other)| other == id) {
            let (first, second) = ((*first).to_owned(), (*second).to_owned());
            let is_candidate = |name: &&String| plan.candidates.iter().any(|one| one.model_name == **name);
            let candidate = [&second, &first].into_iter().find(is_candidate).cloned();
            return Err(Obstacle::SameModel { first, second, id: id.clone(), candidate }.into());
        }
    }
    Ok(models)
}

/// Checks that a judge answers. A remote judge that does not answer here may answer the Evaluator of a cluster.
pub(crate) async fn check_judge(judge: JudgeWithKey<'_>, nemo: &Client) -> Result<Option<String>, Obstacle> {
    let evaluator_is_here = nemo.embedded_instance().is_some();
    match judge.probe(nemo).await {
        Err(Obstacle::Judge { model, url, error })
            if !evaluator_is_here && matches!(error.kind, ErrorKind::Connect | ErrorKind::Timeout(_)) =>
        {
            Ok(Some(format!(
                "the judge {model} at {url} does not answer from here ({}); the Evaluator must be able to reach it",
                error.kind
            )))
        }
        other => other.map(|()| None),
    }
}

/// Checks for what other state directories have on the platform, that is another machine or user. With `--share` it may stay
/// if every candidate fits beside it in turn. Returns a warning then.
fn check_others(
    plan: &Plan,
    others: Vec<Other>,
    budget: &Budget,
    options: &CheckOptions<'_>,
) -> Result<Option<String>, Obstacle> {
    if others.is_empty() {
        return Ok(None);
    }
    let taken: u32 = others.iter().map(|other| other.gpus).sum();
    let both_fit = budget.gpus.is_none_or(|budget| taken + least_gpus(plan) <= budget);
    let resources: Vec<String> = others.into_iter().map(|other| other.text).collect();
    if options.share && both_fit {
        return Ok(Some(format!("sharing the platform with {}", resources.join(", "))));
    }
    Err(Obstacle::Others { resources })
}

/// Returns what serves a model that dfwfd did not deploy.
fn served_by_operator(
    model: &str,
    deployments: &[Deployment],
    served: &[String],
    own: &BTreeSet<String>,
) -> Option<String> {
    let ours = |deployment: &&Deployment| own.contains(&deployment.name);
    let of_model = |deployment: &&Deployment| deployment.model.as_deref() == Some(model);
    let mut theirs = deployments.iter().filter(|deployment| of_model(deployment) && !ours(deployment));
    if let Some(deployment) = theirs.next() {
        return Some(format!("deployment {}/{}", deployment.namespace, deployment.name));
    }
    let by_us = deployments.iter().any(|deployment| of_model(&deployment) && ours(&deployment));
    (!by_us && served.iter().any(|id| id == model)).then(|| "the NIM proxy lists it".to_owned())
}

/// Checks that every candidate can be trained.
async fn check_targets(plan: &Plan, nemo: &Client) -> anyhow::Result<()> {
    for candidate in &plan.candidates {
        check_target(candidate, &plan.platform.namespace, nemo).await?;
    }
    Ok(())
}

/// Checks that a candidate can be trained: that its target exists and is enabled, or that its base model exists and is of
/// this namespace. If a Customizer does not tell its targets, the job finds out. Returns whether the base model is there:
/// the run makes it of its repository if it is not.
///
/// # Errors
/// [`Obstacle::NoTarget`], [`Obstacle::OtherModel`] or [`Obstacle::ForeignBase`], or the error of the platform.
pub(crate) async fn check_target(candidate: &Candidate, namespace: &str, nemo: &Client) -> anyhow::Result<bool> {
    if !nemo.has_training_configs().await? {
        let id = nemo.base_model_id(&base_model::of(candidate)).await?;
        if candidate.customizer.is_some() && id.split('/').next() != Some(namespace) {
            return Err(Obstacle::ForeignBase { model: candidate.model_name.clone(), id }.into());
        }
        return nemo.check_base_model(&base_model::of(candidate)).await.map_err(|error| match error.kind {
            ErrorKind::Options(why) => Obstacle::NoBaseModel { model: candidate.model_name.clone(), why }.into(),
            _ => error.into(),
        });
    }
    let Some(target) = candidate.customizer.as_ref().and_then(|customizer| customizer.target.as_ref()) else {
        return Ok(true);
    };
    let found = match nemo.training_target(target).await {
        Ok(found) => found,
        Err(error) if error.is_unreachable() => {
            return Err::<bool, ApiError>(error)
                .with_context(|| format!("cannot ask the Customizer for the target {target}"));
        }
        Err(_) => return Ok(true),
    };
    let model = &candidate.model_name;
    let base = found.as_ref().filter(|found| found.enabled).map(|found| found.base_model.as_deref());
    if base.is_some_and(|base| base.is_none_or(|base| is_same_model(base, model))) {
        return Ok(true);
    }
    let listed = nemo.training_targets().await.unwrap_or_default();
    let enabled = listed.into_iter().filter(|target| target.enabled);
    let (model, target) = (model.clone(), target.clone());
    Err(match base.flatten() {
        Some(base) => {
            let fits =
                |target: &TrainingTarget| target.base_model.as_deref().is_some_and(|base| is_same_model(base, &model));
            let fitting = enabled.filter(fits).map(|target| target.name).collect();
            Obstacle::OtherModel { base: base.to_owned(), target, fitting, model }
        }
        None => Obstacle::NoTarget { model, target, enabled: enabled.map(|target| target.name).collect() },
    }
    .into())
}

/// Tells whether two names mean the same model. The catalogues of services name other organisations and versions.
fn is_same_model(one: &str, other: &str) -> bool {
    let bare = |name: &str| {
        let name = name.rsplit('/').next().unwrap_or(name);
        name.split('@').next().unwrap_or(name).to_lowercase()
    };
    bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_model_decides_not_its_organisation_or_version() {
        assert!(is_same_model("meta-llama/Llama-3.2-1B-Instruct", "meta/llama-3.2-1b-instruct"));
        assert!(is_same_model("meta/llama-3.2-1b-instruct@2.0", "meta/llama-3.2-1b-instruct"));
        assert!(!is_same_model("meta/llama-3.2-1b-instruct", "meta/llama-3.1-8b-instruct"));
    }
}
