//! Base model entities, and the ids that the platform serves (docs/helix-api.md, Base models and What is served).

use serde_json::{Value, json};

use super::{Helix, PLATFORM, is_name, names, path};
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

    /// Reports whether a base model exists. One with a repository need not: it can be made.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] if nothing can be trained on it, or if what has its name is of something else.
    pub(crate) async fn check_base_model(&self, model: &BaseModel) -> Result<bool, ApiError> {
        let reference = &self.base_model_id(model);
        let name = names::split(reference, &self.workspace).1;
        let unfit = match (self.base_model_files(reference).await?, &model.repository) {
            (Some(Some(fileset)), Some(repository)) => match self.repository_difference(&fileset, repository).await? {
                None => return Ok(true),
                Some(why) => why,
            },
            (Some(Some(_)), None) => return Ok(true),
            (Some(None), _) => "has no fileset, so nothing can be trained on it".to_owned(),
            (None, Some(_)) if !is_name(name) => "cannot be made: the platform takes no such name".to_owned(),
            (None, Some(repository)) => match self.foreign_files(reference, repository).await? {
                None => return Ok(false),
                Some(why) => why,
            },
            (None, None) => "does not exist, and no repository to make it from is configured".to_owned(),
        };
        let call = format!("use the base model {reference}");
        Err(ApiError::new(call, ErrorKind::Options(format!("the model entity {reference} {unfit}")), None))
    }

    /// Ensures that a base model exists and has files to train on. One with a repository is made if it is absent.
    pub(crate) async fn ensure_base_model(&self, model: &BaseModel) -> Result<(), ApiError> {
        let (false, Some(repository)) = (self.check_base_model(model).await?, &model.repository) else { return Ok(()) };
        let reference = self.base_model_id(model);
        let token = self.keep_token(&reference, model.token.as_ref()).await?;
        let mut made = self.create_base_model(&reference, repository, model.hub.as_deref(), token.as_deref()).await;
        if matches!(&made, Err(error) if error.already_exists()) {
            // Another run makes it too, or somebody has taken the name.
            made = self.check_base_model(model).await.map(drop);
        }
        if let (Err(error), Some(secret)) = (&made, &token)
            && !error.may_have_been_accepted()
        {
            // Nothing refers to it.
            self.delete_secret(names::split(&reference, &self.workspace).0, secret).await?;
        }
        made
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

    /// Returns the workspace whose gateway has the route to the model of a request: that of the entity, wherever its
    /// deployment is.
    pub(super) fn routed_by(&self, body: &Value) -> String {
        names::split(body["model"].as_str().unwrap_or_default(), &self.workspace).0.to_owned()
    }

    /// Returns a request that embeds texts.
    pub(crate) fn embeddings(&self, body: Value) -> ApiRequest {
        let workspace = self.routed_by(&body);
        let gateway = path("inference-gateway", &workspace, &["openai", "-", "v1", "embeddings"]);
        ApiRequest::post(PLATFORM, &gateway, RequestBody::Json(body))
    }

    /// Reports whether the gateway answers for a model. Its routes follow the providers by some seconds, and a job that asks
    /// too early fails.
    pub(crate) async fn answers(&self, model: &str) -> Result<bool, ApiError> {
        let (workspace, _) = names::split(model, &self.workspace);
        let gateway = path("inference-gateway", workspace, &["openai", "-", "v1", "chat", "completions"]);
        let body = json!({ "model": model, "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }] });
        match self.transport.send(ApiRequest::create(PLATFORM, &gateway, body).once()).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.status(), Some(404 | 424 | 502 | 503)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
