//! The report of a run.

use serde::{Deserialize, Serialize};

use super::candidates::{Candidate, Evaluation};
use super::failure::ErrorObject;
use crate::data::workload_type::WorkloadType;
use crate::report::metrics::{evaluated_label, headline_metric};
use crate::run::gates::Gate;
use crate::run::gold::GoldFact;
use crate::run::outcome::{ComparisonFact, DriftFact, LoadStep, ModelVariant, UnreadableReply};
use crate::source::dataset::Manifest;
use crate::store::{Resource, ResourceKind, ResourceState};
use crate::vocabulary::{PlatformKind, ReportedGeneration, RunState};

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub schema: u32,
    /// The id of the run.
    pub run: String,
    /// `None` until the records are read, unless the configuration names it.
    pub workload: Option<String>,
    pub state: RunState,
    /// `None` while the run goes on, and when its process died.
    pub exit_code: Option<u8>,
    pub platform: PlatformKind,
    /// `v1`, `helix` or `embedded`. `None` before the platform was asked.
    #[serde(default)]
    pub generation: Option<ReportedGeneration>,
    /// The version that the platform reports. Only Helix does.
    #[serde(default)]
    pub platform_version: Option<String>,
    /// Students stood in for the candidates.
    pub rehearsal: bool,
    /// RFC 3339 in UTC.
    pub started_at: String,
    /// Wall time over all processes that worked on the run.
    pub seconds: Option<f64>,
    /// `user@host`.
    pub owner: String,
    /// The address that answers chat requests. `None` when the platform was inside the process of the run.
    #[serde(default)]
    pub nim_base_url: Option<String>,
    /// The manifest of the datasets. `None` when the run ended before it had made them.
    pub data: Option<Manifest>,
    /// `None` when no judge was asked.
    #[serde(default)]
    pub judge: Option<Judge>,
    /// In the order of the configuration.
    pub candidates: Vec<Candidate>,
    /// A classifier that was trained on the same rows in seconds. `None` without one.
    #[serde(default)]
    pub floor: Option<Evaluation>,
    /// The production model under a short load. `None` unless it was measured.
    #[serde(default)]
    pub teacher: Option<MeasuredTeacher>,
    /// `None` without prices.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// Empty with fewer than two evaluations.
    pub comparisons: Vec<ComparisonFact>,
    /// `None` without an evaluation.
    pub verdict: Option<Verdict>,
    /// The models against labels that people gave. `None` without such labels.
    #[serde(default)]
    pub gold: Option<GoldFact>,
    /// Tells how this run differs from the one of the workload before. `None` without one.
    #[serde(default)]
    pub drift: Option<DriftFact>,
    /// The quality gates that were asked for.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// The resources that the run still holds on the platform.
    pub held: Vec<Held>,
    pub warnings: Vec<String>,
    /// Replies without a label, one of each model that gave many. They are texts of models, as the replies in rows are.
    #[serde(default)]
    pub unreadable: Vec<UnreadableReply>,
    pub error: Option<ErrorObject>,
}

/// The model that judged the tool calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Judge {
    pub model: String,
    /// `local`: a NIM that the run deployed. `remote`: an endpoint that was there before.
    pub deployment: String,
}

/// The production model behind its endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MeasuredTeacher {
    pub model: String,
    pub latency: Vec<LoadStep>,
    /// The replies that told their tokens, and these tokens.
    pub usage_rows: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// The money of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub currency: String,
    /// 1,000 requests to the teacher. `None` without its prices, or without tokens in the log.
    pub teacher_per_1000: Option<f64>,
    /// The GPUs of all deployments and trainings of the run.
    #[serde(default)]
    pub gpu_hours: Option<f64>,
    /// These GPUs. `None` without a price per hour.
    pub run: Option<f64>,
}

/// The result of the comparisons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub sentence: String,
    pub model: Option<String>,
    /// The form in which to look at it.
    #[serde(default)]
    pub variant: Option<ModelVariant>,
}

/// A resource on the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub kind: ResourceKind,
    pub name: String,
    pub state: ResourceState,
}

impl From<&Resource> for Held {
    fn from(resource: &Resource) -> Held {
        // The id of a job of Helix is its workspace and its name, which is cut where ours is too long.
        let id = resource
            .remote_id
            .as_deref()
            .filter(|_| matches!(resource.kind, ResourceKind::Training | ResourceKind::Evaluation));
        let own = id.and_then(|id| id.split_once('/')).and_then(|(_, name)| name.split('@').next());
        Held { kind: resource.kind, name: own.unwrap_or(&resource.name).to_owned(), state: resource.state }
    }
}

/// The best score of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Headline {
    pub metric: String,
    pub model: String,
    pub value: f64,
}

impl Report {
    /// Returns the name of the score that decides.
    pub(crate) fn headline_metric(&self) -> &'static str {
        let workload = self.data.as_ref().map_or(WorkloadType::Classification, |data| data.workload_type);
        headline_metric(workload, self.judge.is_some())
    }

    /// Leaves out what models replied.
    #[must_use]
    pub(crate) fn without_texts(self) -> Report {
        Report { unreadable: Vec::new(), ..self }
    }

    /// Returns the warnings, and the replies that some of them are about.
    pub(crate) fn warnings_with_replies(&self) -> impl Iterator<Item = String> {
        let reply = |one: &UnreadableReply| {
            format!("a reply of {} that holds no label: \"{}\"", evaluated_label(&one.model), one.reply)
        };
        self.warnings.iter().cloned().chain(self.unreadable.iter().map(reply))
    }

    /// Returns the best headline score of any candidate. Of equal scores the first candidate wins.
    pub(crate) fn headline(&self) -> Option<Headline> {
        let metric = self.headline_metric();
        let of = |candidate: &Candidate| {
            let value = candidate.last_score(metric)?.value;
            Some(Headline { metric: metric.to_owned(), model: candidate.model.clone(), value })
        };
        self.candidates.iter().filter_map(of).reduce(|best, next| if next.value > best.value { next } else { best })
    }
}
