//! Jobs of the Customizer (docs/nemo-api.md, Creating a training job and Following a training job).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Service, V1};
use crate::nemo::status::JobStatus;
use crate::nemo::training::{NewTrainingJob, TrainingJob, TrainingStatus};
use crate::nemo::transport::{ApiError, ApiRequest, Form, read_json};
use crate::remote_text::said;
use crate::vocabulary::LossPoint;

const JOBS: [&str; 3] = ["v1", "customization", "jobs"];

fn body(new: &NewTrainingJob) -> Value {
    let with = &new.hyperparameters;
    let mut hyperparameters = json!({
        "training_type": with.training_type, "finetuning_type": with.finetuning_type, "epochs": with.epochs,
        "batch_size": with.batch_size, "learning_rate": with.learning_rate,
        "lora": { "adapter_dim": with.adapter_dim, "adapter_dropout": with.adapter_dropout },
        "sequence_packing_enabled": with.sequence_packing_enabled,
    });
    if let Some(seed) = with.seed {
        hyperparameters["seed"] = json!(seed);
    }
    let namespace = &new.namespace;
    // A name would have to be unique in the namespace, and a lost job is started again under the same description.
    json!({
        "namespace": namespace, "description": new.description, "config": format!("{namespace}/{}", new.config),
        "dataset": { "namespace": namespace, "name": new.dataset },
        "output_model": format!("{namespace}/{}", new.adapter), "hyperparameters": hyperparameters,
    })
}

fn read_job(value: &Value) -> Option<TrainingJob> {
    let detail = last_detail(value, &["status_details", "status_logs"]);
    let percentage = read_json::number(value, &["status_details", "percentage_done"]).map(|done| done as f32);
    let word = read_json::text(value, &["status"]).or_else(|| read_json::text(value, &["status_details", "status"]));
    Some(TrainingJob {
        id: read_json::text(value, &["id"])?,
        output_model: read_json::urn(value, &["output_model"]),
        status: JobStatus::read(word.as_deref(), percentage, detail.as_deref()),
        description: read_json::text(value, &["description"]),
        namespace: read_json::text(value, &["namespace"]),
        gpus: gpus(value),
        created_at_ms: read_json::millis(value, &["created_at"]),
    })
}

fn gpus(job: &Value) -> Option<u32> {
    let option = |key| read_json::integer(job, &["config_snapshot", "training_option", key]);
    u32::try_from(option("num_gpus")?.saturating_mul(option("num_nodes").unwrap_or(1))).ok()
}

fn read_status(value: &Value) -> TrainingStatus {
    let detail = last_detail(value, &["status_logs"]);
    let percentage = read_json::number(value, &["percentage_done"]).map(|done| done.clamp(0.0, 100.0) as f32);
    let word = read_json::text(value, &["status"]);
    TrainingStatus {
        status: JobStatus::read(word.as_deref(), percentage, detail.as_deref()),
        detail: detail.as_deref().map(said),
        percentage,
        epochs_completed: read_json::integer(value, &["epochs_completed"]),
        steps_completed: read_json::integer(value, &["steps_completed"]),
        train_loss: read_json::number(value, &["train_loss"]),
        val_loss: read_json::number(value, &["val_loss"]),
        losses: losses(value),
    }
}

/// Merges the two loss series by step.
fn losses(status: &Value) -> Vec<LossPoint> {
    let mut by_step: BTreeMap<u64, LossPoint> = BTreeMap::new();
    for (key, validation) in [("train_loss", false), ("val_loss", true)] {
        for point in read_json::list(status, &["metrics", "metrics", key]) {
            let Some(step) = read_json::integer(point, &["step"]) else { continue };
            let at = by_step.entry(step).or_insert(LossPoint { step, train: None, validation: None });
            *(if validation { &mut at.validation } else { &mut at.train }) = read_json::number(point, &["value"]);
        }
    }
    by_step.into_values().collect()
}

/// Returns the detail, or else the message, of the latest entry in a status log. The log is not sorted.
fn last_detail(value: &Value, path: &[&str]) -> Option<String> {
    let entries = read_json::list(value, path).iter();
    let texts = entries.filter_map(|entry| {
        let text = read_json::text(entry, &["detail"]).or_else(|| read_json::text(entry, &["message"]))?;
        Some((read_json::millis(entry, &["updated_at"]), text))
    });
    texts.max_by_key(|(at, _)| *at).map(|(_, text)| text)
}

impl V1 {
    pub(crate) async fn create_training_job(&self, new: &NewTrainingJob) -> Result<TrainingJob, ApiError> {
        let response = self.transport.send(ApiRequest::create(Service::Customizer, &JOBS, body(new))).await?;
        read_job(&response.json()?).ok_or_else(|| response.unreadable("a job without an id"))
    }

    pub(crate) async fn training_job(&self, id: &str) -> Result<Option<TrainingJob>, ApiError> {
        self.transport.find(ApiRequest::get(Service::Customizer, &[&JOBS[..], &[id]].concat()).named(1), read_job).await
    }

    pub(crate) async fn training_status(&self, id: &str) -> Result<TrainingStatus, ApiError> {
        let request = ApiRequest::get(Service::Customizer, &[&JOBS[..], &[id, "status"]].concat());
        let request = request.answers(Form::With(&["status"]));
        Ok(read_status(&self.transport.send(request).await?.json()?))
    }

    pub(crate) async fn training_jobs(&self) -> Result<Vec<TrainingJob>, ApiError> {
        Ok(self.transport.all(Service::Customizer, &JOBS).await?.iter().filter_map(read_job).collect())
    }

    /// Asks a job to stop. It has stopped when its status is terminal.
    pub(crate) async fn cancel_training_job(&self, id: &str) -> Result<(), ApiError> {
        let status = async { Ok(self.training_job(id).await?.map(|job| job.status)) };
        self.cancel_job(Service::Customizer, &[&JOBS[..], &[id]].concat(), status).await
    }

    /// Finds a job by its description.
    pub(crate) async fn find_training_job(&self, description: &str) -> Result<Option<TrainingJob>, ApiError> {
        let found = self.find_described(Service::Customizer, &JOBS, description).await?;
        Ok(found.as_ref().and_then(read_job))
    }

    /// Returns the id under which the adapter of a finished job is served.
    pub(crate) async fn served_adapter(&self, ns: &str, adapter: &str, job: &str) -> Result<String, ApiError> {
        let told = self.training_job(job).await?.and_then(|job| job.output_model);
        Ok(told.unwrap_or_else(|| format!("{ns}/{adapter}@{job}")))
    }
}
