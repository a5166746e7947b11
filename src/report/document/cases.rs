//! A run as the test cases of a CI system: the run itself, each candidate and each gate.

use serde::Serialize;

use super::words::shown;
use crate::report::json::{Candidate, Report};
use crate::run::gates::Gate;
use crate::vocabulary::{CandidateState, RunState};

/// One test case.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    group: &'static str,
    name: String,
    seconds: f64,
    outcome: Outcome,
    /// Empty where all went well.
    message: String,
}

/// How a case ended, in JUnit's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    /// A gate was missed.
    Failure,
    /// Something broke.
    Error,
    Skipped,
}

/// Returns the cases of a run.
pub(super) fn of(report: &Report) -> Vec<Case> {
    let mut cases = vec![run(report)];
    cases.extend(report.candidates.iter().map(candidate));
    cases.extend(report.gates.iter().map(gate));
    cases
}

fn run(report: &Report) -> Case {
    let outcome = match report.state {
        RunState::Completed | RunState::Partial => Outcome::Passed,
        RunState::Running => Outcome::Skipped,
        RunState::Failed | RunState::Cancelled | RunState::Interrupted => Outcome::Error,
    };
    let message = match &report.error {
        Some(error) => shown(&error.failure.message),
        None if outcome == Outcome::Passed => String::new(),
        None => format!("the run is {}", report.state.as_str()),
    };
    Case { group: "run", name: report.run.clone(), seconds: report.seconds.unwrap_or_default(), outcome, message }
}

fn candidate(candidate: &Candidate) -> Case {
    let outcome = match candidate.state {
        CandidateState::Completed => Outcome::Passed,
        CandidateState::Failed => Outcome::Error,
        CandidateState::Waiting | CandidateState::Running | CandidateState::Skipped | CandidateState::Cancelled => {
            Outcome::Skipped
        }
    };
    let message = match &candidate.error {
        Some(failure) => shown(
            &std::iter::once(&failure.message)
                .chain(&failure.causes)
                .fold(String::new(), |all, part| if all.is_empty() { part.clone() } else { format!("{all}: {part}") }),
        ),
        None if outcome == Outcome::Passed => String::new(),
        None => format!("the candidate is {}", candidate.state.as_str()),
    };
    let (name, seconds) = (shown(&candidate.model), candidate.seconds.unwrap_or_default());
    Case { group: "candidates", name, seconds, outcome, message }
}

fn gate(gate: &Gate) -> Case {
    let (outcome, message) = match gate.met {
        true => (Outcome::Passed, String::new()),
        false => (Outcome::Failure, shown(&gate.explanation)),
    };
    Case { group: "gates", name: shown(&gate.gate), seconds: 0.0, outcome, message }
}
