//! The only way to a search server: sends requests, repeats them where allowed, and turns failures into typed errors.

use std::time::Duration;

use elasticsearch::auth::Credentials as Auth;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use elasticsearch::http::{Method, Url};
use jiff::Timestamp;
use serde_json::Value;

use super::error::{ElasticError, ServerProblem};
use super::request::{ServerRequest, ServerResponse};
use crate::data::options::{Fields, IndexAt};
use crate::remote_text::{self, Mask};
use crate::retry::{Backoff, retry_after};
use crate::source::credentials::Credentials;

/// The number of times that a request is repeated, or a context reopened, when no response came in time. Low, because
/// each try may take as long again.
pub(super) const LATE_REPEATS: u32 = 2;

/// The tries of a request while a server is busy or unreachable.
const BACKOFF: Backoff = Backoff {
    tries: 10,
    first: Duration::from_millis(250),
    longest: Duration::from_secs(20),
    longest_asked: Duration::from_secs(20),
};

/// A client of the server of one index.
#[derive(Clone, Debug)]
pub(crate) struct SearchClient {
    transport: Transport,
    base: String,
    pub(crate) index: String,
    /// The paths of a record's fields in the documents of the index.
    pub(crate) fields: Fields,
    pub(crate) backoff: Backoff,
    /// The longest time that a request may take.
    timeout: Duration,
    mask: Mask,
}

impl ServerResponse {
    /// Reads the body as JSON.
    pub(crate) fn json(&self, request: &str) -> Result<Value, ElasticError> {
        serde_json::from_slice(&self.body).map_err(|_| not_a_search_server(request.to_owned(), &self.body))
    }
}

impl SearchClient {
    /// Creates a client. Sends nothing.
    pub(crate) fn new(at: &IndexAt, credentials: &Credentials) -> Result<SearchClient, ElasticError> {
        let setup = |what: String| ElasticError::Setup(what);
        let url = Url::parse(&format!("{}/", at.url.trim_end_matches('/')))
            .map_err(|error| setup(format!("cannot use logs.elasticsearch.url: {error}")))?;
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url)).enable_meta_header(false);
        builder = match credentials {
            Credentials::None => builder,
            // The transport panics on a value that a header cannot hold.
            Credentials::ApiKey(key) if HeaderValue::from_str(key).is_err() => {
                return Err(setup("cannot use the API key: it holds characters that no key has".to_owned()));
            }
            Credentials::ApiKey(key) => builder.auth(Auth::EncodedApiKey(key.clone())),
            Credentials::Basic(user, password) => builder.auth(Auth::Basic(user.clone(), password.clone())),
        };
        if !at.verify {
            builder = builder.cert_validation(CertificateValidation::None);
        } else if let Some(path) = &at.ca_cert {
            let wrong =
                |why: String| setup(format!("cannot read logs.elasticsearch.ca_cert {}: {why}", path.display()));
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
            builder = builder.cert_validation(CertificateValidation::Full(certificate));
        }
        let transport = builder.build().map_err(|error| setup(format!("cannot create an HTTP client: {error}")))?;
        let (base, index, fields) = (at.url.clone(), at.index.clone(), at.fields.clone());
        let timeout = Duration::from_millis(at.timeout_ms);
        Ok(SearchClient { transport, base, index, fields, backoff: BACKOFF, timeout, mask: credentials.mask() })
    }

    /// Returns the address of the server.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Returns a path below the index.
    pub(crate) fn index_path(&self, rest: &str) -> String {
        format!("/{}{rest}", self.index)
    }

    /// Returns method and URL of a request, for messages.
    pub(crate) fn describe(&self, request: &ServerRequest) -> String {
        let method = match request.method {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
        };
        format!("{method} {}{}", self.base, request.path)
    }

    /// Sends a request. Repeats it, if allowed, while the server is busy or unreachable.
    pub(crate) async fn send(&self, request: ServerRequest) -> Result<ServerResponse, ElasticError> {
        let (mut tries, mut late) = (0, 0);
        loop {
            let (mut error, asked) = match self.send_once(&request).await {
                Ok(response) => return Ok(response),
                Err((error, asked)) => (error, asked),
            };
            tries += 1;
            if let ElasticError::Late { times, .. } = &mut error {
                late += 1;
                *times = late;
            }
            let repeat = request.repeat && error.is_transient() && late <= LATE_REPEATS;
            let Some(pause) = self.backoff.pause(tries, asked).filter(|_| repeat) else { return Err(error) };
            match &error {
                // The user should know the reason for so long a silence.
                ElasticError::Late { request, after, .. } => {
                    tracing::warn!("{request}: no full response within {} s, trying again", after.as_secs_f64());
                }
                _ => tracing::debug!(%error, "repeating a request"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a request and reads the response as JSON.
    pub(crate) async fn send_json(&self, request: ServerRequest) -> Result<Value, ElasticError> {
        let name = self.describe(&request);
        self.send(request).await?.json(&name)
    }

    /// Makes one try within its time limit. An error comes with the pause that the server asks for.
    async fn send_once(&self, request: &ServerRequest) -> Result<ServerResponse, (ElasticError, Option<Duration>)> {
        let after = request.limit.map_or(self.timeout, |limit| limit.min(self.timeout));
        let raisable = request.limit.is_none_or(|limit| self.timeout < limit);
        let late = || ElasticError::Late { request: self.describe(request), after, times: 1, raisable };
        tokio::time::timeout(after, self.exchange(request)).await.unwrap_or_else(|_| Err((late(), None)))
    }

    async fn exchange(&self, request: &ServerRequest) -> Result<ServerResponse, (ElasticError, Option<Duration>)> {
        let name = self.describe(request);
        let broken = |error: &(dyn std::error::Error + 'static)| {
            let (request, why) = (name.clone(), innermost_cause(error));
            match remote_text::is_certificate_error(error) {
                true => (ElasticError::Untrusted { request, why }, None),
                false => (ElasticError::Unreachable { request, why }, None),
            }
        };
        let mut headers = HeaderMap::new();
        // Compression costs a server more than its searches do.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if request.path.ends_with("/_bulk") {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        }
        let query = Some(&request.query).filter(|query| !query.is_empty());
        let sent = self.transport.send(request.method, &request.path, headers, query, request.body.clone(), None).await;
        let response = sent.map_err(|error| broken(&error))?;
        let status = response.status_code().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let asked = header("retry-after").and_then(|text| retry_after(text, Timestamp::now()));
        let is_elastic = header("x-elastic-product") == Some("Elasticsearch");
        let body = response.bytes().await.map_err(|error| broken(&error))?;
        match status {
            200..=299 => Ok(ServerResponse { body, is_elastic }),
            401 | 403 => Err((ElasticError::Refused { request: name, status }, None)),
            _ => Err((self.problem(name, status, &body), asked)),
        }
    }

    fn problem(&self, request: String, status: u16, body: &[u8]) -> ElasticError {
        let answer = serde_json::from_slice::<Value>(body);
        // A proxy in front of a busy server answers in HTML, so only the status counts.
        let Ok(answer) = answer else {
            if matches!(status, 429 | 502 | 503 | 504) {
                return ElasticError::Answer { request, problem: ServerProblem { status, ..ServerProblem::default() } };
            }
            return not_a_search_server(request, body);
        };
        let error = &answer["error"];
        let root = if error["root_cause"][0].is_object() { &error["root_cause"][0] } else { error };
        let text = |value: &Value| self.mask.text(value.as_str().unwrap_or_default());
        let reason = if error.is_string() { text(error) } else { text(&root["reason"]) };
        ElasticError::Answer { request, problem: ServerProblem { status, kind: text(&root["type"]), reason } }
    }
}

/// Describes a body that no search server sends.
pub(super) fn not_a_search_server(request: String, body: &[u8]) -> ElasticError {
    let text = body.trim_ascii_start();
    let what = match text.first() {
        None => "empty",
        Some(b'<') => "an HTML page",
        Some(b'{' | b'[') => "JSON of another kind",
        Some(_) => "not JSON",
    };
    ElasticError::Foreign { request, what }
}

/// Returns the innermost cause, because the outer ones only repeat the URL.
fn innermost_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
