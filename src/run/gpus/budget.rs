//! The GPU budget of a run: configured, virtual, or counted on this machine.

use serde::{Deserialize, Serialize};

use crate::config::plan::{Candidate, JudgePlan, Plan};
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
            match free_gpus() {
                Some(0) => return Err(Obstacle::AllBusy),
                Some(gpus) => (Some(gpus), "free GPUs of this machine"),
                None => (None, "no NVML on this machine: one candidate at a time"),
            }
        };
        Ok(Budget { gpus, why: why.to_owned() })
    }
}

/// Returns the fewest GPUs on which every candidate can run, in turn and beside the judge.
pub(crate) fn least_gpus(plan: &Plan) -> u32 {
    let judge = plan.judge.as_ref().map_or(0, JudgePlan::gpus);
    plan.candidates.iter().map(Candidate::least_gpus).max().unwrap_or(0) + judge
}

/// Counts the GPUs of this machine on which NVML sees no process. `None` without NVML.
fn free_gpus() -> Option<u32> {
    let nvml = nvml_wrapper::Nvml::init().ok()?;
    let count = nvml.device_count().ok()?;
    let is_free = |index: &u32| {
        nvml.device_by_index(*index)
            .and_then(|device| Ok(device.running_compute_processes()?.is_empty()))
            .unwrap_or(false)
    };
    u32::try_from((0..count).filter(is_free).count()).ok()
}
