//! Configuration: flywheel.yaml, flags and environment into one checked plan.

pub(crate) mod file;
pub(crate) mod node;
pub mod plan;
