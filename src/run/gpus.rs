//! The GPU budget: a candidate leases its whole need at once, and a place among those that may hold a NIM, so no two can
//! wait on each other. The first in line that fits goes; the training share of a lease can be given back early.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// GPUs that the candidates of a run share. Clones share it.
#[derive(Clone, Debug)]
pub struct Gpus {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    total: u32,
    free: u32,
    places: u32,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    rank: usize,
    need: u32,
    grant: oneshot::Sender<()>,
}

/// GPUs held until dropped.
#[derive(Debug)]
pub struct Lease {
    gpus: Gpus,
    held: u32,
}

impl Gpus {
    /// A budget of that many, for at most `places` candidates at once; `None`: as many as fit.
    pub fn new(total: u32, places: Option<u32>) -> Gpus {
        let places = places.map_or(u32::MAX, |places| places.max(1));
        Gpus { inner: Arc::new(Mutex::new(Inner { total, free: total, places, waiting: Vec::new() })) }
    }

    /// What candidates can lease altogether.
    pub fn total(&self) -> u32 {
        self.lock().total
    }

    /// Takes GPUs out of what candidates can lease, for good. To be called before anyone leases.
    pub fn reserve(&self, gpus: u32) {
        let mut inner = self.lock();
        inner.total = inner.total.saturating_sub(gpus);
        inner.free = inner.free.saturating_sub(gpus);
    }

    /// Waits for `need` GPUs; a smaller `rank` is served first among those that fit. A need above the budget takes all
    /// of it (the plan has refused that where it matters).
    pub async fn lease(&self, need: u32, rank: usize) -> Lease {
        let (need, granted) = {
            let mut inner = self.lock();
            let need = need.min(inner.total);
            let (grant, granted) = oneshot::channel();
            inner.waiting.push(Waiting { rank, need, grant });
            inner.waiting.sort_by_key(|waiting| waiting.rank);
            serve(&mut inner);
            (need, granted)
        };
        // From here on a grant that nobody takes is given back by the guard.
        let mut guard = Granted { gpus: self.clone(), need, granted: Some(granted) };
        if let Some(granted) = guard.granted.as_mut() {
            let _ = granted.await;
        }
        guard.granted = None;
        Lease { gpus: self.clone(), held: need }
    }

    fn give_back(&self, count: u32, places: u32) {
        let mut inner = self.lock();
        inner.free += count;
        inner.places = inner.places.saturating_add(places);
        serve(&mut inner);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Grants to everybody who fits, in order of rank. Whoever has gone away is passed over.
fn serve(inner: &mut Inner) {
    let mut index = 0;
    while index < inner.waiting.len() {
        if inner.places == 0 || inner.waiting[index].need > inner.free {
            index += 1;
            continue;
        }
        let waiting = inner.waiting.remove(index);
        if waiting.grant.send(()).is_ok() {
            inner.free -= waiting.need;
            inner.places -= 1;
        }
    }
}

/// Gives a grant back when the wait for it was dropped after it was made.
struct Granted {
    gpus: Gpus,
    need: u32,
    granted: Option<oneshot::Receiver<()>>,
}

impl Drop for Granted {
    fn drop(&mut self) {
        if let Some(mut granted) = self.granted.take()
            && granted.try_recv().is_ok()
        {
            self.gpus.give_back(self.need, 1);
        }
    }
}

impl Lease {
    /// Gives back what is above `keep`.
    pub fn shrink(&mut self, keep: u32) {
        let surplus = self.held.saturating_sub(keep);
        if surplus > 0 {
            self.held -= surplus;
            self.gpus.give_back(surplus, 0);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.gpus.give_back(self.held, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn leases_come_back_when_dropped() {
        let gpus = Gpus::new(2, None);
        let first = gpus.lease(2, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        drop(first);
        let _second = gpus.lease(2, 1).await;
    }

    #[tokio::test]
    async fn one_that_fits_overtakes_and_rank_decides_among_equals() {
        let gpus = Gpus::new(3, None);
        let first = gpus.lease(2, 0).await;
        let large = gpus.lease(2, 1);
        let small = gpus.lease(1, 2);
        tokio::pin!(large);
        assert!(large.as_mut().now_or_never().is_none());
        let small = small.now_or_never().expect("one GPU is free");
        drop(first);
        let large = large.now_or_never().expect("two GPUs are free");
        drop((large, small));
        assert!(gpus.lease(3, 0).now_or_never().is_some());
    }

    #[tokio::test]
    async fn shrinking_gives_the_training_share_to_the_next() {
        let gpus = Gpus::new(2, None);
        let mut lease = gpus.lease(2, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        lease.shrink(1);
        let other = gpus.lease(1, 1).await;
        drop((lease, other));
        assert!(gpus.lease(2, 0).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_nothing() {
        let gpus = Gpus::new(1, None);
        let lease = gpus.lease(1, 0).await;
        {
            let waiting = gpus.lease(1, 1);
            tokio::pin!(waiting);
            assert!(waiting.as_mut().now_or_never().is_none());
            drop(lease);
        }
        assert!(gpus.lease(1, 2).now_or_never().is_some());
    }

    #[tokio::test]
    async fn places_bound_the_candidates_whatever_they_need() {
        let gpus = Gpus::new(8, Some(1));
        let first = gpus.lease(1, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        drop(first);
        assert!(gpus.lease(1, 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_reserved_is_nobodys_to_lease() {
        let gpus = Gpus::new(3, None);
        gpus.reserve(2);
        assert_eq!(gpus.total(), 1);
        let all = gpus.lease(5, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        drop(all);
        assert!(gpus.lease(1, 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_need_above_the_budget_takes_all_of_it() {
        assert!(Gpus::new(1, None).lease(5, 0).now_or_never().is_some());
    }
}
