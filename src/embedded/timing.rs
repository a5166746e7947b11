//! The clock of the platform, and every timing that a client can see: when a deployment is ready, when the NIM proxy
//! lists a model, when a job ends.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The clock that advances deployments and jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time: a deployment takes a fraction of a second, training and evaluation as long as their work takes.
    Real,
    /// Status reads: each one advances by one step, and time has no effect.
    Polls,
}

/// From getting its GPUs to being ready, for a deployment on [`Clock::Real`].
const DEPLOYMENT_READY_AFTER: Duration = Duration::from_millis(300);

/// The status read that finds a deployment ready, on [`Clock::Polls`].
const DEPLOYMENT_READY_AT_READ: u32 = 2;

/// From being ready to being listed by the NIM proxy, for a deployment on [`Clock::Real`].
pub(crate) const DEPLOYMENT_LISTED_AFTER: Duration = Duration::from_millis(20);

/// From being published to being listed by the NIM proxy, for an adapter on [`Clock::Real`].
pub(crate) const ADAPTER_LISTED_AFTER: Duration = Duration::from_millis(100);

/// The status read that waits for the end of a job's work, on [`Clock::Polls`].
pub(crate) const JOB_ENDS_AT_READ: u32 = 3;

/// How far back [`Moment::past`] lies: longer than anything takes to be listed.
const LONG_AGO: Duration = Duration::from_secs(60);

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    /// Reads of the NIM proxy's model list so far.
    pub(crate) lists: u64,
}

impl Moment {
    /// The present, after `lists` reads of the model list.
    pub(crate) fn now(lists: u64) -> Self {
        Moment { at: Instant::now(), lists }
    }

    /// A moment before this platform started.
    pub(crate) fn past() -> Self {
        let now = Instant::now();
        Moment { at: now.checked_sub(LONG_AGO).unwrap_or(now), lists: 0 }
    }

    /// The later of two moments, on each clock.
    pub(crate) fn latest(self, other: Moment) -> Self {
        Moment { at: self.at.max(other.at), lists: self.lists.max(other.lists) }
    }
}

/// A moment has no meaning in another process, so only its existence is stored.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(|_| Moment::past())
    }
}

impl Clock {
    /// Returns whether status reads move things along.
    pub(crate) fn is_polled(self) -> bool {
        self == Clock::Polls
    }

    /// Returns whether a deployment that got its GPUs at `granted`, and was read `reads` times since, is rolled out.
    pub(crate) fn is_rolled_out(self, granted: Moment, reads: u32) -> bool {
        match self {
            Clock::Real => granted.at.elapsed() >= DEPLOYMENT_READY_AFTER,
            Clock::Polls => reads >= DEPLOYMENT_READY_AT_READ,
        }
    }

    /// Returns when a deployment that got its GPUs at `granted`, and is found rolled out now, became ready.
    pub(crate) fn ready_at(self, granted: Moment, lists: u64) -> Moment {
        match self {
            Clock::Real => Moment { at: granted.at + DEPLOYMENT_READY_AFTER, lists },
            Clock::Polls => Moment { at: granted.at, lists },
        }
    }

    /// Returns whether the NIM proxy lists what is there since `since`: after `delay`, or after one read of the list
    /// that did not show it yet.
    pub(crate) fn is_listed(self, since: Moment, lists: u64, delay: Duration) -> bool {
        match self {
            Clock::Real => since.at.elapsed() >= delay,
            Clock::Polls => lists > since.lists,
        }
    }
}
