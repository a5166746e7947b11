//! The report of a run as the JSON contract has it (schema 1, docs/json.md), other commands' objects are in `answers`.
//! Fields may be added, never renamed; a number that does not exist is null. Computes nothing but small views of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answers::{Headline, RunRow};
use crate::score::Estimate;
use crate::score::classification::{ClassScore, Confusion, Scores};

/// The version of the contract.
pub const SCHEMA: u32 = 1;

/// Everything that is known about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the contract.
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// The workload, once it is known.
    pub workload: Option<String>,
    /// What became of the run.
    pub state: RunState,
    /// The code that its process ended with; null while it runs, and when the process died.
    pub exit_code: Option<u8>,
    /// `nemo` or `embedded`.
    pub platform: String,
    /// Whether students stood in for the candidates.
    pub rehearsal: bool,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Wall time, over all processes that worked on it.
    pub seconds: Option<f64>,
    /// Who ran it, `user@host`.
    pub owner: String,
    /// The address that answers chat requests; null when the platform lived inside the run's process.
    #[serde(default)]
    pub nim_base_url: Option<String>,
    /// The datasets; null when the run did not get so far.
    pub data: Option<Data>,
    /// Who judged the calls; null when nobody was asked.
    #[serde(default)]
    pub judge: Option<Judge>,
    /// The candidates in the order of the configuration.
    pub candidates: Vec<Candidate>,
    /// Models compared with each other.
    pub comparisons: Vec<Comparison>,
    /// What the comparisons come to.
    pub verdict: Option<Verdict>,
    /// What the run still holds on the platform.
    pub held: Vec<Held>,
    /// Worth knowing, nothing failed.
    pub warnings: Vec<String>,
    /// Why the run ended early.
    pub error: Option<ErrorObject>,
}

/// The model that judged the calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// The model that was asked.
    pub model: String,
    /// `local`: a NIM that the run deployed; `remote`: it was there already.
    pub deployment: String,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It goes on.
    Running,
    /// Done, every candidate too.
    Completed,
    /// Done, some candidates failed.
    Partial,
    /// Nothing came of it.
    Failed,
    /// Someone stopped it.
    Cancelled,
    /// Its process died.
    Interrupted,
}

/// What became of a candidate or of one of its evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not begun.
    Waiting,
    /// It goes on.
    Running,
    /// Done.
    Completed,
    /// It went wrong.
    Failed,
    /// Left out.
    Skipped,
    /// Someone stopped it.
    Cancelled,
}

/// The counts of the datasets of a run, as `split` and `run` print them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// `classification` or `tool_calling`.
    pub workload_type: String,
    /// Where the records came from.
    pub source: Value,
    /// Records read.
    pub read: u64,
    /// Records that could not be used, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Records of another workload, client or time.
    pub other: u64,
    /// Older records with the same user messages.
    pub duplicates: u64,
    /// Left out by `limit`.
    pub over_limit: u64,
    /// What remained.
    pub kept: u64,
    /// Rows of the eval set.
    pub eval: u64,
    /// Rows of the training set.
    pub train: u64,
    /// Rows of the validation set.
    pub validation: u64,
    /// In no dataset, so that no group of near-duplicates straddles two.
    pub held_back: u64,
    /// Texts that stand in the records with different labels.
    pub conflicts: u64,
    /// What everything drawn was drawn with.
    pub seed: u64,
    /// Rows per class and dataset.
    pub classes: BTreeMap<String, ClassRows>,
    /// The files, with their rows and hashes.
    pub files: Vec<DataFile>,
    /// Whatever else the manifest says.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Data {
    /// A dataset manifest as the contract shows it.
    pub fn of(manifest: &impl Serialize) -> serde_json::Result<Data> {
        serde_json::from_value(serde_json::to_value(manifest)?)
    }
}

/// Rows of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassRows {
    /// In the eval set.
    pub eval: u64,
    /// In the training set.
    pub train: u64,
    /// In the validation set.
    pub validation: u64,
}

/// One file of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Below the dataset's folder.
    pub path: String,
    /// Lines.
    pub rows: u64,
    /// Of its bytes, in hex.
    pub sha256: String,
}

/// One candidate model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The id that the NIM serves.
    pub model: String,
    /// What became of it.
    pub state: State,
    /// Why, when it failed.
    pub error: Option<Failure>,
    /// GPUs that it took.
    pub gpus: Option<u32>,
    /// From its first step to its last.
    pub seconds: Option<f64>,
    /// Its customization.
    pub training: Option<Training>,
    /// Its evaluations, as far as they came.
    pub evaluations: Evaluations,
}

/// Why a candidate failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was being done to what.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
}

/// A customization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The job's id.
    pub job: Option<String>,
    /// The name that serves the customized model.
    pub adapter: Option<String>,
    /// Wall time.
    pub seconds: Option<f64>,
    /// The losses that the service reported.
    pub loss: Vec<LossPoint>,
}

/// The losses at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// The step.
    pub step: u64,
    /// On the training rows.
    pub train: Option<f64>,
    /// On the validation rows.
    pub validation: Option<f64>,
}

/// The evaluations of a candidate; one that did not happen has no key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluations {
    /// The model as it comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Evaluation>,
    /// The model as it comes, with examples in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icl: Option<Evaluation>,
    /// The model with its adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized: Option<Evaluation>,
}

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What became of it.
    pub state: State,
    /// The job's id.
    pub job: Option<String>,
    /// Rows judged.
    pub rows: Option<u64>,
    /// Wall time.
    pub seconds: Option<f64>,
    /// Scores by name.
    pub scores: BTreeMap<String, Estimate>,
    /// Per class, for classification.
    pub classes: Vec<ClassScore>,
    /// What was said for what, for classification.
    pub confusion: Option<Confusion>,
    /// Latency, tokens and money.
    pub usage: Option<Usage>,
}

impl Evaluation {
    /// A classification judged strictly, with the same replies read leniently beside it and the platform's own score.
    pub fn classified(strict: Scores, lenient: Option<&Scores>, nemo_f1: Option<f64>) -> Evaluation {
        let mut scores = strict.named("");
        if let Some(lenient) = lenient {
            scores.extend(lenient.named("_lenient"));
        }
        scores.extend(nemo_f1.map(|value| ("nemo_f1".to_owned(), Estimate::bare(value))));
        Evaluation {
            state: State::Completed,
            job: None,
            rows: Some(strict.rows),
            seconds: None,
            scores,
            classes: strict.classes,
            confusion: Some(strict.confusion),
            usage: None,
        }
    }
}

/// What an evaluation cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Median latency.
    pub p50_ms: Option<f64>,
    /// 95 % of the replies came within this.
    pub p95_ms: Option<f64>,
    /// Tokens of all prompts.
    pub prompt_tokens: Option<u64>,
    /// Tokens of all replies.
    pub completion_tokens: Option<u64>,
    /// Money per 1,000 requests.
    pub cost_per_1000: Option<f64>,
}

/// Two models compared on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// By which score.
    pub metric: String,
    /// b minus a.
    pub difference: Estimate,
    /// Corrected for the number of comparisons.
    pub p: Option<f64>,
    /// `better`, `same`, `worse` or `cannot tell`.
    pub verdict: String,
}

/// What the comparisons come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In a sentence.
    pub sentence: String,
    /// The model to look at.
    pub model: Option<String>,
}

/// Something that a run made on the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Such as `deployment`.
    pub kind: String,
    /// Its name there.
    pub name: String,
    /// How the ledger has it.
    pub state: String,
}

/// An `error` of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// What was being done to what.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to type next.
    pub hint: Option<String>,
}

impl ErrorObject {
    /// The chain as the contract shows it.
    pub fn new(chain: &anyhow::Error, hint: Option<&str>) -> ErrorObject {
        ErrorObject {
            message: chain.to_string(),
            causes: chain.chain().skip(1).map(ToString::to_string).collect(),
            hint: hint.map(str::to_owned),
        }
    }
}

impl Report {
    /// The name in `scores` of the score that decides.
    pub fn headline_metric(&self) -> &'static str {
        match self.data.as_ref().map(|data| data.workload_type.as_str()) {
            Some("tool_calling") => "name_and_arguments_accuracy",
            Some("text") => "judge_similarity",
            _ => "macro_f1",
        }
    }

    /// The best headline score of any candidate, customized where it was.
    pub fn headline(&self) -> Option<Headline> {
        let metric = self.headline_metric();
        let of = |candidate: &Candidate| {
            let evaluations = &candidate.evaluations;
            let value = score_of(evaluations.customized.as_ref(), metric)
                .or_else(|| score_of(evaluations.base.as_ref(), metric))?
                .value;
            Some(Headline { metric: metric.to_owned(), model: candidate.model.clone(), value })
        };
        // The first of equals stays: the order of the configuration.
        self.candidates.iter().filter_map(of).reduce(|best, next| if next.value > best.value { next } else { best })
    }

    /// The line of `status` for this run.
    pub fn row(&self) -> RunRow {
        RunRow {
            run: self.run.clone(),
            workload: self.workload.clone(),
            state: self.state,
            started_at: self.started_at.clone(),
            seconds: self.seconds,
            headline: self.headline(),
        }
    }
}

/// A score of an evaluation, when both exist.
pub(super) fn score_of(evaluation: Option<&Evaluation>, metric: &str) -> Option<Estimate> {
    evaluation.and_then(|evaluation| evaluation.scores.get(metric)).copied()
}

/// How people write the name of a score.
pub fn metric_label(metric: &str) -> String {
    let (metric, lenient) = match metric.strip_suffix("_lenient") {
        Some(metric) => (metric, ", lenient"),
        None => (metric, ""),
    };
    let label = match metric {
        "accuracy" => "accuracy",
        "macro_f1" => "macro F1",
        "weighted_f1" => "weighted F1",
        "micro_f1" => "micro F1",
        "kappa" => "Cohen's kappa",
        "unparseable" => "unparseable replies",
        "off_taxonomy" => "labels off the list",
        "nemo_f1" => "NeMo token F1",
        "name_and_arguments_accuracy" => "name and arguments",
        "judge_unrated" => "not rated by the judge",
        other => return format!("{}{lenient}", other.replace('_', " ")),
    };
    format!("{label}{lenient}")
}

#[cfg(test)]
mod tests;
