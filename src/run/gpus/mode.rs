//! How a candidate uses its GPUs: serving and training at once, or in turn.

use crate::config::plan::{Candidate, JudgePlan, Plan};
use crate::run::obstacle::Obstacle;

/// How a candidate uses its GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// NIM and training at the same time.
    Overlap,
    /// One after the other.
    InTurn,
}

/// Returns the mode that a budget allows, and the GPUs that the candidate leases in it.
pub(crate) fn mode(candidate: &Candidate, budget: Option<u32>) -> (Mode, u32) {
    let (nim, training) = (candidate.gpus, candidate.training_gpus());
    match budget {
        Some(budget) if nim + training <= budget => (Mode::Overlap, nim + training),
        // Without a budget one candidate runs at a time and leases all there is.
        Some(_) | None => (Mode::InTurn, nim.max(training)),
    }
}

/// Checks that every candidate fits into the budget beside the judge.
///
/// # Errors
/// [`Obstacle::TooSmall`].
pub(crate) fn check_fit(plan: &Plan, judge: Option<&JudgePlan>, budget: Option<u32>) -> Result<(), Obstacle> {
    let Some(budget) = budget else { return Ok(()) };
    let beside = judge.map_or(0, JudgePlan::gpus);
    let too_small = |model: &str, need, beside| Obstacle::TooSmall { model: model.to_owned(), need, beside, budget };
    if let Some(judge) = judge.filter(|_| beside > budget) {
        return Err(too_small(&judge.model_name, beside, 0));
    }
    if let Some(embedding) = plan.embedding().filter(|embedding| embedding.gpus() > budget) {
        return Err(too_small(&embedding.model_name, embedding.gpus(), 0));
    }
    for candidate in &plan.candidates {
        let (_, need) = mode(candidate, Some(budget - beside));
        if need > budget - beside {
            return Err(too_small(&candidate.model_name, need, beside));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::gpus::tests::candidate;

    #[test]
    fn the_budget_decides_the_mode() {
        assert_eq!(mode(&candidate(1, 1), Some(2)), (Mode::Overlap, 2));
        assert_eq!(mode(&candidate(1, 2), Some(2)), (Mode::InTurn, 2));
        assert_eq!(mode(&candidate(1, 1), Some(1)), (Mode::InTurn, 1));
        assert_eq!(mode(&candidate(1, 1), None), (Mode::InTurn, 1));
    }
}
