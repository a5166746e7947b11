//! Models: the list that the NIM proxy serves, and the entities and repositories of adapters (docs/nemo-api.md, Model
//! entities).

use serde_json::Value;

use super::{Service, V1};
use crate::nemo::removal::Removal;
use crate::nemo::transport::{ApiError, ApiRequest, Form, RequestBody, read_json};

/// The largest reply of a model that is read.
const REPLY_BYTES: usize = 16 << 20;

impl V1 {
    /// Returns the ids that the NIM proxy serves. The request is not repeated, because callers poll. While the proxy
    /// starts, the error is transient.
    pub(crate) async fn served_models(&self) -> Result<Vec<String>, ApiError> {
        let request = ApiRequest::get(Service::Nim, &["v1", "models"]).answers(Form::ServedModels).once();
        let list = self.transport.send(request).await?.json()?;
        let models = read_json::list(&list, &["data"]).iter();
        Ok(models.filter_map(|model| read_json::text(model, &["id"])).collect())
    }

    /// Returns a request that embeds texts.
    #[expect(clippy::unused_self, reason = "a capability of this generation")]
    pub(crate) fn embeddings(&self, body: Value) -> ApiRequest {
        ApiRequest::post(Service::Nim, &["v1", "embeddings"], RequestBody::Json(body))
    }

    /// Returns a request for a chat reply.
    #[expect(clippy::unused_self, reason = "a capability of this generation")]
    pub(crate) fn chat(&self, body: Value) -> ApiRequest {
        let path = ["v1", "chat", "completions"];
        ApiRequest::post(Service::Nim, &path, RequestBody::Json(body)).download(REPLY_BYTES)
    }

    /// Reports whether the entity of the adapter that a job trained still exists.
    pub(crate) async fn adapter_exists(&self, ns: &str, adapter: &str, job: &str) -> Result<bool, ApiError> {
        let revision = format!("{adapter}@{job}");
        let request = ApiRequest::get(Service::EntityStore, &["v1", "models", ns, &revision]).listed(2);
        Ok(self.transport.find(request, |_| Some(())).await?.is_some())
    }

    /// Deletes an adapter: the entity of each job that wrote to it, then the repository. A loaded adapter stays loaded.
    pub(crate) async fn delete_adapter(&self, ns: &str, adapter: &str, jobs: &[&str]) -> Result<Removal, ApiError> {
        for job in jobs {
            self.delete_model_entity(ns, &format!("{adapter}@{job}")).await?;
        }
        self.delete_model_repo(ns, adapter).await
    }

    /// Reports whether anything of an adapter is there.
    pub(crate) async fn adapter_remains(&self, ns: &str, adapter: &str, jobs: &[&str]) -> Result<bool, ApiError> {
        for job in jobs {
            if self.adapter_exists(ns, adapter, job).await? {
                return Ok(true);
            }
        }
        self.model_repo_exists(ns, adapter).await
    }

    /// Deletes a model entity. Its name includes the revision.
    pub(crate) async fn delete_model_entity(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        let request = ApiRequest::delete(Service::EntityStore, &["v1", "models", namespace, name]);
        self.transport.remove(request).await
    }
}
