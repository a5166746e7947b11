//! Version 1 of the NeMo microservices API (releases 25.4 to 25.12). Each file holds the calls of one subject.
//! docs/nemo-api.md is the reference.

mod datasets;
mod deployments;
mod evaluation_jobs;
mod evaluation_results;
mod jobs;
mod judge;
mod lfs;
mod models;
mod namespaces;
mod repositories;
mod service;
mod stored;
mod training_configs;
mod training_jobs;
mod upload_source;

use super::transport::Transport;

pub(super) use service::PROBED;
pub use service::Service;

/// A platform of version 1.
#[derive(Clone, Debug)]
pub(super) struct V1 {
    pub(super) transport: Transport,
}
