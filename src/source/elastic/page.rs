//! Pages of search results as servers send them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::error::{ElasticError, ServerProblem};

/// A page of search results.
#[derive(Debug, Deserialize)]
pub(crate) struct ResultPage<'a> {
    /// The id of the point in time, which may change from page to page.
    pub(crate) pit_id: Option<String>,
    /// The id of the scroll, which may change from page to page.
    #[serde(rename = "_scroll_id")]
    pub(crate) scroll_id: Option<String>,
    #[serde(default)]
    timed_out: bool,
    #[serde(default, rename = "_shards")]
    shards: Shards,
    #[serde(borrow)]
    pub(crate) hits: Hits<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Shards {
    #[serde(default)]
    failed: u32,
    #[serde(default)]
    failures: Vec<Value>,
}

/// The documents of a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Hits<'a> {
    #[serde(borrow)]
    pub(crate) hits: Vec<Hit<'a>>,
}

/// One document.
#[derive(Debug, Deserialize)]
pub(crate) struct Hit<'a> {
    #[serde(default, borrow, rename = "_index")]
    index: Cow<'a, str>,
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    /// The document, byte for byte.
    #[serde(borrow, rename = "_source")]
    pub(crate) source: Option<&'a RawValue>,
    /// The values by which the server sorts it.
    #[serde(default)]
    pub(crate) sort: Value,
}

impl Hit<'_> {
    /// Returns a hash of its index and id, because two indices behind an alias may use the same id.
    pub(crate) fn identity(&self) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(self.index.as_bytes());
        hasher.update(b"/");
        hasher.update(self.id.as_bytes());
        hasher.digest128()
    }
}

impl<'a> ResultPage<'a> {
    /// Reads a page. A page that lacks the documents of a shard is an error.
    pub(crate) fn read(body: &'a [u8], request: &str) -> Result<ResultPage<'a>, ElasticError> {
        let foreign = |_| ElasticError::Foreign { request: request.to_owned(), what: "no page of search results" };
        let page: ResultPage<'a> = serde_json::from_slice(body).map_err(foreign)?;
        if page.timed_out || page.shards.failed > 0 {
            let reason = &page.shards.failures.first().unwrap_or(&Value::Null)["reason"];
            let text = |key: &str| reason[key].as_str().unwrap_or_default().to_owned();
            let (kind, reason) = (text("type"), text("reason"));
            // A search that fails as a whole answers 404 for a lost context.
            let status = if kind == "search_context_missing_exception" { 404 } else { 503 };
            return Err(ElasticError::Answer {
                request: request.to_owned(),
                problem: ServerProblem { status, kind, reason },
            });
        }
        Ok(page)
    }
}
