//! The events of a run. The run tells them, the views of `ui` show them, `--events` and the log of the run record them.
//! The documented names of fields may be added to, never changed.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::gpus::Share;
use crate::store::ResourceKind;
use crate::vocabulary::{CandidateState, PlatformKind, RunState};

/// Something that happened during a run.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// The id of the run.
    pub run: String,
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The fact that an event tells. A candidate of `None` stands for a step of the whole run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run has its lock, its plan and its platform, and begins.
    RunStarted {
        workload: Option<String>,
        platform: PlatformKind,
        /// Students stand in for the candidates.
        rehearsal: bool,
        /// An earlier process began the run.
        resumed: bool,
        /// In the order of the configuration.
        candidates: Vec<String>,
        /// The GPU budget. `None`: one candidate at a time.
        gpus: Option<u32>,
    },
    StepStarted {
        candidate: Option<String>,
        step: Step,
    },
    StepProgress {
        candidate: Option<String>,
        step: Step,
        /// 0 to 100, if known.
        percent: Option<f64>,
        /// A word or two, such as `pending` or `epoch 2 of 3`.
        detail: Option<String>,
        /// The last loss of a training.
        train_loss: Option<f64>,
        /// The last validation loss of a training.
        validation_loss: Option<f64>,
    },
    /// A step succeeded.
    StepDone {
        candidate: Option<String>,
        step: Step,
        seconds: f64,
        /// The result, such as `macro F1 0.62` or `1,206 rows`.
        detail: Option<String>,
    },
    StepFailed {
        candidate: Option<String>,
        step: Step,
        /// The whole chain on one line.
        error: String,
    },
    /// A candidate waits for GPUs.
    GpusAwaited {
        candidate: String,
        gpus: u32,
        purpose: Share,
    },
    /// A candidate got the GPUs that it waited for.
    GpusGranted {
        candidate: String,
        gpus: u32,
        purpose: Share,
        /// The time that it waited.
        seconds: f64,
    },
    /// A candidate has ended, well or badly.
    CandidateDone {
        candidate: String,
        state: CandidateState,
        error: Option<String>,
    },
    /// A resource was created, or found again.
    ResourceLive {
        kind: ResourceKind,
        name: String,
    },
    ResourceReleased {
        kind: ResourceKind,
        name: String,
    },
    Warning {
        message: String,
        /// The report that follows at once has it too, so nobody draws it.
        #[serde(skip)]
        is_in_report: bool,
    },
    /// The run was asked to stop and releases its resources.
    Stopping {
        /// Such as `Ctrl-C`, `SIGTERM` or `dfwfd cancel`.
        reason: String,
    },
    RunDone {
        state: RunState,
        exit_code: u8,
        /// The wall time of this process.
        seconds: f64,
    },
}

/// Where events go.
pub(crate) type EventSink = Box<dyn FnMut(&Event) + Send>;

/// Gives events their time and passes them on, one after the other. An event gets its time under the lock that orders
/// the events, so times never go back in a log.
pub(crate) struct EventStream {
    run: String,
    clock: fn() -> Timestamp,
    sink: Mutex<EventSink>,
}

impl EventStream {
    /// Returns the stream of a run into a sink.
    pub(crate) fn new(run: &str, sink: EventSink) -> EventStream {
        EventStream { run: run.to_owned(), clock: Timestamp::now, sink: Mutex::new(sink) }
    }

    /// Tells what happens now.
    pub(crate) fn tell(&self, kind: EventKind) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (self.clock)().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        sink(&Event { at, run: self.run.clone(), kind });
    }
}

/// A step of a run, in the order in which a candidate takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Reads and splits the records and writes the files.
    Split,
    /// Uploads and registers the datasets.
    Upload,
    /// Writes and uploads the eval set with examples in its prompts.
    Examples,
    /// Trains and measures the floor, a classifier on this machine.
    Floor,
    /// Deploys the embedding model and waits until it serves.
    DeployEmbedding,
    /// Embeds the questions of the rows.
    Embedding,
    /// Releases the embedding model.
    UndeployEmbedding,
    /// Deploys the judge, or asks a remote one whether it answers.
    Judge,
    /// Deploys the NIM and waits until it serves.
    Deploy,
    BaseEvaluation,
    /// With examples in the prompt.
    IclEvaluation,
    /// The LoRA customization.
    Train,
    /// Waits until the NIM serves the adapter.
    Adapter,
    CustomizedEvaluation,
    /// Measures the latency of what the NIM serves, or of the teacher.
    Latency,
    /// Releases the NIM.
    Undeploy,
    /// Releases what is still held.
    Release,
}

impl Step {
    /// Returns the name of the step for people.
    pub fn label(self) -> &'static str {
        match self {
            Step::Split => "datasets",
            Step::Upload => "upload",
            Step::Examples => "examples",
            Step::Floor => "floor",
            Step::DeployEmbedding => "deploy embedding model",
            Step::Embedding => "embed questions",
            Step::UndeployEmbedding => "undeploy embedding model",
            Step::Judge => "judge",
            Step::Deploy => "deploy",
            Step::BaseEvaluation => "evaluate base",
            Step::IclEvaluation => "evaluate with examples",
            Step::Train => "train",
            Step::Adapter => "load adapter",
            Step::CustomizedEvaluation => "evaluate customized",
            Step::Latency => "measure latency",
            Step::Undeploy => "undeploy",
            Step::Release => "release",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    static MILLISECONDS: AtomicI64 = AtomicI64::new(0);

    /// A clock that goes on with every look at it.
    fn ticking() -> Timestamp {
        Timestamp::from_millisecond(MILLISECONDS.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    #[test]
    fn events_that_many_tasks_tell_come_in_the_order_of_their_times() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let told = Arc::clone(&told);
            Box::new(move |event: &Event| told.lock().unwrap().push(event.at.clone()))
        };
        let events = EventStream { clock: ticking, ..EventStream::new("abcd2345", sink) };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        events.tell(EventKind::Stopping { reason: String::new() });
                    }
                });
            }
        });
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 16_000);
        assert!(told.is_sorted());
    }
}
