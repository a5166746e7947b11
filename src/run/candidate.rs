//! One candidate from deployment to release. In *overlap* training runs beside the base evaluation; *in turn* each has
//! the GPUs for itself.

use super::context::RunContext;
use super::deploy::Nim;
use super::gpus::{Lease, Mode};
use super::outcome::{EvaluationFact, ModelVariant, TrainingFact, is_all_evaluated, is_evaluated, training_key};
use super::{base_model, customize, deploy, evaluate};
use crate::config::plan::Candidate;

/// Takes a candidate through all its steps. A step that an earlier process has finished is not repeated.
///
/// # Errors
/// When a step fails. Steps that run side by side are all awaited first.
pub(super) async fn drive(
    run: &RunContext,
    candidate: &Candidate,
    mode: Mode,
    lease: &mut Lease,
) -> anyhow::Result<()> {
    if is_all_evaluated(&run.store, &run.id, candidate)? {
        return Ok(());
    }
    match (&candidate.customizer, mode) {
        (None, _) => base_only(run, candidate).await,
        (Some(_), Mode::Overlap) => overlap(run, candidate, lease).await,
        (Some(_), Mode::InTurn) => in_turn(run, candidate).await,
    }
}

/// A candidate that is not trained.
async fn base_only(run: &RunContext, candidate: &Candidate) -> anyhow::Result<()> {
    let nim = deploy(run, candidate).await?;
    evaluate_base(run, candidate).await?;
    deploy::undeploy_last(run, candidate, nim).await
}

async fn overlap(run: &RunContext, candidate: &Candidate, lease: &mut Lease) -> anyhow::Result<()> {
    let nim = deploy(run, candidate).await?;
    // Both are awaited even when one fails: a create in flight is never dropped.
    let (base, adapter) = tokio::join!(evaluate_base(run, candidate), async {
        let adapter = customize::customize(run, candidate).await?;
        lease.shrink(candidate.gpus);
        customize::adapter_served(run, candidate, &adapter).await?;
        anyhow::Ok(adapter)
    });
    let adapter = adapter?;
    base?;
    evaluate::evaluate(run, candidate, ModelVariant::Customized, &adapter).await?;
    deploy::undeploy_last(run, candidate, nim).await
}

async fn in_turn(run: &RunContext, candidate: &Candidate) -> anyhow::Result<()> {
    if !is_evaluated(&run.store, &run.id, candidate, ModelVariant::Base)? {
        let nim = deploy(run, candidate).await?;
        evaluate_base(run, candidate).await?;
        deploy::undeploy(run, candidate, nim).await?;
    }
    // A deployment that a killed process left would take GPUs from the training. After the training it is of use.
    if run.store.fact::<TrainingFact>(&run.id, &training_key(&candidate.model_name))?.is_none() {
        deploy::undeploy_leftover(run, candidate).await?;
    }
    let adapter = customize::customize(run, candidate).await?;
    let nim = deploy(run, candidate).await?;
    customize::adapter_served(run, candidate, &adapter).await?;
    evaluate::evaluate(run, candidate, ModelVariant::Customized, &adapter).await?;
    deploy::undeploy_last(run, candidate, nim).await
}

async fn evaluate_base(run: &RunContext, candidate: &Candidate) -> anyhow::Result<EvaluationFact> {
    let id = base_model::id(run, candidate).await?;
    evaluate::evaluate(run, candidate, ModelVariant::Base, &id).await
}

async fn deploy(run: &RunContext, candidate: &Candidate) -> anyhow::Result<Nim> {
    deploy::deploy(run, &deploy::NimSpec::of_candidate(run, candidate)?).await
}
