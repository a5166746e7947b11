//! Namespaces in both stores, and dataset entities. Files of a dataset are in `hf`.

use serde_json::{Value, json};

use super::body::Body;
use super::call::{Call, Service};
use super::client::Client;
use super::error::{ApiError, ErrorKind};
use super::read;
use super::{Removal, difference};

/// A dataset entity to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDataset {
    /// Its namespace.
    pub ns: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub description: String,
    /// `hf://datasets/{ns}/{name}`.
    pub files_url: String,
    /// A free word that groups entities.
    pub project: String,
}

/// A registered dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where its files are.
    pub files_url: String,
    /// Whose it is.
    pub description: Option<String>,
    /// The word that groups it.
    pub project: Option<String>,
    /// When it was made, epoch milliseconds.
    pub created_at_ms: Option<i64>,
}

impl NewDataset {
    /// Names the first of our fields in which an existing dataset differs.
    pub fn differs_from(&self, there: &Dataset) -> Option<String> {
        let project = there.project.as_deref().unwrap_or(&self.project);
        difference("files_url", self.files_url.as_str(), there.files_url.as_str())
            .or_else(|| difference("project", self.project.as_str(), project))
    }
}

impl Dataset {
    fn read(value: &Value) -> Dataset {
        Dataset {
            namespace: read::text(value, &["namespace"]).unwrap_or_default(),
            name: read::text(value, &["name"]).unwrap_or_default(),
            files_url: read::text(value, &["files_url"]).unwrap_or_default(),
            description: read::text(value, &["description"]),
            project: read::text(value, &["project"]),
            created_at_ms: read::millis(value, &["created_at"]),
        }
    }
}

impl Client {
    /// Makes sure that a namespace exists in the Entity Store and in the Data Store.
    pub async fn ensure_namespace(&self, ns: &str) -> Result<(), ApiError> {
        let entity = Call::post(Service::EntityStore, &["v1", "namespaces"], Body::Json(json!({ "id": ns })));
        self.ensure(entity, Call::get(Service::EntityStore, &["v1", "namespaces", ns])).await?;
        let form: String = reqwest::Url::parse_with_params("form:", [("namespace", ns)])
            .ok()
            .and_then(|url| url.query().map(str::to_owned))
            .unwrap_or_default();
        let data = Call::post(Service::DataStore, &["v1", "datastore", "namespaces"], Body::Form(form));
        self.ensure(data, Call::get(Service::DataStore, &["v1", "datastore", "namespaces", ns])).await
    }

    /// A create for which 409 is as good as success, and 422 only when the thing can be read (nemo-wire 2.1).
    async fn ensure(&self, create: Call, look: Call) -> Result<(), ApiError> {
        match self.send(create).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) if error.status() == Some(422) => match self.send(look).await {
                Ok(_) => Ok(()),
                Err(missing) if missing.is_not_found() => Err(error),
                Err(other) => Err(other),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the services speak the API that this client knows: version 1 with namespaces (nemo-wire section 10).
    pub async fn check_api(&self) -> Result<(), ApiError> {
        let call = Call::get(Service::EntityStore, &["v1", "namespaces"]).query("page_size", "1");
        match self.send(call).await {
            Ok(answer) => match answer.json()? {
                Value::Object(_) => Ok(()),
                _ => Err(answer.unreadable("not a list of namespaces: this is no NeMo Entity Store of the v1 API")),
            },
            Err(mut error) if error.is_not_found() => {
                error.kind = ErrorKind::Unreadable(
                    "no such path: this is not the v1 API of the NeMo microservices (releases 25.4 to 25.12)"
                        .to_owned(),
                );
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a service answers at all and lets us in: one cheap list of it.
    pub async fn probe(&self, service: Service) -> Result<(), ApiError> {
        let path: &[&str] = match service {
            Service::EntityStore => &["v1", "namespaces"],
            Service::DataStore => &["v1", "datastore", "namespaces"],
            Service::Deployments => &["v1", "deployment", "model-deployments"],
            Service::Customizer => &["v1", "customization", "targets"],
            Service::Evaluator => &["v1", "evaluation", "jobs"],
            Service::Nim => &["v1", "models"],
        };
        self.send(Call::get(service, path)).await.map(drop)
    }

    /// A dataset entity, unless there is none.
    pub async fn dataset(&self, ns: &str, name: &str) -> Result<Option<Dataset>, ApiError> {
        let call = Call::get(Service::EntityStore, &["v1", "datasets", ns, name]);
        self.find(call, |value| Some(Dataset::read(value))).await
    }

    /// Registers a dataset; its files need not be there yet.
    pub async fn create_dataset(&self, new: &NewDataset) -> Result<Dataset, ApiError> {
        let body = json!({
            "name": new.name, "namespace": new.ns, "description": new.description,
            "files_url": new.files_url, "project": new.project,
        });
        let answer = self.send(Call::create(Service::EntityStore, &["v1", "datasets"], body)).await?;
        Ok(Dataset::read(&answer.json()?))
    }

    /// Deletes a dataset entity; its repository stays.
    pub async fn delete_dataset(&self, ns: &str, name: &str) -> Result<Removal, ApiError> {
        self.remove(Call::delete(Service::EntityStore, &["v1", "datasets", ns, name])).await
    }
}
