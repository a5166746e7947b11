//! The client of a platform: every capability that a run needs, whatever the generation of the platform. The only file
//! that chooses between generations.

use super::datasets::{NewDataset, StoredDataset, UploadFile};
use super::deployments::{Deployment, NewDeployment};
use super::evaluation::{EvaluatedRow, EvaluationJob, EvaluationScores, NewEvaluation};
use super::judge::{self, RemoteJudge};
use super::removal::Removal;
use super::training::{NewTrainingConfig, NewTrainingJob, TrainingConfig, TrainingJob, TrainingStatus, TrainingTarget};
use super::transport::{ApiError, ClientOptions, Transport};
use super::v1::{self, Service, V1};

/// A client of one platform. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    generation: Generation,
}

/// The generations of the API, each with its own paths and bodies.
#[derive(Clone, Debug)]
enum Generation {
    V1(V1),
}

/// Calls the method of this name on the generation in use.
macro_rules! on {
    ($client:expr, $method:ident($($argument:expr),*)) => {
        match &$client.generation {
            Generation::V1(v1) => v1.$method($($argument),*).await,
        }
    };
}

/// The platform itself.
impl Client {
    /// Creates a client. It connects to nothing yet.
    pub fn new(options: &ClientOptions) -> Result<Client, ApiError> {
        let transport = Transport::new(options)?;
        Ok(Client { generation: Generation::V1(V1 { transport: transport.clone() }), transport })
    }

    /// Returns the instance id of the embedded platform, if the latest responses came from one.
    pub fn embedded_instance(&self) -> Option<String> {
        self.transport.embedded_instance()
    }

    /// Checks that the platform speaks an API that this client knows.
    pub async fn check_api(&self) -> Result<(), ApiError> {
        on!(self, check_api())
    }

    /// Returns the services to probe. The other ones respond to `check_api`, `deployments` and `served_models`.
    pub fn services(&self) -> [Service; 3] {
        match &self.generation {
            Generation::V1(_) => v1::PROBED,
        }
    }

    /// Checks with one cheap read that a service responds and grants access.
    pub async fn probe(&self, service: Service) -> Result<(), ApiError> {
        on!(self, probe(service))
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

/// Training and adapters.
impl Client {
    /// Returns all models that can be trained.
    pub async fn training_targets(&self) -> Result<Vec<TrainingTarget>, ApiError> {
        on!(self, training_targets())
    }

    /// Returns one model that can be trained, by its URN, or `None` if it does not exist.
    pub async fn training_target(&self, urn: &str) -> Result<Option<TrainingTarget>, ApiError> {
        on!(self, training_target(urn))
    }

    /// Returns a training configuration, or `None` if it does not exist.
    pub async fn training_config(&self, namespace: &str, name: &str) -> Result<Option<TrainingConfig>, ApiError> {
        on!(self, training_config(namespace, name))
    }

    /// Creates a training configuration. `already_exists` holds for the error if one of that name exists.
    pub async fn create_training_config(&self, new: &NewTrainingConfig) -> Result<TrainingConfig, ApiError> {
        on!(self, create_training_config(new))
    }

    /// Deletes a training configuration.
    pub async fn delete_training_config(&self, namespace: &str, name: &str) -> Result<Removal, ApiError> {
        on!(self, delete_training_config(namespace, name))
    }

    /// Starts a training job.
    pub async fn create_training_job(&self, new: &NewTrainingJob) -> Result<TrainingJob, ApiError> {
        on!(self, create_training_job(new))
    }

    /// Returns a training job, or `None` if it does not exist.
    pub async fn training_job(&self, id: &str) -> Result<Option<TrainingJob>, ApiError> {
        on!(self, training_job(id))
    }

    /// Finds a training job that was created at `since_ms` or later by its description.
    pub async fn find_training_job(&self, description: &str, since_ms: i64) -> Result<Option<TrainingJob>, ApiError> {
        on!(self, find_training_job(description, since_ms))
    }

    /// Returns the progress of a training job.
    pub async fn training_status(&self, id: &str) -> Result<TrainingStatus, ApiError> {
        on!(self, training_status(id))
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

    /// Deletes an adapter with what each of these training jobs wrote to it.
    pub async fn delete_adapter(&self, namespace: &str, adapter: &str, jobs: &[&str]) -> Result<Removal, ApiError> {
        on!(self, delete_adapter(namespace, adapter, jobs))
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

    /// Finds an evaluation job that was created at `since_ms` or later by its description.
    pub async fn find_evaluation_job(
        &self,
        description: &str,
        since_ms: i64,
    ) -> Result<Option<EvaluationJob>, ApiError> {
        on!(self, find_evaluation_job(description, since_ms))
    }

    /// Asks an evaluation job to stop. It has stopped when its status is terminal. A job that has ended is no error.
    pub async fn cancel_evaluation_job(&self, id: &str) -> Result<(), ApiError> {
        on!(self, cancel_evaluation_job(id))
    }

    /// Deletes an evaluation job with its results.
    pub async fn delete_evaluation_job(&self, id: &str) -> Result<Removal, ApiError> {
        on!(self, delete_evaluation_job(id))
    }

    /// Returns the aggregate scores of a finished job.
    pub async fn evaluation_scores(&self, id: &str) -> Result<EvaluationScores, ApiError> {
        on!(self, evaluation_scores(id))
    }

    /// Returns the rows of a finished job, in the order of the dataset.
    pub async fn evaluated_rows(&self, id: &str) -> Result<Vec<EvaluatedRow>, ApiError> {
        on!(self, evaluated_rows(id))
    }

    /// Sends a short request to a judge, to check that it answers, knows the model and accepts the key.
    pub async fn probe_judge(&self, judge: &RemoteJudge) -> Result<(), ApiError> {
        judge::probe(&self.transport, judge).await
    }
}
