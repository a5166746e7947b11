//! Datasets: an entity in the Entity Store (docs/nemo-api.md, Dataset entities) that points to a repository of files in
//! the Data Store.

use serde_json::{Value, json};

use super::{Service, V1};
use crate::nemo::datasets::{NewDataset, StoredDataset, UploadFile};
use crate::nemo::difference::{difference, text_difference};
use crate::nemo::removal::Removal;
use crate::nemo::transport::{ApiError, ApiRequest, Form, read_json};

/// A dataset entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatasetEntity {
    pub(crate) files_url: String,
    pub(crate) project: Option<String>,
}

/// Returns the reference to a repository, by which the other services find its files.
pub(super) fn files_url(namespace: &str, name: &str) -> String {
    format!("hf://datasets/{namespace}/{name}")
}

impl DatasetEntity {
    fn read(value: &Value) -> DatasetEntity {
        DatasetEntity {
            files_url: read_json::text(value, &["files_url"]).unwrap_or_default(),
            project: read_json::text(value, &["project"]),
        }
    }

    fn difference(&self, wanted: &NewDataset) -> Option<String> {
        let ours = files_url(&wanted.namespace, &wanted.name);
        difference("files_url", ours.as_str(), &self.files_url)
            .or_else(|| text_difference("project", &wanted.project, self.project.as_deref()))
    }
}

impl V1 {
    /// Looks for a dataset: its entity, then its files.
    pub(crate) async fn dataset(&self, wanted: &NewDataset) -> Result<StoredDataset, ApiError> {
        let Some(entity) = self.dataset_entity(&wanted.namespace, &wanted.name).await? else {
            return Ok(StoredDataset::Absent);
        };
        if let Some(difference) = entity.difference(wanted) {
            return Ok(StoredDataset::Different(difference));
        }
        let files = self.repo_files(&wanted.namespace, &wanted.name).await?;
        Ok(files.map_or(StoredDataset::Absent, StoredDataset::Files))
    }

    /// Uploads the files of a dataset, then registers it.
    pub(crate) async fn create_dataset(&self, new: &NewDataset, files: &[UploadFile]) -> Result<(), ApiError> {
        self.create_repo(&new.namespace, &new.name).await?;
        self.upload(&new.namespace, &new.name, files).await?;
        match self.create_dataset_entity(new).await {
            // An earlier process may have been killed after this call. The next look compares what is there.
            Err(error) if error.already_exists() => Ok(()),
            other => other,
        }
    }

    /// Deletes a dataset: its entity, then its files.
    pub(crate) async fn delete_dataset(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        self.delete_dataset_entity(namespace, name).await?;
        self.delete_repo(namespace, name).await
    }

    /// Reports whether anything of a dataset is there.
    pub(crate) async fn dataset_remains(&self, namespace: &str, name: &str) -> Result<bool, ApiError> {
        Ok(self.dataset_entity(namespace, name).await?.is_some() || self.repo_files(namespace, name).await?.is_some())
    }

    pub(crate) async fn dataset_entity(&self, namespace: &str, name: &str) -> Result<Option<DatasetEntity>, ApiError> {
        let request = ApiRequest::get(Service::EntityStore, &["v1", "datasets", namespace, name]).listed(2);
        self.transport.find(request, |value| Some(DatasetEntity::read(value))).await
    }

    pub(crate) async fn create_dataset_entity(&self, new: &NewDataset) -> Result<(), ApiError> {
        let body = json!({
            "name": new.name, "namespace": new.namespace, "description": new.description,
            "files_url": files_url(&new.namespace, &new.name), "project": new.project,
        });
        let request = ApiRequest::create(Service::EntityStore, &["v1", "datasets"], body);
        self.transport.send(request.answers(Form::With(&["name", "files_url"]))).await?.json().map(drop)
    }

    /// Deletes a dataset entity. Its repository stays.
    pub(crate) async fn delete_dataset_entity(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        let request = ApiRequest::delete(Service::EntityStore, &["v1", "datasets", namespace, name]);
        self.transport.remove(request).await
    }
}
