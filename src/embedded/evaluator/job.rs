//! An evaluation job: its states, and how it is answered (nemo-wire 6.2). What it does while it runs is in `work`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::results::Results;
use super::work::Work;
use crate::embedded::wire::{naive_now, new_id};
use crate::embedded::world::{State, World};

/// One evaluation job.
#[derive(Debug)]
pub(in crate::embedded) struct Evaluation {
    pub(in crate::embedded) id: String,
    namespace: String,
    /// Members that are answered as they were accepted.
    body: Value,
    work: Arc<Work>,
    phase: Phase,
    /// Status reads, for `Clock::Polls`.
    pub(super) reads: u32,
    created_at: String,
    updated_at: String,
}

/// Where a job stands.
#[derive(Debug)]
enum Phase {
    Working,
    Cancelling,
    Completed(Results),
    Failed(String),
    Cancelled,
}

impl Evaluation {
    pub(super) fn new(namespace: String, body: Value) -> Self {
        let (id, now) = (new_id("eval"), naive_now());
        Evaluation {
            work: Arc::new(Work::new(&id)),
            id,
            namespace,
            body,
            phase: Phase::Working,
            reads: 0,
            created_at: now.clone(),
            updated_at: now,
        }
    }

    /// The work that belongs to it.
    pub(super) fn work(&self) -> &Arc<Work> {
        &self.work
    }

    /// Whether it has ended.
    pub(in crate::embedded) fn ended(&self) -> bool {
        !matches!(self.phase, Phase::Working | Phase::Cancelling)
    }

    /// Whether it was asked to stop and has not yet.
    pub(super) fn is_cancelling(&self) -> bool {
        matches!(self.phase, Phase::Cancelling)
    }

    /// Asks it to stop; a job that has ended stays as it is.
    pub(in crate::embedded) fn cancel(&mut self) {
        if matches!(self.phase, Phase::Working) {
            self.work.cancel();
            self.become_phase(Phase::Cancelling);
        }
    }

    pub(super) fn complete(&mut self, results: Results) {
        self.become_phase(Phase::Completed(results));
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.become_phase(Phase::Failed(reason));
    }

    pub(super) fn end_cancelled(&mut self) {
        self.become_phase(Phase::Cancelled);
    }

    fn become_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.updated_at = naive_now();
    }

    /// When it was created.
    pub(super) fn created_at(&self) -> &str {
        &self.created_at
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What it found, once it has completed.
    pub(super) fn results(&self) -> Option<&Results> {
        match &self.phase {
            Phase::Completed(results) => Some(results),
            _ => None,
        }
    }

    fn status(&self, polled: bool) -> &'static str {
        match &self.phase {
            Phase::Working if polled && self.reads == 0 => "created",
            Phase::Working if polled && self.reads == 1 => "pending",
            Phase::Working if !polled && self.work.progress().0 == 0 => "created",
            Phase::Working => "running",
            Phase::Cancelling => "cancelling",
            Phase::Completed(_) => "completed",
            Phase::Failed(_) => "failed",
            Phase::Cancelled => "cancelled",
        }
    }

    /// The status object of `/status`.
    pub(super) fn details(&self, world: &World) -> Value {
        let (done, total) = self.work.progress();
        let status = self.status(world.polled());
        let (progress, samples) = match status {
            "running" if world.polled() => (Some(50.0), None),
            "created" | "pending" => (None, None),
            "completed" => (Some(100.0), Some(done)),
            _ if done == 0 || world.polled() => (None, None),
            _ => (Some(100.0 * done as f64 / total.max(1) as f64), Some(done)),
        };
        let message = match &self.phase {
            Phase::Completed(_) => Some("Job completed successfully."),
            Phase::Failed(reason) => Some(reason.as_str()),
            _ => None,
        };
        let task = match status {
            "created" | "pending" => None,
            "completed" | "failed" => Some(status),
            "cancelled" => Some("failed"),
            _ => Some("running"),
        };
        let mut tasks = json!({});
        for name in self.body["config"]["tasks"].as_object().into_iter().flatten().map(|(name, _)| name) {
            if let Some(task) = task {
                tasks[name] = json!(task);
            }
        }
        json!({"message": message, "task_status": tasks, "progress": progress, "samples_processed": samples})
    }

    /// The job as it is answered.
    pub(super) fn answer(&self, world: &World) -> Value {
        let mut answer = json!({
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "id": self.id,
            "namespace": self.namespace,
            "result": self.results().map(|results| &results.summary["id"]),
            "output_files_url": self.results().map(|results| &results.summary["files_url"]),
            "status_details": self.details(world),
            "status": self.status(world.polled()),
        });
        if let (Some(answer), Some(body)) = (answer.as_object_mut(), self.body.as_object()) {
            answer.extend(body.clone());
        }
        answer
    }

    /// For `/control/state`.
    pub(in crate::embedded) fn summary(&self) -> Value {
        json!({
            "id": self.id, "namespace": self.namespace, "status": self.status(false),
            "description": self.body["description"],
        })
    }
}

impl State {
    /// An evaluation job by id.
    pub(super) fn evaluation(&self, id: &str) -> Option<&Evaluation> {
        self.evaluations.iter().find(|job| job.id == id)
    }
}
