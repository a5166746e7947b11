//! Training of adapters: targets, configurations, jobs and their progress.

use super::difference::{difference, text_difference};
use super::status::JobStatus;
use crate::vocabulary::LossPoint;

/// A model that can be trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingTarget {
    /// Its URN, such as `meta/llama-3.2-1b-instruct@2.0`.
    pub name: String,
    /// Jobs may use it.
    pub enabled: bool,
    pub base_model: Option<String>,
}

/// How a training job uses the hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingOption {
    /// Such as `sft`.
    pub training_type: String,
    /// Such as `lora`.
    pub finetuning_type: String,
    /// GPUs per node.
    pub num_gpus: u32,
    pub num_nodes: u32,
    pub tensor_parallel_size: u32,
    /// `None`: the service chooses.
    pub data_parallel_size: Option<u32>,
    pub use_sequence_parallel: bool,
    /// Rows per GPU and step.
    pub micro_batch_size: u32,
}

/// A training configuration to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrainingConfig {
    pub namespace: String,
    /// Its name with the version, such as `x@v1`.
    pub name: String,
    /// Its name and owner.
    pub description: String,
    /// The URN of the target.
    pub target: String,
    /// Longer rows are truncated.
    pub max_seq_length: u32,
    /// Such as `bf16-mixed`. `None`: the service chooses.
    pub training_precision: Option<String>,
    /// The only kind of training that the configuration allows.
    pub option: TrainingOption,
}

/// A training configuration on the platform. Fields that the service does not return are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    pub description: Option<String>,
    pub target: Option<String>,
    pub max_seq_length: Option<u64>,
    pub training_precision: Option<String>,
    pub options: Vec<StoredTrainingOption>,
}

/// A kind of training that a configuration on the platform allows. Fields that the service does not return are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTrainingOption {
    pub training_type: Option<String>,
    pub finetuning_type: Option<String>,
    pub num_gpus: Option<u64>,
    pub num_nodes: Option<u64>,
    pub tensor_parallel_size: Option<u64>,
    pub data_parallel_size: Option<u64>,
    pub use_sequence_parallel: Option<bool>,
    pub micro_batch_size: Option<u64>,
}

/// The hyperparameters of a training job.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// Such as `sft`.
    pub training_type: String,
    /// Such as `lora`.
    pub finetuning_type: String,
    pub epochs: u32,
    /// Rows per optimizer step.
    pub batch_size: u32,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// The LoRA rank.
    pub adapter_dim: u32,
    /// The LoRA dropout.
    pub adapter_dropout: f64,
    /// Packs several rows into one sequence.
    pub sequence_packing_enabled: bool,
    /// Sent only when given, because old services do not know it.
    pub seed: Option<u64>,
}

/// A training job to start.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTrainingJob {
    pub namespace: String,
    /// Its name and owner. The job is found again by it.
    pub description: String,
    /// The name of the configuration, with the version.
    pub config: String,
    /// The name of the dataset, with files below `training/` and `validation/`.
    pub dataset: String,
    /// The name of the adapter.
    pub adapter: String,
    /// The id of the base model. Version 1 takes the target of the configuration.
    pub model: String,
    /// Longer rows are truncated. Version 1 takes the value of the configuration.
    pub max_seq_length: u32,
    /// Such as `bf16-mixed`. Version 1 takes the value of the configuration.
    pub training_precision: Option<String>,
    /// How the hardware is used. Version 1 takes the option of the configuration.
    pub option: TrainingOption,
    /// The backend of the training, `automodel` or `unsloth`. `None`: automodel. Version 1 has one Customizer.
    pub backend: Option<String>,
    /// The profile of the platform's scheduler. Version 1 knows none.
    pub execution_profile: Option<String>,
    pub hyperparameters: Hyperparameters,
}

/// A training job on the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingJob {
    pub id: String,
    /// The id under which the trained adapter is served.
    pub output_model: Option<String>,
    pub status: JobStatus,
    pub description: Option<String>,
    pub namespace: Option<String>,
    /// The GPUs that it takes, if the service tells.
    pub gpus: Option<u32>,
    /// The creation time in epoch milliseconds.
    pub created_at_ms: Option<i64>,
}

/// The progress of a training job.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingStatus {
    pub status: JobStatus,
    /// The text of the service about it.
    pub detail: Option<String>,
    /// 0 to 100. It grows by whole epochs and may end below 100.
    pub percentage: Option<f32>,
    pub epochs_completed: Option<u64>,
    pub steps_completed: Option<u64>,
    /// The latest training loss.
    pub train_loss: Option<f64>,
    /// The latest validation loss.
    pub val_loss: Option<f64>,
    /// The loss curves, in the order of their steps.
    pub losses: Vec<LossPoint>,
}

impl TrainingStatus {
    /// Returns the progress with the status that the record of the job has, unless both say the same.
    pub(super) fn confirmed_by(self, recorded: JobStatus) -> TrainingStatus {
        match std::mem::discriminant(&self.status) == std::mem::discriminant(&recorded) {
            true => self,
            false => TrainingStatus { status: recorded, ..self },
        }
    }
}

impl NewTrainingConfig {
    /// Names the first field in which an existing configuration differs. A value that the service does not return counts
    /// as equal.
    pub fn differs_from(&self, there: &TrainingConfig) -> Option<String> {
        let length = u64::from(self.max_seq_length);
        text_difference("target", &self.target, there.target.as_deref())
            .or_else(|| difference("max_seq_length", length, there.max_seq_length.unwrap_or(length)))
            .or_else(|| {
                let ours = self.training_precision.as_deref()?;
                text_difference("training_precision", ours, there.training_precision.as_deref())
            })
            .or_else(|| self.option.differs_from(&there.options))
    }
}

impl TrainingOption {
    fn differs_from(&self, there: &[StoredTrainingOption]) -> Option<String> {
        let is_same_kind = |option: &&StoredTrainingOption| {
            option.training_type.as_ref().is_none_or(|kind| *kind == self.training_type)
                && option.finetuning_type.as_ref().is_none_or(|kind| *kind == self.finetuning_type)
        };
        let Some(theirs) = there.iter().find(is_same_kind) else {
            let kind = format!("{} {}", self.training_type, self.finetuning_type);
            return Some(format!("training_options: ours is for {kind}, the platform's is not"));
        };
        let sequence = theirs.use_sequence_parallel.unwrap_or(self.use_sequence_parallel);
        [
            ("num_gpus", Some(self.num_gpus), theirs.num_gpus),
            ("num_nodes", Some(self.num_nodes), theirs.num_nodes),
            ("tensor_parallel_size", Some(self.tensor_parallel_size), theirs.tensor_parallel_size),
            ("data_parallel_size", self.data_parallel_size, theirs.data_parallel_size),
            ("micro_batch_size", Some(self.micro_batch_size), theirs.micro_batch_size),
        ]
        .into_iter()
        .find_map(|(field, ours, theirs)| difference(field, u64::from(ours?), theirs?))
        .or_else(|| difference("use_sequence_parallel", self.use_sequence_parallel, sequence))
    }
}
