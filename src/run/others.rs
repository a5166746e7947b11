//! Deployments and trainings of another dfwfd on a platform: of another machine, user or state directory, or of a run
//! that is forgotten.

use std::collections::BTreeSet;

use super::names;
use crate::nemo::{ApiError, Client, Deployment, TrainingJob};

/// A deployment or an unfinished training of another dfwfd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    /// Its name and its owner.
    pub text: String,
    pub gpus: u32,
}

/// Returns what another dfwfd has on the platform. `own` are the names and ids of what this state directory holds.
///
/// # Errors
/// When the training jobs cannot be listed.
pub(crate) async fn find(
    nemo: &Client,
    deployments: &[Deployment],
    own: &BTreeSet<String>,
) -> Result<Vec<Other>, ApiError> {
    let mut others: Vec<Other> = deployments.iter().filter_map(|one| of_deployment(one, own)).collect();
    let jobs = nemo.training_jobs().await?;
    others.extend(jobs.iter().filter(|job| !job.status.is_terminal()).filter_map(|job| of_training(job, own)));
    Ok(others)
}

fn of_deployment(one: &Deployment, own: &BTreeSet<String>) -> Option<Other> {
    let described = one.description.as_deref().filter(|text| names::parse(text).is_some());
    let (_, owner) = names::parse(described.unwrap_or(&one.name))?;
    let is_own = own.contains(&one.name);
    (!is_own).then(|| other(&one.name, owner, one.gpu))
}

fn of_training(job: &TrainingJob, own: &BTreeSet<String>) -> Option<Other> {
    let description = job.description.as_deref()?;
    let (_, owner) = names::parse(description)?;
    let name = description.split(" (").next().unwrap_or(description);
    // Until a create is answered, the ledger knows the name alone.
    let is_own = own.contains(&job.id) || own.contains(name);
    (!is_own).then(|| other(name, owner, job.gpus))
}

fn other(name: &str, owner: Option<&str>, gpus: Option<u32>) -> Other {
    Other { text: format!("{name} ({})", owner.unwrap_or("owner unknown")), gpus: gpus.unwrap_or(1) }
}
