//! The Customizer's jobs: start, follow, cancel, find again (nemo-wire 5.3, 5.4). Whether an adapter is served is in
//! `models`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::body::Body;
use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::status::JobStatus;
use super::{not_cancelled, read};

const JOBS: [&str; 3] = ["v1", "customization", "jobs"];

/// What a job trains with.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// `sft`.
    pub training_type: String,
    /// `lora`.
    pub finetuning_type: String,
    /// Passes over the rows.
    pub epochs: u32,
    /// Rows per optimizer step.
    pub batch_size: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// LoRA rank.
    pub adapter_dim: u32,
    /// LoRA dropout.
    pub adapter_dropout: f64,
    /// Pack several rows into one sequence.
    pub sequence_packing_enabled: bool,
    /// Seed; services before 1.2 do not know it, so it is sent only when given.
    pub seed: Option<u64>,
}

/// A customization job to start.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTraining {
    /// Its namespace.
    pub ns: String,
    /// Name and owner, by which the job is found again.
    pub description: String,
    /// URN of the configuration, `ns/name@version`.
    pub config: String,
    /// Namespace of the dataset entity.
    pub dataset_ns: String,
    /// Name of the dataset entity, with files below `training/` and `validation/`.
    pub dataset: String,
    /// `ns/name` of the adapter; the service appends `@` and the job's id.
    pub output_model: String,
    /// What it trains with.
    pub hyperparameters: Hyperparameters,
}

/// A customization job.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingJob {
    /// Its id.
    pub id: String,
    /// URN of the adapter, revision included.
    pub output_model: Option<String>,
    /// What it does.
    pub status: JobStatus,
    /// Name and owner.
    pub description: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// When it was made, epoch milliseconds.
    pub created_at_ms: Option<i64>,
}

/// Losses at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossPoint {
    /// The step, from 0.
    pub step: u64,
    /// Training loss.
    pub train: Option<f64>,
    /// Validation loss.
    pub validation: Option<f64>,
}

/// How a customization job goes.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingStatus {
    /// What it does; running with the percentage.
    pub status: JobStatus,
    /// 0 to 100; grows by whole epochs and may end below 100.
    pub percentage: Option<f32>,
    /// Epochs done.
    pub epochs_completed: Option<u64>,
    /// Steps done.
    pub steps_completed: Option<u64>,
    /// Steps in an epoch.
    pub steps_per_epoch: Option<u64>,
    /// The latest training loss.
    pub train_loss: Option<f64>,
    /// The latest validation loss.
    pub val_loss: Option<f64>,
    /// The loss curves, by step.
    pub losses: Vec<LossPoint>,
    /// The service's latest word on what happens, for people only.
    pub detail: Option<String>,
}

impl NewTraining {
    fn body(&self) -> Value {
        let with = &self.hyperparameters;
        let mut hyperparameters = json!({
            "training_type": with.training_type, "finetuning_type": with.finetuning_type, "epochs": with.epochs,
            "batch_size": with.batch_size, "learning_rate": with.learning_rate,
            "lora": { "adapter_dim": with.adapter_dim, "adapter_dropout": with.adapter_dropout },
            "sequence_packing_enabled": with.sequence_packing_enabled,
        });
        if let Some(seed) = with.seed {
            hyperparameters["seed"] = json!(seed);
        }
        // No `name`: it must be unique in its namespace, and a job that was lost is made again.
        json!({
            "namespace": self.ns, "description": self.description, "config": self.config,
            "dataset": { "namespace": self.dataset_ns, "name": self.dataset },
            "output_model": self.output_model, "hyperparameters": hyperparameters,
        })
    }
}

impl TrainingJob {
    fn read(value: &Value) -> Option<TrainingJob> {
        let detail = last_detail(value, &["status_details", "status_logs"]);
        let percentage = read::number(value, &["status_details", "percentage_done"]).map(|done| done as f32);
        let word = read::text(value, &["status"]).or_else(|| read::text(value, &["status_details", "status"]));
        Some(TrainingJob {
            id: read::text(value, &["id"])?,
            output_model: read::urn(value, &["output_model"]),
            status: JobStatus::read(word.as_deref(), percentage, detail.as_deref()),
            description: read::text(value, &["description"]),
            namespace: read::text(value, &["namespace"]),
            created_at_ms: read::millis(value, &["created_at"]),
        })
    }
}

impl TrainingStatus {
    fn read(value: &Value) -> TrainingStatus {
        let detail = last_detail(value, &["status_logs"]);
        let percentage = read::number(value, &["percentage_done"]).map(|done| done.clamp(0.0, 100.0) as f32);
        let word = read::text(value, &["status"]);
        TrainingStatus {
            status: JobStatus::read(word.as_deref(), percentage, detail.as_deref()),
            percentage,
            epochs_completed: read::integer(value, &["epochs_completed"]),
            steps_completed: read::integer(value, &["steps_completed"]),
            steps_per_epoch: read::integer(value, &["steps_per_epoch"]),
            train_loss: read::number(value, &["train_loss"]),
            val_loss: read::number(value, &["val_loss"]),
            losses: losses(value),
            detail,
        }
    }
}

/// The two loss series as one, by step.
fn losses(status: &Value) -> Vec<LossPoint> {
    let mut by_step: BTreeMap<u64, LossPoint> = BTreeMap::new();
    for (key, validation) in [("train_loss", false), ("val_loss", true)] {
        for point in read::list(status, &["metrics", "metrics", key]) {
            let (Some(step), value) = (read::integer(point, &["step"]), read::number(point, &["value"])) else {
                continue;
            };
            let at = by_step.entry(step).or_insert(LossPoint { step, train: None, validation: None });
            *(if validation { &mut at.validation } else { &mut at.train }) = value;
        }
    }
    by_step.into_values().collect()
}

/// The latest entry of the status log, which is not sorted (nemo-wire 5.4): its detail, else its message.
fn last_detail(value: &Value, path: &[&str]) -> Option<String> {
    let entries = read::list(value, path).iter();
    let said = entries.filter_map(|entry| {
        let text = read::text(entry, &["detail"]).or_else(|| read::text(entry, &["message"]))?;
        Some((read::millis(entry, &["updated_at"]), text))
    });
    said.max_by_key(|(at, _)| *at).map(|(_, text)| text)
}

impl Client {
    /// Starts a job.
    pub async fn create_customization_job(&self, new: &NewTraining) -> Result<TrainingJob, ApiError> {
        let answer = self.send(Call::create(Service::Customizer, &JOBS, new.body())).await?;
        TrainingJob::read(&answer.json()?).ok_or_else(|| answer.unreadable("a job without an id"))
    }

    /// A job, unless there is none.
    pub async fn customization_job(&self, id: &str) -> Result<Option<TrainingJob>, ApiError> {
        self.find(Call::get(Service::Customizer, &[&JOBS[..], &[id]].concat()), TrainingJob::read).await
    }

    /// How a job goes.
    pub async fn customization_status(&self, id: &str) -> Result<TrainingStatus, ApiError> {
        let answer = self.send(Call::get(Service::Customizer, &[&JOBS[..], &[id, "status"]].concat())).await?;
        Ok(TrainingStatus::read(&answer.json()?))
    }

    /// Asks a job to stop; it has stopped when its status is terminal. That it has ended or is not there is success.
    pub async fn cancel_customization_job(&self, id: &str) -> Result<(), ApiError> {
        let cancel = Call::post(Service::Customizer, &[&JOBS[..], &[id, "cancel"]].concat(), Body::Empty);
        match self.send(cancel).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_unreachable() => Err(error),
            Err(error) => match self.customization_job(id).await? {
                Some(job) if !job.status.is_terminal() => Err(not_cancelled(error)),
                _ => Ok(()),
            },
        }
    }

    /// The newest job with this description that is not older than `since_ms`.
    pub async fn find_customization_job(
        &self,
        description: &str,
        since_ms: i64,
    ) -> Result<Option<TrainingJob>, ApiError> {
        let found = self.find_described(Service::Customizer, &JOBS, description, since_ms).await?;
        Ok(found.as_ref().and_then(TrainingJob::read))
    }
}
