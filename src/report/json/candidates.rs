//! The candidates of a run: their training, their evaluations and scores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::text::counted;
use crate::run::outcome::{LoadStep, ModelVariant};
use crate::score::Estimate;
use crate::score::classification::{ClassScore, Confusion};
use crate::vocabulary::{CandidateState, Failure, LossPoint, RowsFrom};

/// One candidate model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// The id that the NIM serves.
    pub model: String,
    pub state: CandidateState,
    pub error: Option<Failure>,
    pub gpus: Option<u32>,
    /// From its first step to its last.
    pub seconds: Option<f64>,
    pub training: Option<Training>,
    pub evaluations: Evaluations,
    /// `None` without an evaluation, and before the end of the run.
    #[serde(default)]
    pub verdict: Option<CandidateVerdict>,
}

/// The verdict on one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CandidateVerdict {
    /// The evaluation that the sentence is about.
    pub variant: ModelVariant,
    pub sentence: String,
}

impl Candidate {
    /// Returns the score of the last of the evaluations that has it.
    pub(crate) fn last_score(&self, metric: &str) -> Option<Estimate> {
        self.evaluations.all().into_iter().rev().find_map(|(_, evaluation)| evaluation.score(metric))
    }
}

/// A customization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Training {
    /// The id of the job.
    pub job: Option<String>,
    /// The name under which the NIM serves the customized model.
    pub adapter: Option<String>,
    pub seconds: Option<f64>,
    pub loss: Vec<LossPoint>,
}

/// The evaluations of a candidate. One that did not happen has no key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evaluations {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Evaluation>,
    /// The base model with examples in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icl: Option<Evaluation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized: Option<Evaluation>,
}

impl Evaluations {
    /// Returns the evaluations that happened, each with its word, in the order of reports.
    pub(crate) fn all(&self) -> Vec<(&'static str, &Evaluation)> {
        let all = [&self.base, &self.icl, &self.customized];
        let all = ModelVariant::ALL.into_iter().zip(all);
        all.filter_map(|(variant, one)| Some((variant.as_str(), one.as_ref()?))).collect()
    }

    /// Returns the evaluation of a form of the model.
    pub(crate) fn of(&self, variant: ModelVariant) -> Option<&Evaluation> {
        match variant {
            ModelVariant::Base => self.base.as_ref(),
            ModelVariant::Icl => self.icl.as_ref(),
            ModelVariant::Customized => self.customized.as_ref(),
        }
    }

    /// Returns the last evaluation that happened, which stands for the candidate.
    pub(crate) fn last(&self) -> Option<&Evaluation> {
        self.all().pop().map(|(_, last)| last)
    }

    /// Returns the notes beside the scores, with the word of the evaluation.
    pub(crate) fn notes(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.all().into_iter().filter_map(|(which, evaluation)| Some((which, evaluation.note()?)))
    }
}

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evaluation {
    pub state: CandidateState,
    /// The id of the job.
    pub job: Option<String>,
    pub rows: Option<u64>,
    /// The rows without a reply, which count as wrong.
    pub unanswered: Option<u64>,
    /// Where the replies come from. `None` for the floor.
    pub rows_from: Option<RowsFrom>,
    pub seconds: Option<f64>,
    pub scores: BTreeMap<String, Estimate>,
    /// Empty for tool calling.
    pub classes: Vec<ClassScore>,
    /// `None` for tool calling.
    pub confusion: Option<Confusion>,
    pub usage: Option<Usage>,
    /// The model under a short load. Empty unless it was measured.
    #[serde(default)]
    pub latency: Vec<LoadStep>,
}

impl Evaluation {
    /// Returns a score by its name.
    pub(crate) fn score(&self, metric: &str) -> Option<Estimate> {
        self.scores.get(metric).copied()
    }

    /// Returns what has to stand beside its scores.
    pub(crate) fn note(&self) -> Option<String> {
        let missing = self.unanswered.filter(|missing| *missing > 0).map(|missing| {
            format!("no reply for {missing} of {}, which count as wrong", counted(self.rows.unwrap_or(missing), "row"))
        });
        let asked = (self.rows_from == Some(RowsFrom::Nim)).then(|| "rows asked of the NIM itself".to_owned());
        [missing, asked].into_iter().flatten().reduce(|all, next| format!("{all}; {next}"))
    }
}

/// The cost of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    /// The median latency.
    pub p50_ms: Option<f64>,
    /// The latency that 95 % of the replies kept.
    pub p95_ms: Option<f64>,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// Money per 1,000 requests.
    pub cost_per_1000: Option<f64>,
    /// Share of the teacher's cost.
    pub saving: Option<f64>,
    /// The requests per hour from which GPUs that serve all the time cost less than the teacher.
    pub break_even_per_hour: Option<f64>,
}
