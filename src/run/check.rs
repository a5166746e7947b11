//! The plan held against the platform before anything is spent: services, targets, GPUs, and who else is there.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::base_model;
use super::candidate::{self, Mode};
use super::judge::{self, Asked};
use super::names;
use crate::config::plan::{Candidate, JudgePlace, JudgePlan, Plan};
use crate::nemo::{ApiError, Client, Deployment, ErrorKind};
use crate::vocabulary::{PlatformKind, PlatformVersion};

/// GPUs that the embedded platform offers when nothing else is said.
pub const VIRTUAL_GPUS: u32 = 4;

/// The GPU budget of a run, and why it is that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How many; `None`: unknown, one candidate at a time.
    pub gpus: Option<u32>,
    /// Why, in a few words.
    pub why: String,
}

/// What the check found.
#[derive(Debug)]
pub struct Findings {
    /// How each candidate runs, in the order of the plan.
    pub modes: Vec<(String, Mode, u32)>,
    /// Candidates whose NIM the operator has deployed; only with `--adopt`.
    pub adopted: Vec<String>,
    /// What the platform says that it is.
    pub version: PlatformVersion,
    /// Worth knowing.
    pub warnings: Vec<String>,
}

/// Why a plan cannot be run on a platform.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// All GPUs of this machine are busy.
    #[error("no GPU is free: NVML sees other processes on all GPUs of this machine")]
    AllBusy,
    /// A candidate needs more than there is.
    #[error("{model} needs {need} GPUs{}, the budget is {budget}", beside_the_judge(*beside))]
    TooSmall {
        /// The candidate, or the judge.
        model: String,
        /// What it needs.
        need: u32,
        /// What the judge takes beside it.
        beside: u32,
        /// What there is.
        budget: u32,
    },
    /// The embedded platform has no such model.
    #[error("the embedded platform has no model {model}; it has {}", crate::run::check::student_names())]
    NoStudent {
        /// The candidate.
        model: String,
    },
    /// The customizer does not offer a target.
    #[error("{model}: the customizer has no target {target} that is enabled")]
    NoTarget {
        /// The candidate.
        model: String,
        /// The configured target.
        target: String,
        /// Those that it has.
        enabled: Vec<String>,
    },
    /// A judge that is somewhere else does not do what is asked of it.
    #[error("the judge {model} at {url} cannot be asked")]
    Judge {
        /// The model.
        model: String,
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        error: Box<ApiError>,
    },
    /// The operator runs a NIM for a candidate.
    #[error("{model} is already served: {by}")]
    Operator {
        /// The candidate.
        model: String,
        /// By what.
        by: String,
    },
    /// Another dfwfd is at work on the platform.
    #[error("another dfwfd run is on this platform: {}", .resources.join(", "))]
    Others {
        /// Its live deployments, with owner.
        resources: Vec<String>,
    },
}

/// The names of the students, for messages.
fn student_names() -> String {
    crate::student::NAMES.join(" and ")
}

fn beside_the_judge(gpus: u32) -> String {
    if gpus == 0 { String::new() } else { format!(" beside the judge's {gpus}") }
}

/// Whom the check is for.
pub struct Who<'a> {
    /// Runs of this state directory.
    pub own: &'a BTreeSet<String>,
    /// `--adopt`.
    pub adopt: bool,
    /// `--share`.
    pub share: bool,
}

/// The GPU budget of a plan: as configured, else virtual, else what NVML sees free.
///
/// # Errors
/// [`Obstacle::AllBusy`].
pub fn budget(plan: &Plan, free: impl FnOnce() -> Option<u32>) -> Result<Budget, Obstacle> {
    if let Some(gpus) = plan.gpus {
        return Ok(Budget { gpus: Some(gpus), why: "configured".to_owned() });
    }
    let largest = plan.candidates.iter().map(Candidate::least_gpus).max().unwrap_or(0) + judge_gpus(plan);
    if plan.rehearse || plan.platform.kind == PlatformKind::Embedded {
        let gpus = VIRTUAL_GPUS.max(largest);
        return Ok(Budget { gpus: Some(gpus), why: "virtual GPUs of the embedded platform".to_owned() });
    }
    match free() {
        Some(0) => Err(Obstacle::AllBusy),
        Some(gpus) => Ok(Budget { gpus: Some(gpus), why: "GPUs of this machine on which nothing runs".to_owned() }),
        None => Ok(Budget { gpus: None, why: "no NVML on this machine: one candidate at a time".to_owned() }),
    }
}

fn judge_gpus(plan: &Plan) -> u32 {
    plan.judge.as_ref().map_or(0, JudgePlan::gpus)
}

/// Checks a plan against the platform; every service is asked once, and the judge, where one is certain to be asked.
///
/// # Errors
/// [`Obstacle`], or what a service says.
pub async fn check(
    plan: &Plan,
    nemo: &Client,
    budget: &Budget,
    who: &Who<'_>,
    asked: Option<Asked<'_>>,
) -> anyhow::Result<Findings> {
    judge::fits(plan, asked.map(|asked| asked.judge), budget.gpus)?;
    let room = budget.gpus.map(|gpus| gpus.saturating_sub(asked.map_or(0, |asked| asked.judge.gpus())));
    let modes = plan.candidates.iter().map(|candidate| {
        let (mode, gpus) = candidate::mode(candidate, room);
        (candidate.model_name.clone(), mode, gpus)
    });
    let modes = modes.collect();
    nemo.check_api().await.context("reaching the Entity Store (nmp_config.nemo_base_url)")?;
    let version = nemo.version().await?;
    for &service in nemo.services().await? {
        reach(nemo.probe(service).await).with_context(|| format!("reaching {service}"))?;
    }
    let mut warnings = Vec::new();
    let deployments = nemo.deployments().await.context("reaching Deployment Management (nmp_config.nemo_base_url)")?;
    others(plan, &deployments, budget, who, &mut warnings)?;
    let served = match nemo.served_models().await {
        Ok(served) => served,
        // A proxy without any NIM behind it may answer with anything but a list.
        Err(error) if error.is_transient() && error.status().is_some() => {
            warnings.push(format!("the NIM proxy does not list its models yet: {error}"));
            Vec::new()
        }
        Err(error) => return Err(error).context("reaching the NIM proxy (nmp_config.nim_base_url)"),
    };
    let local_judge = asked.filter(|asked| matches!(asked.judge.place, JudgePlace::Local(_)));
    let ids = base_model::ids(plan, nemo).await?;
    let names = plan.candidates.iter().map(|candidate| candidate.model_name.as_str());
    let mut models: Vec<(&str, String)> = names.zip(ids).collect();
    if let Some(judge) = local_judge.map(|asked| asked.judge.model_name.as_str())
        && !models.iter().any(|(model, _)| *model == judge)
    {
        models.push((judge, nemo.base_model_id(&base_model::named(judge)).await?));
    }
    let mut adopted = Vec::new();
    for (model, id) in models {
        if let Some(by) = operator(&id, &deployments, &served, who.own) {
            if !who.adopt {
                return Err(Obstacle::Operator { model: model.to_owned(), by }.into());
            }
            adopted.push(model.to_owned());
        }
    }
    targets(plan, nemo).await?;
    if let Some(asked) = asked {
        warnings.extend(answering(asked, nemo).await?);
    }
    Ok(Findings { version, modes, adopted, warnings })
}

/// Whether a judge answers. One that cannot be reached from here may be reached from the cluster, where the Evaluator is.
async fn answering(asked: Asked<'_>, nemo: &Client) -> Result<Option<String>, Obstacle> {
    let here = nemo.embedded_instance().is_some();
    match asked.probe(nemo).await {
        Err(Obstacle::Judge { model, url, error })
            if !here && matches!(error.kind, ErrorKind::Connect | ErrorKind::Timeout(_)) =>
        {
            Ok(Some(format!(
                "the judge {model} at {url} does not answer from here ({}); the Evaluator has to reach it",
                error.kind
            )))
        }
        other => other.map(|()| None),
    }
}

/// A service that answers without the list is there; one that is away or refuses is not.
fn reach(answer: Result<(), ApiError>) -> Result<(), ApiError> {
    match answer {
        Err(error) if error.is_unreachable() => Err(error),
        _ => Ok(()),
    }
}

/// Deployments of other state directories: another machine, another user. Beside them there must be room for at least
/// the smallest way in which each candidate can run.
fn others(
    plan: &Plan,
    deployments: &[Deployment],
    budget: &Budget,
    who: &Who<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), Obstacle> {
    let mut resources = Vec::new();
    let mut taken = 0;
    for deployment in deployments {
        let text = deployment.description.as_deref().filter(|text| names::parse(text).is_some());
        let Some((run, owner)) = names::parse(text.unwrap_or(&deployment.name)) else { continue };
        if !who.own.contains(run) {
            resources.push(format!("{} ({})", deployment.name, owner.unwrap_or("owner unknown")));
            taken += deployment.gpu.unwrap_or(1);
        }
    }
    let needed = plan.candidates.iter().map(Candidate::least_gpus).max().unwrap_or(0) + judge_gpus(plan);
    let both_fit = budget.gpus.is_none_or(|budget| taken + needed <= budget);
    match (resources.is_empty(), who.share && both_fit) {
        (true, _) => Ok(()),
        (false, true) => {
            warnings.push(format!("sharing the platform with {}", resources.join(", ")));
            Ok(())
        }
        (false, false) => Err(Obstacle::Others { resources }),
    }
}

/// What serves a model that dfwfd did not deploy.
fn operator(model: &str, deployments: &[Deployment], served: &[String], own: &BTreeSet<String>) -> Option<String> {
    let ours = |deployment: &&Deployment| names::parse(&deployment.name).is_some_and(|(run, _)| own.contains(run));
    let of_model = |deployment: &&Deployment| deployment.model.as_deref() == Some(model);
    let mut theirs = deployments.iter().filter(|deployment| of_model(deployment) && !ours(deployment));
    if let Some(deployment) = theirs.next() {
        return Some(format!("deployment {}/{}", deployment.namespace, deployment.name));
    }
    let by_us = deployments.iter().any(|deployment| of_model(&deployment) && ours(&deployment));
    (!by_us && served.iter().any(|id| id == model)).then(|| "the NIM proxy lists it".to_owned())
}

/// Every target must be there and enabled. One that no list shows is asked for by name; a customizer that does not tell
/// its targets at all is asked by the job itself.
async fn targets(plan: &Plan, nemo: &Client) -> anyhow::Result<()> {
    if !nemo.has_training_configs().await? {
        for candidate in plan.candidates.iter().filter(|candidate| candidate.helix.repository.is_none()) {
            nemo.ensure_base_model(&base_model::of(candidate)).await?;
        }
        return Ok(());
    }
    let wanted = plan.candidates.iter().filter_map(|candidate| Some((candidate, candidate.customizer.as_ref()?)));
    for (candidate, customizer) in wanted {
        let target = &customizer.target;
        let found = match nemo.training_target(target).await {
            Ok(found) => found,
            Err(error) if error.is_unreachable() => {
                return Err(error).with_context(|| format!("asking the customizer for the target {target}"));
            }
            Err(_) => continue,
        };
        if found.is_none_or(|found| !found.enabled) {
            let listed = nemo.training_targets().await.unwrap_or_default();
            let enabled = listed.into_iter().filter(|target| target.enabled).map(|target| target.name).collect();
            let (model, target) = (candidate.model_name.clone(), target.clone());
            return Err(Obstacle::NoTarget { model, target, enabled }.into());
        }
    }
    Ok(())
}
