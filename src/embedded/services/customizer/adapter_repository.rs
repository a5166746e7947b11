//! The end of a training in the model repository: the adapter at the job's revision, its model entity, and the adapter
//! that NIMs load.

use std::io;

use serde_json::{Value, json};

use crate::embedded::backend::Backend;
use crate::embedded::state::PlatformState;
use crate::embedded::state::adapter::{ServedAdapter, TrainedAdapter};
use crate::embedded::state::repositories::{FileChange, RepoFile, RepoKind, RepoName};
use crate::embedded::state::training::Training;
use crate::embedded::wire::stamps::naive_now;

/// Publishes the adapter of the training job at this place of the list.
pub(super) fn publish(
    backend: &Backend,
    state: &mut PlatformState,
    at: usize,
    trained: TrainedAdapter,
) -> io::Result<()> {
    let job = &state.trainings[at];
    let Some(id) = job.output_model.clone() else { return Ok(()) };
    let (base, config) = (job.base_model.clone(), adapter_config(job));
    let config = backend.blobs.keep(format!("{config:#}\n").into())?;
    let (name, revision) = id.split_once('@').unwrap_or((&id, "main"));
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let repo = RepoName::new(RepoKind::Model, namespace, name);
    state.repositories.add_namespace(namespace);
    state.repositories.create(&repo);
    if let Some(repo) = state.repositories.find_mut(&repo) {
        let files = vec![
            FileChange::Put("adapter_config.json".into(), RepoFile::regular(config)),
            FileChange::Put("adapter_model.safetensors".into(), RepoFile::regular(trained.file.clone())),
        ];
        repo.commit(revision, "Upload the adapter", files);
    }
    mark(state, &id, "upload_completed");
    let published = state.now();
    state.adapters.retain(|other| other.id != id);
    state.adapters.push(ServedAdapter { id, base, weights: trained.weights, file: trained.file, published });
    Ok(())
}

/// Records in the model entity that there will be no adapter.
pub(super) fn give_up(state: &mut PlatformState, at: usize) {
    if let Some(id) = state.trainings[at].output_model.clone() {
        mark(state, &id, "upload_failed");
    }
}

fn mark(state: &mut PlatformState, id: &str, status: &str) {
    if let Some((namespace, name)) = id.split_once('/')
        && let Some(entity) = state.models.find_mut(namespace, name)
    {
        entity["artifact"]["status"] = json!(status);
        entity["updated_at"] = json!(naive_now());
    }
}

fn adapter_config(job: &Training) -> Value {
    let body = job.body();
    let lora = &body["hyperparameters"]["lora"];
    json!({
        "base_model_name_or_path": job.base_model,
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": lora["adapter_dim"].as_u64().unwrap_or(32),
        "lora_alpha": lora["alpha"].as_u64().unwrap_or(16),
        "lora_dropout": lora["adapter_dropout"].as_f64().unwrap_or(0.0),
        "target_modules": lora["target_modules"].as_array(),
        "bias": "none",
        "inference_mode": true,
    })
}
