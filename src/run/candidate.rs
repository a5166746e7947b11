//! One candidate from deploy to undeploy, readable top to bottom: in *overlap* training runs beside the base evaluation,
//! *in turn* each has the GPUs for itself.

use super::cx::Cx;
use super::deploy::Nim;
use super::gpus::Lease;
use super::outcome::{EvaluationFact, TrainingFact, Which, evaluation_key, training_key};
use super::{base_model, customize, deploy, evaluate};
use crate::config::plan::Candidate;

/// How a candidate uses its GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// NIM and training at once.
    Overlap,
    /// One after the other.
    InTurn,
}

/// The mode that a budget allows, and the GPUs that the candidate leases in it.
pub fn mode(candidate: &Candidate, budget: Option<u32>) -> (Mode, u32) {
    let (nim, training) = (candidate.gpus, candidate.training_gpus());
    match budget {
        Some(budget) if nim + training <= budget => (Mode::Overlap, nim + training),
        // Without a budget one candidate runs at a time, and leases all there is.
        Some(_) | None => (Mode::InTurn, nim.max(training)),
    }
}

/// Takes a candidate through all its steps. What a step has finished in an earlier process is not repeated.
///
/// # Errors
/// What the first step that fails says; steps side by side are all awaited first.
pub async fn drive(cx: &Cx, candidate: &Candidate, mode: Mode, lease: &mut Lease) -> anyhow::Result<()> {
    if is_all_evaluated(cx, candidate)? {
        return Ok(());
    }
    match (&candidate.customizer, mode) {
        (None, _) => base_only(cx, candidate).await,
        (Some(_), Mode::Overlap) => overlap(cx, candidate, lease).await,
        (Some(_), Mode::InTurn) => in_turn(cx, candidate).await,
    }
}

/// A candidate that is not trained.
async fn base_only(cx: &Cx, candidate: &Candidate) -> anyhow::Result<()> {
    let nim = deploy(cx, candidate).await?;
    evaluate_base(cx, candidate).await?;
    deploy::undeploy_at_the_end(cx, candidate, nim).await
}

async fn overlap(cx: &Cx, candidate: &Candidate, lease: &mut Lease) -> anyhow::Result<()> {
    let nim = deploy(cx, candidate).await?;
    // Both are awaited even when one fails: a create in flight is never dropped.
    let (base, adapter) = tokio::join!(evaluate_base(cx, candidate), async {
        let adapter = customize::customize(cx, candidate).await?;
        lease.shrink(candidate.gpus);
        customize::adapter_served(cx, candidate, &adapter).await?;
        anyhow::Ok(adapter)
    });
    let adapter = adapter?;
    base?;
    evaluate::evaluate(cx, candidate, Which::Customized, &adapter).await?;
    deploy::undeploy_at_the_end(cx, candidate, nim).await
}

async fn in_turn(cx: &Cx, candidate: &Candidate) -> anyhow::Result<()> {
    if !is_evaluated(cx, candidate, Which::Base)? {
        let nim = deploy(cx, candidate).await?;
        evaluate_base(cx, candidate).await?;
        deploy::undeploy(cx, candidate, nim).await?;
    }
    // A deployment that a killed process left must not stand beside the training job; once trained, it is of use.
    if cx.store.fact::<TrainingFact>(&cx.run, &training_key(&candidate.model_name))?.is_none() {
        deploy::undeploy_left(cx, candidate).await?;
    }
    let adapter = customize::customize(cx, candidate).await?;
    let nim = deploy(cx, candidate).await?;
    customize::adapter_served(cx, candidate, &adapter).await?;
    evaluate::evaluate(cx, candidate, Which::Customized, &adapter).await?;
    deploy::undeploy_at_the_end(cx, candidate, nim).await
}

async fn evaluate_base(cx: &Cx, candidate: &Candidate) -> anyhow::Result<EvaluationFact> {
    let id = base_model::id(cx, candidate).await?;
    evaluate::evaluate(cx, candidate, Which::Base, &id).await
}

async fn deploy(cx: &Cx, candidate: &Candidate) -> anyhow::Result<Nim> {
    deploy::deploy(cx, &deploy::Wanted::of_candidate(cx, candidate)).await
}

/// Whether nothing of a candidate is left to be evaluated.
pub fn is_all_evaluated(cx: &Cx, candidate: &Candidate) -> anyhow::Result<bool> {
    let trained = candidate.customizer.is_some();
    Ok(is_evaluated(cx, candidate, Which::Base)? && (!trained || is_evaluated(cx, candidate, Which::Customized)?))
}

fn is_evaluated(cx: &Cx, candidate: &Candidate, which: Which) -> anyhow::Result<bool> {
    let key = evaluation_key(&candidate.model_name, which);
    Ok(cx.store.fact::<EvaluationFact>(&cx.run, &key)?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::CustomizerPlan;

    fn candidate(nim: u32, training: u32) -> Candidate {
        Candidate {
            model_name: "m".into(),
            context_length: 8192,
            gpus: nim,
            pvc_size: None,
            tag: None,
            registry_base: None,
            helix: crate::config::plan::HelixModel::default(),
            customizer: Some(CustomizerPlan {
                target: "m@1".into(),
                gpus: training,
                num_nodes: 1,
                tensor_parallel_size: 1,
                data_parallel_size: None,
                use_sequence_parallel: false,
                micro_batch_size: 1,
                training_precision: None,
                max_seq_length: 4096,
            }),
        }
    }

    #[test]
    fn the_budget_decides_the_mode() {
        assert_eq!(mode(&candidate(1, 1), Some(2)), (Mode::Overlap, 2));
        assert_eq!(mode(&candidate(1, 2), Some(2)), (Mode::InTurn, 2));
        assert_eq!(mode(&candidate(1, 1), Some(1)), (Mode::InTurn, 1));
        assert_eq!(mode(&candidate(1, 1), None), (Mode::InTurn, 1));
    }
}
