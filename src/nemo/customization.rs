//! The Customizer: targets, configurations, jobs (nemo-wire section 5). Whether an adapter is served is in `models`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::body::Body;
use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::status::JobStatus;
use super::{Removal, difference, read};

const TARGETS: [&str; 3] = ["v1", "customization", "targets"];
const CONFIGS: [&str; 3] = ["v1", "customization", "configs"];
const JOBS: [&str; 3] = ["v1", "customization", "jobs"];

/// A model that can be trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its URN, such as `meta/llama-3.2-1b-instruct@2.0`.
    pub name: String,
    /// Whether jobs may use it.
    pub enabled: bool,
    /// The model that it trains.
    pub base_model: Option<String>,
    /// The service's word for its state, such as `ready`.
    pub status: Option<String>,
}

/// How one kind of training uses the hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingOption {
    /// `sft`.
    pub training_type: String,
    /// `lora`.
    pub finetuning_type: String,
    /// GPUs per node.
    pub num_gpus: u32,
    /// Nodes.
    pub num_nodes: u32,
    /// Tensor parallel size.
    pub tensor_parallel_size: u32,
    /// Data parallel size; left to the service when `None`.
    pub data_parallel_size: Option<u32>,
    /// Sequence parallelism.
    pub use_sequence_parallel: bool,
    /// Rows per GPU and step.
    pub micro_batch_size: u32,
}

/// A customization configuration to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConfig {
    /// Its namespace.
    pub ns: String,
    /// Its name, version included, such as `x@v1`.
    pub name: String,
    /// Whose it is.
    pub description: String,
    /// URN of the target.
    pub target: String,
    /// Longer rows are truncated.
    pub max_seq_length: u32,
    /// Such as `bf16-mixed`; left to the service when `None`.
    pub training_precision: Option<String>,
    /// The one kind of training it is for.
    pub option: TrainingOption,
}

/// A customization configuration on the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomizationConfig {
    /// Its namespace.
    pub namespace: String,
    /// Its name, version included.
    pub name: String,
    /// Whose it is.
    pub description: Option<String>,
    /// URN of the target.
    pub target: Option<String>,
    /// Longer rows are truncated.
    pub max_seq_length: Option<u64>,
    /// Such as `bf16-mixed`.
    pub training_precision: Option<String>,
    /// The kinds of training, as the service tells them.
    pub training_options: Vec<Value>,
    /// When it was made, epoch milliseconds.
    pub created_at_ms: Option<i64>,
}

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

impl NewConfig {
    fn body(&self) -> Value {
        let option = &self.option;
        let mut training = json!({
            "training_type": option.training_type, "finetuning_type": option.finetuning_type,
            "num_gpus": option.num_gpus, "num_nodes": option.num_nodes,
            "tensor_parallel_size": option.tensor_parallel_size, "micro_batch_size": option.micro_batch_size,
            "use_sequence_parallel": option.use_sequence_parallel,
        });
        if let Some(size) = option.data_parallel_size {
            training["data_parallel_size"] = json!(size);
        }
        let mut body = json!({
            "name": self.name, "namespace": self.ns, "description": self.description, "target": self.target,
            "max_seq_length": self.max_seq_length, "training_options": [training],
        });
        if let Some(precision) = &self.training_precision {
            body["training_precision"] = json!(precision);
        }
        body
    }

    /// Names the first of our fields in which an existing configuration differs; what the service does not tell is no
    /// difference.
    pub fn differs_from(&self, there: &CustomizationConfig) -> Option<String> {
        let text =
            |field, ours: &str, theirs: &Option<String>| difference(field, ours, theirs.as_deref().unwrap_or(ours));
        let length = u64::from(self.max_seq_length);
        text("target", &self.target, &there.target)
            .or_else(|| difference("max_seq_length", length, there.max_seq_length.unwrap_or(length)))
            .or_else(|| {
                let ours = self.training_precision.as_deref()?;
                text("training_precision", ours, &there.training_precision)
            })
            .or_else(|| self.option.differs_from(&there.training_options))
    }
}

impl TrainingOption {
    fn differs_from(&self, there: &[Value]) -> Option<String> {
        let same_kind = |option: &&Value| {
            read::text(option, &["training_type"]).is_none_or(|kind| kind == self.training_type)
                && read::text(option, &["finetuning_type"]).is_none_or(|kind| kind == self.finetuning_type)
        };
        let Some(theirs) = there.iter().find(same_kind) else {
            let kind = format!("{} {}", self.training_type, self.finetuning_type);
            return Some(format!("training_options: ours is for {kind}, the platform's is not"));
        };
        let sequence = read::truth(theirs, &["use_sequence_parallel"]).unwrap_or(self.use_sequence_parallel);
        [
            ("num_gpus", Some(self.num_gpus)),
            ("num_nodes", Some(self.num_nodes)),
            ("tensor_parallel_size", Some(self.tensor_parallel_size)),
            ("data_parallel_size", self.data_parallel_size),
            ("micro_batch_size", Some(self.micro_batch_size)),
        ]
        .into_iter()
        .find_map(|(field, ours)| difference(field, u64::from(ours?), read::integer(theirs, &[field])?))
        .or_else(|| difference("use_sequence_parallel", self.use_sequence_parallel, sequence))
    }
}

impl CustomizationConfig {
    fn read(value: &Value) -> CustomizationConfig {
        CustomizationConfig {
            namespace: read::text(value, &["namespace"]).unwrap_or_default(),
            name: read::text(value, &["name"]).unwrap_or_default(),
            description: read::text(value, &["description"]),
            target: read::urn(value, &["target"]),
            max_seq_length: read::integer(value, &["max_seq_length"]),
            training_precision: read::text(value, &["training_precision"]),
            training_options: read::list(value, &["training_options"]).to_vec(),
            created_at_ms: read::millis(value, &["created_at"]),
        }
    }
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
    /// Everything that can be trained.
    pub async fn targets(&self) -> Result<Vec<Target>, ApiError> {
        let all = self.all(Service::Customizer, &TARGETS).await?;
        let read = |value: &Value| {
            Some(Target {
                name: read::urn(value, &[])?,
                enabled: read::truth(value, &["enabled"]).unwrap_or(true),
                base_model: read::urn(value, &["base_model"]),
                status: read::text(value, &["status"]),
            })
        };
        Ok(all.iter().filter_map(read).collect())
    }

    /// A configuration, unless there is none.
    pub async fn customization_config(&self, ns: &str, name: &str) -> Result<Option<CustomizationConfig>, ApiError> {
        let answer = self.find(Call::get(Service::Customizer, &[&CONFIGS[..], &[ns, name]].concat())).await?;
        Ok(answer.as_ref().map(CustomizationConfig::read))
    }

    /// Makes a configuration; one of that name already there is an error for which `already_exists` holds.
    pub async fn create_customization_config(&self, new: &NewConfig) -> Result<CustomizationConfig, ApiError> {
        let answer = self.send(Call::create(Service::Customizer, &CONFIGS, new.body())).await?;
        Ok(CustomizationConfig::read(&answer.json()?))
    }

    /// Deletes a configuration.
    pub async fn delete_customization_config(&self, ns: &str, name: &str) -> Result<Removal, ApiError> {
        self.remove(Call::delete(Service::Customizer, &[&CONFIGS[..], &[ns, name]].concat())).await
    }

    /// Starts a job.
    pub async fn create_customization_job(&self, new: &NewTraining) -> Result<TrainingJob, ApiError> {
        let answer = self.send(Call::create(Service::Customizer, &JOBS, new.body())).await?;
        TrainingJob::read(&answer.json()?).ok_or_else(|| answer.unreadable("a job without an id"))
    }

    /// A job, unless there is none.
    pub async fn customization_job(&self, id: &str) -> Result<Option<TrainingJob>, ApiError> {
        let answer = self.find(Call::get(Service::Customizer, &[&JOBS[..], &[id]].concat())).await?;
        Ok(answer.as_ref().and_then(TrainingJob::read))
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
                Some(job) if !job.status.is_terminal() => Err(error),
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
