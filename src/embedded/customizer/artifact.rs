//! What a training leaves behind: an adapter in the model repository at the job's revision, its model entity, and an
//! entry among the adapters that NIMs load.
//!
//! The weights file is a valid safetensors file with one tensor of bytes, the saved student: it is honest about what it
//! is, and no transformer can be made of it.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::job::Training;
use crate::embedded::contents::{Content, Contents};
use crate::embedded::datastore::repos::{Change, File, RepoKind, RepoName};
use crate::embedded::nim::ServedAdapter;
use crate::embedded::wire::naive_now;
use crate::embedded::world::{State, World};
use crate::student::Adapter;

/// What a job has trained, as it is served and as a file.
#[derive(Debug)]
pub(super) struct Trained {
    adapter: Arc<Adapter>,
    weights: Content,
}

impl Trained {
    /// Stores the weights; blocks.
    pub(super) fn keep(contents: &Contents, adapter: Adapter) -> io::Result<Self> {
        let weights = contents.keep(safetensors(&adapter.to_bytes(), adapter.size().name()))?;
        Ok(Trained { adapter: Arc::new(adapter), weights })
    }
}

/// The adapter that a weights file holds.
pub(in crate::embedded) fn adapter(weights: &[u8]) -> Option<Adapter> {
    let (length, rest) = weights.split_first_chunk::<8>()?;
    let student = rest.get(usize::try_from(u64::from_le_bytes(*length)).ok()?..)?;
    Adapter::from_bytes(student).ok()
}

/// Publishes what a job has trained.
pub(super) fn publish(world: &World, state: &mut State, at: usize, trained: Trained) -> io::Result<()> {
    let job = &state.trainings[at];
    let Some(id) = job.output_model.clone() else { return Ok(()) };
    let (base, config) = (job.base_model.clone(), adapter_config(job));
    let config = world.contents.keep(format!("{config:#}\n").into())?;
    let (name, revision) = id.split_once('@').unwrap_or((&id, "main"));
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let repo = RepoName::new(RepoKind::Model, namespace, name);
    state.store.add_namespace(namespace);
    state.store.create(&repo);
    if let Some(repo) = state.store.find_mut(&repo) {
        let files = vec![
            Change::Put("adapter_config.json".into(), File::regular(config)),
            Change::Put("adapter_model.safetensors".into(), File::regular(trained.weights.clone())),
        ];
        repo.commit(revision, "Upload the adapter", files);
    }
    mark(state, &id, "upload_completed");
    let published = world.now(state);
    state.adapters.retain(|other| other.id != id);
    state.adapters.push(ServedAdapter { id, base, weights: trained.adapter, file: trained.weights, published });
    Ok(())
}

/// Says in the model entity that there will be no adapter.
pub(super) fn give_up(state: &mut State, at: usize) {
    if let Some(id) = state.trainings[at].output_model.clone() {
        mark(state, &id, "upload_failed");
    }
}

fn mark(state: &mut State, id: &str, status: &str) {
    if let Some((namespace, name)) = id.split_once('/')
        && let Some(entity) = state.models.find_mut(namespace, name)
    {
        entity["artifact"]["status"] = json!(status);
        entity["updated_at"] = json!(naive_now());
    }
}

fn adapter_config(job: &Training) -> Value {
    let lora = &job.body["hyperparameters"]["lora"];
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

/// A safetensors file (header length, header, data) with the saved student as its one tensor.
fn safetensors(student: &[u8], kind: &str) -> Bytes {
    let mut header = json!({
        "__metadata__": {"format": "dfwfd-student", "student": kind},
        "student": {"dtype": "U8", "shape": [student.len()], "data_offsets": [0, student.len()]},
    })
    .to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = Vec::with_capacity(8 + header.len() + student.len());
    file.extend_from_slice(&(header.len() as u64).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(student);
    file.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_a_valid_safetensors_file() {
        let file = safetensors(&[7, 8, 9], "x");
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
        assert_eq!(header["student"]["data_offsets"], json!([0, 3]));
        assert_eq!(&file[8 + length..], [7, 8, 9]);
        assert_eq!((8 + length) % 8, 0);
        assert!(adapter(&file).is_none() && adapter(&file[..5]).is_none() && adapter(&[0xff; 9]).is_none());
    }
}
