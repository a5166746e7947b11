//! Lists of what is stored in a workspace (docs/helix-api.md, Purpose by generation).

use serde_json::Value;

use super::models::MODELS;
use super::{Helix, PLATFORM, path};
use crate::nemo::stored::{Stored, StoredKind};
use crate::nemo::transport::ApiError;

impl Helix {
    /// Returns the adapters, the filesets and the configurations of deployments that are gone. A training job that has
    /// ended belongs to its adapter, whether it has written it or not.
    pub(crate) async fn stored(&self, workspace: &str) -> Result<Vec<Stored>, ApiError> {
        if !self.namespace_exists(workspace).await? {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for adapter in self.list(MODELS, workspace, "adapters").await? {
            all.extend(Stored::read(StoredKind::Adapter, &adapter));
        }
        for job in self.training_jobs().await?.into_iter().filter(|job| job.status.is_terminal()) {
            let Some(name) = job.output_model.as_deref().and_then(|id| id.rsplit('/').next()) else { continue };
            match all.iter_mut().find(|known: &&mut Stored| known.name == name) {
                Some(adapter) => {
                    adapter.jobs.push(job.id);
                    adapter.description = adapter.description.take().or(job.description);
                }
                None => all.push(Stored {
                    kind: StoredKind::Adapter,
                    name: name.to_owned(),
                    jobs: vec![job.id],
                    description: job.description,
                    created_at_ms: job.created_at_ms,
                }),
            }
        }
        for fileset in self.list("files", workspace, "filesets").await? {
            // The weights of an adapter are a fileset of its name.
            if let Some(fileset) = Stored::read(StoredKind::Dataset, &fileset)
                && all.iter().all(|known| known.name != fileset.name)
            {
                all.push(fileset);
            }
        }
        let deployments = self.list(MODELS, workspace, "deployments").await?;
        for config in self.list(MODELS, workspace, "deployment-configs").await? {
            let is_used = deployments.iter().any(|deployment| deployment["name"] == config["name"]);
            all.extend(Stored::read(StoredKind::DeploymentConfig, &config).filter(|_| !is_used));
        }
        Ok(all)
    }

    async fn list(&self, service: &str, workspace: &str, of: &str) -> Result<Vec<Value>, ApiError> {
        self.transport.all(PLATFORM, &path(service, workspace, &[of])).await
    }
}
