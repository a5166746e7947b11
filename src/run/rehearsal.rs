//! Rehearsals: on the embedded platform students stand in for the models that it does not have.

use super::obstacle::Obstacle;
use crate::config::plan::{Candidate, Plan};
use crate::student;
use crate::vocabulary::PlatformKind;

/// Returns the candidates that a student replaces: all that are not students themselves.
fn replaced(candidates: &[Candidate]) -> impl Iterator<Item = &Candidate> {
    candidates.iter().filter(|candidate| !student::NAMES.contains(&candidate.model_name.as_str()))
}

/// Tells whether a run of these candidates is a rehearsal, whose scores say nothing about the models.
pub(crate) fn is_rehearsal(platform: PlatformKind, candidates: &[Candidate]) -> bool {
    platform == PlatformKind::Embedded && replaced(candidates).next().is_some()
}

/// Checks that the embedded platform has every candidate. Only with `--rehearse` a student may replace one.
///
/// # Errors
/// [`Obstacle::NoStudent`].
pub(crate) fn check_candidates(plan: &Plan) -> Result<(), Obstacle> {
    if plan.platform.kind == PlatformKind::Nemo || plan.rehearse {
        return Ok(());
    }
    match replaced(&plan.candidates).next() {
        Some(candidate) => Err(Obstacle::NoStudent { model: candidate.model_name.clone() }),
        None => Ok(()),
    }
}
