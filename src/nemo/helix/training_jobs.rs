//! Training jobs (docs/helix-api.md, Training). There is no stored configuration: the job carries everything.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::jobs::{JobService, status_of};
use super::{Helix, names};
use crate::nemo::removal::Removal;
use crate::nemo::status::JobStatus;
use crate::nemo::training::{NewTrainingJob, TrainingJob, TrainingStatus};
use crate::nemo::transport::{ApiError, read_json};
use crate::remote_text::said;
use crate::vocabulary::LossPoint;

/// The step that trains. The others move files.
const TRAINING_STEP: &str = "training";
/// The last step, after which the adapter exists. A busy platform may lose the update that would end the job.
const LAST_STEP: &str = "model-entity-creation";

/// The jobs of the default backend, and those of the other one.
pub(super) const AUTOMODEL: JobService<'static> = JobService { service: "customization", jobs: &["automodel", "jobs"] };
pub(super) const UNSLOTH: JobService<'static> = JobService { service: "customization", jobs: &["unsloth", "jobs"] };
/// The end of the id of a job of Unsloth. No name of a run holds an `@`.
const UNSLOTH_MARK: &str = "@unsloth";

/// Returns the precisions that a backend trains in. Version 1 has the same with `-mixed` behind the name.
pub(crate) fn precisions(backend: Option<&str>) -> &'static [&'static str] {
    match backend {
        Some("unsloth") => &["bf16", "fp16"],
        _ => &["bf16", "fp16", "fp32", "fp8"],
    }
}

/// Returns the precision by its name here: `bf16-mixed` of version 1 is `bf16`. One that is not known is left to the platform.
fn precision(new: &NewTrainingJob) -> Option<&str> {
    let name = new.training_precision.as_deref()?.trim_end_matches("-mixed");
    precisions(new.backend.as_deref()).contains(&name).then_some(name)
}

/// The scaling of an adapter. Version 1 has this one (docs/nemo-api.md, Customization jobs). Each backend has its own default.
const LORA_ALPHA: u32 = 16;

fn lora(new: &NewTrainingJob) -> Value {
    let with = &new.hyperparameters;
    json!({ "rank": with.adapter_dim, "alpha": LORA_ALPHA, "dropout": with.adapter_dropout })
}

fn schedule(new: &NewTrainingJob) -> Value {
    let mut schedule = json!({ "epochs": new.hyperparameters.epochs });
    if let Some(seed) = new.hyperparameters.seed {
        schedule["seed"] = json!(seed);
    }
    schedule
}

fn automodel_spec(new: &NewTrainingJob) -> Value {
    let with = &new.hyperparameters;
    let parallel = &new.option;
    let mut training = json!({
        "training_type": with.training_type, "finetuning_type": with.finetuning_type, "lora": lora(new),
        "max_seq_length": new.max_seq_length,
    });
    if let Some(precision) = precision(new) {
        training["precision"] = json!(precision);
    }
    if let Some(profile) = &new.execution_profile {
        training["execution_profile"] = json!(profile);
    }
    json!({
        "model": new.model, "dataset": { "training": format!("{}/{}", new.namespace, new.dataset) },
        "training": training, "schedule": schedule(new),
        "batch": {
            "global_batch_size": with.batch_size, "micro_batch_size": parallel.micro_batch_size,
            "sequence_packing": with.sequence_packing_enabled,
        },
        "optimizer": { "learning_rate": with.learning_rate },
        "parallelism": {
            "num_gpus_per_node": parallel.num_gpus, "num_nodes": parallel.num_nodes,
            "tensor_parallel_size": parallel.tensor_parallel_size,
        },
        "output": { "name": new.adapter },
    })
}

/// Returns the spec of a job of Unsloth, which trains on one GPU. The base model is not quantised, as with the other backend.
fn unsloth_spec(new: &NewTrainingJob) -> Value {
    let with = &new.hyperparameters;
    let micro = new.option.micro_batch_size.max(1);
    json!({
        "model": { "name": new.model, "max_seq_length": new.max_seq_length, "load_in_4bit": false },
        "dataset": {
            "path": format!("{}/{}", new.namespace, new.dataset), "apply_chat_template": true,
            "packing": with.sequence_packing_enabled,
        },
        "training": { "training_type": with.training_type, "finetuning_type": with.finetuning_type, "lora": lora(new) },
        "schedule": schedule(new),
        "batch": {
            "per_device_train_batch_size": micro, "gradient_accumulation_steps": (with.batch_size / micro).max(1),
        },
        "optimizer": { "learning_rate": with.learning_rate },
        "hardware": { "precision": precision(new).unwrap_or("bf16") },
        "output": { "name": new.adapter },
    })
}

fn body(new: &NewTrainingJob) -> Value {
    let unsloth = is_unsloth(new);
    let mut body = json!({
        "name": names::of_description(&new.description), "description": new.description,
        "spec": if unsloth { unsloth_spec(new) } else { automodel_spec(new) },
    });
    if let Some(profile) = new.execution_profile.as_ref().filter(|_| unsloth) {
        body["profile"] = json!(profile);
    }
    body
}

fn is_unsloth(new: &NewTrainingJob) -> bool {
    new.backend.as_deref() == Some("unsloth")
}

/// Returns the service of a job, and its id there: `workspace/name@unsloth` is a job of Unsloth.
fn service_of(id: &str) -> (JobService<'static>, &str) {
    match id.strip_suffix(UNSLOTH_MARK) {
        Some(id) => (UNSLOTH, id),
        None => (AUTOMODEL, id),
    }
}

fn gpus(job: &Value) -> Option<u32> {
    let parallel = |key| read_json::integer(job, &["spec", "parallelism", key]);
    u32::try_from(parallel("num_gpus_per_node")?.saturating_mul(parallel("num_nodes").unwrap_or(1))).ok()
}

/// Returns the base model that a job trains.
pub(super) fn base_of(job: &Value) -> Option<String> {
    read_json::text(job, &["spec", "model"]).or_else(|| read_json::text(job, &["spec", "model", "name"]))
}

impl Helix {
    fn read_job(&self, value: &Value, mark: &str) -> Option<TrainingJob> {
        let workspace = read_json::text(value, &["workspace"]).unwrap_or_else(|| self.workspace.clone());
        let name = read_json::text(value, &["name"])?;
        let base = base_of(value);
        let adapter = read_json::text(value, &["spec", "output", "name"]);
        Some(TrainingJob {
            id: format!("{workspace}/{name}{mark}"),
            output_model: base.zip(adapter).map(|(base, adapter)| names::adapter_id(&base, &workspace, &adapter)),
            status: status_of(value, None),
            description: read_json::text(value, &["description"]),
            namespace: Some(workspace),
            gpus: gpus(value),
            created_at_ms: read_json::millis(value, &["created_at"]),
        })
    }

    pub(crate) async fn create_training_job(&self, new: &NewTrainingJob) -> Result<TrainingJob, ApiError> {
        let (service, mark) = if is_unsloth(new) { (UNSLOTH, UNSLOTH_MARK) } else { (AUTOMODEL, "") };
        let job = self.create_job(service, &new.namespace, body(new)).await?;
        self.read_job(&job, mark).ok_or_else(|| self.nameless())
    }

    pub(crate) async fn training_job(&self, id: &str) -> Result<Option<TrainingJob>, ApiError> {
        let (service, name) = service_of(id);
        let Some(job) = self.job(service, name).await? else { return Ok(None) };
        let mut read = self.read_job(&job, &id[name.len()..]);
        if let Some(TrainingJob { status: JobStatus::Failed(reason), .. }) = &mut read {
            *reason = self.failure(service, name, &job).await;
        }
        Ok(read)
    }

    pub(crate) async fn training_jobs(&self) -> Result<Vec<TrainingJob>, ApiError> {
        let mut jobs = Vec::new();
        for (service, mark) in [(AUTOMODEL, ""), (UNSLOTH, UNSLOTH_MARK)] {
            jobs.extend(self.all_jobs(service).await?.iter().filter_map(|job| self.read_job(job, mark)));
        }
        Ok(jobs)
    }

    /// Finds the job of this description by its name, which carries the run.
    pub(crate) async fn find_training_job(&self, description: &str) -> Result<Option<TrainingJob>, ApiError> {
        let name = names::of_description(description);
        match self.training_job(&name).await? {
            Some(job) => Ok(Some(job)),
            None => self.training_job(&format!("{name}{UNSLOTH_MARK}")).await,
        }
    }

    pub(crate) async fn training_status(&self, id: &str) -> Result<TrainingStatus, ApiError> {
        let (service, name) = service_of(id);
        let status = self.job_status(service, name).await?;
        let mut read = read_status(&status);
        if let JobStatus::Failed(reason) = &mut read.status {
            *reason = self.failure(service, name, &status).await;
        }
        Ok(read)
    }

    pub(crate) async fn cancel_training_job(&self, id: &str) -> Result<(), ApiError> {
        let (service, name) = service_of(id);
        self.cancel_job(service, name).await
    }

    pub(super) async fn delete_training_job(&self, id: &str) -> Result<Removal, ApiError> {
        let (service, name) = service_of(id);
        self.delete_job(service, name).await
    }
}

/// Reads the progress out of the step that trains: the top of the answer mixes the details of all steps.
fn read_status(status: &Value) -> TrainingStatus {
    let steps = read_json::list(status, &["steps"]);
    let step = steps.iter().find(|step| read_json::text(step, &["name"]).as_deref() == Some(TRAINING_STEP));
    let task = step.and_then(|step| read_json::list(step, &["tasks"]).last());
    let details = task.and_then(|task| read_json::at(task, &["status_details"])).unwrap_or(&Value::Null);
    let percentage = read_json::number(details, &["percentage_done"]).map(|done| done.clamp(0.0, 100.0) as f32);
    let word = |step: &Value, key| read_json::text(step, &[key]);
    let has_ended = steps.iter().any(|step| {
        word(step, "name").as_deref() == Some(LAST_STEP) && word(step, "status").as_deref() == Some("completed")
    });
    TrainingStatus {
        status: match status_of(status, percentage) {
            status if has_ended && !status.is_terminal() => JobStatus::Done,
            status => status,
        },
        detail: read_json::text(status, &["status_details", "message"]).as_deref().map(said),
        percentage,
        steps_completed: None,
        epochs_completed: read_json::integer(details, &["epoch"]).map(|epoch| epoch.saturating_sub(1)),
        train_loss: read_json::number(details, &["train_loss"]),
        val_loss: read_json::number(details, &["val_loss"]),
        losses: losses(details),
    }
}

/// Merges the two loss series by step.
fn losses(details: &Value) -> Vec<LossPoint> {
    let mut by_step: BTreeMap<u64, LossPoint> = BTreeMap::new();
    for (key, is_validation) in [("train_loss", false), ("val_loss", true)] {
        for point in read_json::list(details, &["metrics", key]) {
            let Some(step) = read_json::integer(point, &["step"]) else { continue };
            let at = by_step.entry(step).or_insert(LossPoint { step, train: None, validation: None });
            *(if is_validation { &mut at.validation } else { &mut at.train }) = read_json::number(point, &["value"]);
        }
    }
    by_step.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_whose_last_step_is_over_has_ended() {
        let at = |last: &str| {
            let steps = json!([{ "name": "training", "status": "completed" }, { "name": LAST_STEP, "status": last }]);
            read_status(&json!({ "status": "active", "steps": steps })).status
        };
        assert_eq!(at("completed"), JobStatus::Done);
        assert!(!at("active").is_terminal());
        let steps = json!([{ "name": "training", "status": "completed" }]);
        assert!(!read_status(&json!({ "status": "active", "steps": steps })).status.is_terminal());
    }

    #[test]
    fn a_job_of_unsloth_is_told_by_its_id() {
        assert_eq!(service_of("w/dfwfd-a-train").0.jobs, AUTOMODEL.jobs);
        let (service, id) = service_of("w/dfwfd-a-train@unsloth");
        assert_eq!((service.jobs, id), (UNSLOTH.jobs, "w/dfwfd-a-train"));
    }

    #[test]
    fn progress_is_that_of_the_training_step() {
        let details = json!({"percentage_done": 40, "epoch": 2, "train_loss": 0.5, "val_loss": 0.6,
            "metrics": {"train_loss": [{"step": 1, "value": 1.0}, {"step": 2, "value": 0.5}], "val_loss": [{"step": 2, "value": 0.6}]}});
        let status = json!({"status": "active", "status_details": {"progress_pct": 100, "percentage_done": 100}, "steps": [
            {"name": "model-and-dataset-download", "tasks": [{"status_details": {"progress_pct": 100}}]},
            {"name": "training", "tasks": [{"status_details": details}]}]});
        let read = read_status(&status);
        assert_eq!((read.percentage, read.epochs_completed), (Some(40.0), Some(1)));
        assert_eq!(read.status, JobStatus::Running(Some(40.0)));
        assert_eq!(read.losses[1], LossPoint { step: 2, train: Some(0.5), validation: Some(0.6) });
        assert_eq!(read_status(&json!({"status": "created", "steps": []})).status, JobStatus::Waiting);
    }
}
