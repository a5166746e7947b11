//! Typed client of the NeMo microservices: knows HTTP, nothing about runs. `client::send` is the only way out; the other
//! files hold one service's calls each. docs/nemo-api.md lists the calls and what is tolerated.

mod answer;
mod body;
mod call;
mod client;
mod customization;
mod datasets;
mod deployments;
mod error;
mod evaluation;
mod hf;
mod judge;
mod lfs;
mod list;
mod models;
mod read;
mod results;
mod retry;
mod status;
#[cfg(test)]
mod tests;
mod time;
mod training;

use std::fmt::Display;

use serde_json::Value;

pub use call::Service;
pub use client::{Client, Endpoints, Options, Secret};
pub use customization::{CustomizationConfig, NewConfig, Target, TrainingOption};
pub use datasets::{Dataset, NewDataset};
pub use deployments::{Deployment, NewDeployment};
pub use error::{ApiError, ErrorKind, Refusal};
pub use evaluation::{EvaluationJob, EvaluationKind, NewEvaluation, TOOL_METRIC};
pub use hf::{Creation, RepoFile, Upload};
pub use judge::{JUDGE_METRIC, JUDGE_SCORE, Judge, RemoteJudge};
pub use models::Model;
pub use results::{Results, RowOutput};
pub use status::JobStatus;
pub use training::{Hyperparameters, LossPoint, NewTraining, TrainingJob, TrainingStatus};

/// What a delete found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was there and is gone or going.
    Removed,
    /// It was not there.
    Absent,
}

impl Client {
    /// Reads one thing; `None` when the service says that it is not there. An answer that is no such thing is an error:
    /// it must not be taken for absence.
    pub(crate) async fn find<T>(&self, call: call::Call, read: fn(&Value) -> Option<T>) -> Result<Option<T>, ApiError> {
        let answer = match self.send(call).await {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let thing = Some(answer.json()?).filter(Value::is_object);
        match thing.as_ref().and_then(read) {
            Some(thing) => Ok(Some(thing)),
            None => Err(answer.unreadable("not the thing asked for")),
        }
    }

    /// Deletes one thing; that it is not there is success.
    pub(crate) async fn remove(&self, call: call::Call) -> Result<Removal, ApiError> {
        match self.send(call).await {
            Ok(_) => Ok(Removal::Removed),
            Err(error) if error.is_not_found() => Ok(Removal::Absent),
            Err(error) => Err(error),
        }
    }
}

/// A cancel that the service refused although the job goes on. Not a 404 any more: that would read as "it is gone".
fn not_cancelled(mut error: ApiError) -> ApiError {
    error.kind = ErrorKind::Unreadable(format!("the job goes on; asked to stop, the service said: {}", error.kind));
    error
}

/// Names a field in which what we would send differs from what is there.
fn difference<T: PartialEq + Display>(field: &str, ours: T, theirs: T) -> Option<String> {
    (ours != theirs).then(|| format!("{field}: ours is {ours}, the platform has {theirs}"))
}

/// Whether a service shows asterisks instead of the value.
fn is_masked(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c == '*')
}
