//! Deployments: a configuration, and the deployment of it (docs/helix-api.md, Deployments). Both have the same name.

use std::time::Duration;

use serde_json::{Value, json};

use super::models::MODELS;
use super::{Helix, PLATFORM, delete_named, get_named, names, path};
use crate::nemo::deployments::{Deployment, NewDeployment};
use crate::nemo::removal::Removal;
use crate::nemo::status::JobStatus;
use crate::nemo::transport::{ApiError, ApiRequest, read_json};
use crate::remote_text::said;

/// An adapter with a higher rank needs an option of vLLM.
const VLLM_RANK: u32 = 16;
/// The pause between two looks at a deployment that is going.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Returns the body of a deployment configuration.
fn config_body(new: &NewDeployment) -> Value {
    let mut executor = json!({ "gpu": new.gpu });
    let texts = [
        ("image_name", Some(&new.image_name)),
        ("image_tag", Some(&new.image_tag)),
        ("disk_size", new.pvc_size.as_ref()),
    ];
    for (key, text) in texts {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            executor[key] = json!(text);
        }
    }
    if !new.envs.is_empty() {
        executor["additional_envs"] = json!(new.envs);
    }
    if new.engine.as_deref() == Some("vllm") {
        let rank = Some(new.lora_rank).filter(|rank| *rank > VLLM_RANK);
        let options = [("--max-lora-rank", rank), ("--max-model-len", new.context_length)];
        let arguments =
            options.iter().filter_map(|(name, value)| Some([(*name).to_owned(), value.as_ref()?.to_string()]));
        let arguments: Vec<String> = arguments.flatten().collect();
        if !arguments.is_empty() {
            executor["additional_args"] = json!(arguments);
        }
    }
    json!({
        "name": new.name, "description": new.description, "engine": new.engine.as_deref().unwrap_or("nim"),
        "model_entity_id": new.model, "model_spec": { "lora_enabled": true }, "executor_config": executor,
    })
}

/// Reads a deployment and its configuration, which may be gone.
fn read(value: &Value, config: Option<&Value>) -> Option<Deployment> {
    let word = read_json::text(value, &["status"]);
    // The platform keeps the record of a deleted deployment for half a minute.
    if word.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("deleted")) {
        return None;
    }
    let detail = read_json::text(value, &["status_message"]).map(|text| said(&text));
    let config = config.cloned().unwrap_or(Value::Null);
    let of = |key: &'static str| read_json::text(&config, &["executor_config", key]);
    let envs = read_json::entries(&config, &["executor_config", "additional_envs"]);
    Some(Deployment {
        namespace: read_json::text(value, &["workspace"]).unwrap_or_default(),
        name: read_json::text(value, &["name"]).unwrap_or_default(),
        model: read_json::text(&config, &["model_entity_id"]),
        description: read_json::text(&config, &["description"]),
        gpu: read_json::integer(&config, &["executor_config", "gpu"]).and_then(|gpu| u32::try_from(gpu).ok()),
        image_name: of("image_name"),
        image_tag: of("image_tag"),
        pvc_size: of("disk_size"),
        envs: envs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
        status: JobStatus::read(word.as_deref(), None, detail.as_deref()),
        detail,
        created_at_ms: read_json::millis(value, &["created_at"]),
        config,
    })
}

impl Helix {
    /// Returns a deployment, or `None` if it does not exist any more. Then its configuration is of no use and is deleted.
    pub(crate) async fn deployment(&self, workspace: &str, name: &str) -> Result<Option<Deployment>, ApiError> {
        let Some(found) = self.deployment_without_config(workspace, name).await? else {
            self.delete_deployment_config(workspace, name).await?;
            return Ok(None);
        };
        let config = self.deployment_config(workspace, &found).await?;
        Ok(read(&found, config.as_ref()))
    }

    async fn deployment_without_config(&self, workspace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        let request = get_named(&path(MODELS, workspace, &["deployments", name])).named(1);
        let found = self.transport.find(request, |value| Some(value.clone())).await?;
        Ok(found.filter(|found| read(found, None).is_some()))
    }

    /// Returns the deployments of the workspace.
    pub(crate) async fn deployments(&self) -> Result<Vec<Deployment>, ApiError> {
        if !self.namespace_exists(&self.workspace).await? {
            return Ok(Vec::new());
        }
        let all = self.transport.all(PLATFORM, &path(MODELS, &self.workspace, &["deployments"])).await?;
        let configs = self.transport.all(PLATFORM, &path(MODELS, &self.workspace, &["deployment-configs"])).await?;
        let of = |deployment: &Value| {
            let config = read_json::text(deployment, &["config"])?;
            let name = names::split(&config, &self.workspace).1.to_owned();
            configs.iter().find(|config| read_json::text(config, &["name"]).as_deref() == Some(name.as_str()))
        };
        Ok(all.iter().filter_map(|deployment| read(deployment, of(deployment))).collect())
    }

    async fn deployment_config(&self, workspace: &str, deployment: &Value) -> Result<Option<Value>, ApiError> {
        let Some(config) = read_json::text(deployment, &["config"]) else { return Ok(None) };
        let (workspace, name) = names::split(&config, workspace);
        let request = get_named(&path(MODELS, workspace, &["deployment-configs", name]));
        self.transport.find(request, |value| Some(value.clone())).await
    }

    /// Creates the configuration, then the deployment. A configuration of that name is ours: it carries the run.
    ///
    /// A platform without a container runtime takes a configuration and never gives it back. It refuses to delete one that
    /// does not exist too, so this is asked first.
    pub(crate) async fn create_deployment(&self, new: &NewDeployment) -> Result<Deployment, ApiError> {
        match self.delete_deployment_config(&new.namespace, &new.name).await {
            // A deployment has it, as the create will tell.
            Err(error) if error.status() == Some(409) => {}
            other => _ = other?,
        }
        let configs = path(MODELS, &new.namespace, &["deployment-configs"]);
        let config = config_body(new);
        match self.transport.send(ApiRequest::create(PLATFORM, &configs, config.clone())).await {
            Ok(_) => {}
            Err(error) if error.already_exists() => {}
            Err(error) => return Err(error),
        }
        let deployments = path(MODELS, &new.namespace, &["deployments"]);
        let body = json!({ "name": new.name, "config": new.name });
        let response = match self.transport.send(ApiRequest::create(PLATFORM, &deployments, body)).await {
            Ok(response) => response,
            Err(error) => {
                // Of a refused deployment nothing is entered anywhere, so its configuration would stay for ever.
                if !error.already_exists()
                    && !error.may_have_been_accepted()
                    && let Err(error) = self.delete_deployment_config(&new.namespace, &new.name).await
                {
                    tracing::warn!(%error, "cannot delete the configuration of a refused deployment");
                }
                return Err(error);
            }
        };
        read(&response.json()?, Some(&config))
            .ok_or_else(|| response.unreadable("a deployment that is deleted already"))
    }

    /// Takes a deployment down, waits until it is gone, and deletes its configuration.
    pub(crate) async fn delete_deployment(&self, workspace: &str, name: &str) -> Result<Removal, ApiError> {
        let request = delete_named(&path(MODELS, workspace, &["deployments", name]));
        let removal = self.transport.remove(request).await?;
        while self.deployment_without_config(workspace, name).await?.is_some() {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        self.delete_deployment_config(workspace, name).await?;
        Ok(removal)
    }

    /// Deletes the configuration of a deployment that is gone.
    async fn delete_deployment_config(&self, workspace: &str, name: &str) -> Result<Removal, ApiError> {
        self.transport.remove(delete_named(&path(MODELS, workspace, &["deployment-configs", name]))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemo::tests::helix::deployment;

    #[test]
    fn a_tombstone_is_no_deployment() {
        let at = |status: &str| json!({"name": "d", "workspace": "w", "status": status, "status_message": "why"});
        assert!(read(&at("DELETED"), None).is_none());
        assert_eq!(read(&at("READY"), None).unwrap().status, JobStatus::Done);
        assert_eq!(read(&at("LOST"), None).unwrap().status, JobStatus::Failed("why".into()));
        assert!(!read(&at("DELETING"), None).unwrap().status.is_terminal());
    }

    #[test]
    fn options_of_vllm_are_arguments_of_its_server() {
        let new = |engine: Option<&str>, lora_rank, context_length| {
            let engine = engine.map(str::to_owned);
            NewDeployment { engine, context_length, lora_rank, ..deployment() }
        };
        let arguments = |new: NewDeployment| config_body(&new)["executor_config"]["additional_args"].clone();
        let both = json!(["--max-lora-rank", "32", "--max-model-len", "4096"]);
        assert_eq!(arguments(new(Some("vllm"), 32, Some(4096))), both);
        assert_eq!(arguments(new(Some("vllm"), 16, Some(4096))), json!(["--max-model-len", "4096"]));
        assert_eq!(arguments(new(Some("vllm"), 16, None)), Value::Null);
        assert_eq!(arguments(new(None, 32, Some(4096))), Value::Null);
    }
}
