//! A scripted fault: which calls it strikes, how often, and the kind of its effect.

use std::fmt;

use glob::{MatchOptions, Pattern};

use super::kind::{FaultKind, HoldSpan};
use super::words::BadFault;
use crate::embedded::timing::Clock;

/// Keeps a `*` within one step of a path; only `**` spans several.
const GLOB: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// One scripted fault; `parse` reads it from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    /// As it was written.
    pub(super) text: String,
    pub(super) calls: CallSelector,
    pub(super) kind: FaultKind,
    pub(super) schedule: Schedule,
}

/// The calls that a fault matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallSelector {
    /// None matches any.
    pub(super) method: Option<String>,
    /// Matches the path without its query; none matches any.
    pub(super) path: Option<Pattern>,
}

/// Which of the matching calls a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Spares so many calls first.
    pub(super) after: u64,
    /// Strikes every so-manieth of the others; at least 1.
    pub(super) every: u64,
    /// Strikes at most so many calls.
    pub(super) times: Option<u64>,
    /// Strikes a due call with this probability, in millionths, drawn from this seed.
    pub(super) chance: Option<(u32, u64)>,
}

impl CallSelector {
    /// Returns whether a call matches.
    pub(super) fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|meant| meant == method)
            && self.path.as_ref().is_none_or(|pattern| pattern.matches_with(path, GLOB))
    }

    /// Returns whether the path names the NIM proxy. Only then are the Evaluator's own requests meant.
    fn names_the_proxy(&self) -> bool {
        self.path.as_ref().is_some_and(|pattern| pattern.as_str().starts_with("/nim/"))
    }
}

impl FaultSpec {
    /// Returns whether a call counts for this fault; `own` marks a request of the Evaluator.
    pub(super) fn matches(&self, method: &str, path: &str, own: bool) -> bool {
        self.calls.matches(method, path)
            && self.kind.strikes_only().is_none_or(|calls| calls.contains(&(method, path)))
            && (!own || self.calls.names_the_proxy())
    }

    /// Checks that the fault can be used with this clock, and with or without control endpoints.
    ///
    /// # Errors
    /// Fails with a sentence that says what can be used.
    pub fn fits(&self, clock: Clock, control: bool) -> Result<(), BadFault> {
        match self.kind.span() {
            Some(HoldSpan::Time(_)) if clock == Clock::Polls => {
                let counted = match self.kind {
                    FaultKind::SlowAdapter(_) => "3polls",
                    FaultKind::BaseAdapter(_) => "3replies",
                    _ => "3calls",
                };
                Err(BadFault(format!(
                    "time has no effect with the clock `polls`; use a count such as `{counted}`, or `release`"
                )))
            }
            Some(HoldSpan::Release) if !control => {
                Err(BadFault("`release` waits for POST /control/release, which exists only with --control".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Schedule {
    /// Strikes every call.
    pub(super) const ALWAYS: Schedule = Schedule { after: 0, every: 1, times: None, chance: None };

    /// Returns whether a call is due, before chance is drawn. `turn` counts matching calls from 1, `struck` those that
    /// were struck before.
    pub(super) fn is_due(&self, turn: u64, struck: u64) -> bool {
        turn > self.after
            && (turn - self.after).is_multiple_of(self.every)
            && self.times.is_none_or(|times| struck < times)
    }
}
