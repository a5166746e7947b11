//! Namespaces in both stores (docs/nemo-api.md, Namespaces), and whether the services are there.

use serde_json::json;

use super::{Service, V1};
use crate::nemo::transport::{ApiError, ApiRequest, ErrorKind, Form, RequestBody};

impl V1 {
    /// Ensures that a namespace exists in the Entity Store and in the Data Store.
    pub(crate) async fn ensure_namespace(&self, namespace: &str) -> Result<(), ApiError> {
        let body = RequestBody::Json(json!({ "id": namespace }));
        let create = ApiRequest::post(Service::EntityStore, &["v1", "namespaces"], body);
        self.ensure(create, ApiRequest::get(Service::EntityStore, &["v1", "namespaces", namespace])).await?;
        let form: String = reqwest::Url::parse_with_params("form:", [("namespace", namespace)])
            .ok()
            .and_then(|url| url.query().map(str::to_owned))
            .unwrap_or_default();
        let path = ["v1", "datastore", "namespaces", namespace];
        let create = ApiRequest::post(Service::DataStore, &path[..3], RequestBody::Form(form));
        self.ensure(create, ApiRequest::get(Service::DataStore, &path)).await
    }

    /// Reports whether the Entity Store has a namespace.
    pub(crate) async fn namespace_exists(&self, namespace: &str) -> Result<bool, ApiError> {
        let look = ApiRequest::get(Service::EntityStore, &["v1", "namespaces", namespace]).listed(1);
        Ok(self.transport.find(look, |_| Some(())).await?.is_some())
    }

    /// Creates something for which 409 counts as success. 422 counts only if the thing can be read, because it may also
    /// mean a bad name.
    async fn ensure(&self, create: ApiRequest, look: ApiRequest) -> Result<(), ApiError> {
        match self
            .transport
            .send(create.answers(Form::With(&["id", "name", "namespace", "created_at"])).patient())
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) if error.status() == Some(422) => match self.transport.send(look).await {
                Ok(_) => Ok(()),
                Err(missing) if missing.is_not_found() => Err(error),
                Err(other) => Err(other),
            },
            Err(error) => Err(error),
        }
    }

    /// Checks that the platform speaks version 1 of the API (docs/nemo-api.md, Generations).
    pub(crate) async fn check_api(&self) -> Result<(), ApiError> {
        let request = ApiRequest::get(Service::EntityStore, &["v1", "namespaces"]).patient().query("page_size", "1");
        match self.transport.send(request.answers(Form::List)).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) => {
                let what = "no such path, so this is not the v1 API of the NeMo microservices (releases 25.4 to 25.12)";
                Err(ApiError::new(error.call, ErrorKind::Unreadable(what.to_owned()), None))
            }
            Err(error) => Err(error),
        }
    }

    /// Checks with one cheap list that a service responds and grants access.
    pub(crate) async fn probe(&self, service: Service) -> Result<(), ApiError> {
        let path: &[&str] = match service {
            Service::EntityStore => &["v1", "namespaces"],
            Service::DataStore => &["v1", "datastore", "namespaces"],
            Service::Deployments => &["v1", "deployment", "model-deployments"],
            Service::Customizer => &["v1", "customization", "targets"],
            Service::Evaluator => &["v1", "evaluation", "jobs"],
            Service::Nim => &["v1", "models"],
        };
        let form = match service {
            Service::DataStore => Form::ListOrArray,
            Service::Nim => Form::ServedModels,
            _ => Form::List,
        };
        self.transport.send(ApiRequest::get(service, path).answers(form).patient()).await.map(drop)
    }
}
