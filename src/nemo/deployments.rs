//! Deployments of models: the request, and the state on the platform.

use std::collections::BTreeMap;

use serde_json::Value;

use super::difference::{difference, is_masked, text_difference};
use super::status::JobStatus;

/// A NIM to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeployment {
    pub namespace: String,
    /// Its name, without `/`.
    pub name: String,
    /// The id under which the model is served.
    pub model: String,
    /// The image without its tag.
    pub image_name: String,
    pub image_tag: String,
    /// The size of its volume, such as `25Gi`.
    pub pvc_size: Option<String>,
    pub gpu: u32,
    /// The environment of the container.
    pub envs: BTreeMap<String, String>,
    /// `nim` or `vllm`. Version 1 knows only NIMs.
    pub engine: Option<String>,
    /// The longest context in tokens. Only vLLM takes it.
    pub context_length: Option<u32>,
    /// The largest rank of the adapters that it serves. Version 1 takes any.
    pub lora_rank: u32,
    /// Its name and owner.
    pub description: String,
}

/// A deployment on the platform. Fields that the service does not return are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    pub namespace: String,
    pub name: String,
    /// The id under which the model is served.
    pub model: Option<String>,
    pub description: Option<String>,
    pub gpu: Option<u32>,
    pub image_name: Option<String>,
    pub image_tag: Option<String>,
    pub pvc_size: Option<String>,
    /// The environment of the container. The service may mask values.
    pub envs: BTreeMap<String, String>,
    /// `Done` means ready.
    pub status: JobStatus,
    /// The service's explanation of the status.
    pub detail: Option<String>,
    /// The creation time in epoch milliseconds.
    pub created_at_ms: Option<i64>,
    /// The configuration as the service returns it: an object, or the name of a stored one.
    pub config: Value,
}

impl NewDeployment {
    /// Names the first field in which an existing deployment differs. A value that the service masks or does not return
    /// counts as equal.
    pub fn differs_from(&self, there: &Deployment) -> Option<String> {
        if let Some(stored) = there.config.as_str() {
            return Some(format!("config: ours is {} inline, the platform has the stored {stored}", self.model));
        }
        text_difference("model", &self.model, there.model.as_deref())
            .or_else(|| text_difference("image_name", &self.image_name, there.image_name.as_deref()))
            .or_else(|| text_difference("image_tag", &self.image_tag, there.image_tag.as_deref()))
            .or_else(|| difference("gpu", self.gpu, there.gpu.unwrap_or(self.gpu)))
            .or_else(|| text_difference("pvc_size", self.pvc_size.as_deref()?, there.pvc_size.as_deref()))
            .or_else(|| {
                self.envs.iter().find_map(|(key, ours)| {
                    let theirs = there.envs.get(key).filter(|theirs| !is_masked(theirs))?;
                    difference(&format!("additional_envs.{key}"), ours.as_str(), theirs.as_str())
                })
            })
    }
}
