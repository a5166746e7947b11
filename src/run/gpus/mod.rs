//! The GPUs of a run. Candidates lease them from a pool, apart for the NIM and for the training. `budget` finds the number,
//! `count` counts what this machine has, `mode` tells how a candidate uses them.
//!
//! A candidate asks for its NIM only once it trains or has trained, and a training waits for no NIM. So no two can wait
//! for each other.

mod budget;
mod count;
mod mode;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::config::plan::Plan;

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
    /// How many more candidates may hold a NIM.
    places: u32,
    /// The GPUs of each training under way, by candidate.
    training: BTreeMap<usize, u32>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    claim: Claim,
    grant: oneshot::Sender<()>,
}

/// The purpose of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// To serve the model.
    Nim,
    /// To train it.
    Training,
}

impl Share {
    /// Returns the purpose as a verb.
    pub fn in_words(self) -> &'static str {
        match self {
            Share::Nim => "serve",
            Share::Training => "train",
        }
    }
}

/// A wish for GPUs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// The place of the candidate in the plan.
    pub candidate: usize,
    pub share: Share,
    pub gpus: u32,
    /// The seconds from the grant to the end of the candidate, as far as they can be told.
    pub remaining: f64,
}

/// GPUs held until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    gpus: GpuPool,
    claim: Claim,
}

impl GpuPool {
    /// Returns a pool of this many GPUs for at most `places` NIMs at once. `None`: as many as fit.
    pub(crate) fn new(total: u32, places: Option<u32>) -> GpuPool {
        let places = places.map_or(u32::MAX, |places| places.max(1));
        let state = PoolState { total, free: total, places, training: BTreeMap::new(), waiting: Vec::new() };
        GpuPool { inner: Arc::new(Mutex::new(state)) }
    }

    /// Returns the pool of a plan. Without a known budget everything takes all there is.
    pub(crate) fn of(plan: &Plan, budget: Option<u32>) -> GpuPool {
        GpuPool::new(budget.unwrap_or(1), plan.platform.nim_parallelism)
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

    /// Waits for GPUs. A claim above the total takes all of it; the check of the plan has refused that where it matters.
    pub(crate) async fn lease(&self, claim: Claim) -> Lease {
        let (claim, granted) = {
            let mut inner = self.lock();
            let claim = Claim { gpus: claim.gpus.min(inner.total), ..claim };
            let (grant, granted) = oneshot::channel();
            inner.waiting.push(Waiting { claim, grant });
            inner.serve();
            (claim, granted)
        };
        // From here on the guard returns a grant that nobody takes.
        let mut guard = Granted { gpus: self.clone(), claim, granted: Some(granted) };
        if let Some(granted) = guard.granted.as_mut() {
            let _ = granted.await;
        }
        guard.granted = None;
        Lease { gpus: self.clone(), claim }
    }

    fn give_back(&self, claim: Claim) {
        let mut inner = self.lock();
        inner.free += claim.gpus;
        match claim.share {
            Share::Nim => inner.places = inner.places.saturating_add(1),
            Share::Training => drop(inner.training.remove(&claim.candidate)),
        }
        inner.serve();
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolState {
    /// Grants to everybody who fits, the most urgent first. One that fits overtakes one that does not. Skips those who no
    /// longer wait.
    fn serve(&mut self) {
        self.waiting.retain(|waiting| !waiting.grant.is_closed());
        let mut order: Vec<Claim> = self.waiting.iter().map(|waiting| waiting.claim).collect();
        order.sort_by(|a, b| self.urgency(a, b));
        for claim in order {
            if !self.may_grant(&claim) {
                continue;
            }
            let is_it = |one: &Waiting| one.claim.candidate == claim.candidate && one.claim.share == claim.share;
            let Some(at) = self.waiting.iter().position(is_it) else { continue };
            if self.waiting.remove(at).grant.send(()).is_err() {
                continue;
            }
            self.free -= claim.gpus;
            match claim.share {
                Share::Nim => self.places -= 1,
                Share::Training => drop(self.training.insert(claim.candidate, claim.gpus)),
            }
        }
    }

    /// Orders claims: a NIM whose candidate still trains is in no hurry. Else the candidate with the longest way to go is
    /// first, because it would end last. Where only one thing fits at a time the order does not change the end, and a
    /// candidate is completed before the next one begins.
    fn urgency(&self, a: &Claim, b: &Claim) -> Ordering {
        let fits_alone = self.waiting.iter().all(|waiting| waiting.claim.gpus * 2 > self.total);
        let key = |claim: &Claim| (self.is_early(claim), fits_alone && claim.share == Share::Training);
        key(a).cmp(&key(b)).then(b.remaining.total_cmp(&a.remaining)).then(a.candidate.cmp(&b.candidate))
    }

    /// Tells whether a NIM would wait for the training of its candidate.
    fn is_early(&self, claim: &Claim) -> bool {
        claim.share == Share::Nim && self.training.contains_key(&claim.candidate)
    }

    /// Tells whether a claim can be granted. An early NIM must leave each of the other candidates that train enough to
    /// deploy its own NIM as soon as its training ends.
    fn may_grant(&self, claim: &Claim) -> bool {
        let has_place = claim.share == Share::Training || self.places > 0;
        if !has_place || claim.gpus > self.free {
            return false;
        }
        let nims = || self.waiting.iter().map(|waiting| &waiting.claim).filter(|other| other.share == Share::Nim);
        let left = self.free - claim.gpus;
        let trained = |other: &Claim| self.training.get(&other.candidate).copied().unwrap_or(0);
        !self.is_early(claim)
            || (nims().count() as u64 <= u64::from(self.places)
                && nims().all(|other| other.candidate == claim.candidate || other.gpus <= left + trained(other)))
    }
}

/// Returns a grant when the wait for it was dropped after it was made.
struct Granted {
    gpus: GpuPool,
    claim: Claim,
    granted: Option<oneshot::Receiver<()>>,
}

impl Drop for Granted {
    fn drop(&mut self) {
        if let Some(mut granted) = self.granted.take()
            && granted.try_recv().is_ok()
        {
            self.gpus.give_back(self.claim);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.gpus.give_back(self.claim);
    }
}

#[cfg(test)]
pub(crate) mod tests;
