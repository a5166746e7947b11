//! The clock of the platform, and every timing that a client can see: when a deployment is ready, when the NIM proxy
//! lists a model, when a job ends.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::student;

/// The clock that advances deployments and jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time: a deployment takes a fraction of a second, training and evaluation as long as their work takes.
    Real,
    /// Status reads: each one advances by one step, and time has no effect.
    Polls,
    /// Simulated time, which stands still until `POST /control/advance`. Everything takes minutes to hours, as long as
    /// the size of its model tells.
    Simulated,
}

/// How long the things of a model take on [`Clock::Simulated`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimulatedTimes {
    /// From getting its GPUs to being ready, for a deployment.
    pub(crate) deployment: Duration,
    /// From being ready to being listed by the NIM proxy, for a deployment.
    pub(crate) listing: Duration,
    /// From getting its GPUs to its end, for a training job.
    pub(crate) training: Duration,
    /// From being published to being listed by the NIM proxy, for an adapter.
    pub(crate) adapter: Duration,
    /// From its creation to its end, for an evaluation job.
    pub(crate) evaluation: Duration,
}

impl SimulatedTimes {
    /// Returns the times of a model, by the billions of parameters that its name states. One by default.
    pub(crate) fn of(model: &str) -> SimulatedTimes {
        let billions = student::billions(model).filter(|billions| (0.01..1e4).contains(billions)).unwrap_or(1.0);
        let seconds = |fixed: f64, each: f64| Duration::from_secs_f64((each.mul_add(billions, fixed)).round());
        SimulatedTimes {
            deployment: seconds(180.0, 60.0),
            listing: seconds(10.0, 0.0),
            training: seconds(0.0, 900.0),
            adapter: seconds(60.0, 0.0),
            evaluation: seconds(120.0, 60.0),
        }
    }
}

/// From getting its GPUs to being ready, for a deployment on [`Clock::Real`].
const DEPLOYMENT_READY_AFTER: Duration = Duration::from_millis(300);

/// The status read that finds a deployment ready, on [`Clock::Polls`].
const DEPLOYMENT_READY_AT_READ: u32 = 2;

/// From being ready to being listed by the NIM proxy, for a deployment on [`Clock::Real`].
const DEPLOYMENT_LISTED_AFTER: Duration = Duration::from_millis(20);

/// From being published to being listed by the NIM proxy, for an adapter on [`Clock::Real`].
const ADAPTER_LISTED_AFTER: Duration = Duration::from_millis(100);

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

    /// Returns whether a job ends as soon as its work does.
    pub(crate) fn is_real(self) -> bool {
        self == Clock::Real
    }

    /// Returns whether a deployment of a model that got its GPUs at `granted`, and was read `reads` times since, is
    /// rolled out.
    pub(crate) fn is_rolled_out(self, model: &str, granted: Moment, now: Moment, reads: u32) -> bool {
        match self {
            Clock::Polls => reads >= DEPLOYMENT_READY_AT_READ,
            Clock::Real | Clock::Simulated => now.at >= self.ready_at(model, granted, now).at,
        }
    }

    /// Returns when a deployment of a model that got its GPUs at `granted` becomes ready, or became ready.
    pub(crate) fn ready_at(self, model: &str, granted: Moment, now: Moment) -> Moment {
        let after = match self {
            Clock::Real => DEPLOYMENT_READY_AFTER,
            Clock::Polls => Duration::ZERO,
            Clock::Simulated => SimulatedTimes::of(model).deployment,
        };
        Moment { at: granted.at + after, lists: now.lists }
    }

    /// Returns whether the NIM proxy lists what is there since `since`: after a time, or after one read of the list
    /// that did not show it yet.
    pub(crate) fn is_listed(self, what: Listed, since: Moment, now: Moment) -> bool {
        match self {
            Clock::Polls => now.lists > since.lists,
            Clock::Real | Clock::Simulated => now.at >= self.listed_at(what, since),
        }
    }

    /// Returns when the NIM proxy lists what is there since `since`, unless polls decide.
    pub(crate) fn listed_at(self, what: Listed, since: Moment) -> Instant {
        let simulated = SimulatedTimes::of("");
        let after = match (self, what) {
            (Clock::Simulated, Listed::Deployment) => simulated.listing,
            (Clock::Simulated, Listed::Adapter) => simulated.adapter,
            (_, Listed::Deployment) => DEPLOYMENT_LISTED_AFTER,
            (_, Listed::Adapter) => ADAPTER_LISTED_AFTER,
        };
        since.at + after
    }
}

/// A thing that the NIM proxy lists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listed {
    Deployment,
    Adapter,
}
