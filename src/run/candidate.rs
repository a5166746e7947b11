//! One candidate from deployment to release. It trains from the start, and is deployed beside its training if there are
//! GPUs for both, else afterwards. One deployment serves all its evaluations.

use tokio::sync::watch;

use super::context::RunContext;
use super::deploy::{self, NimSpec};
use super::gpus::{Lease, Share};
use super::leases::{self, Leases};
use super::outcome::{ModelVariant, is_done};
use super::{base_model, customize, evaluate, latency};
use crate::config::plan::Candidate;

/// The adapter of a candidate, once it is trained. It is closed without one if the training fails.
type Trained = watch::Receiver<Option<String>>;

/// The training of the candidate failed. The training's own error says why.
#[derive(Debug, thiserror::Error)]
#[error("there is no adapter to evaluate")]
struct NoAdapter;

/// Takes a candidate through all its steps. A step that an earlier process has finished is not repeated.
///
/// # Errors
/// When a step fails. Steps that run side by side are all awaited first: a create in flight is never dropped.
pub(super) async fn drive(run: &RunContext, candidate: &Candidate, leases: &mut Leases) -> anyhow::Result<()> {
    if is_done(&run.store, &run.id, &run.plan, candidate)? {
        return Ok(());
    }
    let Leases { nim, training, .. } = leases;
    if candidate.customizer.is_none() {
        return serve(run, candidate, nim, None).await;
    }
    // Both the training and the deployment need it.
    base_model::ready(run, Some(&candidate.model_name), &base_model::of(candidate)).await?;
    let (tell, trained) = watch::channel(None);
    // Boxed, as below: a thread's stack is too small for all these steps in one future.
    let training = Box::pin(train(run, candidate, training, tell));
    let serving = Box::pin(serve(run, candidate, nim, Some(trained)));
    let (adapter, served) = tokio::join!(training, serving);
    adapter?;
    served
}

/// Trains the candidate, tells the adapter, and gives the GPUs of the training back.
async fn train(
    run: &RunContext,
    candidate: &Candidate,
    lease: &mut Option<Lease>,
    tell: watch::Sender<Option<String>>,
) -> anyhow::Result<()> {
    let adapter = customize::customize(run, candidate).await?;
    tell.send_replace(Some(adapter));
    drop(lease.take());
    Ok(())
}

/// Deploys the NIM, evaluates on it, and releases it as soon as it is of no more use.
async fn serve(
    run: &RunContext,
    candidate: &Candidate,
    lease: &mut Option<Lease>,
    trained: Option<Trained>,
) -> anyhow::Result<()> {
    if lease.is_none() {
        *lease = Some(tokio::select! {
            granted = leases::lease(run, candidate, Share::Nim) => granted?,
            error = failed(trained.clone()) => return Err(error.into()),
        });
    }
    let nim = match Box::pin(deploy::deploy(run, &NimSpec::of_candidate(run, candidate)?)).await {
        Ok(nim) => nim,
        Err(error) => {
            run.stop.check()?;
            // The training may go on for hours, and needs no NIM that does not start.
            match deploy::undeploy_leftover(run, candidate).await {
                Ok(()) => drop(lease.take()),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "a deployment was not given back as it should")
                }
            }
            return Err(error);
        }
    };
    let base = Box::pin(evaluate_base(run, candidate, ModelVariant::Base));
    let icl = Box::pin(evaluate_base(run, candidate, ModelVariant::Icl));
    let customized = Box::pin(evaluate_customized(run, candidate, trained.clone()));
    let (base, icl, customized) = tokio::join!(base, icl, customized);
    let mut evaluated = base.and(icl).and(customized);
    if evaluated.is_ok() {
        let adapter = trained.and_then(|trained| trained.borrow().clone());
        evaluated = Box::pin(latency::of_candidate(run, candidate, adapter)).await;
    }
    if evaluated.is_err() {
        // The end of the run releases everything.
        run.stop.check()?;
    }
    if deploy::undeploy_last(run, candidate, nim).await? {
        drop(lease.take());
    }
    evaluated
}

/// Ends when the training has failed.
async fn failed(trained: Option<Trained>) -> NoAdapter {
    if let Some(trained) = trained
        && let Err(error) = adapter(trained).await
    {
        return error;
    }
    std::future::pending().await
}

/// Waits for the end of the training.
async fn adapter(mut trained: Trained) -> Result<String, NoAdapter> {
    let told = trained.wait_for(Option::is_some).await.map_err(|_| NoAdapter)?;
    told.clone().ok_or(NoAdapter)
}

/// Evaluates the base model, as it is or with examples in the prompt, if that is planned.
async fn evaluate_base(run: &RunContext, candidate: &Candidate, variant: ModelVariant) -> anyhow::Result<()> {
    if !variant.is_planned(&run.plan, candidate) {
        return Ok(());
    }
    let id = base_model::id(run, candidate).await?;
    evaluate::evaluate(run, candidate, variant, &id).await.map(drop)
}

async fn evaluate_customized(run: &RunContext, candidate: &Candidate, trained: Option<Trained>) -> anyhow::Result<()> {
    let Some(trained) = trained else { return Ok(()) };
    let adapter = adapter(trained).await?;
    customize::adapter_served(run, candidate, &adapter).await?;
    evaluate::evaluate(run, candidate, ModelVariant::Customized, &adapter).await.map(drop)
}
