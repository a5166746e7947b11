//! Deployment Management: NIM deployments (nemo-wire section 4). Whether the NIM proxy serves the model is in `models`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::status::JobStatus;
use super::{Removal, difference, is_masked, read};

const PATH: [&str; 3] = ["v1", "deployment", "model-deployments"];

/// A NIM to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeployment {
    /// Its namespace.
    pub ns: String,
    /// Its name; without `/`.
    pub name: String,
    /// The model id that it will serve.
    pub model: String,
    /// Image without its tag.
    pub image_name: String,
    /// The tag.
    pub image_tag: String,
    /// Volume size, such as `25Gi`.
    pub pvc_size: Option<String>,
    /// GPUs.
    pub gpu: u32,
    /// Environment of the container.
    pub envs: BTreeMap<String, String>,
    /// Whose it is.
    pub description: String,
}

/// A deployment on the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The model id that it serves, unless the service does not say.
    pub model: Option<String>,
    /// Whose it is.
    pub description: Option<String>,
    /// GPUs.
    pub gpu: Option<u32>,
    /// Image without its tag.
    pub image_name: Option<String>,
    /// The tag.
    pub image_tag: Option<String>,
    /// Volume size.
    pub pvc_size: Option<String>,
    /// Environment of the container; values may be masked.
    pub envs: BTreeMap<String, String>,
    /// `Done` when it is ready.
    pub status: JobStatus,
    /// What the service says about the status.
    pub detail: Option<String>,
    /// When it was made, epoch milliseconds.
    pub created_at_ms: Option<i64>,
    /// The configuration as the service tells it: an object, or the name of a stored one.
    pub config: Value,
}

impl Deployment {
    fn read(value: &Value) -> Deployment {
        let config = read::at(value, &["config"]).cloned().unwrap_or(Value::Null);
        let nim = |key| ["nim_deployment", key];
        let detail = read::text(value, &["status_details", "description"]);
        let word = read::text(value, &["status_details", "status"]).or_else(|| read::text(value, &["status"]));
        let ready = word.is_none() && read::truth(value, &["deployed"]) == Some(true);
        let word = if ready { Some("ready") } else { word.as_deref() };
        let served = read::list(value, &["models"]).first().and_then(Value::as_str).map(str::to_owned);
        Deployment {
            namespace: read::text(value, &["namespace"]).unwrap_or_default(),
            name: read::text(value, &["name"]).unwrap_or_default(),
            model: read::urn(&config, &["model"]).or(served),
            description: read::text(value, &["description"]),
            gpu: read::integer(&config, &nim("gpu")).and_then(|gpu| u32::try_from(gpu).ok()),
            image_name: read::text(&config, &nim("image_name")),
            image_tag: read::text(&config, &nim("image_tag")),
            pvc_size: read::text(&config, &nim("pvc_size")),
            envs: read::entries(&config, &nim("additional_envs"))
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            status: JobStatus::read(word, None, detail.as_deref()),
            detail,
            created_at_ms: read::millis(value, &["created_at"]),
            config,
        }
    }
}

impl NewDeployment {
    fn body(&self) -> Value {
        let mut nim = json!({ "image_name": self.image_name, "image_tag": self.image_tag, "gpu": self.gpu });
        if let Some(size) = &self.pvc_size {
            nim["pvc_size"] = json!(size);
        }
        if !self.envs.is_empty() {
            nim["additional_envs"] = json!(self.envs);
        }
        json!({
            "name": self.name, "namespace": self.ns, "description": self.description,
            "config": { "model": self.model, "nim_deployment": nim },
        })
    }

    /// Names the first of our fields in which an existing deployment differs; what the service masks or does not tell
    /// is no difference.
    pub fn differs_from(&self, there: &Deployment) -> Option<String> {
        if let Some(stored) = there.config.as_str() {
            return Some(format!("config: ours is {} inline, the platform has the stored {stored}", self.model));
        }
        let text =
            |field, ours: &str, theirs: &Option<String>| difference(field, ours, theirs.as_deref().unwrap_or(ours));
        text("model", &self.model, &there.model)
            .or_else(|| text("image_name", &self.image_name, &there.image_name))
            .or_else(|| text("image_tag", &self.image_tag, &there.image_tag))
            .or_else(|| difference("gpu", self.gpu, there.gpu.unwrap_or(self.gpu)))
            .or_else(|| self.pvc_size.as_deref().and_then(|ours| text("pvc_size", ours, &there.pvc_size)))
            .or_else(|| {
                self.envs.iter().find_map(|(key, ours)| {
                    let theirs = there.envs.get(key).filter(|theirs| !is_masked(theirs))?;
                    difference(&format!("additional_envs.{key}"), ours.as_str(), theirs.as_str())
                })
            })
    }
}

impl Client {
    /// A deployment, unless there is none.
    pub async fn deployment(&self, ns: &str, name: &str) -> Result<Option<Deployment>, ApiError> {
        let call = Call::get(Service::Deployments, &[&PATH[..], &[ns, name]].concat());
        self.find(call, |value| Some(Deployment::read(value))).await
    }

    /// All deployments of the platform, of every namespace.
    pub async fn deployments(&self) -> Result<Vec<Deployment>, ApiError> {
        Ok(self
            .all(Service::Deployments, &PATH)
            .await?
            .iter()
            .filter(|item| item.is_object())
            .map(Deployment::read)
            .collect())
    }

    /// Asks for a deployment; one of that name already there is an error for which `already_exists` holds.
    pub async fn create_deployment(&self, new: &NewDeployment) -> Result<Deployment, ApiError> {
        let answer = self.send(Call::create(Service::Deployments, &PATH, new.body())).await?;
        Ok(Deployment::read(&answer.json()?))
    }

    /// Takes a deployment down.
    pub async fn delete_deployment(&self, ns: &str, name: &str) -> Result<Removal, ApiError> {
        self.remove(Call::delete(Service::Deployments, &[&PATH[..], &[ns, name]].concat())).await
    }
}
