//! The output of commands for people and programs: values in, text out. Writes to no stream and computes no score.

mod ask_adapter;
pub mod assemble;
pub mod datasets;
pub mod json;
mod layout;
pub mod lists;
mod metrics;
pub mod plan;
pub mod run_tables;
#[cfg(test)]
mod samples;
pub mod text;
