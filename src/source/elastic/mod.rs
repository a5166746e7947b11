//! Elasticsearch and OpenSearch as a log store: `bulk` writes, `read` reads, `list` counts; `client` is the one way to the
//! server. Asynchronous inside, synchronous for everyone else.

pub(crate) mod bulk;
mod client;
mod context;
pub(crate) mod error;
pub(crate) mod halt;
mod index;
pub(crate) mod list;
mod mapping;
mod page_size;
mod progress;
pub(crate) mod read;
mod sample;
mod thread;
mod window;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
