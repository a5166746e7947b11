//! Where records come from and where datasets go.

pub mod dataset;
pub mod jsonl;
pub mod manifest;
mod output;
mod pipeline;
