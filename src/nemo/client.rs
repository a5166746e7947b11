//! The client of a platform: every capability that a run needs, whatever the generation of the platform. The only file
//! that chooses between generations.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::base_model::BaseModel;
use super::datasets::{NewDataset, StoredDataset, UploadFile};
use super::deployments::{Deployment, NewDeployment};
use super::detect::Dialect;
use super::embeddings::{self, EmbeddingModel};
use super::evaluation::{EvaluatedRow, EvaluationJob, EvaluationKind, EvaluationScores, NewEvaluation, chat_request};
use super::judge::{self, RemoteModel};
use super::removal::Removal;
use super::secret::Secret;
use super::stored::Stored;
use super::training::{NewTrainingConfig, NewTrainingJob, TrainingConfig, TrainingJob, TrainingStatus, TrainingTarget};
use super::transport::{ApiError, ApiRequest, ClientOptions, Transport};
use super::v1::{self, Service};
use crate::vocabulary::{Generation, PlatformVersion};

/// A client of one platform. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) transport: Transport,
    pin: Option<Generation>,
    namespace: String,
    /// Found out by the first call.
    dialect: Arc<OnceCell<Dialect>>,
}

/// Calls the method of this name on the generation in use.
macro_rules! on {
    ($client:expr, $method:ident($($argument:expr),*)) => {
        match $client.dialect().await? {
            Dialect::V1(v1) => v1.$method($($argument),*).await,
            Dialect::Helix(helix) => helix.$method($($argument),*).await,
        }
    };
}

/// Calls the method of this name on version 1, for what it alone has. Callers ask `has_training_configs` first.
macro_rules! on_v1 {
    ($client:expr, $method:ident($($argument:expr),*)) => {
        match $client.dialect().await? {
            Dialect::V1(v1) => v1.$method($($argument),*).await,
            Dialect::Helix(_) => Err(ApiError::option(stringify!($method), "NeMo Helix has no such thing")),
        }
    };
}

/// Calls the method of this name on Helix, for what it alone has. Version 1 has this answer to it.
macro_rules! on_helix {
    ($client:expr, $answer:expr, $method:ident($($argument:expr),*)) => {
        match $client.dialect().await? {
            Dialect::V1(_) => Ok($answer),
            Dialect::Helix(helix) => helix.$method($($argument),*).await,
        }
    };
}

/// The platform itself.
impl Client {
    /// Creates a client. It connects to nothing yet. Without a `generation`, the first call finds out which one the
    /// platform speaks. `namespace` is where a run makes everything.
    pub fn new(options: &ClientOptions, pin: Option<Generation>, namespace: &str) -> Result<Client, ApiError> {
        let transport = Transport::new(options)?;
        Ok(Client { transport, pin, namespace: namespace.to_owned(), dialect: Arc::default() })
    }

    async fn dialect(&self) -> Result<&Dialect, ApiError> {
        let detect = || Dialect::detect(&self.transport, self.pin, &self.namespace);
        self.dialect.get_or_try_init(detect).await
    }

    /// Returns what the platform says that it is.
    pub async fn version(&self) -> Result<PlatformVersion, ApiError> {
        Ok(self.dialect().await?.version())
    }

    /// Hides a secret in what the platform says from now on.
    pub(crate) fn hide(&self, secret: &Secret) {
        self.transport.hide(secret);
    }

    /// Returns the instance id of the embedded platform, if the latest responses came from one.
    pub fn embedded_instance(&self) -> Option<String> {
        self.transport.embedded_instance()
    }

    /// Checks that the platform speaks an API that this client knows, and that it works.
    pub async fn check_api(&self) -> Result<(), ApiError> {
        on!(self, check_api())
    }

    /// Returns the services to probe. The other ones respond to `check_api`, `deployments` and `served_models`. Helix is
    /// one service, which `check_api` asks.
    pub async fn services(&self) -> Result<&'static [Service], ApiError> {
        match self.dialect().await? {
            Dialect::V1(_) => Ok(&v1::PROBED),
            Dialect::Helix(_) => Ok(&[]),
        }
    }

    /// Checks with one cheap read that a service responds and grants access. Helix is one, whichever is named.
    pub async fn probe(&self, service: Service) -> Result<(), ApiError> {
        match self.dialect().await? {
            Dialect::V1(v1) => v1.probe(service).await,
            Dialect::Helix(helix) => helix.look().await,
        }
    }

    /// Reports whether a namespace may have this name.
    pub(crate) async fn takes_name(&self, namespace: &str) -> Result<bool, ApiError> {
        Ok(matches!(self.dialect().await?, Dialect::V1(_)) || super::helix::is_name(namespace))
    }

    /// Reports whether a namespace exists.
    pub(crate) async fn namespace_exists(&self, namespace: &str) -> Result<bool, ApiError> {
        on!(self, namespace_exists(namespace))
    }

    /// Ensures that a namespace exists for everything that a run creates.
    pub async fn ensure_namespace(&self, namespace: &str) -> Result<(), ApiError> {
        on!(self, ensure_namespace(namespace))
    }
}

/// Datasets.
impl Client {
    /// Looks for a dataset and compares it with the wanted one.
    pub async fn dataset(&self, wanted: &NewDataset) -> Result<StoredDataset, ApiError> {
        on!(self, dataset(wanted))
    }

    /// Uploads a dataset. Uploading the same dataset again is no error.
    pub async fn create_dataset(&self, new: &NewDataset, files: &[UploadFile]) -> Result<(), ApiError> {
        on!(self, create_dataset(new, files))
    }

    /// Deletes a dataset with its files.
    pub async fn delete_dataset(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        on!(self, delete_dataset(namespace, name))
    }

    /// Reports whether anything of a dataset is there.
    pub(crate) async fn dataset_remains(&self, namespace: &str, name: &str) -> Result<bool, ApiError> {
        on!(self, dataset_remains(namespace, name))
    }
}

/// Stored resources.
impl Client {
    /// Returns what a namespace stores: datasets, training configurations, adapters, and what deployments have left.
    pub async fn stored(&self, namespace: &str) -> Result<Vec<Stored>, ApiError> {
        on!(self, stored(namespace))
    }
}

/// Deployments and what they serve.
impl Client {
    /// Returns a deployment, or `None` if it does not exist.
    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<Deployment>, ApiError> {
        on!(self, deployment(namespace, name))
    }

    /// Returns the deployments of all namespaces.
    pub async fn deployments(&self) -> Result<Vec<Deployment>, ApiError> {
        on!(self, deployments())
    }

    /// Starts a deployment. `already_exists` holds for the error if one of that name exists.
    pub async fn create_deployment(&self, new: &NewDeployment) -> Result<Deployment, ApiError> {
        on!(self, create_deployment(new))
    }

    /// Takes a deployment down.
    pub async fn delete_deployment(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        on!(self, delete_deployment(namespace, name))
    }

    /// Returns the ids of all models and adapters that are served. While the platform starts, the error is transient.
    pub async fn served_models(&self) -> Result<Vec<String>, ApiError> {
        on!(self, served_models())
    }
}

/// Base models.
impl Client {
    /// Returns the id under which a base model is served.
    pub(crate) async fn base_model_id(&self, model: &BaseModel) -> Result<String, ApiError> {
        match self.dialect().await? {
            Dialect::V1(_) => Ok(model.name.clone()),
            Dialect::Helix(helix) => Ok(helix.base_model_id(model)),
        }
    }

    /// Ensures that a base model can be deployed and trained. Version 1 answers that with its targets.
    pub(crate) async fn ensure_base_model(&self, model: &BaseModel) -> Result<(), ApiError> {
        on_helix!(self, (), ensure_base_model(model))
    }

    /// Reports whether a base model exists. One with a repository need not: it can be made.
    pub(crate) async fn check_base_model(&self, model: &BaseModel) -> Result<bool, ApiError> {
        on_helix!(self, true, check_base_model(model))
    }

    /// Deletes a base model that dfwfd has made, by its id, with everything that belongs to it. Others are kept.
    pub(crate) async fn delete_base_model(&self, id: &str) -> Result<Removal, ApiError> {
        on_helix!(self, Removal::Absent, delete_base_model(id))
    }

    /// Reports whether the gateway answers for a served model. With version 1, what is served answers.
    pub async fn answers(&self, model: &str) -> Result<bool, ApiError> {
        on_helix!(self, true, answers(model))
    }
}

/// Training and adapters.
impl Client {
    /// Reports whether trainings need a target and a stored configuration.
    pub(crate) async fn has_training_configs(&self) -> Result<bool, ApiError> {
        Ok(matches!(self.dialect().await?, Dialect::V1(_)))
    }

    /// Returns all models that can be trained.
    pub async fn training_targets(&self) -> Result<Vec<TrainingTarget>, ApiError> {
        on_v1!(self, training_targets())
    }

    /// Returns one model that can be trained, by its URN, or `None` if it does not exist.
    pub(crate) async fn training_target(&self, urn: &str) -> Result<Option<TrainingTarget>, ApiError> {
        on_v1!(self, training_target(urn))
    }

    /// Returns a training configuration, or `None` if it does not exist.
    pub async fn training_config(&self, namespace: &str, name: &str) -> Result<Option<TrainingConfig>, ApiError> {
        on_v1!(self, training_config(namespace, name))
    }

    /// Creates a training configuration. `already_exists` holds for the error if one of that name exists.
    pub async fn create_training_config(&self, new: &NewTrainingConfig) -> Result<TrainingConfig, ApiError> {
        on_v1!(self, create_training_config(new))
    }

    /// Deletes a training configuration.
    pub async fn delete_training_config(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        on_v1!(self, delete_training_config(namespace, name))
    }

    /// Starts a training job.
    pub async fn create_training_job(&self, new: &NewTrainingJob) -> Result<TrainingJob, ApiError> {
        on!(self, create_training_job(new))
    }

    /// Returns a training job, or `None` if it does not exist.
    pub async fn training_job(&self, id: &str) -> Result<Option<TrainingJob>, ApiError> {
        on!(self, training_job(id))
    }

    /// Finds a training job by its description.
    pub async fn find_training_job(&self, description: &str) -> Result<Option<TrainingJob>, ApiError> {
        on!(self, find_training_job(description))
    }

    /// Returns the training jobs that the platform knows, of whatever state.
    pub async fn training_jobs(&self) -> Result<Vec<TrainingJob>, ApiError> {
        on!(self, training_jobs())
    }

    /// Returns the progress of a training job. Its record must confirm an end: a gateway or a cache can tell of one too.
    pub async fn training_status(&self, id: &str) -> Result<TrainingStatus, ApiError> {
        let told: TrainingStatus = on!(self, training_status(id))?;
        let ended = told.status.is_terminal();
        let recorded = if ended { self.training_job(id).await? } else { None };
        Ok(recorded.map_or(told.clone(), |job| told.confirmed_by(job.status)))
    }

    /// Asks a training job to stop. It has stopped when its status is terminal. A job that has ended is no error.
    pub async fn cancel_training_job(&self, id: &str) -> Result<(), ApiError> {
        on!(self, cancel_training_job(id))
    }

    /// Returns the id under which the adapter of a finished training job is served.
    pub async fn served_adapter(&self, namespace: &str, adapter: &str, job: &str) -> Result<String, ApiError> {
        on!(self, served_adapter(namespace, adapter, job))
    }

    /// Reports whether the adapter that a job trained still exists.
    pub async fn adapter_exists(&self, namespace: &str, adapter: &str, job: &str) -> Result<bool, ApiError> {
        on!(self, adapter_exists(namespace, adapter, job))
    }

    /// Deletes an adapter with what each of these training jobs wrote to it. Helix deletes the jobs too.
    pub async fn delete_adapter(&self, namespace: &str, adapter: &str, jobs: &[&str]) -> Result<Removal, ApiError> {
        on!(self, delete_adapter(namespace, adapter, jobs))
    }

    /// Reports whether anything of an adapter is there that these training jobs wrote.
    pub(crate) async fn adapter_remains(&self, namespace: &str, name: &str, jobs: &[&str]) -> Result<bool, ApiError> {
        on!(self, adapter_remains(namespace, name, jobs))
    }
}

/// Evaluation.
impl Client {
    /// Starts an evaluation job.
    pub async fn create_evaluation_job(&self, new: &NewEvaluation) -> Result<EvaluationJob, ApiError> {
        on!(self, create_evaluation_job(new))
    }

    /// Returns an evaluation job, or `None` if it does not exist.
    pub async fn evaluation_job(&self, id: &str) -> Result<Option<EvaluationJob>, ApiError> {
        on!(self, evaluation_job(id))
    }

    /// Finds an evaluation job by its description.
    pub async fn find_evaluation_job(&self, description: &str) -> Result<Option<EvaluationJob>, ApiError> {
        on!(self, find_evaluation_job(description))
    }

    /// Returns the evaluation jobs that the platform knows, of whatever state.
    pub async fn evaluation_jobs(&self) -> Result<Vec<EvaluationJob>, ApiError> {
        on!(self, evaluation_jobs())
    }

    /// Asks an evaluation job to stop. It has stopped when its status is terminal. A job that has ended is no error.
    pub async fn cancel_evaluation_job(&self, id: &str) -> Result<(), ApiError> {
        on!(self, cancel_evaluation_job(id))
    }

    /// Deletes an evaluation job with its results.
    pub async fn delete_evaluation_job(&self, id: &str) -> Result<Removal, ApiError> {
        on!(self, delete_evaluation_job(id))
    }

    /// Reports whether anything of an evaluation job is there.
    pub(crate) async fn evaluation_remains(&self, id: &str) -> Result<bool, ApiError> {
        on!(self, evaluation_remains(id))
    }

    /// Returns the aggregate scores of a finished job.
    pub async fn evaluation_scores(&self, id: &str) -> Result<EvaluationScores, ApiError> {
        on!(self, evaluation_scores(id))
    }

    /// Returns the rows of a finished job, in the order of the dataset.
    pub async fn evaluated_rows(&self, id: &str) -> Result<Vec<EvaluatedRow>, ApiError> {
        on!(self, evaluated_rows(id))
    }

    /// Embeds texts. `input_type` is for models that tell queries and passages apart.
    pub async fn embed(
        &self,
        model: &EmbeddingModel,
        input_type: Option<&str>,
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, ApiError> {
        let body = model.body(input_type, texts);
        let request = match model {
            EmbeddingModel::Remote { url, key, .. } => embeddings::remote(url, key.clone(), body)?,
            EmbeddingModel::Served(_) => match self.dialect().await? {
                Dialect::V1(v1) => v1.embeddings(body),
                Dialect::Helix(helix) => helix.embeddings(body),
            },
        };
        embeddings::vectors(&self.transport.send(request).await?, texts.len())
    }

    /// Sends a served model the request of a row of an eval set, as an evaluator does, and returns its response with the
    /// time that it took.
    pub async fn chat(
        &self,
        model: &str,
        kind: EvaluationKind,
        temperature: f64,
        item: &Value,
    ) -> Result<(Value, Duration), ApiError> {
        let request = self.served_chat(chat_request(model, kind, temperature, item)).await?;
        let response = self.transport.send(request.answers_json()).await?;
        Ok((response.json()?, response.took))
    }

    /// Returns a chat request to a model that the platform serves.
    pub(super) async fn served_chat(&self, body: Value) -> Result<ApiRequest, ApiError> {
        Ok(match self.dialect().await? {
            Dialect::V1(v1) => v1.chat(body),
            Dialect::Helix(helix) => helix.chat(body),
        })
    }

    /// Sends a short request to a judge, to check that it answers, knows the model and accepts the key.
    pub(crate) async fn probe_judge(&self, judge: &RemoteModel) -> Result<(), ApiError> {
        judge::probe(&self.transport, judge).await
    }
}
