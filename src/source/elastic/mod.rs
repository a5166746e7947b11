//! Elasticsearch and OpenSearch as a log store: `bulk` writes, `reader` reads, `count` lists and `delete` deletes. `client`
//! is the only way to the server. Asynchronous inside, synchronous for callers.

pub(crate) mod bulk;
mod client;
mod context;
pub(crate) mod count;
pub(crate) mod delete;
mod delivered;
pub(crate) mod error;
pub(crate) mod inspect;
mod mapping;
mod page;
mod page_size;
pub(crate) mod reader;
mod request;
pub(crate) mod run_document;
mod runtime;
mod sample;
mod server;
mod slices;
mod stored_source;
mod window;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
