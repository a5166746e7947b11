//! The services of the platform, one module each: their routes over the shared state.

pub(crate) mod customizer;
pub(crate) mod datastore;
pub(crate) mod deployments;
pub(crate) mod entities;
pub(crate) mod evaluator;
pub(crate) mod jobs;
pub(crate) mod nim;
