//! Work on a job in the background: the handle that the state and the worker share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Work under way, with its progress `P` and its product `T`.
#[derive(Debug)]
pub(crate) struct BackgroundWork<P, T> {
    progress: Mutex<P>,
    cancelled: watch::Sender<bool>,
    outcome: Mutex<Option<Outcome<T>>>,
    ended: watch::Sender<bool>,
}

/// How work ended.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Done(T),
    /// It failed for this reason.
    Failed(String),
    /// It was cancelled.
    Stopped,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Default, T> Default for BackgroundWork<P, T> {
    fn default() -> Self {
        BackgroundWork {
            progress: Mutex::default(),
            cancelled: watch::Sender::new(false),
            outcome: Mutex::new(None),
            ended: watch::Sender::new(false),
        }
    }
}

impl<P, T> BackgroundWork<P, T> {
    /// Asks the work to stop soon.
    pub(crate) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Returns whether the work was asked to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Waits until the work is asked to stop.
    pub(crate) async fn cancelled(&self) {
        // The sender lives as long as `self`: this cannot fail.
        let _ = self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }

    /// Returns the progress so far.
    pub(crate) fn progress(&self) -> P
    where
        P: Clone,
    {
        lock(&self.progress).clone()
    }

    /// Changes the progress.
    pub(crate) fn update(&self, change: impl FnOnce(&mut P)) {
        change(&mut lock(&self.progress));
    }

    /// Ends the work.
    pub(crate) fn end(&self, outcome: Outcome<T>) {
        *lock(&self.outcome) = Some(outcome);
        self.ended.send_replace(true);
    }

    /// Waits for the end of the work.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as `self`: this cannot fail.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Takes the outcome; none before the end, and none twice.
    pub(crate) fn take_outcome(&self) -> Option<Outcome<T>> {
        lock(&self.outcome).take()
    }
}
