//! Search contexts: points in time of Elasticsearch and of OpenSearch, and scrolls for other versions. Opens a context,
//! requests its pages and closes it.

use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::client::SearchClient;
use super::error::ElasticError;
use super::request::ServerRequest;
use super::server::{Product, Server};

/// The time that the server keeps a context after the last page.
const KEEP_ALIVE: &str = "3m";
/// The time limit for closing a context. The server closes it by itself later.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The kinds of search context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContextKind {
    /// `POST /INDEX/_pit`.
    Elasticsearch,
    /// `POST /INDEX/_search/point_in_time`.
    OpenSearch,
    /// `POST /INDEX/_search?scroll=`, with a context per slice.
    Scroll,
}

impl ContextKind {
    /// Returns the kind that this server has and that loses no records between pages.
    pub(crate) fn of(server: &Server) -> ContextKind {
        match (server.product, server.major()) {
            (Product::Elasticsearch, 8..) => ContextKind::Elasticsearch,
            (Product::Elasticsearch, 7) if server.minor() >= 12 => ContextKind::Elasticsearch,
            // Older versions have points in time, but no order among records of the same second.
            (Product::OpenSearch, 3..) => ContextKind::OpenSearch,
            _ => ContextKind::Scroll,
        }
    }

    /// Opens the context that all slices share. Returns none for scrolls, which have one per slice.
    pub(crate) async fn open(self, client: &SearchClient) -> Result<Option<String>, ElasticError> {
        let (path, key) = match self {
            ContextKind::Elasticsearch => ("/_pit", "id"),
            ContextKind::OpenSearch => ("/_search/point_in_time", "pit_id"),
            ContextKind::Scroll => return Ok(None),
        };
        let request = ServerRequest::new(Method::Post, client.index_path(path)).with("keep_alive", KEEP_ALIVE);
        let name = client.describe(&request);
        let response = client.send_json(request).await?;
        let id = response[key].as_str().map(str::to_owned);
        id.map(Some).ok_or(ElasticError::Foreign { request: name, what: "no id of a point in time" })
    }

    /// Closes a context. Ignores errors, because the server drops an unused context by itself.
    pub(crate) async fn close(self, client: &SearchClient, id: &str) {
        let (path, body) = match self {
            ContextKind::Elasticsearch => ("/_pit", json!({"id": id})),
            ContextKind::OpenSearch => ("/_search/point_in_time", json!({"pit_id": [id]})),
            ContextKind::Scroll => ("/_search/scroll", json!({"scroll_id": [id]})),
        };
        let closed =
            client.send(ServerRequest::new(Method::Delete, path).json(&body).once().within(CLOSE_TIMEOUT)).await;
        if let Err(error) = closed
            && !error.is_lost_context()
        {
            tracing::debug!(%error, "cannot close a search context");
        }
    }
}

/// The search of one slice.
#[derive(Clone, Debug)]
pub(crate) struct SliceSearch {
    pub(crate) context: ContextKind,
    pub(crate) query: Value,
    /// The number of the slice, from 0, and the number of slices.
    pub(crate) slice: (usize, usize),
    /// The time field by which records are sorted, if any.
    pub(crate) time_field: Option<String>,
    /// The fields to fetch. Empty for whole documents.
    pub(crate) source_fields: Vec<String>,
}

impl SliceSearch {
    /// Requests the page after the one whose last document had the sort values `after`, in the context `id`.
    pub(crate) async fn page(
        &self,
        client: &SearchClient,
        id: Option<&str>,
        after: Option<&Value>,
        size: usize,
    ) -> Result<Bytes, ElasticError> {
        let mut body = json!({"size": size, "query": self.query});
        if !self.source_fields.is_empty() {
            body["_source"] = json!(self.source_fields);
        }
        let (slice, slices) = self.slice;
        if slices > 1 {
            body["slice"] = json!({"id": slice, "max": slices});
        }
        let request = match (self.context, id) {
            (ContextKind::Scroll, Some(id)) => {
                let body = json!({"scroll": KEEP_ALIVE, "scroll_id": id});
                // The server does not send a page twice, so a lost page needs a new scroll.
                ServerRequest::new(Method::Post, "/_search/scroll").json(&body).once()
            }
            (ContextKind::Scroll, None) => {
                body["sort"] = json!(["_doc"]);
                ServerRequest::new(Method::Post, client.index_path("/_search"))
                    .with("scroll", KEEP_ALIVE)
                    .with("allow_partial_search_results", "false")
                    .json(&body)
                    .once()
            }
            (ContextKind::Elasticsearch | ContextKind::OpenSearch, id) => {
                // Counting costs time. Scrolls cannot switch it off.
                body["track_total_hits"] = json!(false);
                body["pit"] = json!({"id": id, "keep_alive": KEEP_ALIVE});
                let by_shard = json!({"_shard_doc": {"order": "asc"}});
                body["sort"] = match &self.time_field {
                    Some(field) => json!([{field: {"order": "asc", "missing": "_last"}}, by_shard]),
                    None => json!([by_shard]),
                };
                if let Some(after) = after {
                    body["search_after"] = after.clone();
                }
                ServerRequest::new(Method::Post, "/_search").with("allow_partial_search_results", "false").json(&body)
            }
        };
        client.send(request).await.map(|response| response.body)
    }
}
