//! Where records come from and where datasets go.

pub mod dataset;
pub mod jsonl;
pub mod lines;
pub mod load;
pub mod local;
pub mod manifest;
mod output;
mod pipeline;

#[cfg(test)]
mod reasons_tests;
