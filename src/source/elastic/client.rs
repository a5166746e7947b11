//! One way to the server: sends a call, repeats what may be repeated, and makes typed errors of everything else. Finds
//! out which server it is. Knows nothing of records.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::auth::Credentials as Auth;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use elasticsearch::http::{Method, Url};
use serde_json::Value;

use super::error::{ElasticError, ServerProblem};
use crate::data::options::{Fields, IndexAt};
use crate::source::credentials::Credentials;

/// How long the first call may take, at most.
const FIRST_CALL: Duration = Duration::from_secs(10);
/// How often a call is repeated, or a context opened anew, when no answer came in time: each may take as long again.
pub(super) const LATE: u32 = 2;

/// How often and how fast a call is repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The first wait; each next one is twice as long, with jitter.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// Repetitions.
    pub times: u32,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(250), most: Duration::from_secs(20), times: 9 }
    }
}

impl Backoff {
    /// How long to wait before repetition `n`, from 0; `asked` is what the server wants.
    pub(crate) fn wait(&self, n: u32, asked: Option<Duration>) -> Duration {
        let full = self.first.saturating_mul(1 << n.min(16)).min(self.most);
        let jittered = full.mul_f64(rand::random_range(0.5..1.0));
        asked.map_or(jittered, |asked| asked.min(self.most).max(jittered))
    }
}

/// Which server it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Elasticsearch or OpenSearch.
    pub product: Product,
    /// Such as `9.2.0`; empty when it does not say.
    pub version: String,
}

/// The two kinds of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Elasticsearch.
    Elasticsearch,
    /// OpenSearch.
    OpenSearch,
}

impl Server {
    /// The first number of the version; 0 when unknown.
    pub fn major(&self) -> u32 {
        self.number(0)
    }

    /// The second number of the version; 0 when unknown.
    pub fn minor(&self) -> u32 {
        self.number(1)
    }

    fn number(&self, place: usize) -> u32 {
        self.version.split('.').nth(place).and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = match self.product {
            Product::Elasticsearch => "Elasticsearch",
            Product::OpenSearch => "OpenSearch",
        };
        if self.version.is_empty() { f.write_str(product) } else { write!(f, "{product} {}", self.version) }
    }
}

/// A connection to the server of an index.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    transport: Transport,
    base: String,
    /// The index.
    pub(crate) index: String,
    /// Where the fields of a record stand in its documents.
    pub(crate) fields: Fields,
    /// How calls are repeated.
    pub(crate) backoff: Backoff,
    /// How long a call may take.
    timeout: Duration,
}

/// What a successful call gave.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The body.
    pub(crate) body: Bytes,
    /// Whether it carries the header of Elasticsearch.
    pub(crate) is_elastic: bool,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self, call: &str) -> Result<Value, ElasticError> {
        serde_json::from_slice(&self.body).map_err(|_| foreign(call.to_owned(), &self.body))
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    repeat: bool,
    /// Where it may take less time than others.
    limit: Option<Duration>,
}

impl Call {
    /// A call without a body that may be repeated.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Call {
        Call { method, path: path.into(), query: Vec::new(), body: None, repeat: true, limit: None }
    }

    /// The same with a JSON body.
    pub(crate) fn json(self, body: &Value) -> Call {
        self.bytes(body.to_string().into())
    }

    /// The same with this body.
    pub(crate) fn bytes(self, body: Bytes) -> Call {
        Call { body: Some(body), ..self }
    }

    /// The same with a parameter.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Call {
        self.query.push((name, value.to_owned()));
        self
    }

    /// The same, sent only once.
    pub(crate) fn once(self) -> Call {
        Call { repeat: false, ..self }
    }

    /// The same with less time.
    pub(crate) fn within(self, limit: Duration) -> Call {
        Call { limit: Some(limit), ..self }
    }

    /// The same for finding out whether anyone is there.
    fn first(self) -> Call {
        self.once().within(FIRST_CALL)
    }
}

impl Client {
    /// A client of this index's server; nothing is sent yet.
    pub(crate) fn new(at: &IndexAt, credentials: &Credentials) -> Result<Client, ElasticError> {
        let setup = |what: String| ElasticError::Setup(what);
        let url = Url::parse(&format!("{}/", at.url.trim_end_matches('/')))
            .map_err(|error| setup(format!("logs.elasticsearch.url is no URL: {error}")))?;
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url)).enable_meta_header(false);
        builder = match credentials {
            Credentials::None => builder,
            // The client would panic on what cannot stand in a header.
            Credentials::ApiKey(key) if HeaderValue::from_str(key).is_err() => {
                return Err(setup("the API key holds characters that no key has".to_owned()));
            }
            Credentials::ApiKey(key) => builder.auth(Auth::EncodedApiKey(key.clone())),
            Credentials::Basic(user, password) => builder.auth(Auth::Basic(user.clone(), password.clone())),
        };
        if !at.verify {
            builder = builder.cert_validation(CertificateValidation::None);
        } else if let Some(path) = &at.ca_cert {
            let wrong = |why: String| setup(format!("logs.elasticsearch.ca_cert {}: {why}", path.display()));
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
            builder = builder.cert_validation(CertificateValidation::Full(certificate));
        }
        let transport = builder.build().map_err(|error| setup(format!("making a client: {error}")))?;
        let (base, index, fields) = (at.url.clone(), at.index.clone(), at.fields.clone());
        let timeout = Duration::from_millis(at.timeout_ms);
        Ok(Client { transport, base, index, fields, backoff: Backoff::default(), timeout })
    }

    /// The address of the server.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// A call below the index.
    pub(crate) fn index_path(&self, rest: &str) -> String {
        format!("/{}{rest}", self.index)
    }

    /// Method and URL of a call, for messages.
    pub(crate) fn name(&self, call: &Call) -> String {
        let method = match call.method {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
        };
        format!("{method} {}{}", self.base, call.path)
    }

    /// Sends a call; repeats it while the server is busy or gone, if it may be repeated.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, ElasticError> {
        let (mut n, mut late) = (0, 0);
        loop {
            let (mut error, asked) = match self.send_once(&call).await {
                Ok(answer) => return Ok(answer),
                Err((error, asked)) => (error, asked),
            };
            let mut spent = n >= self.backoff.times;
            if let ElasticError::Late { times, .. } = &mut error {
                late += 1;
                *times = late;
                spent |= late > LATE;
            }
            if !call.repeat || spent || !error.is_passing() {
                return Err(error);
            }
            match &error {
                // So long a silence is worth a word.
                ElasticError::Late { call, after, .. } => {
                    tracing::warn!("{call}: no full answer within {} s; asking again", after.as_secs_f64());
                }
                _ => tracing::debug!(%error, "repeating a call"),
            }
            tokio::time::sleep(self.backoff.wait(n, asked)).await;
            n += 1;
        }
    }

    /// Sends a call and reads its answer as JSON.
    pub(crate) async fn ask(&self, call: Call) -> Result<Value, ElasticError> {
        let name = self.name(&call);
        self.send(call).await?.json(&name)
    }

    /// One try, in the time that it has. The error comes with how long the server wants to be left alone.
    async fn send_once(&self, call: &Call) -> Result<Answer, (ElasticError, Option<Duration>)> {
        let after = call.limit.map_or(self.timeout, |limit| limit.min(self.timeout));
        let raisable = call.limit.is_none_or(|limit| self.timeout < limit);
        let late = || ElasticError::Late { call: self.name(call), after, times: 1, raisable };
        tokio::time::timeout(after, self.exchange(call)).await.unwrap_or_else(|_| Err((late(), None)))
    }

    async fn exchange(&self, call: &Call) -> Result<Answer, (ElasticError, Option<Duration>)> {
        let name = self.name(call);
        let broken = |error: &(dyn std::error::Error + 'static)| {
            let (call, why) = (name.clone(), deepest(error));
            match is_about_certificate(error) {
                true => (ElasticError::Untrusted { call, why }, None),
                false => (ElasticError::Unreachable { call, why }, None),
            }
        };
        let mut headers = HeaderMap::new();
        // Packing costs a server more than its searches do, and pages are read as fast as it hands them out.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if call.path.ends_with("/_bulk") {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        }
        let query = Some(&call.query).filter(|query| !query.is_empty());
        let sent = self.transport.send(call.method, &call.path, headers, query, call.body.clone(), None).await;
        let response = sent.map_err(|error| broken(&error))?;
        let status = response.status_code().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let asked = header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let is_elastic = header("x-elastic-product") == Some("Elasticsearch");
        let body = response.bytes().await.map_err(|error| broken(&error))?;
        match status {
            200..=299 => Ok(Answer { body, is_elastic }),
            401 | 403 => Err((ElasticError::Refused { call: name, status }, None)),
            _ => Err((self.problem(name, status, &body), asked)),
        }
    }

    fn problem(&self, call: String, status: u16, body: &[u8]) -> ElasticError {
        let answer = serde_json::from_slice::<Value>(body);
        // A proxy in front of a busy server answers in HTML: what counts is the status.
        let Ok(answer) = answer else {
            if matches!(status, 429 | 502 | 503 | 504) {
                return ElasticError::Answer { call, problem: ServerProblem { status, ..ServerProblem::default() } };
            }
            return foreign(call, body);
        };
        let error = &answer["error"];
        let root = if error["root_cause"][0].is_object() { &error["root_cause"][0] } else { error };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let reason = if error.is_string() { text(error) } else { text(&root["reason"]) };
        ElasticError::Answer { call, problem: ServerProblem { status, kind: text(&root["type"]), reason } }
    }

    /// Asks the server who it is. Some clusters forbid `GET /`, and some builds do not have it.
    pub(crate) async fn server(&self) -> Result<Server, ElasticError> {
        let first = Call::new(Method::Get, "/").first();
        let name = self.name(&first);
        match self.send(first).await {
            Ok(answer) => {
                let json = answer.json(&name)?;
                let Some(version) = json["version"]["number"].as_str() else { return Err(foreign(name, &answer.body)) };
                let is_open = json["version"]["distribution"] == "opensearch";
                let product = if is_open { Product::OpenSearch } else { Product::Elasticsearch };
                Ok(Server { product, version: version.to_owned() })
            }
            Err(
                error @ (ElasticError::Unreachable { .. }
                | ElasticError::Late { .. }
                | ElasticError::Untrusted { .. }
                | ElasticError::Foreign { .. }),
            ) => Err(error),
            Err(error) => self.node().await.map_err(|second| match second {
                ElasticError::Refused { .. } => second,
                _ => error,
            }),
        }
    }

    async fn node(&self) -> Result<Server, ElasticError> {
        let call = Call::new(Method::Get, "/_nodes/_local").with("filter_path", "nodes.*.version").first();
        let name = self.name(&call);
        let answer = self.send(call).await?;
        let json = answer.json(&name)?;
        let node = json["nodes"].as_object().and_then(|nodes| nodes.values().next());
        let version = node.and_then(|node| node["version"].as_str()).unwrap_or_default().to_owned();
        let product = if answer.is_elastic { Product::Elasticsearch } else { Product::OpenSearch };
        Ok(Server { product, version })
    }
}

fn foreign(call: String, body: &[u8]) -> ElasticError {
    let text = body.trim_ascii_start();
    let what = match text.first() {
        None => "empty",
        Some(b'<') => "an HTML page",
        Some(b'{' | b'[') => "JSON of another kind",
        Some(_) => "not JSON",
    };
    ElasticError::Foreign { call, what }
}

/// The innermost cause says what happened; the outer ones repeat the URL.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Whether the connection was given up because of the server's certificate.
fn is_about_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error hides what it was made of from the chain.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner: Option<&(dyn std::error::Error + 'static)> = inner.map(|inner| inner as _);
        if [Some(error), inner]
            .into_iter()
            .flatten()
            .any(|error| matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
        {
            return true;
        }
        cause = inner.filter(|inner| inner.is::<std::io::Error>()).or_else(|| error.source());
    }
    false
}
