//! The state of one embedded platform, shared by all routes: one lock over everything that exists, never held across an
//! await. What the parts mean is the services' business.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::clock::Mark;
use super::contents::Contents;
use super::customizer::job::Training;
use super::datastore::repos::Repositories;
use super::deployments::Deployment;
use super::evaluator::job::Evaluation;
use super::faults::Faults;
use super::gate::Gate;
use super::nim::ServedAdapter;
use super::outside::Outside;
use super::persist::{DataDirError, Journal};
use super::roll::Roll;
use super::shelf::Shelf;
use super::{Clock, Options, customizer, evaluator};

/// Everything that one embedded platform is and holds.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) port: u16,
    /// `http://127.0.0.1:PORT`.
    pub(super) base: String,
    /// The random id of this platform.
    pub(super) instance: String,
    /// What marks this platform's own calls to itself.
    pub(super) key: String,
    pub(super) gate: Gate,
    pub(super) faults: Faults,
    /// What reaches endpoints that are no part of the platform.
    pub(super) outside: Outside,
    /// The contents of all files.
    pub(super) contents: Contents,
    /// Where the state is written down, if it is.
    journal: Option<Journal>,
    state: Mutex<State>,
    shut: AtomicBool,
}

/// Everything that exists on the platform.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) namespaces: Shelf,
    pub(super) projects: Shelf,
    pub(super) datasets: Shelf,
    pub(super) models: Shelf,
    pub(super) store: Repositories,
    pub(super) deployments: Roll<Deployment>,
    pub(super) deployment_configs: Shelf,
    pub(super) targets: Shelf,
    pub(super) training_configs: Shelf,
    pub(super) trainings: Roll<Training>,
    pub(super) adapters: Roll<ServedAdapter>,
    pub(super) evaluation_configs: Shelf,
    pub(super) evaluation_targets: Shelf,
    /// By id, without a namespace.
    pub(super) evaluation_results: Shelf,
    pub(super) evaluations: Roll<Evaluation>,
    /// How often the NIM proxy's list of models was read: the clock of `Clock::Polls` for what appears in it.
    pub(super) lists: u64,
    /// Numbers deployments and training jobs in the order in which they asked for GPUs.
    pub(super) tickets: u64,
}

/// The state, locked. What was changed through it is written down when it is dropped, as one transaction.
pub(super) struct Guard<'a> {
    world: &'a World,
    state: MutexGuard<'a, State>,
}

impl Deref for Guard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // What a handler did that crashed half way is not made to last; what it left is written with the next change.
        if thread::panicking() || !(self.state.is_touched() || self.world.contents.changed()) {
            return;
        }
        let changes = self.state.changes();
        match &self.world.journal {
            Some(journal) => journal.write(changes, &self.world.contents),
            None => {
                drop(changes);
                self.world.contents.fresh();
                self.world.contents.sweep();
            }
        }
    }
}

impl World {
    /// A platform with what is in its data directory, if it has one.
    pub(super) fn open(options: Options, port: u16) -> Result<Self, DataDirError> {
        let journal = options.data_dir.as_deref().map(Journal::open).transpose()?;
        let faults = Faults::new(options.faults.clone());
        let mut world = World {
            options,
            port,
            base: format!("http://127.0.0.1:{port}"),
            instance: Uuid::new_v4().simple().to_string(),
            key: Uuid::new_v4().simple().to_string(),
            gate: Gate::default(),
            outside: Outside::default(),
            faults,
            contents: journal.as_ref().map_or_else(Contents::temporary, Journal::contents),
            journal: None,
            state: Mutex::default(),
            shut: AtomicBool::new(false),
        };
        let restored = journal.as_ref().map(Journal::restore).transpose()?.flatten();
        world.journal = journal;
        match restored {
            Some(restored) => {
                world.instance = restored.instance;
                world.contents = restored.contents;
                world.state = Mutex::new(restored.state);
            }
            None => {
                world.state().targets = customizer::built_in_targets();
                if let Some(journal) = &world.journal {
                    journal.christen(&world.instance, &world.contents);
                }
            }
        }
        Ok(world)
    }

    /// Takes up what was under way when the platform was ended; to be called within its runtime.
    pub(super) fn resume(self: &Arc<Self>) {
        customizer::resume(self);
        evaluator::resume(self);
    }

    /// The state, locked.
    pub(super) fn state(&self) -> Guard<'_> {
        Guard { world: self, state: self.state.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Why what happened is not on disk, when it should be.
    pub(super) fn unsaved(&self) -> Option<String> {
        self.journal.as_ref()?.failure()
    }

    /// Frees the data directory; nothing is written down any more.
    pub(super) fn close(&self) {
        if let Some(journal) = &self.journal {
            journal.close();
        }
    }

    /// Whether reads, not time, move things along.
    pub(super) fn polled(&self) -> bool {
        self.options.clock == Clock::Polls
    }

    /// This moment, on the platform's clock.
    pub(super) fn now(&self, state: &State) -> Mark {
        Mark::now(state.lists)
    }

    /// Whether something that happened at `mark` shows in the NIM proxy by now: after `delay`, or after one reading of
    /// the list that did not show it yet.
    pub(super) fn shows(&self, state: &State, mark: Mark, delay: Duration) -> bool {
        if self.polled() { state.lists > mark.lists } else { mark.at.elapsed() >= delay }
    }

    /// Gives free GPUs to whoever waits, in the order of asking; one that fits may overtake one that does not. To be
    /// called whenever GPUs may have become free or wanted.
    pub(super) fn grant(self: &Arc<Self>) {
        let mut state = self.state();
        let mut free = self.options.gpus.saturating_sub(state.gpus_taken());
        let mut waiting: Vec<(u64, u32, usize, bool)> = Vec::new();
        for (at, deployment) in state.deployments.iter().enumerate().filter(|(_, one)| one.granted.is_none()) {
            waiting.push((deployment.ticket, deployment.gpus, at, true));
        }
        for (at, training) in state.trainings.iter().enumerate().filter(|(_, one)| one.waits()) {
            waiting.push((training.ticket, training.gpus, at, false));
        }
        waiting.sort_unstable();
        let now = self.now(&state);
        for (_, gpus, at, deployment) in waiting {
            if gpus > free {
                continue;
            }
            free -= gpus;
            if deployment {
                state.deployments[at].granted = Some(now);
            } else {
                let work = state.trainings[at].begin();
                customizer::work::spawn(Arc::clone(self), work);
            }
        }
    }

    /// Forgets everything that exists and the calls that were counted, and stops the work under way.
    pub(super) fn reset(&self) {
        let mut state = self.state();
        for at in 0..state.trainings.iter().count() {
            state.trainings[at].cancel();
        }
        for at in 0..state.evaluations.iter().count() {
            state.evaluations[at].cancel();
        }
        state.clear();
        for target in customizer::built_in_targets().rows() {
            state.targets.add(text(target, "namespace"), text(target, "name"), target.clone());
        }
        self.gate.forget();
    }

    /// Tells the work under way to end.
    pub(super) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// Whether the platform is ending.
    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    /// Everything that exists, for `/control/state`.
    pub(super) fn everything(&self) -> Value {
        let state = self.state();
        let names = |shelf: &Shelf| -> Vec<String> {
            shelf.rows().map(|row| format!("{}/{}", text(row, "namespace"), text(row, "name"))).collect()
        };
        let deployments = state.deployments.iter().map(Deployment::summary);
        let trainings = state.trainings.iter().map(Training::summary);
        let unfinished = state.trainings.iter().filter(|job| !job.ended()).map(|job| job.id.clone());
        let evaluations = state.evaluations.iter().map(Evaluation::summary);
        let running = state.evaluations.iter().filter(|job| !job.ended()).map(|job| job.id.clone());
        let repos = state.store.names().map(|repo| json!({"type": repo.kind.noun(), "name": repo.id()}));
        json!({
            "deployments": deployments.collect::<Vec<_>>(),
            "training_jobs": trainings.collect::<Vec<_>>(),
            "evaluation_jobs": evaluations.collect::<Vec<_>>(),
            "unfinished_jobs": unfinished.chain(running).collect::<Vec<_>>(),
            "datasets": names(&state.datasets),
            "repos": repos.collect::<Vec<_>>(),
            "configs": names(&state.training_configs),
            "models": names(&state.models),
            "adapters": state.adapters.iter().map(|adapter| adapter.id.clone()).collect::<Vec<_>>(),
            "namespaces": state.namespaces.rows().map(|row| row["id"].clone()).collect::<Vec<_>>(),
            "gpus": {"total": self.options.gpus, "taken": state.gpus_taken()},
        })
    }
}

impl State {
    /// GPUs that deployments and training jobs hold.
    fn gpus_taken(&self) -> u32 {
        let deployed = self.deployments.iter().filter(|one| one.granted.is_some()).map(|one| one.gpus);
        let training = self.trainings.iter().filter(|one| one.holds_gpus()).map(|one| one.gpus);
        deployed.chain(training).fold(0, u32::saturating_add)
    }

    /// The next number in the queue for GPUs.
    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}
