//! Tracking of a run in MLflow, over the REST API of its server. `client` is the only way to the server. Knows MLflow, and
//! nothing of a report: `tracked` has the content in MLflow's terms.

mod artifacts;
mod client;
mod login;
mod publish;
mod tracked;

pub(crate) use client::MlflowClient;
pub(crate) use login::Login;
pub(crate) use publish::publish;
pub(crate) use tracked::{Artifact, Dataset, Metric, RunStatus, TrackedRun};
