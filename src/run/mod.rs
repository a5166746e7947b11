//! The flywheel: one run from datasets to result.

pub mod event;
