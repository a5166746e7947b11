//! The plain state of a platform: everything that exists on it. Knows no routes, no locks and no threads; services and
//! the data directory build on it.

pub(crate) mod adapter;
pub(crate) mod background_work;
pub(crate) mod blobs;
pub(crate) mod deployment;
pub(crate) mod entity_table;
pub(crate) mod evaluation;
mod gpus;
pub(crate) mod repositories;
pub(crate) mod tracked_list;
pub(crate) mod training;
pub(crate) mod training_targets;

use std::collections::BTreeSet;
use std::time::Instant;

use adapter::ServedAdapter;
use deployment::Deployment;
use entity_table::EntityTable;
use evaluation::Evaluation;
use repositories::Repositories;
use tracked_list::TrackedList;
use training::Training;

use super::timing::Moment;

/// Everything that exists on a platform.
#[derive(Debug, Default)]
pub(crate) struct PlatformState {
    pub(crate) namespaces: EntityTable,
    pub(crate) projects: EntityTable,
    pub(crate) datasets: EntityTable,
    pub(crate) models: EntityTable,
    pub(crate) repositories: Repositories,
    pub(crate) deployments: TrackedList<Deployment>,
    pub(crate) deployment_configs: EntityTable,
    pub(crate) targets: EntityTable,
    pub(crate) training_configs: EntityTable,
    pub(crate) trainings: TrackedList<Training>,
    pub(crate) adapters: TrackedList<ServedAdapter>,
    pub(crate) evaluation_configs: EntityTable,
    pub(crate) evaluation_targets: EntityTable,
    /// By id, without a namespace.
    pub(crate) evaluation_results: EntityTable,
    pub(crate) evaluations: TrackedList<Evaluation>,
    /// Reads of the NIM proxy's model list so far: what the polled clock counts for models.
    pub(crate) lists: u64,
    /// The last ticket of the queue for GPUs.
    pub(crate) tickets: u64,
    /// The present on the simulated clock.
    pub(crate) simulated: Option<Instant>,
    /// The changes of the last step of the simulated clock that no client has read yet, by the key of its list or the id in
    /// the model list.
    pub(crate) unseen: BTreeSet<String>,
}

/// Finds an entity table in the state.
pub(crate) type TableOf = fn(&mut PlatformState) -> &mut EntityTable;

/// The entity tables, by the name of what they hold.
pub(crate) const TABLES: [(&str, TableOf); 10] = [
    ("namespace", |state| &mut state.namespaces),
    ("project", |state| &mut state.projects),
    ("dataset", |state| &mut state.datasets),
    ("model", |state| &mut state.models),
    ("deployment_config", |state| &mut state.deployment_configs),
    ("target", |state| &mut state.targets),
    ("training_config", |state| &mut state.training_configs),
    ("evaluation_config", |state| &mut state.evaluation_configs),
    ("evaluation_target", |state| &mut state.evaluation_targets),
    ("evaluation_result", |state| &mut state.evaluation_results),
];

impl PlatformState {
    /// Returns the present on the platform's clocks.
    pub(crate) fn now(&self) -> Moment {
        Moment { at: self.simulated.unwrap_or_else(Instant::now), lists: self.lists }
    }

    /// Records that a client has read the present state of something.
    pub(crate) fn see(&mut self, key: &str) {
        self.unseen.remove(key);
    }

    /// Returns the next ticket of the queue for GPUs.
    pub(crate) fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Returns how many GPUs are taken.
    pub(crate) fn gpus_taken(&self) -> u32 {
        gpus::taken(&self.deployments, &self.trainings)
    }

    /// Returns how many GPUs are taken or waited for.
    pub(crate) fn gpus_wanted(&self) -> u32 {
        gpus::wanted(&self.deployments, &self.trainings)
    }

    /// Grants the free GPUs of a pool of `total`. Returns the places of the training jobs that begin.
    pub(crate) fn grant_gpus(&mut self, total: u32) -> Vec<usize> {
        let now = self.now();
        gpus::grant(&mut self.deployments, &mut self.trainings, total, now)
    }

    /// Returns a training job by id.
    pub(crate) fn training(&self, id: &str) -> Option<&Training> {
        self.trainings.iter().find(|job| job.id == id)
    }

    /// Returns an evaluation job by id.
    pub(crate) fn evaluation(&self, id: &str) -> Option<&Evaluation> {
        self.evaluations.iter().find(|job| job.id == id)
    }

    /// Returns whether anything changed since the changes were last taken.
    pub(crate) fn has_changes(&mut self) -> bool {
        self.deployments.has_changes()
            || self.trainings.has_changes()
            || self.adapters.has_changes()
            || self.evaluations.has_changes()
            || self.repositories.has_changes()
            || TABLES.iter().any(|(_, table)| table(self).has_changes())
    }

    /// Drops the record of what changed.
    pub(crate) fn forget_changes(&mut self) {
        for (_, table) in TABLES {
            table(self).forget_changes();
        }
        self.repositories.forget_changes();
        self.deployments.forget_changes();
        self.trainings.forget_changes();
        self.adapters.forget_changes();
        self.evaluations.forget_changes();
    }

    /// Cancels all jobs and removes everything, so that the state is as in a new platform.
    pub(crate) fn reset(&mut self) {
        for at in 0..self.trainings.iter().count() {
            self.trainings[at].cancel();
        }
        for at in 0..self.evaluations.iter().count() {
            self.evaluations[at].cancel();
        }
        for (_, table) in TABLES {
            table(self).clear();
        }
        self.repositories.clear();
        self.deployments.retain(|_| false);
        self.trainings.retain(|_| false);
        self.adapters.retain(|_| false);
        self.evaluations.retain(|_| false);
        training_targets::add_built_in(&mut self.targets);
    }
}
