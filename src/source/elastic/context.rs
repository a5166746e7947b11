//! The search contexts of the servers: points in time of Elasticsearch and of OpenSearch, and scrolls where there is
//! neither. Opens, asks for pages and closes; what to do with a page is decided in `read`.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::client::{Call, Client, Product, Server};
use super::error::{ElasticError, ServerProblem};

/// How long the server keeps a context after the last page.
const KEEP: &str = "3m";
/// How long closing one may take; the server does it by itself later.
const CLOSING: Duration = Duration::from_secs(5);

/// How a server reads an index in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `POST /INDEX/_pit`.
    Elasticsearch,
    /// `POST /INDEX/_search/point_in_time`.
    OpenSearch,
    /// `POST /INDEX/_search?scroll=`: a context per slice.
    Scroll,
}

impl Form {
    /// The one that this server has and that loses nothing at the edges of pages.
    pub(crate) fn of(server: &Server) -> Form {
        match (server.product, server.major()) {
            (Product::Elasticsearch, 8..) => Form::Elasticsearch,
            (Product::Elasticsearch, 7) if server.minor() >= 12 => Form::Elasticsearch,
            // Older ones have points in time, but nothing to tell records of one second apart.
            (Product::OpenSearch, 3..) => Form::OpenSearch,
            _ => Form::Scroll,
        }
    }

    /// Opens the context that all slices share; scrolls have none.
    pub(crate) async fn open(self, client: &Client) -> Result<Option<String>, ElasticError> {
        let (path, key) = match self {
            Form::Elasticsearch => ("/_pit", "id"),
            Form::OpenSearch => ("/_search/point_in_time", "pit_id"),
            Form::Scroll => return Ok(None),
        };
        let call = Call::new(Method::Post, client.index_path(path)).with("keep_alive", KEEP);
        let name = client.name(&call);
        let answer = client.ask(call).await?;
        let id = answer[key].as_str().map(str::to_owned);
        id.map(Some).ok_or(ElasticError::Foreign { call: name, what: "no id of a point in time" })
    }

    /// Closes a context, or a scroll. That it is gone already is fine, and a server that cannot be reached forgets it by
    /// itself.
    pub(crate) async fn close(self, client: &Client, id: &str) {
        let (path, body) = match self {
            Form::Elasticsearch => ("/_pit", json!({"id": id})),
            Form::OpenSearch => ("/_search/point_in_time", json!({"pit_id": [id]})),
            Form::Scroll => ("/_search/scroll", json!({"scroll_id": [id]})),
        };
        let closed = client.send(Call::new(Method::Delete, path).json(&body).once().within(CLOSING)).await;
        if let Err(error) = closed
            && !error.is_lost_context()
        {
            tracing::debug!(%error, "closing a search context");
        }
    }
}

/// One slice of a search.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// How.
    pub(crate) form: Form,
    /// Which records.
    pub(crate) query: Value,
    /// Which slice of how many.
    pub(crate) slice: (usize, usize),
    /// The field by whose times records come in order, if they do.
    pub(crate) by_time: Option<String>,
    /// The fields that are handed out; whole documents when empty.
    pub(crate) wanted: Vec<String>,
}

impl Search {
    /// Asks for the page behind the one that ended with `after`, in the context `id`.
    pub(crate) async fn page(
        &self,
        client: &Client,
        id: Option<&str>,
        after: Option<&Value>,
        size: usize,
    ) -> Result<Bytes, ElasticError> {
        let mut body = json!({"size": size, "query": self.query});
        if !self.wanted.is_empty() {
            body["_source"] = json!(self.wanted);
        }
        let (slice, slices) = self.slice;
        if slices > 1 {
            body["slice"] = json!({"id": slice, "max": slices});
        }
        let call = match (self.form, id) {
            (Form::Scroll, Some(id)) => {
                let body = json!({"scroll": KEEP, "scroll_id": id});
                // A page that was sent and not received is not sent again: better to begin anew.
                Call::new(Method::Post, "/_search/scroll").json(&body).once()
            }
            (Form::Scroll, None) => {
                body["sort"] = json!(["_doc"]);
                Call::new(Method::Post, client.index_path("/_search"))
                    .with("scroll", KEEP)
                    .with("allow_partial_search_results", "false")
                    .json(&body)
                    .once()
            }
            (Form::Elasticsearch | Form::OpenSearch, id) => {
                // Scrolls have to count.
                body["track_total_hits"] = json!(false);
                body["pit"] = json!({"id": id, "keep_alive": KEEP});
                let by_shard = json!({"_shard_doc": {"order": "asc"}});
                body["sort"] = match &self.by_time {
                    Some(field) => json!([{field: {"order": "asc", "missing": "_last"}}, by_shard]),
                    None => json!([by_shard]),
                };
                if let Some(after) = after {
                    body["search_after"] = after.clone();
                }
                Call::new(Method::Post, "/_search").with("allow_partial_search_results", "false").json(&body)
            }
        };
        client.send(call).await.map(|answer| answer.body)
    }
}

/// A page as the server sends it.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<'a> {
    /// The id to go on with, which may change from page to page.
    pub(crate) pit_id: Option<String>,
    /// The same of a scroll.
    #[serde(rename = "_scroll_id")]
    pub(crate) scroll_id: Option<String>,
    #[serde(default)]
    timed_out: bool,
    #[serde(default, rename = "_shards")]
    shards: Shards,
    /// The records.
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

/// The records of a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Hits<'a> {
    /// In order.
    #[serde(borrow)]
    pub(crate) hits: Vec<Hit<'a>>,
}

/// One record.
#[derive(Debug, Deserialize)]
pub(crate) struct Hit<'a> {
    #[serde(default, borrow, rename = "_index")]
    index: Cow<'a, str>,
    #[serde(borrow, rename = "_id")]
    id: Cow<'a, str>,
    /// The document, byte for byte.
    #[serde(borrow, rename = "_source")]
    pub(crate) source: Option<&'a RawValue>,
    /// Where it stands in the order.
    #[serde(default)]
    pub(crate) sort: Value,
}

impl Hit<'_> {
    /// A hash of its index and of its id there: behind a name of several indices, an id may stand in each.
    pub(crate) fn identity(&self) -> u128 {
        let mut hasher = Xxh3::new();
        hasher.update(self.index.as_bytes());
        hasher.update(b"/");
        hasher.update(self.id.as_bytes());
        hasher.digest128()
    }
}

impl<'a> Page<'a> {
    /// Reads a page; one that lacks what a shard holds is an error.
    pub(crate) fn read(body: &'a [u8], call: &str) -> Result<Page<'a>, ElasticError> {
        let foreign = |_| ElasticError::Foreign { call: call.to_owned(), what: "no page of a search" };
        let page: Page<'a> = serde_json::from_slice(body).map_err(foreign)?;
        if page.timed_out || page.shards.failed > 0 {
            let reason = &page.shards.failures.first().unwrap_or(&Value::Null)["reason"];
            let text = |key: &str| reason[key].as_str().unwrap_or_default().to_owned();
            let (kind, reason) = (text("type"), text("reason"));
            // What 404 is for a whole search.
            let status = if kind == "search_context_missing_exception" { 404 } else { 503 };
            return Err(ElasticError::Answer {
                call: call.to_owned(),
                problem: ServerProblem { status, kind, reason },
            });
        }
        Ok(page)
    }
}
