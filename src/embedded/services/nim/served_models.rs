//! The models that the NIM proxy serves: the models of ready deployments, and the adapters on them.

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::StatusCode;

use crate::embedded::backend::Backend;
use crate::embedded::state::PlatformState;
use crate::embedded::timing::{Listed, Moment};
use crate::embedded::wire::refusal::Refusal;
use crate::student::{self, Adapter, Message, Tool, ToolCall};

/// A model that answers.
pub(super) enum ServedModel {
    Base(String),
    Adapter(Arc<Adapter>),
}

impl ServedModel {
    pub(super) fn reply(&self, messages: &[Message]) -> String {
        match self {
            ServedModel::Base(model) => student::rate_texts(messages)
                .or_else(|| student::rate_tool_calls(messages))
                .unwrap_or_else(|| student::untrained_reply(student::stand_in(model), messages)),
            ServedModel::Adapter(adapter) => adapter.reply(messages),
        }
    }

    pub(super) fn calls(&self, messages: &[Message], tools: &[Tool], forced: bool) -> Vec<ToolCall> {
        let untrained = |size| student::untrained_call(size, messages, tools, forced).into_iter().collect();
        match self {
            ServedModel::Base(model) => untrained(student::stand_in(model)),
            ServedModel::Adapter(adapter) => match adapter.calls(messages, tools, forced) {
                Some(calls) => calls,
                None if forced => untrained(adapter.size()),
                None => Vec::new(),
            },
        }
    }
}

/// The id of a served model.
pub(super) struct ServedId {
    pub(super) id: String,
    /// The model itself, or the base model of an adapter.
    pub(super) base: String,
    /// The place of the adapter in the state.
    pub(super) adapter: Option<usize>,
}

/// Returns the ids that the NIM proxy lists at present.
pub(super) fn served_ids(backend: &Backend, state: &mut PlatformState) -> Vec<ServedId> {
    backend.settle_deployments(state);
    let (clock, now) = (backend.options.clock, state.now());
    let mut ids: Vec<ServedId> = Vec::new();
    for deployment in state.deployments.iter() {
        let is_listed = |ready: &Moment| clock.is_listed(Listed::Deployment, *ready, now);
        let Some(ready) = deployment.ready.filter(is_listed) else { continue };
        let plain = |model: String| ServedId { id: model.clone(), base: model, adapter: None };
        if let Some(hosted) = deployment.hosted_models() {
            ids.extend(hosted.models.into_iter().map(plain));
            continue;
        }
        ids.push(plain(deployment.model.clone()));
        let adapters = state.adapters.iter().enumerate();
        for (at, adapter) in adapters.filter(|(_, one)| deployment.lora && one.base == deployment.model) {
            let since = ready.latest(adapter.published);
            let missed = (now.at.saturating_duration_since(since.at), now.lists - since.lists);
            if clock.is_listed(Listed::Adapter, since, now) && !backend.faults.is_withheld(&adapter.id, missed) {
                ids.push(ServedId { id: adapter.id.clone(), base: deployment.model.clone(), adapter: Some(at) });
            }
        }
    }
    let mut seen = HashSet::new();
    ids.retain(|served| seen.insert(served.id.clone()));
    ids
}

/// Finds the model with an id.
pub(super) fn find(backend: &Backend, model: &str) -> Result<ServedModel, Refusal> {
    let mut state = backend.state();
    let found = served_ids(backend, &mut state).into_iter().find(|served| served.id == model);
    match found {
        Some(ServedId { id, base, adapter: Some(_) }) if backend.faults.is_unloaded(&id) => Ok(ServedModel::Base(base)),
        Some(ServedId { adapter: Some(at), .. }) => Ok(ServedModel::Adapter(Arc::clone(&state.adapters[at].weights))),
        Some(served) => Ok(ServedModel::Base(served.id)),
        None => {
            let text = format!("The model `{model}` does not exist.");
            Err(Refusal::inference(StatusCode::NOT_FOUND, "NotFoundError", text))
        }
    }
}
