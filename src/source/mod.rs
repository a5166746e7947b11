//! Where records come from and where datasets go.

pub mod contents;
pub mod credentials;
pub mod dataset;
pub(crate) mod elastic;
pub mod jsonl;
pub mod lines;
pub mod load;
pub mod local;
pub mod manifest;
mod output;
mod packed;
mod pipeline;
mod reshaped;
mod seen;

pub use elastic::error::ElasticError;
pub use elastic::halt::Halt;

#[cfg(test)]
mod reasons_tests;
