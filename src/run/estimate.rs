//! How long the steps of a candidate will take, for the order of candidates.

use crate::config::plan::Candidate;
use crate::student;

/// The expected seconds of each step of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub deployment: f64,
    pub training: f64,
    pub evaluation: f64,
}

impl Estimate {
    /// Returns the seconds from the start of the deployment to the end of the evaluations.
    pub(super) fn serving(&self) -> f64 {
        self.deployment + self.evaluation
    }
}

/// Returns a guess from the size of the model. Only how candidates compare matters.
pub(super) fn of(candidate: &Candidate) -> Estimate {
    let gpus = f64::from(candidate.gpus + candidate.training_gpus());
    // A name without a size: more GPUs are for a larger model.
    let billions = student::billions(&candidate.model_name).unwrap_or(4.0 * gpus);
    Estimate {
        deployment: 60.0f64.mul_add(billions, 180.0),
        training: if candidate.customizer.is_some() { 900.0 * billions } else { 0.0 },
        evaluation: 60.0f64.mul_add(billions, 120.0),
    }
}
