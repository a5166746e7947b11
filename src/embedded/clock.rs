//! Moments on the platform's clock, which is either time or a count of reads.

use std::time::Instant;

/// When something happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// By time.
    pub(super) at: Instant,
    /// By how often the NIM proxy's list had been read.
    pub(super) lists: u64,
}

impl Mark {
    /// Now, after `lists` readings of the list.
    pub(super) fn now(lists: u64) -> Self {
        Mark { at: Instant::now(), lists }
    }
}
