//! What a scripted fault says: which calls it strikes, how often, and what happens to them. How it is written is in
//! `parse`, what it does in `act`.

use std::fmt;
use std::time::Duration;

use glob::{MatchOptions, Pattern};

use crate::embedded::Clock;

/// The calls that make jobs: what `fail-job` and `lose-job` can strike.
pub(super) const CREATES: [(&str, &str); 3] = [TRAINING, EVALUATION, DEPLOYMENT];

/// The call that `slow-adapter` can strike.
const TRAINING: (&str, &str) = ("POST", "/nemo/v1/customization/jobs");
const EVALUATION: (&str, &str) = ("POST", "/nemo/v1/evaluation/jobs");
const DEPLOYMENT: (&str, &str) = ("POST", "/nemo/v1/deployment/model-deployments");

/// A `*` stays within one step of a path; only `**` goes over several.
const GLOB: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// One scripted fault; `parse` reads it from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    /// As it was written.
    pub(super) text: String,
    pub(super) calls: Selector,
    pub(super) kind: Kind,
    pub(super) schedule: Schedule,
}

/// A text that is no fault, or one that cannot be used here: a sentence that says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFault(pub(super) String);

/// Which calls are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    /// Any, when there is none.
    pub(super) method: Option<String>,
    /// Of the path without its query; any, when there is none.
    pub(super) path: Option<Pattern>,
}

/// What happens to a call that is struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The connection is reset; the body of the request is not read.
    Refuse,
    /// The call waits before it has its effect.
    Delay(Span),
    /// The call has no effect and this answer.
    Status(Told),
    /// The request is read, has no effect, and the connection is closed.
    DropBefore,
    /// The call has its effect, and the connection is closed.
    DropAfter,
    /// The answer comes at once, the effect later.
    LateEffect(Span, Early),
    /// The body of the answer ends after so many bytes, with its connection.
    Truncate(u64),
    /// The body of the answer stops after so many bytes (half of them), and the connection stays open.
    Stall(Option<u64>),
    /// The job that the call makes ends failed, for this reason.
    FailJob(String),
    /// The job that the call makes is not there afterwards.
    LoseJob,
    /// The adapter of the job that the call makes is listed so much later.
    SlowAdapter(Span),
    /// 401 for this call and all that follow.
    ExpireAuth,
}

/// An answer that is made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) status: u16,
    /// As an ingress would say it, not the service.
    pub(super) page: bool,
    /// Seconds, for `retry-after`.
    pub(super) retry_after: Option<u64>,
}

/// What a client sees of a call whose effect comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Early {
    Status(u16),
    Cut,
}

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Span {
    Time(Duration),
    /// So many further platform calls.
    Calls(u64),
    /// So many readings of the NIM proxy's list of models.
    Polls(u64),
    /// Until `POST /control/release`.
    Release,
}

/// Which of the matching calls are struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// So many are left alone first.
    pub(super) after: u64,
    /// Of the others each so-manieth; at least 1.
    pub(super) every: u64,
    /// The most that are struck.
    pub(super) times: Option<u64>,
    /// Each of these only with this probability, in millionths, drawn from this seed.
    pub(super) chance: Option<(u32, u64)>,
}

impl Selector {
    /// Whether this method and path are meant.
    pub(super) fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_ref().is_none_or(|meant| meant == method)
            && self.path.as_ref().is_none_or(|pattern| pattern.matches_with(path, GLOB))
    }

    /// Whether the NIM proxy's paths are named: then the Evaluator's own requests are meant, too.
    fn names_the_proxy(&self) -> bool {
        self.path.as_ref().is_some_and(|pattern| pattern.as_str().starts_with("/nim/"))
    }
}

impl Kind {
    /// The calls that a fault of this kind can strike; `None`: any.
    pub(super) fn strikes_only(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match self {
            Kind::FailJob(_) | Kind::LoseJob => Some(&CREATES),
            Kind::SlowAdapter(_) => Some(&CREATES[..1]),
            _ => None,
        }
    }

    /// How long, where that is said.
    fn span(&self) -> Option<Span> {
        match self {
            Kind::Delay(span) | Kind::LateEffect(span, _) | Kind::SlowAdapter(span) => Some(*span),
            _ => None,
        }
    }
}

impl FaultSpec {
    /// Whether a call is one of those that are counted for this fault; `own`: it is the Evaluator's.
    pub(super) fn matches(&self, method: &str, path: &str, own: bool) -> bool {
        self.calls.matches(method, path)
            && self.kind.strikes_only().is_none_or(|calls| calls.contains(&(method, path)))
            && (!own || self.calls.names_the_proxy())
    }

    /// Whether the fault can be used on a platform of this clock, with or without control endpoints.
    ///
    /// # Errors
    /// What about it cannot, and what can.
    pub fn fits(&self, clock: Clock, control: bool) -> Result<(), BadFault> {
        match self.kind.span() {
            Some(Span::Time(_)) if clock == Clock::Polls => {
                let counted = if matches!(self.kind, Kind::SlowAdapter(_)) { "3polls" } else { "3calls" };
                Err(BadFault(format!(
                    "with the clock `polls` nothing takes time; instead of a time: a count such as `{counted}`, or `release`"
                )))
            }
            Some(Span::Release) if !control => Err(BadFault(
                "`release` means until POST /control/release, which is there with --control only".to_owned(),
            )),
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
    /// Every call.
    pub(super) const ALWAYS: Schedule = Schedule { after: 0, every: 1, times: None, chance: None };

    /// Whether the turn is one of those that are struck, leaving chance aside; `turn` counts matching calls from 1,
    /// `struck` those that were struck before.
    pub(super) fn is_due(&self, turn: u64, struck: u64) -> bool {
        turn > self.after
            && (turn - self.after).is_multiple_of(self.every)
            && self.times.is_none_or(|times| struck < times)
    }
}
