//! Configuration: flywheel.yaml, flags and environment into one checked plan.

pub mod plan;
