//! A model deployment: what it serves, its GPUs, and its way to being ready.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tracked_list::Entry;
use crate::embedded::hosted_endpoints::HostedEndpoint;
use crate::embedded::timing::{Clock, Moment};
use crate::embedded::wire::fields::Object;

/// One model deployment.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Deployment {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The id that its NIM serves.
    pub(crate) model: String,
    /// Its NIM loads adapters.
    pub(crate) lora: bool,
    pub(crate) gpus: u32,
    pub(crate) ticket: u64,
    /// When it got its GPUs.
    pub(crate) granted: Option<Moment>,
    /// When it became ready.
    pub(crate) ready: Option<Moment>,
    /// The reason, if it failed.
    pub(crate) failed: Option<String>,
    /// The reason, if it never becomes ready.
    #[serde(default)]
    pub(crate) stalled: Option<String>,
    /// Status reads since it was made, for [`Clock::Polls`].
    #[serde(skip)]
    pub(crate) reads: u32,
    pub(crate) created_at: String,
    pub(crate) async_enabled: bool,
    pub(crate) config: Value,
    /// Members that are stored and answered as they came.
    pub(crate) rest: Object,
}

impl Entry for Deployment {
    fn key(&self) -> String {
        format!("{}\n{}", self.namespace, self.name)
    }

    fn document(&self) -> Value {
        json!(self)
    }
}

impl Deployment {
    /// Returns `namespace/name`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Returns the hosted endpoint that it registers, if it deploys no NIM.
    pub(crate) fn hosted_models(&self) -> Option<HostedModels> {
        HostedModels::of(&self.config)
    }

    /// Returns its status and the description of it.
    pub(crate) fn status(&self) -> (&'static str, String) {
        if let Some(why) = &self.failed {
            return ("failed", why.clone());
        }
        if let Some(why) = &self.stalled {
            return ("pending", why.clone());
        }
        match (self.granted, self.ready) {
            (None, _) => ("pending", format!("waiting for {} free GPUs", self.gpus)),
            (_, None) => ("pending", "Model deployment created".into()),
            _ => ("ready", format!("deployment \"modeldeployment-{}\" successfully rolled out.", self.name)),
        }
    }

    /// Returns whether its rollout has ended, and the outcome is not recorded yet.
    pub(crate) fn is_due(&self, clock: Clock, now: Moment) -> bool {
        let is_rolled_out = |granted| clock.is_rolled_out(&self.model, granted, now, self.reads);
        self.ready.is_none()
            && self.failed.is_none()
            && self.stalled.is_none()
            && self.granted.is_some_and(is_rolled_out)
    }

    /// Counts a status read.
    pub(crate) fn count_read(&mut self) {
        if self.granted.is_some() {
            self.reads = self.reads.saturating_add(1);
        }
    }

    /// Records the outcome of a rollout that has ended: the failure, or that it is ready.
    pub(crate) fn end_rollout(&mut self, clock: Clock, now: Moment, failure: Option<String>) {
        match failure {
            Some(why) => self.failed = Some(why),
            None => self.ready = self.granted.map(|granted| clock.ready_at(&self.model, granted, now)),
        }
    }
}

/// The models that a deployment registers behind a hosted endpoint.
pub(crate) struct HostedModels {
    /// None when its address cannot be used.
    pub(crate) endpoint: Option<HostedEndpoint>,
    pub(crate) models: Vec<String>,
}

impl HostedModels {
    /// Reads them from a deployment config; none when it deploys a NIM.
    pub(crate) fn of(config: &Value) -> Option<Self> {
        let external = config["external_endpoint"].as_object()?;
        let text = |key: &str| external.get(key).and_then(Value::as_str);
        let endpoint = HostedEndpoint::of_host(text("host_url").unwrap_or_default(), text("api_key")).ok();
        let enabled = external.get("enabled_models").and_then(Value::as_array).into_iter().flatten();
        let mut models: Vec<String> = enabled.filter_map(Value::as_str).map(str::to_owned).collect();
        if models.is_empty() {
            models.extend(model_of(config).map(str::to_owned));
        }
        Some(HostedModels { endpoint, models })
    }
}

/// Returns the model that a deployment config names, as a text or by the name of an object.
pub(crate) fn model_of(config: &Value) -> Option<&str> {
    let named = match &config["model"] {
        Value::Object(model) => model.get("name").and_then(Value::as_str),
        other => other.as_str(),
    };
    named.filter(|model| !model.is_empty())
}
