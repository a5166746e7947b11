//! The words for what is known of a run, shared by every part that records, runs or shows one. Imports nothing of the
//! crate. What becomes of these values is decided elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Running,
    /// Every candidate completed.
    Completed,
    /// Some candidates completed, others failed.
    Partial,
    /// No candidate completed.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// Its process died. The store never holds this state: it follows from `running` and a lock that is free.
    Interrupted,
}

impl RunState {
    pub(crate) const ALL: [RunState; 6] = [
        RunState::Running,
        RunState::Completed,
        RunState::Partial,
        RunState::Failed,
        RunState::Cancelled,
        RunState::Interrupted,
    ];

    /// Returns the word for the state in the store, in reports and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Completed => "completed",
            RunState::Partial => "partial",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Interrupted => "interrupted",
        }
    }
}

/// Where the replies of an evaluation come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowsFrom {
    Evaluator,
    /// From the model itself, because the evaluator had none.
    Nim,
}

/// The state of a candidate, or of one of its evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CandidateState {
    /// Waits for GPUs or for the datasets.
    Waiting,
    Running,
    Completed,
    Failed,
    /// Nothing of it was tried.
    Skipped,
    /// Somebody stopped the run.
    Cancelled,
}

impl CandidateState {
    /// Returns the word for the state in reports and events.
    pub fn as_str(self) -> &'static str {
        match self {
            CandidateState::Waiting => "waiting",
            CandidateState::Running => "running",
            CandidateState::Completed => "completed",
            CandidateState::Failed => "failed",
            CandidateState::Skipped => "skipped",
            CandidateState::Cancelled => "cancelled",
        }
    }
}

/// The kind of NeMo platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformKind {
    /// NeMo: the microservices behind three base URLs, or Helix behind one.
    Nemo,
    /// The NeMo-compatible server of dfwfd.
    Embedded,
}

/// A generation of NeMo's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// Version 1 of the microservices (releases 25.4 to 25.12).
    V1,
    /// NeMo Helix, called NeMo Platform before 0.7.
    Helix,
}

/// The identity that a platform states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformVersion {
    pub generation: Generation,
    /// Such as `0.8.1`. Version 1 does not tell it.
    pub version: Option<String>,
}

impl Generation {
    /// Returns the name of the generation in a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Generation::V1 => "NeMo microservices, version 1",
            Generation::Helix => "NeMo Helix",
        }
    }
}

impl PlatformVersion {
    /// Returns the name of the platform in a sentence, with its version where it states one.
    pub(crate) fn in_words(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.generation.in_words()),
            None => self.generation.in_words().to_owned(),
        }
    }
}

/// The generation of a platform's API as reports name it: the embedded platform speaks that of version 1, and is named itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReportedGeneration {
    Embedded,
    V1,
    Helix,
}

impl ReportedGeneration {
    pub(crate) fn of(kind: PlatformKind, generation: Generation) -> ReportedGeneration {
        match (kind, generation) {
            (PlatformKind::Embedded, _) => ReportedGeneration::Embedded,
            (PlatformKind::Nemo, Generation::V1) => ReportedGeneration::V1,
            (PlatformKind::Nemo, Generation::Helix) => ReportedGeneration::Helix,
        }
    }
}

impl PlatformKind {
    pub(crate) const ALL: [PlatformKind; 2] = [PlatformKind::Nemo, PlatformKind::Embedded];

    /// Returns the word for the kind in the store, in reports and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            PlatformKind::Nemo => "nemo",
            PlatformKind::Embedded => "embedded",
        }
    }

    /// Returns the name of the kind in a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            PlatformKind::Nemo => "NeMo",
            PlatformKind::Embedded => "the embedded platform",
        }
    }

    /// Returns the name of a platform in a sentence, with the generation and the version that it has stated.
    pub(crate) fn as_stated(self, generation: Option<ReportedGeneration>, version: Option<&str>) -> String {
        let generation = match generation {
            Some(ReportedGeneration::V1) => Generation::V1,
            Some(ReportedGeneration::Helix) => Generation::Helix,
            Some(ReportedGeneration::Embedded) | None => return self.in_words().to_owned(),
        };
        PlatformVersion { generation, version: version.map(str::to_owned) }.in_words()
    }
}

/// Which platform a remote resource is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlatformId {
    /// A platform that outlives the run: its base URLs, separated by spaces.
    Remote(String),
    /// The embedded platform of one process: a random name. All that it holds goes with the process.
    InProcess(String),
}

/// The beginning of the text of [`PlatformId::InProcess`].
const IN_PROCESS: &str = "embedded:";

impl PlatformId {
    /// Tells whether the resources of the platform are gone once the process that made them has ended.
    pub(crate) fn ends_with_its_process(&self) -> bool {
        matches!(self, PlatformId::InProcess(_))
    }
}

impl From<&str> for PlatformId {
    fn from(text: &str) -> PlatformId {
        match text.strip_prefix(IN_PROCESS) {
            Some(instance) => PlatformId::InProcess(instance.to_owned()),
            None => PlatformId::Remote(text.to_owned()),
        }
    }
}

impl fmt::Display for PlatformId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlatformId::Remote(urls) => f.write_str(urls),
            PlatformId::InProcess(instance) => write!(f, "{IN_PROCESS}{instance}"),
        }
    }
}

/// The losses of a training at one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Counted from 0.
    pub step: u64,
    /// The loss on the training rows.
    pub train: Option<f64>,
    /// The loss on the validation rows.
    pub validation: Option<f64>,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The outermost message, which names the act and its object.
    pub message: String,
    /// The reasons, outermost first.
    pub causes: Vec<String>,
}

impl Failure {
    /// Returns the chain of an error.
    pub(crate) fn new(error: &anyhow::Error) -> Failure {
        Failure { message: error.to_string(), causes: error.chain().skip(1).map(ToString::to_string).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_platform_reads_back() {
        for (text, ends) in [("http://a http://b http://c", false), ("embedded:x7", true)] {
            let id = PlatformId::from(text);
            assert_eq!((id.to_string().as_str(), id.ends_with_its_process()), (text, ends));
        }
    }

    #[test]
    fn a_platform_has_one_name_wherever_it_is_shown() {
        for (kind, generation, version, words) in [
            (PlatformKind::Nemo, Some(Generation::Helix), Some("0.8.1"), "NeMo Helix 0.8.1"),
            (PlatformKind::Nemo, Some(Generation::V1), None, "NeMo microservices, version 1"),
            (PlatformKind::Nemo, None, None, "NeMo"),
            (PlatformKind::Embedded, Some(Generation::V1), None, "the embedded platform"),
        ] {
            let reported = generation.map(|generation| ReportedGeneration::of(kind, generation));
            assert_eq!(kind.as_stated(reported, version), words);
        }
    }

    #[test]
    fn words_are_those_of_the_json() {
        for state in RunState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for kind in PlatformKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for generation in [Generation::V1, Generation::Helix] {
            let reported = ReportedGeneration::of(PlatformKind::Nemo, generation);
            assert_eq!(serde_json::to_value(reported).unwrap(), serde_json::to_value(generation).unwrap());
        }
        for state in [CandidateState::Waiting, CandidateState::Skipped, CandidateState::Cancelled] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
