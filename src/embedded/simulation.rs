//! The simulated clock: time stands still until a step moves it to the next change. So a client is seen to use hours well
//! or badly in seconds, whatever the load of the machine.

use std::sync::Arc;
use std::time::Instant;

use super::backend::Backend;
use super::services::jobs;
use super::state::PlatformState;
use super::state::evaluation::Evaluation;
use super::state::training::Training;
use super::timing::{Clock, Listed, SimulatedTimes};

/// A change that time brings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    at: Instant,
    key: String,
    kind: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChangeKind {
    /// A deployment is ready, or the NIM proxy lists something.
    Served,
    TrainingEnds,
    EvaluationEnds,
}

/// Moves the clock to the next change. Returns the keys of all that changes then, none if nothing is under way. `None`
/// on another clock.
pub(crate) async fn advance(backend: &Arc<Backend>) -> Option<Vec<String>> {
    let changes = {
        let mut state = backend.state();
        let now = state.simulated?;
        backend.settle_deployments(&mut state);
        let mut changes = coming(&state, backend.options.clock);
        let next = changes.iter().map(|change| change.at).min().unwrap_or(now).max(now);
        changes.retain(|change| change.at <= next);
        state.simulated = Some(next);
        state.unseen = changes.iter().map(|change| change.key.clone()).collect();
        backend.settle_deployments(&mut state);
        changes
    };
    for change in &changes {
        match change.kind {
            ChangeKind::Served => {}
            ChangeKind::TrainingEnds => jobs::end_on_time::<Training>(backend, &change.key).await,
            ChangeKind::EvaluationEnds => jobs::end_on_time::<Evaluation>(backend, &change.key).await,
        }
    }
    Some(changes.into_iter().map(|change| change.key).collect())
}

/// Returns the seconds since the start on the simulated clock.
pub(crate) fn seconds(backend: &Backend) -> f64 {
    let now = backend.state().now().at;
    now.saturating_duration_since(backend.started).as_secs_f64()
}

/// Returns all that time will change.
fn coming(state: &PlatformState, clock: Clock) -> Vec<Change> {
    let now = state.now();
    let mut coming = Vec::new();
    let mut add = |at: Instant, key: &str, kind| coming.push(Change { at, key: key.to_owned(), kind });
    for deployment in state.deployments.iter().filter(|one| one.failed.is_none()) {
        match (deployment.granted, deployment.ready) {
            (_, Some(ready)) => {
                let listed = clock.listed_at(Listed::Deployment, ready);
                if listed > now.at {
                    add(listed, &deployment.model, ChangeKind::Served);
                }
                for adapter in state.adapters.iter().filter(|one| deployment.lora && one.base == deployment.model) {
                    let listed = clock.listed_at(Listed::Adapter, ready.latest(adapter.published));
                    if listed > now.at {
                        add(listed, &adapter.id, ChangeKind::Served);
                    }
                }
            }
            (Some(granted), None) => {
                add(clock.ready_at(&deployment.model, granted, now).at, &deployment.id(), ChangeKind::Served);
            }
            (None, None) => {}
        }
    }
    for training in state.trainings.iter().filter(|one| one.holds_gpus()) {
        let takes = SimulatedTimes::of(&training.base_model).training;
        let ends = training.begun.map_or(now.at, |begun| begun.at + takes);
        add(ends, &training.id, ChangeKind::TrainingEnds);
    }
    for evaluation in state.evaluations.iter().filter(|one| !one.has_ended()) {
        let takes = SimulatedTimes::of(&evaluated_model(state, evaluation)).evaluation;
        let ends = evaluation.begun.map_or(now.at, |begun| begun.at + takes);
        add(ends, &evaluation.id, ChangeKind::EvaluationEnds);
    }
    coming
}

/// Returns the model that a job evaluates; of an adapter its base model.
fn evaluated_model(state: &PlatformState, evaluation: &Evaluation) -> String {
    let target = evaluation.order.as_ref().map(|order| &order.target["model"]);
    let named = target.and_then(|model| model["api_endpoint"]["model_id"].as_str().or_else(|| model.as_str()));
    let named = named.unwrap_or_default();
    let adapter = state.adapters.iter().find(|adapter| adapter.id == named);
    adapter.map_or_else(|| named.to_owned(), |adapter| adapter.base.clone())
}
