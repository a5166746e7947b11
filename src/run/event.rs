//! What happens during a run, as values: the run emits them, views draw them, `--events` and the run's log write them.
//! Field names are part of the documented `--events` format: fields may be added, never renamed.

use serde::Serialize;

use crate::store::ResourceKind;
use crate::vocabulary::{CandidateState, PlatformKind, RunState};

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When, RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// The run it belongs to.
    pub run: String,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run has its lock, its plan and its platform, and begins.
    RunStarted {
        /// The workload.
        workload: Option<String>,
        platform: PlatformKind,
        /// Whether students stand in for the candidates.
        rehearsal: bool,
        /// Whether this continues an earlier process of the same run.
        resumed: bool,
        /// Candidate models, in the order of the configuration.
        candidates: Vec<String>,
        /// The GPU budget; null: one candidate at a time.
        gpus: Option<u32>,
    },
    /// A step began.
    StepStarted {
        /// The candidate; null for a step of the whole run.
        candidate: Option<String>,
        /// Which step.
        step: Step,
    },
    /// A step went on.
    StepProgress {
        /// The candidate; null for a step of the whole run.
        candidate: Option<String>,
        /// Which step.
        step: Step,
        /// 0 to 100, when known.
        percent: Option<f64>,
        /// A word or two, such as `pending` or `epoch 2 of 3`.
        detail: Option<String>,
        /// Last training loss, while training.
        train_loss: Option<f64>,
        /// Last validation loss, while training.
        validation_loss: Option<f64>,
    },
    /// A step ended well.
    StepDone {
        /// The candidate; null for a step of the whole run.
        candidate: Option<String>,
        /// Which step.
        step: Step,
        /// How long it took.
        seconds: f64,
        /// What came of it, such as `macro F1 0.62` or `1,206 rows`.
        detail: Option<String>,
    },
    /// A step ended badly.
    StepFailed {
        /// The candidate; null for a step of the whole run.
        candidate: Option<String>,
        /// Which step.
        step: Step,
        /// Why, the whole chain on one line.
        error: String,
    },
    /// A candidate waits for GPUs of the budget.
    GpusAwaited {
        /// The candidate.
        candidate: String,
        /// How many it needs.
        gpus: u32,
    },
    /// A candidate has ended.
    CandidateDone {
        /// The candidate.
        candidate: String,
        state: CandidateState,
        /// Why, when it failed.
        error: Option<String>,
    },
    /// Something remote was made or found again.
    ResourceLive {
        kind: ResourceKind,
        /// Its name on the platform.
        name: String,
    },
    /// Something remote was given back.
    ResourceReleased {
        kind: ResourceKind,
        /// Its name on the platform.
        name: String,
    },
    /// Worth knowing, nothing failed.
    Warning {
        /// A sentence.
        message: String,
    },
    /// The run was asked to stop and gives everything back.
    Stopping {
        /// Such as `Ctrl-C`, `SIGTERM`, `dfwfd cancel`.
        reason: String,
    },
    /// The run has ended.
    RunDone {
        state: RunState,
        /// The code the process ends with.
        exit_code: u8,
        /// Wall time of this process.
        seconds: f64,
    },
}

/// The steps of a run, in the order in which one candidate takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Records read and split, files written.
    Split,
    /// Datasets uploaded and registered.
    Upload,
    /// The judge deployed and served, or asked whether it is there.
    Judge,
    /// NIM deployed and served.
    Deploy,
    /// The base model is evaluated.
    BaseEvaluation,
    /// The LoRA customization.
    Train,
    /// The adapter appears at the NIM.
    Adapter,
    /// The customized model is evaluated.
    CustomizedEvaluation,
    /// The NIM is given back.
    Undeploy,
    /// Whatever is still held is given back.
    Release,
}

impl Step {
    /// How a person would say it.
    pub fn label(self) -> &'static str {
        match self {
            Step::Split => "datasets",
            Step::Upload => "upload",
            Step::Judge => "judge",
            Step::Deploy => "deploy",
            Step::BaseEvaluation => "evaluate base",
            Step::Train => "train",
            Step::Adapter => "load adapter",
            Step::CustomizedEvaluation => "evaluate customized",
            Step::Undeploy => "undeploy",
            Step::Release => "release",
        }
    }
}
