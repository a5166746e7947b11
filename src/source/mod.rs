//! Reads records from files, streams, indexes and the local log store, and writes log stores and datasets.

pub(crate) mod credentials;
mod data_warnings;
pub(crate) mod dataset;
pub(crate) mod elastic;
pub(crate) mod given_file;
pub(crate) mod input;
pub(crate) mod lines;
pub(crate) mod listing;
pub(crate) mod load;
pub(crate) mod local;
pub(crate) mod log_store;
pub(crate) mod manifest;
mod output;
pub(crate) mod personal_sample;
mod pipeline;
mod rejects;

pub(crate) use elastic::error::ElasticError;
pub(crate) use output::NewFolder;

#[cfg(test)]
mod tests;
