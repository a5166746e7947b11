//! Lists of what is stored in a namespace (docs/nemo-api.md, Lists).

use serde_json::Value;

use super::{Service, V1};
use crate::nemo::stored::{Stored, StoredKind};
use crate::nemo::transport::{ApiError, read_json};

impl V1 {
    /// Returns the datasets, the training configurations and the adapters of a namespace.
    pub(crate) async fn stored(&self, namespace: &str) -> Result<Vec<Stored>, ApiError> {
        let datasets = self.transport.all(Service::EntityStore, &["v1", "datasets"]).await?;
        let configs = self.transport.all(Service::Customizer, &["v1", "customization", "configs"]).await?;
        let models = self.transport.all(Service::EntityStore, &["v1", "models"]).await?;
        let is_here = |item: &&Value| read_json::text(item, &["namespace"]).as_deref() == Some(namespace);
        let read = |kind| move |item: &Value| Stored::read(kind, item);
        let mut all: Vec<Stored> = datasets.iter().filter(is_here).filter_map(read(StoredKind::Dataset)).collect();
        all.extend(configs.iter().filter(is_here).filter_map(read(StoredKind::TrainingConfig)));
        for revision in models.iter().filter(is_here).filter_map(read(StoredKind::Adapter)) {
            // The revision of an adapter is the job that wrote it. A model without one is no adapter.
            let Some((name, job)) = revision.name.split_once('@') else { continue };
            let (name, job) = (name.to_owned(), job.to_owned());
            match all.iter_mut().find(|known| known.kind == StoredKind::Adapter && known.name == name) {
                Some(known) => known.jobs.push(job),
                None => all.push(Stored { name, jobs: vec![job], ..revision }),
            }
        }
        Ok(all)
    }
}
