//! Adapters (docs/helix-api.md, Adapters). An adapter has no revision: its name carries the run.

use super::models::MODELS;
use super::{Helix, delete_named, get_named, path};
use crate::nemo::removal::Removal;
use crate::nemo::transport::ApiError;

impl Helix {
    pub(crate) async fn adapter_exists(&self, workspace: &str, adapter: &str, _job: &str) -> Result<bool, ApiError> {
        let request = get_named(&path(MODELS, workspace, &["adapters", adapter]));
        Ok(self.transport.find(request, |_| Some(())).await?.is_some())
    }

    /// Returns the id under which the adapter of a finished job is served.
    pub(crate) async fn served_adapter(&self, workspace: &str, adapter: &str, job: &str) -> Result<String, ApiError> {
        let request = get_named(&path(MODELS, workspace, &["adapters", adapter]));
        match self.training_job(job).await?.and_then(|job| job.output_model) {
            Some(id) => Ok(id),
            None => Err(self.transport.send(request).await?.unreadable("an adapter whose job names no base model")),
        }
    }

    /// Reports whether anything of an adapter is there.
    pub(crate) async fn adapter_remains(
        &self,
        workspace: &str,
        adapter: &str,
        jobs: &[&str],
    ) -> Result<bool, ApiError> {
        for job in jobs {
            if self.training_job(job).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(self.adapter_exists(workspace, adapter, "").await? || self.dataset_remains(workspace, adapter).await?)
    }

    /// Deletes an adapter, the fileset with its weights, and the jobs that trained it.
    pub(crate) async fn delete_adapter(
        &self,
        workspace: &str,
        adapter: &str,
        jobs: &[&str],
    ) -> Result<Removal, ApiError> {
        let request = delete_named(&path(MODELS, workspace, &["adapters", adapter]));
        let entity = self.transport.remove(request).await?;
        let files = self.delete_dataset(workspace, adapter).await?;
        for job in jobs {
            self.delete_training_job(job).await?;
        }
        Ok(if entity == Removal::Removed { entity } else { files })
    }
}
