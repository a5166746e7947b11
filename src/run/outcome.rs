//! The facts of a run: their shapes, the keys under which they are stored, and which evaluations are done. Reports are
//! made from these alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::plan::{Candidate, Plan};
use crate::score::Estimate;
use crate::score::classification::{ClassScore, Confusion};
use crate::store::Store;
use crate::vocabulary::{CandidateState, Failure, LossPoint, RowsFrom};

/// The key of the warnings, a list of sentences.
pub(crate) const WARNINGS: &str = "warnings";
/// The key of the warnings about parts of the run that could not be sent after its end. Each sending writes them anew.
pub(crate) const UNSENT: &str = "unsent";

/// The key of the conclusion.
pub(crate) const CONCLUSION: &str = "conclusion";

/// The key of what has changed since the run before.
pub(crate) const DRIFT: &str = "drift";

/// The key of the comparison with labels that people gave.
pub(crate) const GOLD: &str = "gold";

/// The key of the floor, and its name in comparisons.
pub(crate) const FLOOR: &str = "floor";

/// The key of what the platform says that it is.
pub(crate) const PLATFORM_VERSION: &str = "platform-version";

/// The key of the version of dfwfd that worked on the run last.
pub(crate) const DFWFD_VERSION: &str = "dfwfd-version";

/// The key of the counts of the eval rows with examples.
pub(crate) const EXAMPLES: &str = "examples";

/// The key of the latency of the production model.
pub(crate) const TEACHER_LATENCY: &str = "latency/teacher";

/// The key of the manifest of the datasets.
pub(crate) const MANIFEST: &str = "manifest";

/// The key of the GPU budget that the run was started with.
pub(crate) const BUDGET: &str = "budget";

/// Returns the key of the progress of a candidate.
pub(crate) fn candidate_key(model: &str) -> String {
    format!("candidate/{model}")
}

/// Returns the key of the training of a candidate.
pub(crate) fn training_key(model: &str) -> String {
    format!("training/{model}")
}

/// Returns the key of an evaluation of a candidate.
pub(crate) fn evaluation_key(model: &str, variant: ModelVariant) -> String {
    format!("evaluation/{model}/{}", variant.as_str())
}

/// Returns the key of the latency of what a candidate's NIM serves.
pub(crate) fn latency_key(model: &str, variant: ModelVariant) -> String {
    format!("latency/{model}/{}", variant.as_str())
}

/// Returns the key of the comparison of a candidate's adapter with its base.
pub(crate) fn proof_key(model: &str) -> String {
    format!("adapter-proof/{model}")
}

/// Returns the key of the mark that the operator has deployed the NIM of a model.
pub(crate) fn adopted_key(model: &str) -> String {
    format!("adopted/{model}")
}

/// Returns the key of the mark that no row of an evaluation job has a reply, so that another job is due.
pub(crate) fn unanswered_key(job: &str) -> String {
    format!("unanswered/{job}")
}

/// Returns the key of the seconds from the create of a candidate's deployment until its model was served.
pub(crate) fn deployed_key(model: &str) -> String {
    format!("deployed/{model}")
}

/// The form of a candidate that is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModelVariant {
    Base,
    /// With examples in the prompt.
    Icl,
    /// With the adapter.
    Customized,
}

impl ModelVariant {
    /// Every variant, in the order of reports. The last that was evaluated stands for its candidate.
    pub(crate) const ALL: [ModelVariant; 3] = [ModelVariant::Base, ModelVariant::Icl, ModelVariant::Customized];

    /// Tells whether a plan evaluates this variant of a candidate.
    pub(crate) fn is_planned(self, plan: &Plan, candidate: &Candidate) -> bool {
        match self {
            ModelVariant::Base => true,
            ModelVariant::Icl => plan.icl.is_some(),
            ModelVariant::Customized => candidate.customizer.is_some(),
        }
    }

    /// Returns the variant of a word.
    pub(crate) fn named(word: &str) -> Option<ModelVariant> {
        ModelVariant::ALL.into_iter().find(|variant| variant.as_str() == word)
    }

    /// Returns the name of the variant for people.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            ModelVariant::Icl => "with examples",
            ModelVariant::Base | ModelVariant::Customized => self.as_str(),
        }
    }

    /// Returns the name of this variant of a model for people, such as `customized meta/llama-3.2-1b-instruct`.
    pub(crate) fn of(self, model: &str) -> String {
        match self {
            ModelVariant::Icl => format!("{model} with examples"),
            ModelVariant::Base | ModelVariant::Customized => format!("{} {model}", self.as_str()),
        }
    }

    /// Returns the word for the variant in keys, names and reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ModelVariant::Base => "base",
            ModelVariant::Icl => "icl",
            ModelVariant::Customized => "customized",
        }
    }
}

/// The progress of a candidate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CandidateFact {
    pub state: CandidateState,
    /// Why it failed.
    pub error: Option<Failure>,
    /// The GPUs that it leases.
    pub gpus: u32,
    /// NIM and training run at the same time.
    pub overlap: bool,
    /// When it got its GPUs, in ms UTC.
    pub started_ms: Option<i64>,
    /// When it ended, in ms UTC.
    pub ended_ms: Option<i64>,
}

/// A finished training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TrainingFact {
    /// The id of the customization job.
    pub job: String,
    /// The id under which the adapter is served.
    pub adapter: String,
    /// From the create of the job to its end. `None` when another process created it.
    pub seconds: Option<f64>,
    pub loss: Vec<LossPoint>,
}

/// A finished evaluation with its scores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EvaluationFact {
    /// The id of the evaluation job.
    pub job: String,
    /// The rows of the eval set.
    pub rows: u64,
    /// The rows for which the evaluator returned no reply. They count as wrong.
    pub unanswered: u64,
    /// Where the replies come from. `None`: from this machine, or an earlier version made this.
    #[serde(default)]
    pub rows_from: Option<RowsFrom>,
    /// The rows whose reply was cut off at the largest number of tokens.
    #[serde(default)]
    pub cut_off: u64,
    /// From the create of the job to its end. `None` when another process created it.
    pub seconds: Option<f64>,
    /// By the names of docs/scores.md.
    pub scores: BTreeMap<String, Estimate>,
    /// Scores of each class, with labels read strictly.
    pub classes: Vec<ClassScore>,
    /// Labels and replies, with labels read strictly. `None` when replies hold no labels.
    pub confusion: Option<Confusion>,
    /// The median time of a reply. `None` unless this program asked for the replies.
    #[serde(default)]
    pub p50_ms: Option<f64>,
    /// The time that 95 % of the replies kept.
    #[serde(default)]
    pub p95_ms: Option<f64>,
    /// `None` unless every reply tells its tokens.
    pub prompt_tokens: Option<u64>,
    /// `None` unless every reply tells its tokens.
    pub completion_tokens: Option<u64>,
    /// The path of the row-level outputs inside the folder of the run.
    pub file: String,
}

/// The replies to so many requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadStep {
    pub at_once: u32,
    /// The replies that came.
    pub replies: u64,
    /// The requests that no reply came to.
    pub failed: u64,
    pub seconds: f64,
    /// Replies per second.
    pub per_second: f64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    /// The median time to the first token. `None` if the server does not stream.
    pub first_token_p50_ms: Option<f64>,
    pub first_token_p95_ms: Option<f64>,
}

/// A model under a short load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyFact {
    pub steps: Vec<LoadStep>,
    /// The replies that told their tokens, and these tokens.
    pub usage_rows: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Why it ended early.
    pub failure: Option<String>,
}

impl LatencyFact {
    /// Returns the step with one request at a time: how long a lone user waits.
    pub(crate) fn alone(&self) -> Option<&LoadStep> {
        self.steps.iter().find(|step| step.at_once == 1)
    }

    /// Returns the replies per second of the best step.
    pub(crate) fn most_per_second(&self) -> Option<f64> {
        self.steps.iter().map(|step| step.per_second).reduce(f64::max)
    }
}

/// An adapter beside its base, before its evaluation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProofFact {
    /// The number of rows, if both models answered all alike to the end although the base errs often enough.
    pub same: Option<u64>,
}

/// Two models compared on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ComparisonFact {
    /// `MODEL:base`, `MODEL:icl` or `MODEL:customized`: the measure.
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
    /// The smallest true difference that the rows show with a power of 80 %. `None`: not paired, or of an earlier version.
    #[serde(default)]
    pub detectable: Option<f64>,
}

/// The conclusions from the evaluations of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConclusionFact {
    pub comparisons: Vec<ComparisonFact>,
    pub sentence: String,
    /// The model to look at.
    pub model: Option<String>,
    /// The form in which to look at it. `None` with no model, or from an earlier version.
    #[serde(default)]
    pub variant: Option<ModelVariant>,
    /// On each candidate that was evaluated.
    #[serde(default)]
    pub candidates: Vec<Advice>,
    pub warnings: Vec<String>,
    /// Examples of models many of whose replies hold no label.
    #[serde(default)]
    pub unreadable: Vec<UnreadableReply>,
}

/// A reply that holds no label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnreadableReply {
    /// `MODEL:base`, `MODEL:icl` or `MODEL:customized`.
    pub model: String,
    /// Its start, in one line.
    pub reply: String,
}

/// The verdict on one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Advice {
    pub model: String,
    /// The evaluation that the sentence is about.
    pub variant: ModelVariant,
    pub sentence: String,
}

/// Tells how a run differs from an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DriftFact {
    /// The id of the earlier run.
    pub run: String,
    /// `None` without labels.
    pub labels: Option<LabelDrift>,
    /// The models that both runs evaluated, `a` of the earlier run.
    pub scores: Vec<ComparisonFact>,
    /// The median latency of the production model, in ms, then and now. `None` unless both logs tell.
    pub teacher_p50_ms: Option<(f64, f64)>,
    /// p value of the rank test that the production model is as fast in both runs. `None` unless both logs tell.
    #[serde(default)]
    pub teacher_latency_p: Option<f64>,
}

/// The mix of labels, then and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabelDrift {
    /// p value of the chi-squared test that both have the same shares, by permutation where labels are rare.
    pub p: f64,
    /// The total variation distance of the shares, 0 to 1.
    pub distance: f64,
    /// The labels whose shares changed most.
    pub changes: Vec<ShareChange>,
}

/// The share of a label, then and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShareChange {
    pub label: String,
    pub before: f64,
    pub now: f64,
}

/// Tells whether a candidate needs its NIM no more: all evaluations are done, and the latency is measured if that is planned.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn is_done(store: &Store, run: &str, plan: &Plan, candidate: &Candidate) -> anyhow::Result<bool> {
    let measured = [ModelVariant::Base, ModelVariant::Customized].into_iter().filter(|_| plan.measure_latency);
    for variant in measured.filter(|variant| variant.is_planned(plan, candidate)) {
        if store.fact::<LatencyFact>(run, &latency_key(&candidate.model_name, variant))?.is_none() {
            return Ok(false);
        }
    }
    is_all_evaluated(store, run, plan, candidate)
}

/// Tells whether all evaluations of a candidate are done.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn is_all_evaluated(store: &Store, run: &str, plan: &Plan, candidate: &Candidate) -> anyhow::Result<bool> {
    for variant in ModelVariant::ALL.into_iter().filter(|variant| variant.is_planned(plan, candidate)) {
        let key = evaluation_key(&candidate.model_name, variant);
        if store.fact::<EvaluationFact>(run, &key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
