//! An evaluation job: its states, and how it is answered (nemo-wire 6.2). What it does while it runs is in `work`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::results::Results;
use super::work::Work;
use crate::embedded::contents::Content;
use crate::embedded::roll::Entry;
use crate::embedded::wire::{naive_now, new_id};
use crate::embedded::world::{State, World};

/// One evaluation job.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::embedded) struct Evaluation {
    pub(in crate::embedded) id: String,
    namespace: String,
    /// Members that are answered as they were accepted.
    body: Value,
    /// Config and target as they came, while it is worked on: the answer masks what is secret of them.
    order: Option<Order>,
    #[serde(skip)]
    work: Arc<Work>,
    phase: Phase,
    /// Rows done and rows in all, once it has ended.
    counted: Option<(usize, usize)>,
    /// Its rows as JSON, once it has completed.
    #[serde(skip)]
    rows: Option<Content>,
    /// Status reads, for `Clock::Polls`.
    #[serde(skip)]
    pub(super) reads: u32,
    created_at: String,
    updated_at: String,
}

/// What is to be evaluated, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Order {
    pub(super) config: Value,
    pub(super) target: Value,
}

/// Where a job stands.
#[derive(Debug, Deserialize, Serialize)]
enum Phase {
    Working,
    Cancelling,
    /// With the id of its result and the address of its files.
    Completed {
        result: String,
        files_url: String,
    },
    Failed(String),
    Cancelled,
}

impl Evaluation {
    pub(super) fn new(namespace: String, body: Value, order: Order) -> Self {
        let (id, now) = (new_id("eval"), naive_now());
        Evaluation {
            work: Arc::new(Work::new(&id)),
            id,
            namespace,
            body,
            order: Some(order),
            phase: Phase::Working,
            counted: None,
            rows: None,
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

    pub(super) fn complete(&mut self, results: &Results) {
        let text = |key: &str| results.summary[key].as_str().unwrap_or_default().to_owned();
        self.rows = Some(results.rows.clone());
        self.become_phase(Phase::Completed { result: text("id"), files_url: text("files_url") });
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
        if self.ended() {
            self.counted = Some(self.work.progress());
            self.order = None;
        }
    }

    /// A job as it was written down, with its rows.
    pub(in crate::embedded) fn restored(mut self, rows: Option<Content>) -> Self {
        self.work = Arc::new(Work::new(&self.id));
        self.rows = rows;
        if self.is_cancelling() {
            self.end_cancelled();
        }
        self
    }

    /// What is to be evaluated, while it is worked on.
    pub(super) fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Rows done, and rows in all.
    fn progress(&self) -> (usize, usize) {
        self.counted.unwrap_or_else(|| self.work.progress())
    }

    /// When it was created.
    pub(super) fn created_at(&self) -> &str {
        &self.created_at
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The id of its result, the address of its files, and its rows, once it has completed.
    pub(super) fn found(&self) -> Option<(&str, &str, &Content)> {
        match &self.phase {
            Phase::Completed { result, files_url } => Some((result, files_url, self.rows.as_ref()?)),
            _ => None,
        }
    }

    fn status(&self, polled: bool) -> &'static str {
        match &self.phase {
            Phase::Working if polled && self.reads == 0 => "created",
            Phase::Working if polled && self.reads == 1 => "pending",
            Phase::Working if !polled && self.progress().0 == 0 => "created",
            Phase::Working => "running",
            Phase::Cancelling => "cancelling",
            Phase::Completed { .. } => "completed",
            Phase::Failed(_) => "failed",
            Phase::Cancelled => "cancelled",
        }
    }

    /// The status object of `/status`.
    pub(super) fn details(&self, world: &World) -> Value {
        let (done, total) = self.progress();
        let status = self.status(world.polled());
        let (progress, samples) = match status {
            "running" if world.polled() => (Some(50.0), None),
            "created" | "pending" => (None, None),
            "completed" => (Some(100.0), Some(done)),
            _ if done == 0 || world.polled() => (None, None),
            _ => (Some(100.0 * done as f64 / total.max(1) as f64), Some(done)),
        };
        let message = match &self.phase {
            Phase::Completed { .. } => Some("Job completed successfully."),
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
            "result": self.found().map(|(result, _, _)| result),
            "output_files_url": self.found().map(|(_, files_url, _)| files_url),
            "status_details": self.details(world),
            "status": self.status(world.polled()),
        });
        if let (Some(answer), Some(body)) = (answer.as_object_mut(), self.body.as_object()) {
            answer.extend(body.clone());
        }
        answer
    }

    /// Its life, a line for each thing that is known of it.
    pub(super) fn log(&self, world: &World) -> String {
        let details = self.details(world);
        let mut log = format!("{} INFO {} created\n", self.created_at, self.id);
        for (task, status) in details["task_status"].as_object().into_iter().flatten() {
            log.push_str(&format!("{} INFO task {task} {}\n", self.updated_at, status.as_str().unwrap_or_default()));
        }
        let (done, total) = self.progress();
        log.push_str(&format!("{} INFO {done} of {total} samples evaluated\n", self.updated_at));
        let level = if matches!(self.phase, Phase::Failed(_)) { "ERROR" } else { "INFO" };
        let message = details["message"].as_str().unwrap_or_default();
        log.push_str(&format!("{} {level} {} {message}\n", self.updated_at, self.status(world.polled())));
        log
    }

    /// For `/control/state`.
    pub(in crate::embedded) fn summary(&self) -> Value {
        json!({
            "id": self.id, "namespace": self.namespace, "status": self.status(false),
            "description": self.body["description"],
        })
    }
}

impl Entry for Evaluation {
    fn key(&self) -> String {
        self.id.clone()
    }

    fn document(&self) -> Value {
        let mut document = json!(self);
        document["rows"] = json!(self.rows.as_ref().map(Content::reference));
        document
    }
}

impl State {
    /// An evaluation job by id.
    pub(super) fn evaluation(&self, id: &str) -> Option<&Evaluation> {
        self.evaluations.iter().find(|job| job.id == id)
    }
}
