//! The script of faults: decides which fault strikes a call, lets go of what is held back, and remembers the fates of
//! jobs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::connection::ConnectionSwitch;
use super::kind::{FaultKind, HoldSpan};
use super::spec::FaultSpec;

/// The number of struck calls that are listed for one fault.
const LISTED_CALLS: usize = 100;

/// The faults of a platform.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    faults: Vec<Scripted>,
    /// Platform calls so far.
    calls: u64,
    held: Vec<Held>,
    /// The reasons of jobs that must fail, by job id.
    failing: HashMap<String, String>,
    /// How long adapters are not listed, by adapter id.
    slow: HashMap<String, HoldSpan>,
    /// How long adapters answer as their base, by adapter id.
    unloaded: HashMap<String, Unloaded>,
}

/// An adapter that answers as its base.
#[derive(Debug)]
struct Unloaded {
    span: HoldSpan,
    replies: u64,
    since: Instant,
}

/// A fault, and the calls that it matched and struck.
#[derive(Debug)]
struct Scripted {
    spec: FaultSpec,
    matched: u64,
    struck: u64,
    /// The first struck calls.
    calls: Vec<String>,
    draws: ChaCha8Rng,
}

/// A call or an effect that is held back.
#[derive(Debug)]
struct Held {
    /// The number of the platform call that lets it go; none if only a release does.
    call: Option<u64>,
    due: Due,
}

/// A call or an effect that goes on now.
#[derive(Debug)]
struct Due {
    go: oneshot::Sender<()>,
    /// Tells when its effect has happened; dropped if it has none.
    done: Option<oneshot::Receiver<()>>,
}

/// The fate of the job that a call creates. Handlers find it in the extensions of their request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobFate {
    /// Fails for this reason.
    Fails(String),
    /// Never becomes ready, for this reason.
    Stalls(String),
    /// Is lost: it does not exist afterwards.
    Lost,
    /// Its adapter is listed later.
    Slow(HoldSpan),
    /// Its adapter answers as its base for a while.
    Unloaded(HoldSpan),
}

/// A fault that strikes a call.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(super) kind: FaultKind,
    pub(super) path: String,
    pub(super) line: ConnectionSwitch,
    /// Has to pass before the call goes on.
    pub(super) wait: Awaited,
    /// Is told when the effect has happened.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// The condition for a call to go on.
#[derive(Debug)]
pub(super) enum Awaited {
    Nothing,
    Time(Duration),
    Turn(oneshot::Receiver<()>),
}

impl Strike {
    /// Returns whether the call is refused before its body is read.
    pub(crate) fn refuses(&self) -> bool {
        self.kind == FaultKind::Refuse
    }
}

/// The faults and held calls that concern a call on its arrival.
#[derive(Debug, Default)]
pub(crate) struct Encounter {
    pub(crate) strike: Option<Strike>,
    due: Vec<Due>,
}

impl Encounter {
    /// Lets go of what this call was waited for by, waits for its effect, and returns the fault that strikes the call.
    pub(crate) async fn ready(self) -> Option<Strike> {
        for due in self.due {
            due.happen().await;
        }
        self.strike
    }
}

impl Due {
    async fn happen(self) {
        // The waiting side may be gone.
        let _ = self.go.send(());
        if let Some(done) = self.done {
            let _ = done.await;
        }
    }
}

impl Scripted {
    fn new(spec: FaultSpec) -> Self {
        let seed = spec.schedule.chance.map_or(0, |(_, seed)| seed);
        Scripted { spec, matched: 0, struck: 0, calls: Vec::new(), draws: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Counts a matching call, and returns whether it is struck.
    fn is_due(&mut self) -> bool {
        self.matched += 1;
        let schedule = self.spec.schedule;
        let due = schedule.is_due(self.matched, self.struck);
        due && schedule.chance.is_none_or(|(millionths, _)| self.draws.random_range(0..1_000_000_u32) < millionths)
    }

    /// Returns whether the token has expired and is not renewed yet. Then every call is struck.
    fn has_expired(&self) -> bool {
        let renewed = self.spec.schedule.times.is_some_and(|times| self.struck >= times);
        self.spec.kind == FaultKind::ExpireAuth && self.struck > 0 && !renewed
    }

    fn summary(&self) -> Value {
        json!({"fault": self.spec.text, "matched": self.matched, "struck": self.struck, "calls": self.calls})
    }
}

impl Script {
    /// Counts a call for every fault that matches it, and returns the kind of the first one that is due.
    fn strike(&mut self, method: &str, path: &str, own: bool) -> Option<FaultKind> {
        let mut striking = None;
        for (at, fault) in self.faults.iter_mut().enumerate() {
            let its_turn = fault.spec.matches(method, path, own) && fault.is_due();
            if (its_turn || (fault.has_expired() && !own)) && striking.is_none() {
                striking = Some(at);
            }
        }
        let fault = &mut self.faults[striking?];
        fault.struck += 1;
        if fault.calls.len() < LISTED_CALLS {
            fault.calls.push(format!("{method} {path}"));
        }
        tracing::debug!(fault = %fault.spec, method, path, "a scripted fault strikes");
        Some(fault.spec.kind.clone())
    }

    /// Registers something that waits from now on.
    fn wait(&mut self, span: HoldSpan, done: Option<oneshot::Receiver<()>>) -> Awaited {
        let call = match span {
            HoldSpan::Time(time) => return Awaited::Time(time),
            HoldSpan::Calls(count) | HoldSpan::Polls(count) | HoldSpan::Replies(count) => Some(self.calls + count),
            HoldSpan::Release => None,
        };
        let (go, turn) = oneshot::channel();
        self.held.push(Held { call, due: Due { go, done } });
        Awaited::Turn(turn)
    }

    /// Takes what this call lets go.
    fn due(&mut self) -> Vec<Due> {
        let now = self.calls;
        let due = self.held.extract_if(.., |held| held.call.is_some_and(|call| call <= now));
        due.map(|held| held.due).collect()
    }
}

impl Faults {
    pub(crate) fn new(specs: Vec<FaultSpec>) -> Self {
        let faults = specs.into_iter().map(Scripted::new).collect();
        Faults { script: Mutex::new(Script { faults, ..Script::default() }) }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a call, and returns what it meets. `own` marks a request of the platform itself, which only faults on
    /// the NIM proxy count.
    pub(crate) fn meet(&self, request: &Request, own: bool) -> Encounter {
        let (method, path) = (request.method().as_str(), request.uri().path());
        if path.starts_with("/control/") {
            return Encounter::default();
        }
        let mut script = self.script();
        let due = if own {
            Vec::new()
        } else {
            script.calls += 1;
            script.due()
        };
        let Some(kind) = script.strike(method, path, own) else { return Encounter { strike: None, due } };
        let (mut wait, mut done) = (Awaited::Nothing, None);
        match &kind {
            FaultKind::Delay(span) => wait = script.wait(*span, None),
            FaultKind::LateEffect(span, _) => {
                let (happened, awaited) = oneshot::channel();
                wait = script.wait(*span, Some(awaited));
                done = Some(happened);
            }
            _ => {}
        }
        let line = request
            .extensions()
            .get()
            .map_or_else(ConnectionSwitch::default, |ConnectInfo(line): &ConnectInfo<ConnectionSwitch>| line.clone());
        Encounter { strike: Some(Strike { kind, path: path.to_owned(), line, wait, done }), due }
    }

    /// Adds a fault at the end.
    pub(crate) fn add(&self, spec: FaultSpec) -> Value {
        let fault = Scripted::new(spec);
        let summary = fault.summary();
        self.script().faults.push(fault);
        summary
    }

    /// Removes all faults, and lets go of what they hold back. Jobs keep their fate.
    pub(crate) async fn clear(&self) {
        self.script().faults.clear();
        self.release().await;
    }

    /// Lets go of everything held back, and waits until it has happened.
    pub(crate) async fn release(&self) {
        let held = {
            let mut script = self.script();
            script.slow.retain(|_, span| *span != HoldSpan::Release);
            script.unloaded.retain(|_, adapter| adapter.span != HoldSpan::Release);
            std::mem::take(&mut script.held)
        };
        for held in held {
            held.due.happen().await;
        }
    }

    /// Returns every fault with its counts, and how much is held back.
    pub(crate) fn list(&self) -> Value {
        let script = self.script();
        let faults: Vec<Value> = script.faults.iter().map(Scripted::summary).collect();
        json!({"faults": faults, "held": script.held.len()})
    }

    /// Returns the faults that struck no call.
    pub(crate) fn unused(&self) -> Vec<String> {
        self.script().faults.iter().filter(|fault| fault.struck == 0).map(|fault| fault.spec.text.clone()).collect()
    }

    /// Records the fate of a new job and its adapter.
    pub(crate) fn decide(&self, fate: Option<&JobFate>, job: &str, adapter: Option<&str>) {
        let mut script = self.script();
        // An earlier job with this name may have had another fate.
        script.failing.remove(job);
        match (fate, adapter) {
            (Some(JobFate::Fails(why)), _) => {
                script.failing.insert(job.to_owned(), why.clone());
            }
            (Some(JobFate::Slow(span)), Some(adapter)) => {
                script.slow.insert(adapter.to_owned(), *span);
            }
            (Some(JobFate::Unloaded(span)), Some(adapter)) => {
                let unloaded = Unloaded { span: *span, replies: 0, since: Instant::now() };
                script.unloaded.insert(adapter.to_owned(), unloaded);
            }
            _ => {}
        }
    }

    /// Returns the reason why a job must fail.
    pub(crate) fn failure(&self, job: &str) -> Option<String> {
        self.script().failing.get(job).cloned()
    }

    /// Returns whether an adapter must not be listed yet. `since` tells for how long, and for how many reads of the
    /// list, it could have been.
    pub(crate) fn is_withheld(&self, adapter: &str, since: (Duration, u64)) -> bool {
        match self.script().slow.get(adapter) {
            None => false,
            Some(HoldSpan::Time(time)) => since.0 < *time,
            Some(HoldSpan::Polls(count) | HoldSpan::Calls(count) | HoldSpan::Replies(count)) => since.1 < *count,
            Some(HoldSpan::Release) => true,
        }
    }

    /// Counts a reply of an adapter, and returns whether its base gives it.
    pub(crate) fn is_unloaded(&self, adapter: &str) -> bool {
        let mut script = self.script();
        let Some(unloaded) = script.unloaded.get_mut(adapter) else { return false };
        unloaded.replies += 1;
        match unloaded.span {
            HoldSpan::Time(time) => unloaded.since.elapsed() < time,
            HoldSpan::Replies(count) | HoldSpan::Polls(count) | HoldSpan::Calls(count) => unloaded.replies <= count,
            HoldSpan::Release => true,
        }
    }
}
