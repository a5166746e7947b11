//! A training job: its states, and how it is answered (nemo-wire 5.3, 5.4). What it does while it runs is in `work`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::work::Work;
use crate::embedded::roll::Entry;
use crate::embedded::wire::naive_now;
use crate::embedded::world::State;

/// One training job.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::embedded) struct Training {
    pub(in crate::embedded) id: String,
    pub(in crate::embedded) ticket: u64,
    pub(in crate::embedded) gpus: u32,
    pub(super) namespace: String,
    pub(super) output_model: Option<String>,
    pub(super) base_model: String,
    pub(super) files_url: String,
    pub(super) epochs: u32,
    pub(super) seed: u64,
    pub(super) log_every: u32,
    /// Members that are answered as they were accepted.
    pub(super) body: Value,
    phase: Phase,
    #[serde(skip)]
    work: Option<Arc<Work>>,
    /// Status reads since it got its GPUs, for `Clock::Polls`.
    #[serde(skip)]
    pub(super) reads: u32,
    created_at: String,
    updated_at: String,
    log: Vec<Value>,
    /// What was learnt of its progress, kept when it has ended.
    last: Option<Series>,
}

/// Where a job stands.
#[derive(Debug, Deserialize, Serialize)]
enum Phase {
    /// No GPU yet.
    Waiting,
    Working,
    Cancelling,
    Ended(Ending),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum Ending {
    Completed,
    Failed(String),
    Cancelled,
}

/// The progress of a training as far as it is known.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Series {
    pub(super) epoch: u32,
    pub(super) step: u32,
    pub(super) steps: u32,
    pub(super) steps_per_epoch: u32,
    /// Step (from 0), time, loss.
    pub(super) train: Vec<(u32, String, f64)>,
    pub(super) validation: Vec<(u32, String, f64)>,
}

impl Series {
    /// The epoch with the least validation loss, counted from 1.
    fn best_epoch(&self) -> Option<usize> {
        let epochs = self.validation.iter().enumerate();
        epochs.min_by(|(_, a), (_, b)| a.2.total_cmp(&b.2)).map(|(epoch, _)| epoch + 1)
    }
}

impl Training {
    pub(super) fn new(id: String, ticket: u64, gpus: u32, created_at: String) -> Self {
        let mut training = Training {
            id,
            ticket,
            gpus,
            namespace: String::new(),
            output_model: None,
            base_model: String::new(),
            files_url: String::new(),
            epochs: 1,
            seed: 0,
            log_every: 1,
            body: Value::Null,
            phase: Phase::Waiting,
            work: None,
            reads: 0,
            updated_at: created_at.clone(),
            created_at,
            log: Vec::new(),
            last: None,
        };
        training.note("created", None);
        training
    }

    /// Whether it waits for GPUs.
    pub(in crate::embedded) fn waits(&self) -> bool {
        matches!(self.phase, Phase::Waiting)
    }

    /// Whether it holds GPUs.
    pub(in crate::embedded) fn holds_gpus(&self) -> bool {
        matches!(self.phase, Phase::Working | Phase::Cancelling)
    }

    /// Whether it has ended.
    pub(in crate::embedded) fn ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// The work under way, when there is any.
    pub(super) fn work(&self) -> Option<&Arc<Work>> {
        self.work.as_ref()
    }

    /// Whether it was asked to stop and has not yet.
    pub(super) fn is_cancelling(&self) -> bool {
        matches!(self.phase, Phase::Cancelling)
    }

    /// It has its GPUs: the work to be started.
    pub(in crate::embedded) fn begin(&mut self) -> Arc<Work> {
        let work = Arc::new(Work::new(self));
        self.phase = Phase::Working;
        self.work = Some(Arc::clone(&work));
        for message in ["PVCCreated", "EntityHandler_0_Created", "EntityHandler_0_Completed", "TrainingJobCreated"] {
            self.note(message, None);
        }
        self.note("TrainingJobRunning", None);
        work
    }

    /// Asks it to stop; a job that has ended stays as it is.
    pub(in crate::embedded) fn cancel(&mut self) {
        match &self.phase {
            Phase::Waiting => self.end(Ending::Cancelled),
            Phase::Working => {
                if let Some(work) = &self.work {
                    work.cancel();
                }
                self.note("Cancelling", None);
                self.phase = Phase::Cancelling;
            }
            Phase::Cancelling | Phase::Ended(_) => {}
        }
    }

    /// It has ended.
    pub(super) fn end(&mut self, ending: Ending) {
        if let Some(work) = self.work.take() {
            self.last = Some(work.series());
        }
        match &ending {
            Ending::Completed => {
                self.note("TrainingJobCompleted", None);
                self.note("EntityHandler_1_Completed", None);
                self.note("Completed", None);
            }
            Ending::Failed(reason) => self.note("TrainingJobFailed", Some(reason)),
            Ending::Cancelled => self.note("Cancelled", None),
        }
        self.phase = Phase::Ended(ending);
    }

    /// The platform it ran on was ended and started again: its training begins anew, as that of a pod that was moved; one
    /// that was being cancelled is.
    pub(super) fn restart(&mut self) {
        match self.phase {
            Phase::Working => {
                self.phase = Phase::Waiting;
                self.note("TrainingJobPending", Some("The platform was started again: the training begins anew"));
            }
            Phase::Cancelling => self.end(Ending::Cancelled),
            Phase::Waiting | Phase::Ended(_) => {}
        }
    }

    fn note(&mut self, message: &str, detail: Option<&str>) {
        self.updated_at = naive_now();
        self.log.push(json!({"updated_at": self.updated_at, "message": message, "detail": detail}));
    }

    fn status(&self, polled: bool) -> &'static str {
        match &self.phase {
            Phase::Waiting if self.reads == 0 && self.log.len() == 1 => "created",
            Phase::Waiting => "pending",
            Phase::Working if polled && self.reads == 0 => "created",
            Phase::Working if polled && self.reads == 1 => "pending",
            Phase::Working => "running",
            Phase::Cancelling => "cancelling",
            Phase::Ended(Ending::Completed) => "completed",
            Phase::Ended(Ending::Failed(_)) => "failed",
            Phase::Ended(Ending::Cancelled) => "cancelled",
        }
    }

    /// A status read found it waiting: it says so.
    pub(super) fn seen_waiting(&mut self) {
        if self.log.len() == 1 {
            let reason = format!("{} GPUs are needed, fewer are free", self.gpus);
            self.note("NotEnoughResources", Some(&reason));
        }
    }

    /// What is known of the progress; while reads are the clock, the real progress shows at the end only.
    fn series(&self, polled: bool) -> Series {
        match (&self.last, self.work()) {
            (Some(last), _) => last.clone(),
            (None, Some(work)) if !polled => work.series(),
            _ => Series::default(),
        }
    }

    /// The status object of `/status`.
    pub(super) fn details(&self, polled: bool) -> Value {
        let series = self.series(polled);
        let status = self.status(polled);
        // While reads are the clock, a job that runs is half way through its epochs.
        let epochs = if status == "running" && polled { self.epochs / 2 } else { series.epoch };
        let percentage = match status {
            "completed" => 100.0,
            _ => f64::from(epochs) / f64::from(self.epochs.max(1)) * 100.0,
        };
        let known = series.steps > 0;
        let points = |points: &[(u32, String, f64)]| -> Vec<Value> {
            let point =
                |(step, time, value): &(u32, String, f64)| json!({"step": step, "timestamp": time, "value": value});
            points.iter().map(point).collect()
        };
        json!({
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "status": status,
            "elapsed_time": 0.0,
            "percentage_done": percentage,
            "epochs_completed": epochs,
            "steps_completed": series.step,
            "steps_per_epoch": known.then_some(series.steps_per_epoch),
            "best_epoch": series.best_epoch(),
            "train_loss": series.train.last().map(|point| point.2),
            "val_loss": series.validation.last().map(|point| point.2),
            "metrics": {
                "keys": ["train_loss", "val_loss"],
                "metrics": {"train_loss": points(&series.train), "val_loss": points(&series.validation)},
            },
            "status_logs": self.log,
        })
    }

    /// The job as it is answered.
    pub(super) fn answer(&self, polled: bool) -> Value {
        let mut details = self.details(polled);
        if let Some(details) = details.as_object_mut() {
            details.shift_remove("status");
        }
        let mut answer = json!({
            "id": self.id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "namespace": self.namespace,
            "output_model": self.output_model,
            "files_url": self.files_url,
            "status": self.status(polled),
            "status_details": details,
        });
        if let (Some(answer), Some(body)) = (answer.as_object_mut(), self.body.as_object()) {
            answer.extend(body.clone());
        }
        answer
    }

    /// What its container has said, in the shape of pods, as far as a thread can be one.
    pub(super) fn container_logs(&self, polled: bool) -> Value {
        let mut text = String::new();
        for entry in &self.log {
            let [time, message, detail] = ["updated_at", "message", "detail"].map(|key| entry[key].as_str());
            text.push_str(&[time, message, detail].into_iter().flatten().collect::<Vec<_>>().join(" "));
            text.push('\n');
        }
        for (step, time, loss) in self.series(polled).train {
            text.push_str(&format!("{time} step {step} train_loss {loss:.6}\n"));
        }
        let pod = format!("{}-training-job", self.id.to_lowercase());
        let status = json!({"phase": self.status(polled)});
        json!({
            "entries": {pod: {"object": null, "status": status, "logs": {"main": text}, "events": []}},
            "error": null,
        })
    }

    /// For `/control/state`.
    pub(in crate::embedded) fn summary(&self) -> Value {
        json!({
            "id": self.id, "namespace": self.namespace, "status": self.status(false), "gpus": self.gpus,
            "description": self.body["description"], "output_model": self.output_model,
        })
    }
}

impl Entry for Training {
    fn key(&self) -> String {
        self.id.clone()
    }

    fn document(&self) -> Value {
        json!(self)
    }
}

impl State {
    /// A training job by id.
    pub(super) fn training(&self, id: &str) -> Option<&Training> {
        self.trainings.iter().find(|job| job.id == id)
    }
}
