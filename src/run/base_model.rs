//! The base models of candidates as the platform knows them.

use anyhow::Context as _;

use super::context::RunContext;
use super::hold::{Lookup, ResourceSpec};
use crate::config::plan::{Candidate, Plan};
use crate::nemo::{BaseModel, Client};
use crate::store::ResourceKind;
use crate::vocabulary::Generation;

/// Returns the base model of a candidate, without the token of its repository.
pub(super) fn of(candidate: &Candidate) -> BaseModel {
    BaseModel {
        name: candidate.model_name.clone(),
        entity: candidate.helix.base_model.clone(),
        repository: candidate.helix.repository.clone(),
        hub: candidate.helix.hub.clone(),
        token: None,
    }
}

/// Returns a base model that only has a name, such as a judge's.
pub(super) fn named(name: &str) -> BaseModel {
    BaseModel { name: name.to_owned(), entity: None, repository: None, hub: None, token: None }
}

/// Returns the id under which the base model of a candidate is served.
pub(super) async fn id(run: &RunContext, candidate: &Candidate) -> anyhow::Result<String> {
    run.read(run.nemo.base_model_id(&of(candidate))).await
}

/// Returns the ids of all candidates' base models, in the order of the plan.
pub(super) async fn ids(plan: &Plan, nemo: &Client) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::with_capacity(plan.candidates.len());
    for candidate in &plan.candidates {
        ids.push(nemo.base_model_id(&of(candidate)).await?);
    }
    Ok(ids)
}

/// Ensures that a base model exists on the platform. One with a repository is made if it is absent, and is held: it is
/// shared with other runs.
pub(super) async fn ready(run: &RunContext, candidate: Option<&str>, base_model: &BaseModel) -> anyhow::Result<()> {
    let token = run.repository_tokens.get(&base_model.name).cloned();
    let wanted = &BaseModel { token, ..base_model.clone() };
    if wanted.repository.is_none() || run.generation != Generation::Helix {
        return run.read(run.nemo.ensure_base_model(wanted)).await;
    }
    let id = &run.read(run.nemo.base_model_id(wanted)).await?;
    let spec = ResourceSpec { kind: ResourceKind::BaseModel, base: id, candidate, by_name: true };
    let look_up = |_| async move {
        let exists = run.nemo.check_base_model(wanted).await?;
        Ok(if exists { Lookup::Found(Some(id.clone())) } else { Lookup::Absent })
    };
    let create = |_| async move { run.nemo.ensure_base_model(wanted).await.map(|()| Some(id.clone())) };
    run.hold(spec, look_up, create).await.with_context(|| format!("cannot make the base model {id}"))?;
    Ok(())
}
