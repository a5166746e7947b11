//! The base models of candidates as the platform knows them.

use super::context::RunContext;
use crate::config::plan::{Candidate, Plan};
use crate::nemo::{BaseModel, Client};

/// Returns the base model of a candidate, without the token of its repository.
pub(super) fn of(candidate: &Candidate) -> BaseModel {
    BaseModel {
        name: candidate.model_name.clone(),
        entity: candidate.helix.base_model.clone(),
        repository: candidate.helix.repository.clone(),
        token: None,
    }
}

/// Returns a base model that only has a name, such as that of a judge.
pub(super) fn named(name: &str) -> BaseModel {
    BaseModel { name: name.to_owned(), entity: None, repository: None, token: None }
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

/// Ensures that the base model of a candidate exists on the platform.
pub(super) async fn ready(run: &RunContext, base_model: &BaseModel) -> anyhow::Result<()> {
    let token = run.repository_tokens.get(&base_model.name).cloned();
    run.read(run.nemo.ensure_base_model(&BaseModel { token, ..base_model.clone() })).await
}
