//! An evaluation job: what it evaluates, its phases and its results.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::background_work::BackgroundWork;
use super::blobs::Blob;
use super::tracked_list::Entry;
use crate::embedded::timing::Moment;
use crate::embedded::wire::stamps::{naive_now, new_id};

/// The work of an evaluation job.
pub(crate) type EvaluationWork = BackgroundWork<RowCount, EvaluationResults>;

/// The progress of an evaluation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowCount {
    pub(crate) done: usize,
    pub(crate) total: usize,
}

/// The results of an evaluation job.
#[derive(Debug)]
pub(crate) struct EvaluationResults {
    /// The result entity.
    pub(crate) summary: Value,
    /// Task to rows, as JSON.
    pub(crate) rows: Blob,
    /// The summary as a file.
    pub(crate) summary_file: Blob,
}

/// One evaluation job.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Evaluation {
    pub(crate) id: String,
    pub(crate) namespace: String,
    /// Members that are answered as they were accepted.
    pub(crate) body: Value,
    /// Kept until the job ends, because the body masks the keys in it.
    pub(crate) order: Option<EvaluationOrder>,
    #[serde(skip)]
    work: Arc<EvaluationWork>,
    #[serde(skip)]
    pub(crate) begun: Option<Moment>,
    phase: EvaluationPhase,
    /// Rows done and rows in all, once the job has ended.
    counted: Option<(usize, usize)>,
    /// The rows of the results as JSON, once the job has completed.
    #[serde(skip)]
    rows: Option<Blob>,
    /// Status reads, for the polled clock.
    #[serde(skip)]
    pub(crate) reads: u32,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// The config and the target of an evaluation, as the client sent them.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EvaluationOrder {
    pub(crate) config: Value,
    pub(crate) target: Value,
}

#[derive(Debug, Deserialize, Serialize)]
enum EvaluationPhase {
    Working,
    Cancelling,
    Completed {
        /// The id of the result entity.
        result: String,
        files_url: String,
    },
    Failed(String),
    Cancelled,
}

impl Evaluation {
    pub(crate) fn new(namespace: String, body: Value, order: EvaluationOrder, begun: Moment) -> Self {
        let now = naive_now();
        Evaluation {
            work: Arc::default(),
            begun: Some(begun),
            id: new_id("eval"),
            namespace,
            body,
            order: Some(order),
            phase: EvaluationPhase::Working,
            counted: None,
            rows: None,
            reads: 0,
            created_at: now.clone(),
            updated_at: now,
        }
    }

    pub(crate) fn work(&self) -> &Arc<EvaluationWork> {
        &self.work
    }

    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.phase, EvaluationPhase::Working | EvaluationPhase::Cancelling)
    }

    pub(crate) fn is_cancelling(&self) -> bool {
        matches!(self.phase, EvaluationPhase::Cancelling)
    }

    /// Asks the job to stop; one that has ended stays as it is.
    pub(crate) fn cancel(&mut self) {
        if matches!(self.phase, EvaluationPhase::Working) {
            self.work.cancel();
            self.enter(EvaluationPhase::Cancelling);
        }
    }

    /// Ends the job with its results.
    pub(crate) fn complete(&mut self, results: &EvaluationResults) {
        let text = |key: &str| results.summary[key].as_str().unwrap_or_default().to_owned();
        self.rows = Some(results.rows.clone());
        self.enter(EvaluationPhase::Completed { result: text("id"), files_url: text("files_url") });
    }

    /// Ends the job as failed.
    pub(crate) fn fail(&mut self, reason: String) {
        self.enter(EvaluationPhase::Failed(reason));
    }

    /// Ends the job as cancelled.
    pub(crate) fn end_cancelled(&mut self) {
        self.enter(EvaluationPhase::Cancelled);
    }

    fn enter(&mut self, phase: EvaluationPhase) {
        self.phase = phase;
        self.updated_at = naive_now();
        if self.has_ended() {
            let rows = self.work.progress();
            self.counted = Some((rows.done, rows.total));
            self.order = None;
        }
    }

    /// Takes the job up after a restart of the platform, with its rows; one that was being cancelled is cancelled.
    pub(crate) fn restored(mut self, rows: Option<Blob>) -> Self {
        self.rows = rows;
        if self.is_cancelling() {
            self.end_cancelled();
        }
        self
    }

    /// Returns how many rows are done.
    pub(crate) fn progress(&self) -> RowCount {
        self.counted.map_or_else(|| self.work.progress(), |(done, total)| RowCount { done, total })
    }

    /// Returns the id of its result, the address of its files, and its rows, once it has completed.
    pub(crate) fn results(&self) -> Option<(&str, &str, &Blob)> {
        match &self.phase {
            EvaluationPhase::Completed { result, files_url } => Some((result, files_url, self.rows.as_ref()?)),
            _ => None,
        }
    }

    /// Returns the status word.
    pub(crate) fn status(&self, is_polled: bool) -> &'static str {
        match &self.phase {
            EvaluationPhase::Working if is_polled && self.reads == 0 => "created",
            EvaluationPhase::Working if is_polled && self.reads == 1 => "pending",
            EvaluationPhase::Working if !is_polled && self.progress().done == 0 => "created",
            EvaluationPhase::Working => "running",
            EvaluationPhase::Cancelling => "cancelling",
            EvaluationPhase::Completed { .. } => "completed",
            EvaluationPhase::Failed(_) => "failed",
            EvaluationPhase::Cancelled => "cancelled",
        }
    }

    /// Returns the message about how it ended.
    pub(crate) fn message(&self) -> Option<&str> {
        match &self.phase {
            EvaluationPhase::Completed { .. } => Some("Job completed successfully."),
            EvaluationPhase::Failed(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.phase, EvaluationPhase::Failed(_))
    }
}

impl Entry for Evaluation {
    fn key(&self) -> String {
        self.id.clone()
    }

    fn document(&self) -> Value {
        let mut document = json!(self);
        document["rows"] = json!(self.rows.as_ref().map(Blob::reference));
        document
    }
}
