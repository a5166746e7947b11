//! The life that the jobs of all services share: their work starts, status reads follow it, and its outcome ends them.

use std::sync::Arc;

use crate::embedded::backend::{Backend, StateGuard};
use crate::embedded::state::PlatformState;
use crate::embedded::state::background_work::{BackgroundWork, Outcome};
use crate::embedded::state::tracked_list::{Entry, TrackedList};
use crate::embedded::timing::{Clock, JOB_ENDS_AT_READ};

/// A job whose work runs in the background.
pub(in crate::embedded) trait Job: Entry + Sized + 'static {
    type Progress: Send + 'static;
    /// The result of work that succeeds.
    type Product: Send + 'static;

    /// Returns the list that holds the jobs of this type.
    fn list(state: &mut PlatformState) -> &mut TrackedList<Self>;

    /// Returns the work under way.
    fn work(&self) -> Option<Arc<BackgroundWork<Self::Progress, Self::Product>>>;

    /// Returns whether the job was asked to stop and has not stopped yet.
    fn is_cancelling(&self) -> bool;

    /// Counts a status read, and returns how many there were since the work began.
    fn count_read(&mut self) -> u32;

    /// Ends the job at this place of the list.
    fn end(backend: &Arc<Backend>, state: StateGuard<'_>, at: usize, ending: Ending<Self::Product>);
}

/// How the work of a job ends it.
pub(in crate::embedded) enum Ending<T> {
    Completed(T),
    Failed(String),
    Cancelled,
}

/// Starts the work of a job. On the real clock the job ends as soon as its work does.
pub(super) fn spawn<J: Job>(
    backend: Arc<Backend>,
    key: String,
    work: Arc<BackgroundWork<J::Progress, J::Product>>,
    run: impl Future<Output = Outcome<J::Product>> + Send + 'static,
) {
    tokio::spawn(async move {
        work.end(run.await);
        if backend.options.clock.is_real() {
            finish::<J>(&backend, &key);
        }
    });
}

/// Follows a job for a status read. On the polled clock the job advances by one step, and the step that ends it waits
/// for its work.
pub(super) async fn observe<J: Job>(backend: &Arc<Backend>, key: &str) {
    let awaited = {
        let mut state = backend.state();
        let Some(job) = J::list(&mut state).find_mut(|job| job.key() == key) else { return };
        let reads = job.count_read();
        let is_last = match backend.options.clock {
            Clock::Real => false,
            Clock::Polls => reads >= JOB_ENDS_AT_READ || job.is_cancelling(),
            Clock::Simulated => job.is_cancelling(),
        };
        let work = job.work().filter(|_| is_last);
        state.see(key);
        work
    };
    if let Some(work) = awaited {
        work.ended().await;
        finish::<J>(backend, key);
    }
}

/// Ends a job whose time has come on the simulated clock, once its work has ended.
pub(in crate::embedded) async fn end_on_time<J: Job>(backend: &Arc<Backend>, key: &str) {
    let work = J::list(&mut backend.state()).iter().find(|job| job.key() == key).and_then(Job::work);
    if let Some(work) = work {
        work.ended().await;
        finish::<J>(backend, key);
    }
}

/// Ends a job whose work has ended.
fn finish<J: Job>(backend: &Arc<Backend>, key: &str) {
    if backend.is_shut() {
        // The platform that ends has stopped the work: the job itself goes on with the next start.
        return;
    }
    let mut state = backend.state();
    let Some(at) = J::list(&mut state).iter().position(|job| job.key() == key) else { return };
    let job = &J::list(&mut state)[at];
    let Some(outcome) = job.work().and_then(|work| work.take_outcome()) else { return };
    let ending = match outcome {
        _ if job.is_cancelling() => Ending::Cancelled,
        Outcome::Stopped => Ending::Cancelled,
        Outcome::Failed(reason) => Ending::Failed(reason),
        Outcome::Done(_) if let Some(reason) = backend.faults.failure(key) => Ending::Failed(reason),
        Outcome::Done(product) => Ending::Completed(product),
    };
    J::end(backend, state, at, ending);
}
