//! Moments on the platform's clock, which is either time or a count of reads.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// When something happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// By time.
    pub(super) at: Instant,
    /// By how often the NIM proxy's list had been read.
    pub(super) lists: u64,
}

/// Longer ago than anything takes to show.
const LONG_AGO: Duration = Duration::from_secs(60);

impl Mark {
    /// Now, after `lists` readings of the list.
    pub(super) fn now(lists: u64) -> Self {
        Mark { at: Instant::now(), lists }
    }

    /// Before this platform was started, before any reading.
    pub(super) fn past() -> Self {
        let now = Instant::now();
        Mark { at: now.checked_sub(LONG_AGO).unwrap_or(now), lists: 0 }
    }
}

/// A moment is of this process: what is written down is that there was one.
impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(|_| Mark::past())
    }
}
