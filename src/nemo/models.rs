//! Model entities of the Entity Store, and the list of models that the NIM proxy serves.

use serde_json::Value;

use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::{Removal, read};

/// A model entity. That it exists does not mean that its files do (nemo-wire 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its namespace.
    pub namespace: String,
    /// Its name, revision included.
    pub name: String,
    /// The model that it was made from.
    pub base_model: Option<String>,
    /// `upload_completed` once its files are there.
    pub artifact_status: Option<String>,
}

impl Model {
    fn read(value: &Value) -> Model {
        Model {
            namespace: read::text(value, &["namespace"]).unwrap_or_default(),
            name: read::text(value, &["name"]).unwrap_or_default(),
            base_model: read::urn(value, &["base_model"]),
            artifact_status: read::text(value, &["artifact", "status"]),
        }
    }
}

impl Client {
    /// A model entity by name and revision, unless there is none.
    pub async fn model(&self, ns: &str, name_at_rev: &str) -> Result<Option<Model>, ApiError> {
        let call = Call::get(Service::EntityStore, &["v1", "models", ns, name_at_rev]);
        self.find(call, |value| Some(Model::read(value))).await
    }

    /// Deletes a model entity; its repository and a loaded adapter stay.
    pub async fn delete_model(&self, ns: &str, name_at_rev: &str) -> Result<Removal, ApiError> {
        self.remove(Call::delete(Service::EntityStore, &["v1", "models", ns, name_at_rev])).await
    }

    /// The ids that the NIM proxy serves. Not tried again: a proxy that is still starting gives an error for which
    /// `is_transient` holds.
    pub async fn served_models(&self) -> Result<Vec<String>, ApiError> {
        let answer = self.send(Call::get(Service::Nim, &["v1", "models"]).once()).await?;
        let list = answer.json()?;
        let Value::Object(_) = list else { return Err(answer.unreadable("not a list")) };
        Ok(read::list(&list, &["data"]).iter().filter_map(|model| read::text(model, &["id"])).collect())
    }
}
