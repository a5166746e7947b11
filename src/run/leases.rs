//! The leases of a candidate: what it asks the pool for, and what it takes over from an earlier process.

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::context::RunContext;
use super::event::EventKind;
use super::gpus::{Claim, Lease, Share};
use super::outcome::is_done;
use super::{customize, deploy, schedule};
use crate::config::plan::Candidate;
use crate::store::{Resource, ResourceKind};

/// The GPUs that a candidate holds. They outlive its steps: what a failed step leaves is released first.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// The first step. `None` if nothing is left to do.
    first: Option<Share>,
    pub nim: Option<Lease>,
    pub training: Option<Lease>,
}

/// Waits for the GPUs of a candidate. Tells when it must wait, and when it gets them.
pub(super) async fn lease(run: &RunContext, candidate: &Candidate, share: Share) -> anyhow::Result<Lease> {
    let claim = claim(run, candidate, share);
    let lease = run.gpus.lease(claim);
    tokio::pin!(lease);
    if let Some(granted) = lease.as_mut().now_or_never() {
        return Ok(granted);
    }
    let (name, gpus) = (candidate.model_name.clone(), claim.gpus);
    run.events.tell(EventKind::GpusAwaited { candidate: name.clone(), gpus, purpose: share });
    let started = Instant::now();
    let granted = tokio::select! {
        granted = lease => granted,
        interrupted = run.stop.asked() => return Err(interrupted.into()),
    };
    let seconds = started.elapsed().as_secs_f64();
    run.events.tell(EventKind::GpusGranted { candidate: name, gpus, purpose: share, seconds });
    Ok(granted)
}

fn claim(run: &RunContext, candidate: &Candidate, share: Share) -> Claim {
    let place = run.plan.candidates.iter().position(|other| other.model_name == candidate.model_name);
    let place = place.unwrap_or_default();
    schedule::claim(place, candidate, &run.expected[place], share)
}

/// Leases what the candidates can have at once: first what an earlier process of this run left at work, then what the
/// others begin with, in the order of the pool. A deployment that would take GPUs from the training of its candidate is
/// deleted.
///
/// # Errors
/// When the ledger cannot be read, or the platform does not answer.
pub(super) async fn first_leases(run: &RunContext, candidates: &[&Candidate]) -> anyhow::Result<Vec<Leases>> {
    let held = run.store.held(&run.id)?;
    let holds = |candidate: &Candidate, kind: ResourceKind| {
        let is_it = |row: &Resource| row.kind == kind && row.candidate.as_ref() == Some(&candidate.model_name);
        held.iter().any(|row| is_it(row) && row.platform == run.platform)
    };
    let take = |candidate: &Candidate, share| run.gpus.lease(claim(run, candidate, share)).now_or_never();
    let mut all = Vec::new();
    for candidate in candidates {
        let mut leases = Leases { first: first_share(run, candidate).await?, ..Leases::default() };
        if holds(candidate, ResourceKind::Training) {
            leases.training = take(candidate, Share::Training);
        }
        all.push(leases);
    }
    for (candidate, leases) in candidates.iter().zip(&mut all) {
        if !holds(candidate, ResourceKind::Deployment) {
            continue;
        }
        if leases.first == Some(Share::Training) && leases.training.is_none() {
            leases.training = take(candidate, Share::Training);
        }
        if leases.first != Some(Share::Training) || leases.training.is_some() {
            leases.nim = take(candidate, Share::Nim);
        }
        if leases.nim.is_none() {
            deploy::undeploy_leftover(run, candidate).await?;
        }
    }
    let mut begin: Vec<(Claim, &Candidate, &mut Leases)> = Vec::new();
    for (&candidate, leases) in candidates.iter().zip(&mut all) {
        if let Some(share) = leases.first.filter(|_| leases.training.is_none() && leases.nim.is_none()) {
            begin.push((claim(run, candidate, share), candidate, leases));
        }
    }
    begin.sort_by(|(a, ..), (b, ..)| b.remaining.total_cmp(&a.remaining));
    for (claim, candidate, leases) in begin {
        match claim.share {
            Share::Nim => leases.nim = take(candidate, Share::Nim),
            Share::Training => leases.training = take(candidate, Share::Training),
        }
    }
    Ok(all)
}

/// Returns what a candidate begins with. `None` if it is evaluated.
async fn first_share(run: &RunContext, candidate: &Candidate) -> anyhow::Result<Option<Share>> {
    if is_done(&run.store, &run.id, &run.plan, candidate)? {
        return Ok(None);
    }
    let trains = candidate.customizer.is_some() && !customize::is_trained(run, candidate).await?;
    Ok(Some(if trains { Share::Training } else { Share::Nim }))
}

impl Leases {
    /// Waits for the GPUs that the candidate begins with, if it has none yet.
    ///
    /// # Errors
    /// When the run is asked to stop.
    pub(super) async fn begin(&mut self, run: &RunContext, candidate: &Candidate) -> anyhow::Result<()> {
        match self.first {
            Some(Share::Training) if self.training.is_none() => {
                self.training = Some(lease(run, candidate, Share::Training).await?);
            }
            Some(Share::Nim) if self.nim.is_none() => self.nim = Some(lease(run, candidate, Share::Nim).await?),
            _ => {}
        }
        Ok(())
    }
}
