//! Targets and configurations of the Customizer (docs/nemo-api.md, Training targets and Training configs).

use serde_json::{Value, json};

use super::{Service, V1};
use crate::nemo::removal::Removal;
use crate::nemo::training::{NewTrainingConfig, StoredTrainingOption, TrainingConfig, TrainingTarget};
use crate::nemo::transport::{ApiError, ApiRequest, Form, read_json};

const TARGETS: [&str; 3] = ["v1", "customization", "targets"];
const CONFIGS: [&str; 3] = ["v1", "customization", "configs"];

fn body(new: &NewTrainingConfig) -> Value {
    let option = &new.option;
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
        "name": new.name, "namespace": new.namespace, "description": new.description, "target": new.target,
        "max_seq_length": new.max_seq_length, "training_options": [training],
    });
    if let Some(precision) = &new.training_precision {
        body["training_precision"] = json!(precision);
    }
    body
}

fn read_config(value: &Value) -> TrainingConfig {
    TrainingConfig {
        description: read_json::text(value, &["description"]),
        target: read_json::urn(value, &["target"]),
        max_seq_length: read_json::integer(value, &["max_seq_length"]),
        training_precision: read_json::text(value, &["training_precision"]),
        options: read_json::list(value, &["training_options"]).iter().map(read_option).collect(),
    }
}

fn read_option(value: &Value) -> StoredTrainingOption {
    let integer = |key| read_json::integer(value, &[key]);
    StoredTrainingOption {
        training_type: read_json::text(value, &["training_type"]),
        finetuning_type: read_json::text(value, &["finetuning_type"]),
        num_gpus: integer("num_gpus"),
        num_nodes: integer("num_nodes"),
        tensor_parallel_size: integer("tensor_parallel_size"),
        data_parallel_size: integer("data_parallel_size"),
        use_sequence_parallel: read_json::truth(value, &["use_sequence_parallel"]),
        micro_batch_size: integer("micro_batch_size"),
    }
}

fn read_target(value: &Value) -> Option<TrainingTarget> {
    Some(TrainingTarget {
        name: read_json::urn(value, &[])?,
        enabled: read_json::truth(value, &["enabled"]).unwrap_or(true),
        base_model: read_json::urn(value, &["base_model"]),
    })
}

impl V1 {
    pub(crate) async fn training_targets(&self) -> Result<Vec<TrainingTarget>, ApiError> {
        let all = self.transport.all(Service::Customizer, &TARGETS).await?;
        Ok(all.iter().filter_map(read_target).collect())
    }

    /// Returns one target. `urn` is `namespace/name@version`.
    pub(crate) async fn training_target(&self, urn: &str) -> Result<Option<TrainingTarget>, ApiError> {
        let (namespace, name) = urn.split_once('/').unwrap_or(("default", urn));
        let request = ApiRequest::get(Service::Customizer, &[&TARGETS[..], &[namespace, name]].concat());
        let request = request.answers(Form::With(&["name"]));
        self.transport.find(request, read_target).await
    }

    pub(crate) async fn training_config(&self, ns: &str, name: &str) -> Result<Option<TrainingConfig>, ApiError> {
        let request = ApiRequest::get(Service::Customizer, &[&CONFIGS[..], &[ns, name]].concat()).listed(2);
        self.transport.find(request, |value| Some(read_config(value))).await
    }

    pub(crate) async fn create_training_config(&self, new: &NewTrainingConfig) -> Result<TrainingConfig, ApiError> {
        let request = ApiRequest::create(Service::Customizer, &CONFIGS, body(new));
        Ok(read_config(&self.transport.send(request.answers(Form::With(&["name"]))).await?.json()?))
    }

    pub(crate) async fn delete_training_config(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        let request = ApiRequest::delete(Service::Customizer, &[&CONFIGS[..], &[namespace, name]].concat());
        self.transport.remove(request).await
    }
}
