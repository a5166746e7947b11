//! What a run finds out and keeps: the shapes of its facts and the keys they are stored under. Reports are made from
//! these alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::score::Estimate;
use crate::score::classification::{ClassScore, Confusion};
use crate::vocabulary::{CandidateState, Failure, LossPoint};

/// Key of the warnings, a list of sentences.
pub const WARNINGS: &str = "warnings";

/// Key of the conclusion.
pub const CONCLUSION: &str = "conclusion";

/// Key of the datasets' manifest.
pub const MANIFEST: &str = "manifest";

/// Key of how one candidate fares.
pub fn candidate_key(model: &str) -> String {
    format!("candidate/{model}")
}

/// Key of a candidate's training.
pub fn training_key(model: &str) -> String {
    format!("training/{model}")
}

/// Key of one evaluation of a candidate.
pub fn evaluation_key(model: &str, which: Which) -> String {
    format!("evaluation/{model}/{}", which.as_str())
}

/// Key of the mark that a candidate's NIM is the operator's.
pub fn adopted_key(model: &str) -> String {
    format!("adopted/{model}")
}

/// The key of what the platform says that it is.
pub const PLATFORM_VERSION: &str = "platform-version";

/// Key of the GPU budget that the run was started with.
pub const BUDGET: &str = "budget";

/// A job that an earlier process had begun to cancel has ended so: another one is due.
#[derive(Debug, thiserror::Error)]
#[error("{job} was cancelled by somebody else")]
pub struct JobCancelled {
    /// Which job.
    pub job: String,
}

/// Which model of a candidate is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// As it comes.
    Base,
    /// With the adapter.
    Customized,
}

impl Which {
    /// Both, in the order they are made and shown.
    pub const ALL: [Which; 2] = [Which::Base, Which::Customized];

    /// The word for it in keys, names and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Which::Base => "base",
            Which::Customized => "customized",
        }
    }
}

/// How one candidate fares.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CandidateFact {
    /// How far it is.
    pub state: CandidateState,
    /// Why it failed.
    pub error: Option<Failure>,
    /// GPUs that it leases.
    pub gpus: u32,
    /// Whether NIM and training run at once.
    pub overlap: bool,
    /// When it got its GPUs, ms UTC.
    pub started_ms: Option<i64>,
    /// When it ended, ms UTC.
    pub ended_ms: Option<i64>,
}

/// A finished training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrainingFact {
    /// The customization job.
    pub job: String,
    /// The id under which the adapter is served, `namespace/name@job`.
    pub adapter: String,
    /// From the job's create to its end, as measured here; not known across processes.
    pub seconds: Option<f64>,
    /// The loss curves.
    pub loss: Vec<LossPoint>,
}

/// A finished evaluation with its scores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvaluationFact {
    /// The evaluation job.
    pub job: String,
    /// Rows that were judged: all of the eval set.
    pub rows: u64,
    /// Of them, rows for which the evaluator returned no reply; they count as unparseable.
    pub unanswered: u64,
    /// From the job's create to its end, as measured here; not known across processes.
    pub seconds: Option<f64>,
    /// By the names of the JSON contract: labels read strictly, `*_lenient` leniently, and NeMo's own `nemo_f1`.
    pub scores: BTreeMap<String, Estimate>,
    /// Per class, labels read strictly.
    pub classes: Vec<ClassScore>,
    /// What was said for what, labels read strictly; none where replies are no labels.
    pub confusion: Option<Confusion>,
    /// Tokens of all prompts, where every reply says so.
    pub prompt_tokens: Option<u64>,
    /// Tokens of all replies, where every reply says so.
    pub completion_tokens: Option<u64>,
    /// The row-level outputs, a path inside the run's folder.
    pub file: String,
}

/// Two models compared on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonFact {
    /// `MODEL:base` or `MODEL:customized`: the measure.
    pub a: String,
    /// The model that is compared with it.
    pub b: String,
    pub metric: String,
    /// b minus a.
    pub difference: Estimate,
    /// Corrected for the number of comparisons.
    pub p: Option<f64>,
    /// `better`, `same`, `worse` or `cannot tell`.
    pub verdict: String,
    /// The verdict with the rows that it lacks.
    pub explanation: String,
}

/// What the evaluations of a run come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConclusionFact {
    pub comparisons: Vec<ComparisonFact>,
    pub sentence: String,
    /// The model to look at.
    pub model: Option<String>,
    pub warnings: Vec<String>,
}
