//! Reads records from files, streams, indexes and the local log store, and writes log stores and datasets.

pub mod credentials;
pub mod dataset;
pub(crate) mod elastic;
pub(crate) mod input;
pub(crate) mod lines;
pub mod listing;
pub mod load;
pub mod local;
pub mod log_store;
pub mod manifest;
mod output;
mod pipeline;
mod rejects;

pub(crate) use elastic::error::ElasticError;
pub use output::NewFolder;

#[cfg(test)]
mod tests;
