//! How long a run has held GPUs on its platform, by its ledger: deployments and trainings, those of a killed process
//! included.

use super::deploy::{EMBEDDING, JUDGE};
use super::names;
use crate::config::plan::{Plan, ServicePlace};
use crate::store::{Resource, ResourceKind, RunRow, Store, now_ms};
use crate::vocabulary::RunState;

/// Returns the GPU seconds of a run. `state` is its state as it is shown.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn seconds(store: &Store, run: &RunRow, plan: &Plan, state: RunState) -> anyhow::Result<f64> {
    let now = now_ms();
    let of = |row: &Resource| {
        let ms = held_ms(row, run.resumed_ms, state, now).unwrap_or_default();
        f64::from(gpus(plan, row)) * ms as f64 / 1000.0
    };
    // The sum of nothing is a negative zero.
    Ok(store.all_resources(&run.id)?.iter().map(of).fold(0.0, std::ops::Add::add))
}

/// Returns for how long the platform has had a resource. `None`: never, or nobody knows.
fn held_ms(row: &Resource, resumed_ms: i64, state: RunState, now: i64) -> Option<i64> {
    let open = row.released_ms.is_none();
    // An embedded platform inside a process that was killed was gone before anybody could see when.
    let died =
        row.platform.ends_with_its_process() && (row.intended_ms < resumed_ms || open && state != RunState::Running);
    let from = row.live_ms.filter(|_| !died)?;
    Some((row.released_ms.unwrap_or(now) - from).max(0))
}

/// Returns the GPUs of a resource, 0 if it takes none.
fn gpus(plan: &Plan, row: &Resource) -> u32 {
    let candidate = row.candidate.as_ref();
    let candidate = candidate.and_then(|model| plan.candidates.iter().find(|one| one.model_name == *model));
    let is = |kind| row.name.starts_with(&names::of_run(&row.run, kind));
    let of = |place: &ServicePlace| match place {
        ServicePlace::Local(service) => service.gpus,
        ServicePlace::Remote { .. } => 0,
    };
    match (row.kind, candidate) {
        (ResourceKind::Training, Some(candidate)) => candidate.training_gpus(),
        (ResourceKind::Deployment, Some(candidate)) => candidate.gpus,
        (ResourceKind::Deployment, None) if is(JUDGE) => plan.any_judge().map_or(0, |judge| of(&judge.place)),
        (ResourceKind::Deployment, None) if is(EMBEDDING) => plan.embedding().map_or(0, |model| of(&model.place)),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ResourceState;
    use crate::vocabulary::PlatformId;

    fn row(live_ms: Option<i64>, released_ms: Option<i64>, platform: &str) -> Resource {
        Resource {
            id: 1,
            run: "abcdefgh".to_owned(),
            candidate: None,
            kind: ResourceKind::Deployment,
            name: "dfwfd-abcdefgh-nim".to_owned(),
            remote_id: None,
            platform: PlatformId::from(platform),
            state: ResourceState::Live,
            finished: false,
            looked_ms: None,
            intended_ms: 10,
            live_ms,
            released_ms,
        }
    }

    #[test]
    fn a_resource_counts_from_its_create_to_its_release_and_never_without_a_create() {
        let cluster = "http://a http://b http://c";
        let held = |row: &Resource, resumed| held_ms(row, resumed, RunState::Completed, 100);
        assert_eq!(held(&row(Some(20), Some(50), cluster), 0), Some(30));
        assert_eq!(held(&row(Some(20), None, cluster), 0), Some(80), "still held");
        assert_eq!(held(&row(Some(20), Some(50), cluster), 40), Some(30), "of the process that was killed");
        assert_eq!(held(&row(None, Some(50), cluster), 0), None);
        assert_eq!(held(&row(Some(20), Some(50), "embedded:x"), 0), Some(30));
        assert_eq!(held(&row(Some(20), Some(50), "embedded:x"), 40), None);
        assert_eq!(held(&row(Some(20), None, "embedded:x"), 0), None);
        assert_eq!(held_ms(&row(Some(20), None, "embedded:x"), 0, RunState::Running, 100), Some(80));
    }
}
