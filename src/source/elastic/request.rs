//! Requests to a search server, and its responses.

use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::Method;
use serde_json::Value;

/// The longest time that the first request to a server may take.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct ServerRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Bytes>,
    /// True if the request may be sent again.
    pub(super) repeat: bool,
    /// A time limit below that of other requests.
    pub(super) limit: Option<Duration>,
}

impl ServerRequest {
    /// Creates a request without a body that may be sent again.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> ServerRequest {
        ServerRequest { method, path: path.into(), query: Vec::new(), body: None, repeat: true, limit: None }
    }

    /// Sets a JSON body.
    pub(crate) fn json(self, body: &Value) -> ServerRequest {
        self.bytes(body.to_string().into())
    }

    /// Sets the body.
    pub(crate) fn bytes(self, body: Bytes) -> ServerRequest {
        ServerRequest { body: Some(body), ..self }
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> ServerRequest {
        self.query.push((name, value.to_owned()));
        self
    }

    /// Makes it a request that is sent only once.
    pub(crate) fn once(self) -> ServerRequest {
        ServerRequest { repeat: false, ..self }
    }

    /// Limits the time that the request may take.
    pub(crate) fn within(self, limit: Duration) -> ServerRequest {
        ServerRequest { limit: Some(limit), ..self }
    }

    /// Makes it a request that finds out whether a server answers at all.
    pub(super) fn first(self) -> ServerRequest {
        self.once().within(FIRST_REQUEST)
    }
}

/// A successful response.
#[derive(Debug)]
pub(crate) struct ServerResponse {
    pub(crate) body: Bytes,
    /// True if the response carries the header of Elasticsearch.
    pub(crate) is_elastic: bool,
}
