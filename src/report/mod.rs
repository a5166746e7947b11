//! The output of commands for people and programs: values in, text out. Writes to no stream and computes no score.

mod ask_adapter;
pub(crate) mod assemble;
pub(crate) mod compare;
mod cost;
pub(crate) mod datasets;
pub(crate) mod document;
pub(crate) mod json;
mod layout;
pub(crate) mod lists;
mod metrics;
pub(crate) mod plan;
pub(crate) mod prometheus;
pub(crate) mod run_document;
pub(crate) mod run_tables;
#[cfg(test)]
mod samples;
pub(crate) mod text;
pub(crate) mod tracked_run;
