//! The client of the NeMo microservices. Knows HTTP and nothing about runs.
//!
//! `client` lists the capabilities and chooses the generation of the API. `transport` sends. `v1` and `helix` hold the paths
//! and bodies of each generation, and `detect` finds out which one a platform speaks. The other files hold the types that
//! all generations share.
//!
//! To add a generation, put a folder with the same methods beside `v1` and add a variant in `client`.

mod base_model;
mod client;
mod datasets;
mod deployments;
mod detect;
mod difference;
mod embeddings;
mod evaluation;
mod helix;
mod judge;
mod removal;
mod secret;
mod status;
mod stored;
#[cfg(test)]
mod tests;
mod timed_reply;
mod training;
mod transport;
mod v1;

pub(crate) use base_model::BaseModel;
pub use client::Client;
pub use datasets::{NewDataset, StoredDataset, StoredFile, UploadFile};
pub use deployments::{Deployment, NewDeployment};
pub use embeddings::EmbeddingModel;
pub use evaluation::{
    Call, EvaluatedRow, EvaluationJob, EvaluationKind, EvaluationScores, MetricScores, NewEvaluation,
};
pub(crate) use evaluation::{EVALUATION_TEMPERATURE, TOOL_METRIC};
pub(crate) use helix::precisions as precisions_of_helix;
pub(crate) use judge::{JUDGE_METRIC, JUDGE_SCORE, MOST_ALIKE};
pub use judge::{JudgeModel, RemoteModel};
pub use removal::Removal;
pub use secret::Secret;
pub use status::JobStatus;
pub use stored::{Stored, StoredKind};
pub(crate) use timed_reply::{ChatModel, TimedReply};
pub use training::{
    Hyperparameters, NewTrainingConfig, NewTrainingJob, StoredTrainingOption, TrainingConfig, TrainingJob,
    TrainingOption, TrainingStatus, TrainingTarget,
};
pub use transport::{ApiError, BaseUrls, ClientOptions, ErrorKind, Refusal};
pub use v1::Service;
