//! The GPUs of a run. Candidates lease them from a pool, each its whole need at once together with a place among those
//! that may hold a NIM, so no two can wait for each other. `budget` finds the number, `count` counts what this machine
//! has, `mode` tells how a candidate uses them.

mod budget;
mod count;
mod mode;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub(crate) use budget::{Budget, VIRTUAL_GPUS, least_gpus};
pub(crate) use count::{Gpu, gpus as gpus_of_machine};
pub(crate) use mode::{Mode, check_fit, mode};

/// The GPUs that the candidates of a run share. Clones share them too.
#[derive(Clone, Debug)]
pub(crate) struct GpuPool {
    inner: Arc<Mutex<PoolState>>,
}

#[derive(Debug)]
struct PoolState {
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
pub(crate) struct Lease {
    gpus: GpuPool,
    held: u32,
}

impl GpuPool {
    /// Returns a pool of this many GPUs for at most `places` candidates at once. `None`: as many as fit.
    pub(crate) fn new(total: u32, places: Option<u32>) -> GpuPool {
        let places = places.map_or(u32::MAX, |places| places.max(1));
        GpuPool { inner: Arc::new(Mutex::new(PoolState { total, free: total, places, waiting: Vec::new() })) }
    }

    /// Returns the GPUs that candidates can lease altogether.
    pub(crate) fn total(&self) -> u32 {
        self.lock().total
    }

    /// Takes GPUs out of the pool for good. Must be called before the first lease.
    pub(crate) fn reserve(&self, gpus: u32) {
        let mut inner = self.lock();
        inner.total = inner.total.saturating_sub(gpus);
        inner.free = inner.free.saturating_sub(gpus);
    }

    /// Waits for `need` GPUs. Of those that fit, the smallest `rank` goes first. A need above the total takes all of it;
    /// the check of the plan has refused that where it matters.
    pub(crate) async fn lease(&self, need: u32, rank: usize) -> Lease {
        let (need, granted) = {
            let mut inner = self.lock();
            let need = need.min(inner.total);
            let (grant, granted) = oneshot::channel();
            inner.waiting.push(Waiting { rank, need, grant });
            inner.waiting.sort_by_key(|waiting| waiting.rank);
            serve(&mut inner);
            (need, granted)
        };
        // From here on the guard returns a grant that nobody takes.
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

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Grants to everybody who fits, in order of rank. Skips those who no longer wait.
fn serve(inner: &mut PoolState) {
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

/// Returns a grant when the wait for it was dropped after it was made.
struct Granted {
    gpus: GpuPool,
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
    /// Returns all GPUs above `keep` to the pool.
    pub(crate) fn shrink(&mut self, keep: u32) {
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
        let gpus = GpuPool::new(2, None);
        let first = gpus.lease(2, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        drop(first);
        let _second = gpus.lease(2, 1).await;
    }

    #[tokio::test]
    async fn one_that_fits_overtakes_and_rank_decides_among_equals() {
        let gpus = GpuPool::new(3, None);
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
        let gpus = GpuPool::new(2, None);
        let mut lease = gpus.lease(2, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        lease.shrink(1);
        let other = gpus.lease(1, 1).await;
        drop((lease, other));
        assert!(gpus.lease(2, 0).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_nothing() {
        let gpus = GpuPool::new(1, None);
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
        let gpus = GpuPool::new(8, Some(1));
        let first = gpus.lease(1, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        drop(first);
        assert!(gpus.lease(1, 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_reserved_is_nobodys_to_lease() {
        let gpus = GpuPool::new(3, None);
        gpus.reserve(2);
        assert_eq!(gpus.total(), 1);
        let all = gpus.lease(5, 0).await;
        assert!(gpus.lease(1, 1).now_or_never().is_none());
        drop(all);
        assert!(gpus.lease(1, 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_need_above_the_budget_takes_all_of_it() {
        assert!(GpuPool::new(1, None).lease(5, 0).now_or_never().is_some());
    }
}
