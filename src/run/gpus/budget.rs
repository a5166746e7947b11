//! The GPU budget of a run: configured, virtual, or counted on this machine.

use serde::{Deserialize, Serialize};

use super::count;
use crate::config::plan::{Candidate, EmbeddingPlan, JudgePlan, Plan};
use crate::run::obstacle::Obstacle;
use crate::vocabulary::PlatformKind;

/// The GPUs that the embedded platform offers by default.
pub(crate) const VIRTUAL_GPUS: u32 = 4;

/// The GPU budget of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Budget {
    /// `None`: unknown, one candidate at a time.
    pub gpus: Option<u32>,
    /// Where the number comes from, in a few words.
    pub why: String,
}

impl Budget {
    /// Returns the budget of a plan: as configured, else virtual GPUs, else the free GPUs of this machine.
    ///
    /// # Errors
    /// [`Obstacle::AllBusy`].
    pub(crate) fn of(plan: &Plan) -> Result<Budget, Obstacle> {
        let (gpus, why) = if let Some(gpus) = plan.gpus {
            (Some(gpus), "configured")
        } else if plan.rehearse || plan.platform.kind == PlatformKind::Embedded {
            (Some(VIRTUAL_GPUS.max(least_gpus(plan))), "virtual GPUs of the embedded platform")
        } else {
            let Some((counter, all)) = count::gpus() else {
                let why = "neither NVML nor nvidia-smi on this machine: one candidate at a time".to_owned();
                return Ok(Budget { gpus: None, why });
            };
            return match count::free(&all) {
                0 => Err(Obstacle::AllBusy),
                free => Ok(Budget {
                    gpus: u32::try_from(free).ok(),
                    why: format!("free GPUs of this machine, counted by {counter}"),
                }),
            };
        };
        Ok(Budget { gpus, why: why.to_owned() })
    }
}

/// Returns the fewest GPUs on which every candidate can run, in turn and beside the judge.
pub(crate) fn least_gpus(plan: &Plan) -> u32 {
    let judge = plan.any_judge().map_or(0, JudgePlan::gpus);
    let candidates = plan.candidates.iter().map(Candidate::least_gpus).max().unwrap_or(0) + judge;
    // The embedding model is gone before the first candidate starts.
    candidates.max(plan.embedding().map_or(0, EmbeddingPlan::gpus))
}
