//! The work of evaluation jobs: evaluates the rows of a plan, and stores the results.

use std::sync::Arc;

use super::job_request::{self, EvaluationPlan};
use super::{results, scoring};
use crate::embedded::backend::{Backend, StateGuard};
use crate::embedded::services::jobs::{self, Ending, Job};
use crate::embedded::state::PlatformState;
use crate::embedded::state::background_work::Outcome;
use crate::embedded::state::evaluation::{Evaluation, EvaluationResults, EvaluationWork, RowCount};
use crate::embedded::state::tracked_list::TrackedList;

impl Job for Evaluation {
    type Progress = RowCount;
    type Product = EvaluationResults;

    fn list(state: &mut PlatformState) -> &mut TrackedList<Self> {
        &mut state.evaluations
    }

    fn work(&self) -> Option<Arc<EvaluationWork>> {
        (!self.has_ended()).then(|| Arc::clone(self.work()))
    }

    fn is_cancelling(&self) -> bool {
        self.is_cancelling()
    }

    fn count_read(&mut self) -> u32 {
        self.reads += 1;
        self.reads
    }

    fn end(_: &Arc<Backend>, mut state: StateGuard<'_>, at: usize, ending: Ending<EvaluationResults>) {
        let job = &mut state.evaluations[at];
        match ending {
            Ending::Cancelled => job.end_cancelled(),
            Ending::Failed(reason) => job.fail(reason),
            Ending::Completed(found) => {
                job.complete(&found);
                let id = job.id.clone();
                results::publish(&mut state, &id, &found);
            }
        }
    }
}

/// Starts the work of a job.
pub(super) fn spawn(backend: &Arc<Backend>, job: &Evaluation, plan: EvaluationPlan) {
    let work = Arc::clone(job.work());
    let run = run(Arc::clone(backend), job.id.clone(), Arc::clone(&work), plan);
    jobs::spawn::<Evaluation>(Arc::clone(backend), job.id.clone(), work, run);
}

/// Starts the jobs again that were under way when the platform ended; a job that cannot start has failed.
pub(crate) fn resume(backend: &Arc<Backend>) {
    let mut state = backend.state();
    let unfinished = state.evaluations.iter().enumerate().filter(|(_, job)| !job.has_ended()).map(|(at, _)| at);
    for at in unfinished.collect::<Vec<_>>() {
        let order = state.evaluations[at].order.clone();
        match order.map(|order| job_request::plan_again(&state, &order)) {
            Some(Ok(plan)) => spawn(backend, &state.evaluations[at], plan),
            _ => state.evaluations[at].fail("Job cannot be launched: what it refers to is gone".into()),
        }
    }
}

async fn run(
    backend: Arc<Backend>,
    id: String,
    work: Arc<EvaluationWork>,
    plan: EvaluationPlan,
) -> Outcome<EvaluationResults> {
    tokio::select! {
        scored = evaluate(&backend, &id, &work, &plan) => scored.map_or_else(Outcome::Failed, Outcome::Done),
        () = work.cancelled() => Outcome::Stopped,
    }
}

/// Evaluates, and stores the rows.
async fn evaluate(
    backend: &Arc<Backend>,
    id: &str,
    work: &EvaluationWork,
    plan: &EvaluationPlan,
) -> Result<EvaluationResults, String> {
    let tasks = scoring::run(backend, work, plan).await?;
    let (namespace, created_at) = {
        let state = backend.state();
        let job = state.evaluation(id).ok_or("the job was deleted")?;
        (job.namespace.clone(), job.created_at.clone())
    };
    let (within, id) = (Arc::clone(backend), id.to_owned());
    let keep = move || results::keep(&within.blobs, &id, &namespace, &created_at, &tasks);
    let kept = tokio::task::spawn_blocking(keep).await.unwrap_or_else(|crash| Err(std::io::Error::other(crash)));
    kept.map_err(|error| format!("the results cannot be stored: {error}"))
}
