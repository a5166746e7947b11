//! A training job: what it trains, its phases and its log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::adapter::TrainedAdapter;
use super::background_work::BackgroundWork;
use super::tracked_list::Entry;
use crate::embedded::timing::Moment;
use crate::embedded::wire::stamps::naive_now;

/// The work of a training job.
pub(crate) type TrainingWork = BackgroundWork<TrainingHistory, TrainedAdapter>;

/// One training job.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Training {
    pub(crate) id: String,
    pub(crate) ticket: u64,
    pub(crate) gpus: u32,
    pub(crate) namespace: String,
    pub(crate) output_model: Option<String>,
    pub(crate) base_model: String,
    pub(crate) files_url: String,
    pub(crate) epochs: u32,
    pub(crate) seed: u64,
    pub(crate) log_every: u32,
    /// Members that are answered as they were accepted. As text, because a record is never deleted, and a tree takes several
    /// times the memory.
    body: Box<RawValue>,
    phase: TrainingPhase,
    #[serde(skip)]
    work: Option<Arc<TrainingWork>>,
    /// When it got its GPUs.
    #[serde(skip)]
    pub(crate) begun: Option<Moment>,
    /// Status reads since it got its GPUs, for the polled clock.
    #[serde(skip)]
    pub(crate) reads: u32,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) log: Vec<LogEntry>,
    /// The last progress of the work, kept when it has ended.
    last: Option<TrainingHistory>,
}

/// An event in the life of a job.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct LogEntry {
    pub(crate) updated_at: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
enum TrainingPhase {
    /// For GPUs.
    Waiting,
    Working,
    Cancelling,
    Ended(TrainingEnd),
}

/// How a training job ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum TrainingEnd {
    Completed,
    Failed(String),
    Cancelled,
}

/// The progress of a training.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct TrainingHistory {
    pub(crate) epoch: u32,
    pub(crate) step: u32,
    pub(crate) steps: u32,
    pub(crate) steps_per_epoch: u32,
    /// Step (from 0), time, loss.
    pub(crate) train: Vec<(u32, String, f64)>,
    pub(crate) validation: Vec<(u32, String, f64)>,
}

impl TrainingHistory {
    /// Returns the epoch with the least validation loss, counted from 1.
    pub(crate) fn best_epoch(&self) -> Option<usize> {
        let epochs = self.validation.iter().enumerate();
        epochs.min_by(|(_, a), (_, b)| a.2.total_cmp(&b.2)).map(|(epoch, _)| epoch + 1)
    }
}

impl Training {
    /// Returns a job that waits for GPUs; what it trains is filled in by the caller.
    pub(crate) fn new(id: String, ticket: u64, gpus: u32, created_at: String) -> Self {
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
            body: RawValue::NULL.to_owned(),
            phase: TrainingPhase::Waiting,
            work: None,
            begun: None,
            reads: 0,
            updated_at: created_at.clone(),
            created_at,
            log: Vec::new(),
            last: None,
        };
        training.note("created", None);
        training
    }

    /// Returns the members that are answered as they were accepted.
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(self.body.get()).unwrap_or_default()
    }

    /// Accepts the members that are answered.
    pub(crate) fn accept(&mut self, body: &Value) {
        self.body = serde_json::value::to_raw_value(body).unwrap_or_else(|_| RawValue::NULL.to_owned());
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.phase, TrainingPhase::Waiting)
    }

    pub(crate) fn holds_gpus(&self) -> bool {
        matches!(self.phase, TrainingPhase::Working | TrainingPhase::Cancelling)
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, TrainingPhase::Ended(_))
    }

    pub(crate) fn is_cancelling(&self) -> bool {
        matches!(self.phase, TrainingPhase::Cancelling)
    }

    /// Returns the work under way.
    pub(crate) fn work(&self) -> Option<&Arc<TrainingWork>> {
        self.work.as_ref()
    }

    /// Begins the work: the job has got its GPUs.
    pub(crate) fn begin(&mut self, now: Moment) {
        self.begun = Some(now);
        self.phase = TrainingPhase::Working;
        self.work = Some(Arc::default());
        for message in ["PVCCreated", "EntityHandler_0_Created", "EntityHandler_0_Completed", "TrainingJobCreated"] {
            self.note(message, None);
        }
        self.note("TrainingJobRunning", None);
    }

    /// Asks the job to stop; one that has ended stays as it is.
    pub(crate) fn cancel(&mut self) {
        match &self.phase {
            TrainingPhase::Waiting => self.end(TrainingEnd::Cancelled),
            TrainingPhase::Working => {
                if let Some(work) = &self.work {
                    work.cancel();
                }
                self.note("Cancelling", None);
                self.phase = TrainingPhase::Cancelling;
            }
            TrainingPhase::Cancelling | TrainingPhase::Ended(_) => {}
        }
    }

    /// Ends the job.
    pub(crate) fn end(&mut self, end: TrainingEnd) {
        if let Some(work) = self.work.take() {
            self.last = Some(work.progress());
        }
        match &end {
            TrainingEnd::Completed => {
                self.note("TrainingJobCompleted", None);
                self.note("EntityHandler_1_Completed", None);
                self.note("Completed", None);
            }
            TrainingEnd::Failed(reason) => self.note("TrainingJobFailed", Some(reason)),
            TrainingEnd::Cancelled => self.note("Cancelled", None),
        }
        self.phase = TrainingPhase::Ended(end);
    }

    /// Takes the job up after a restart of the platform: training starts again, as in a pod that was moved; a job that
    /// was being cancelled is cancelled.
    pub(crate) fn restart(&mut self) {
        match self.phase {
            TrainingPhase::Working => {
                self.phase = TrainingPhase::Waiting;
                self.note("TrainingJobPending", Some("The platform was started again: the training begins anew"));
            }
            TrainingPhase::Cancelling => self.end(TrainingEnd::Cancelled),
            TrainingPhase::Waiting | TrainingPhase::Ended(_) => {}
        }
    }

    /// Notes in the log, at the first status read that finds the job waiting, why it waits.
    pub(crate) fn note_waiting(&mut self) {
        if self.log.len() == 1 {
            let reason = format!("{} GPUs are needed, fewer are free", self.gpus);
            self.note("NotEnoughResources", Some(&reason));
        }
    }

    fn note(&mut self, message: &str, detail: Option<&str>) {
        self.updated_at = naive_now();
        let (updated_at, detail) = (self.updated_at.clone(), detail.map(str::to_owned));
        self.log.push(LogEntry { updated_at, message: message.to_owned(), detail });
    }

    /// Returns the status word.
    pub(crate) fn status(&self, is_polled: bool) -> &'static str {
        match &self.phase {
            TrainingPhase::Waiting if self.reads == 0 && self.log.len() == 1 => "created",
            TrainingPhase::Waiting => "pending",
            TrainingPhase::Working if is_polled && self.reads == 0 => "created",
            TrainingPhase::Working if is_polled && self.reads == 1 => "pending",
            TrainingPhase::Working => "running",
            TrainingPhase::Cancelling => "cancelling",
            TrainingPhase::Ended(TrainingEnd::Completed) => "completed",
            TrainingPhase::Ended(TrainingEnd::Failed(_)) => "failed",
            TrainingPhase::Ended(TrainingEnd::Cancelled) => "cancelled",
        }
    }

    /// Returns the progress that a client sees: on the polled clock none before the end.
    pub(crate) fn progress(&self, is_polled: bool) -> TrainingHistory {
        match (&self.last, self.work()) {
            (Some(last), _) => last.clone(),
            (None, Some(work)) if !is_polled => work.progress(),
            _ => TrainingHistory::default(),
        }
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
