//! Deployment Management: NIM deployments (docs/nemo-api.md, Deployment Management).

use serde_json::{Value, json};

use super::{Service, V1};
use crate::nemo::deployments::{Deployment, NewDeployment};
use crate::nemo::removal::Removal;
use crate::nemo::status::JobStatus;
use crate::nemo::transport::{ApiError, ApiRequest, Form, read_json};
use crate::remote_text::said;

const PATH: [&str; 3] = ["v1", "deployment", "model-deployments"];

fn read(value: &Value) -> Deployment {
    let config = read_json::at(value, &["config"]).cloned().unwrap_or(Value::Null);
    let nim = |key| ["nim_deployment", key];
    let detail = read_json::text(value, &["status_details", "description"]).map(|text| said(&text));
    let word = read_json::text(value, &["status_details", "status"]).or_else(|| read_json::text(value, &["status"]));
    let is_ready = word.is_none() && read_json::truth(value, &["deployed"]) == Some(true);
    let word = if is_ready { Some("ready") } else { word.as_deref() };
    let served = read_json::list(value, &["models"]).first().and_then(Value::as_str).map(str::to_owned);
    Deployment {
        namespace: read_json::text(value, &["namespace"]).unwrap_or_default(),
        name: read_json::text(value, &["name"]).unwrap_or_default(),
        model: read_json::urn(&config, &["model"]).or(served),
        description: read_json::text(value, &["description"]),
        gpu: read_json::integer(&config, &nim("gpu")).and_then(|gpu| u32::try_from(gpu).ok()),
        image_name: read_json::text(&config, &nim("image_name")),
        image_tag: read_json::text(&config, &nim("image_tag")),
        pvc_size: read_json::text(&config, &nim("pvc_size")),
        envs: read_json::entries(&config, &nim("additional_envs"))
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        status: JobStatus::read(word, None, detail.as_deref()),
        detail,
        created_at_ms: read_json::millis(value, &["created_at"]),
        config,
    }
}

fn body(new: &NewDeployment) -> Value {
    let mut nim = json!({ "image_name": new.image_name, "image_tag": new.image_tag, "gpu": new.gpu });
    if let Some(size) = &new.pvc_size {
        nim["pvc_size"] = json!(size);
    }
    if !new.envs.is_empty() {
        nim["additional_envs"] = json!(new.envs);
    }
    json!({
        "name": new.name, "namespace": new.namespace, "description": new.description,
        "config": { "model": new.model, "nim_deployment": nim },
    })
}

impl V1 {
    pub(crate) async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<Deployment>, ApiError> {
        let request = ApiRequest::get(Service::Deployments, &[&PATH[..], &[namespace, name]].concat()).named(2);
        self.transport.find(request, |value| Some(read(value))).await
    }

    /// Returns the deployments of all namespaces.
    pub(crate) async fn deployments(&self) -> Result<Vec<Deployment>, ApiError> {
        let all = self.transport.all(Service::Deployments, &PATH).await?;
        Ok(all.iter().filter(|item| item.is_object()).map(read).collect())
    }

    pub(crate) async fn create_deployment(&self, new: &NewDeployment) -> Result<Deployment, ApiError> {
        let request = ApiRequest::create(Service::Deployments, &PATH, body(new));
        Ok(read(&self.transport.send(request.answers(Form::With(&["name"]))).await?.json()?))
    }

    pub(crate) async fn delete_deployment(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        let request = ApiRequest::delete(Service::Deployments, &[&PATH[..], &[namespace, name]].concat());
        self.transport.remove(request).await
    }
}
