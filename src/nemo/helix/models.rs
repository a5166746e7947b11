//! Base model entities, and the ids that the platform serves (docs/helix-api.md, Base models and What is served).

use serde_json::{Value, json};

use super::{Helix, PLATFORM, names, path};
use crate::nemo::base_model::BaseModel;
use crate::nemo::transport::{ApiError, ApiRequest, ErrorKind, RequestBody, read_json};

pub(super) const MODELS: &str = "models";

impl Helix {
    /// Returns the id of a base model: the configured entity, or the one that is named after the model.
    pub(crate) fn base_model_id(&self, model: &BaseModel) -> String {
        let named = names::model_name(&model.name);
        let (workspace, name) = names::split(model.entity.as_deref().unwrap_or(&named), &self.workspace);
        format!("{workspace}/{name}")
    }

    /// Ensures that a base model exists and has files to train on. One with a repository is made if it is absent.
    pub(crate) async fn ensure_base_model(&self, model: &BaseModel) -> Result<(), ApiError> {
        let reference = self.base_model_id(model);
        let missing = match (self.base_model_state(&reference).await?, &model.repository) {
            (Some(true), _) => return Ok(()),
            (Some(false), _) => "has no fileset, so nothing can be trained on it".to_owned(),
            (None, Some(repository)) => {
                let token = self.keep_token(&reference, model.token.as_ref()).await?;
                let made = self.create_base_model(&reference, repository, model.hub.as_deref(), token.as_deref()).await;
                if let (Err(error), Some(secret)) = (&made, &token)
                    && !error.may_have_been_accepted()
                {
                    // Nothing refers to it.
                    self.delete_secret(names::split(&reference, &self.workspace).0, secret).await?;
                }
                return made;
            }
            (None, None) => "does not exist, and no repository to make it from is configured".to_owned(),
        };
        let call = format!("use the base model {reference}");
        Err(ApiError::new(call, ErrorKind::Options(format!("the model entity {reference} {missing}")), None))
    }

    /// Returns the ids of all base models and adapters that deployments of the workspace serve.
    pub(crate) async fn served_models(&self) -> Result<Vec<String>, ApiError> {
        if !self.namespace_exists(&self.workspace).await? {
            return Ok(Vec::new());
        }
        let providers = self.transport.all(PLATFORM, &path(MODELS, &self.workspace, &["providers"])).await?;
        let ready = providers
            .iter()
            .filter(|provider| read_json::text(provider, &["status"]).is_none_or(|word| word == "READY"));
        let served = ready.flat_map(|provider| read_json::list(provider, &["served_models"]));
        Ok(served.filter_map(|one| read_json::text(one, &["model_entity_id"])).collect())
    }

    /// Returns a request that embeds texts.
    pub(crate) fn embeddings(&self, body: Value) -> ApiRequest {
        let gateway = path("inference-gateway", &self.workspace, &["openai", "-", "v1", "embeddings"]);
        ApiRequest::post(PLATFORM, &gateway, RequestBody::Json(body))
    }

    /// Reports whether the gateway answers for a model. Its routes follow the providers by some seconds, and a job that asks
    /// too early fails.
    pub(crate) async fn answers(&self, model: &str) -> Result<bool, ApiError> {
        let gateway = path("inference-gateway", &self.workspace, &["openai", "-", "v1", "chat", "completions"]);
        let body = json!({ "model": model, "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }] });
        match self.transport.send(ApiRequest::create(PLATFORM, &gateway, body).once()).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.status(), Some(404 | 424 | 502 | 503)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
