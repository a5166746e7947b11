//! The Customizer's targets and configurations (nemo-wire 5.1, 5.2). Its jobs are in `training`.

use serde_json::{Value, json};

use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::{Removal, difference, read};

const TARGETS: [&str; 3] = ["v1", "customization", "targets"];
const CONFIGS: [&str; 3] = ["v1", "customization", "configs"];

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

impl Target {
    fn read(value: &Value) -> Option<Target> {
        Some(Target {
            name: read::urn(value, &[])?,
            enabled: read::truth(value, &["enabled"]).unwrap_or(true),
            base_model: read::urn(value, &["base_model"]),
            status: read::text(value, &["status"]),
        })
    }
}

impl Client {
    /// Everything that is listed as trainable.
    pub async fn targets(&self) -> Result<Vec<Target>, ApiError> {
        let all = self.all(Service::Customizer, &TARGETS).await?;
        Ok(all.iter().filter_map(Target::read).collect())
    }

    /// One target, unless there is none; `urn` is `namespace/name@version`.
    pub async fn target(&self, urn: &str) -> Result<Option<Target>, ApiError> {
        let (ns, name) = urn.split_once('/').unwrap_or(("default", urn));
        self.find(Call::get(Service::Customizer, &[&TARGETS[..], &[ns, name]].concat()), Target::read).await
    }

    /// A configuration, unless there is none.
    pub async fn customization_config(&self, ns: &str, name: &str) -> Result<Option<CustomizationConfig>, ApiError> {
        let call = Call::get(Service::Customizer, &[&CONFIGS[..], &[ns, name]].concat());
        self.find(call, |value| Some(CustomizationConfig::read(value))).await
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
}
