//! The GPUs of this machine, and whether the candidates fit them.

use super::Section;
use crate::config::plan::Plan;
use crate::report::json::Check;
use crate::report::text::counted;
use crate::run::gpus::{Budget, check_fit, gpus_of_machine, least_gpus};
use crate::run::judge;

const PART: Section = Section::Machine;

/// Tells which GPUs this machine has and how they were counted. A machine without any may still drive a cluster.
pub(crate) fn check_gpus() -> Check {
    let subject = "GPUs";
    let Some((counter, gpus)) = gpus_of_machine() else {
        return PART.ok(subject, "none seen: neither NVML nor nvidia-smi is on this machine");
    };
    let one = |gpu: &crate::run::gpus::Gpu| {
        let state = if gpu.busy { "busy" } else { "free" };
        format!("{} ({state}, {} of {} GiB free)", gpu.name, gpu.free_mib >> 10, gpu.total_mib >> 10)
    };
    let list: Vec<String> = gpus.iter().map(one).collect();
    PART.ok(subject, format!("{} counted by {counter}: {}", counted(gpus.len() as u64, "GPU"), list.join(", ")))
}

/// Checks that every candidate fits the budget. Returns the budget if there is one.
pub(super) fn check_budget(plan: &Plan) -> (Option<Budget>, Check) {
    let subject = "GPU budget";
    let budget = match Budget::of(plan) {
        Ok(budget) => budget,
        Err(busy) => return (None, PART.failed(subject, &busy.into(), "set `gpus` to the number to use")),
    };
    let check = match check_fit(plan, judge::known_from_plan(plan), budget.gpus) {
        Err(small) => PART.failed(subject, &small.into(), "raise `gpus`"),
        Ok(()) => {
            let gpus = budget.gpus.map_or_else(|| "unknown".to_owned(), |gpus| gpus.to_string());
            PART.ok(subject, format!("{gpus} ({}); the largest candidate needs {}", budget.why, least_gpus(plan)))
        }
    };
    (Some(budget), check)
}
