//! Scripted failures: which fault strikes which call, when what is held back goes on, and the fates of jobs that were
//! struck. Holds the script and its counts; what a fault says is in `spec` and `parse`, what it does to a call in `act`.

mod act;
mod line;
mod parse;
mod spec;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub(super) use act::{Fate, cut_off, run};
pub(super) use line::{Line, Lines};
pub use spec::{BadFault, FaultSpec};

use spec::{Early, Kind, Span};

/// The most struck calls that are listed for one fault.
const LISTED_CALLS: usize = 100;

/// The faults of a platform.
#[derive(Debug, Default)]
pub(super) struct Faults {
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    faults: Vec<Scripted>,
    /// Platform calls so far.
    calls: u64,
    held: Vec<Held>,
    /// Why jobs are to end failed, by their ids.
    failing: HashMap<String, String>,
    /// How much later adapters are listed, by their ids.
    slow: HashMap<String, Span>,
}

/// A fault and what has come of it.
#[derive(Debug)]
struct Scripted {
    spec: FaultSpec,
    matched: u64,
    struck: u64,
    /// The first of the struck calls.
    calls: Vec<String>,
    draws: ChaCha8Rng,
}

/// Something that waits for a later call, or for the release.
#[derive(Debug)]
struct Held {
    /// The platform call that lets it go on; `None`: the release alone.
    call: Option<u64>,
    due: Due,
}

/// Something held back whose turn has come.
#[derive(Debug)]
struct Due {
    go: oneshot::Sender<()>,
    /// Told when its effect has happened; dropped when there will be none.
    done: Option<oneshot::Receiver<()>>,
}

/// What strikes a call.
#[derive(Debug)]
pub(super) struct Strike {
    kind: Kind,
    path: String,
    line: Line,
    /// What has to pass first.
    wait: Wait,
    /// To be told when the effect has happened.
    done: Option<oneshot::Sender<()>>,
}

/// What has to pass before a call goes on.
#[derive(Debug)]
enum Wait {
    Nothing,
    Time(Duration),
    Turn(oneshot::Receiver<()>),
}

impl Strike {
    /// Whether the body of the request is not even read.
    pub(super) fn refuses(&self) -> bool {
        self.kind == Kind::Refuse
    }
}

/// What a call meets when it comes.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) strike: Option<Strike>,
    due: Vec<Due>,
}

impl Met {
    /// Lets go on what was held back until this call, and waits for its effect; what strikes the call itself.
    pub(super) async fn ready(self) -> Option<Strike> {
        for due in self.due {
            due.happen().await;
        }
        self.strike
    }
}

impl Due {
    async fn happen(self) {
        // Whoever waited may be gone.
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

    /// Counts a matching call; whether it is to be struck.
    fn is_due(&mut self) -> bool {
        self.matched += 1;
        let schedule = self.spec.schedule;
        let due = schedule.is_due(self.matched, self.struck);
        due && schedule.chance.is_none_or(|(millionths, _)| self.draws.random_range(0..1_000_000_u32) < millionths)
    }

    /// Whether the token has expired and is not renewed yet: then every call is struck, whatever it is.
    fn has_expired(&self) -> bool {
        let renewed = self.spec.schedule.times.is_some_and(|times| self.struck >= times);
        self.spec.kind == Kind::ExpireAuth && self.struck > 0 && !renewed
    }

    fn summary(&self) -> Value {
        json!({"fault": self.spec.text, "matched": self.matched, "struck": self.struck, "calls": self.calls})
    }
}

impl Script {
    /// Counts a call for every fault that it matches; the first that is due strikes it.
    fn strike(&mut self, method: &str, path: &str, own: bool) -> Option<Kind> {
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

    /// Registers what a call waits for from now on.
    fn wait(&mut self, span: Span, done: Option<oneshot::Receiver<()>>) -> Wait {
        let call = match span {
            Span::Time(time) => return Wait::Time(time),
            Span::Calls(count) | Span::Polls(count) => Some(self.calls + count),
            Span::Release => None,
        };
        let (go, turn) = oneshot::channel();
        self.held.push(Held { call, due: Due { go, done } });
        Wait::Turn(turn)
    }

    /// Takes out what this call lets go on.
    fn due(&mut self) -> Vec<Due> {
        let now = self.calls;
        let due = self.held.extract_if(.., |held| held.call.is_some_and(|call| call <= now));
        due.map(|held| held.due).collect()
    }
}

impl Faults {
    /// With this script.
    pub(super) fn new(specs: Vec<FaultSpec>) -> Self {
        let faults = specs.into_iter().map(Scripted::new).collect();
        Faults { script: Mutex::new(Script { faults, ..Script::default() }) }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call has come: what strikes it, and what was held back until now. `own`: the platform calls itself, which
    /// counts for nothing but faults that mean it.
    pub(super) fn meet(&self, request: &Request, own: bool) -> Met {
        let (method, path) = (request.method().as_str(), request.uri().path());
        if path.starts_with("/control/") {
            return Met::default();
        }
        let mut script = self.script();
        let due = if own {
            Vec::new()
        } else {
            script.calls += 1;
            script.due()
        };
        let Some(kind) = script.strike(method, path, own) else { return Met { strike: None, due } };
        let (mut wait, mut done) = (Wait::Nothing, None);
        match &kind {
            Kind::Delay(span) => wait = script.wait(*span, None),
            Kind::LateEffect(span, _) => {
                let (happened, awaited) = oneshot::channel();
                wait = script.wait(*span, Some(awaited));
                done = Some(happened);
            }
            _ => {}
        }
        let line =
            request.extensions().get().map_or_else(Line::default, |ConnectInfo(line): &ConnectInfo<Line>| line.clone());
        Met { strike: Some(Strike { kind, path: path.to_owned(), line, wait, done }), due }
    }

    /// Adds a fault after the others.
    pub(super) fn add(&self, spec: FaultSpec) -> Value {
        let fault = Scripted::new(spec);
        let summary = fault.summary();
        self.script().faults.push(fault);
        summary
    }

    /// Forgets all faults, and lets go on what they hold back. Jobs that were struck keep their fate.
    pub(super) async fn clear(&self) {
        self.script().faults.clear();
        self.release().await;
    }

    /// Lets go on whatever is held back, and waits until it has happened.
    pub(super) async fn release(&self) {
        let held = {
            let mut script = self.script();
            script.slow.retain(|_, span| *span != Span::Release);
            std::mem::take(&mut script.held)
        };
        for held in held {
            held.due.happen().await;
        }
    }

    /// Every fault with its counts, and how many calls and effects are held back.
    pub(super) fn list(&self) -> Value {
        let script = self.script();
        let faults: Vec<Value> = script.faults.iter().map(Scripted::summary).collect();
        json!({"faults": faults, "held": script.held.len()})
    }

    /// The faults that have struck nothing.
    pub(super) fn unused(&self) -> Vec<String> {
        self.script().faults.iter().filter(|fault| fault.struck == 0).map(|fault| fault.spec.text.clone()).collect()
    }

    /// Remembers what is to become of a new job, and of the adapter that it makes.
    pub(super) fn decide(&self, fate: Option<&Fate>, job: &str, adapter: Option<&str>) {
        let mut script = self.script();
        // An earlier thing of that name had a fate of its own.
        script.failing.remove(job);
        match (fate, adapter) {
            (Some(Fate::Fails(why)), _) => {
                script.failing.insert(job.to_owned(), why.clone());
            }
            (Some(Fate::Slow(span)), Some(adapter)) => {
                script.slow.insert(adapter.to_owned(), *span);
            }
            _ => {}
        }
    }

    /// Why a job has to end failed, if it has to.
    pub(super) fn failure(&self, job: &str) -> Option<String> {
        self.script().failing.get(job).cloned()
    }

    /// Whether an adapter that NIMs could list is held back; `since`: for how long, and for how many readings of the
    /// list, they could have.
    pub(super) fn is_withheld(&self, adapter: &str, since: (Duration, u64)) -> bool {
        match self.script().slow.get(adapter) {
            None => false,
            Some(Span::Time(time)) => since.0 < *time,
            Some(Span::Polls(count) | Span::Calls(count)) => since.1 < *count,
            Some(Span::Release) => true,
        }
    }
}
