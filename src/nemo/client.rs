//! The HTTP client: options, and `send`, the only way out. Knows no service's bodies.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, Response, Url};
use tokio::sync::OnceCell;

use super::answer::{Answer, Try, ended, refusal, root, whole};
use super::call::{Call, Service, To};
use super::error::{ApiError, Cause, ErrorKind};
use super::retry::{self, Retry};

/// Connecting, name look-up and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Below the idle timeout of common ingresses (60 s and more), so that a pooled connection is rarely a closed one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The header that every answer of the embedded platform carries.
const EMBEDDED: &str = "x-dfwfd-embedded";

/// A secret: shown by nothing, `Debug` included.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the secret's text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, to be put into a request.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The three base URLs, with or without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Entity Store, Customizer, Evaluator, Deployment Management.
    pub nemo: String,
    /// The NIM proxy.
    pub nim: String,
    /// The Data Store.
    pub datastore: String,
}

/// How to reach a platform.
#[derive(Clone, Debug)]
pub struct Options {
    /// The base URLs.
    pub endpoints: Endpoints,
    /// A bearer token for the services.
    pub bearer: Option<Secret>,
    /// A token for the Data Store; without it the bearer token is sent there too.
    pub hf_token: Option<Secret>,
    /// Extra headers of every request to one of the bases.
    pub headers: Vec<(String, Secret)>,
    /// A PEM file with the certificate authority of the services.
    pub ca_cert: Option<PathBuf>,
}

/// A client of one platform; clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    nemo: Url,
    nim: Url,
    datastore: Url,
    bearer: Option<HeaderValue>,
    hf_token: Option<HeaderValue>,
    headers: HeaderMap,
    authorities: Vec<Certificate>,
    /// For loopback addresses: no proxy, and no system certificates to load.
    local: reqwest::Client,
    remote: OnceCell<reqwest::Client>,
    retry: Retry,
    instance: Mutex<Option<String>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("nemo", &self.shared.nemo.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for these options; connects to nothing yet.
    pub fn new(options: Options) -> Result<Client, ApiError> {
        Client::with_retry(options, Retry::default())
    }

    pub(crate) fn with_retry(options: Options, retry: Retry) -> Result<Client, ApiError> {
        let authorities = match &options.ca_cert {
            Some(path) => authorities(path)?,
            None => Vec::new(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let header = HeaderName::try_from(name).map_err(|error| unusable(format!("header {name}"), error))?;
            headers.append(header, sensitive(&value.0).map_err(|error| unusable(format!("header {name}"), error))?);
        }
        let bearer = |secret: &Option<Secret>, what: &str| {
            let value = secret.as_ref().map(|Secret(token)| sensitive(&format!("Bearer {token}")));
            value.transpose().map_err(|error| unusable(what.to_owned(), error))
        };
        let local = builder().no_proxy().tls_built_in_root_certs(false).build();
        Ok(Client {
            shared: Arc::new(Shared {
                nemo: base("nemo_base_url", &options.endpoints.nemo)?,
                nim: base("nim_base_url", &options.endpoints.nim)?,
                datastore: base("datastore_base_url", &options.endpoints.datastore)?,
                bearer: bearer(&options.bearer, "the bearer token")?,
                hf_token: bearer(&options.hf_token, "the Data Store token")?,
                headers,
                authorities,
                local: local.map_err(|error| unusable("the HTTP client".to_owned(), error))?,
                remote: OnceCell::new(),
                retry,
                instance: Mutex::new(None),
            }),
        })
    }

    /// The instance id of the embedded platform, when an answer came from one; of the latest such answer.
    pub fn embedded_instance(&self) -> Option<String> {
        self.shared.instance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a call, again where that is allowed, and reads its answer whole. The only way out.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, ApiError> {
        let started = Instant::now();
        let (url, shown) = self.locate(&call);
        let policy = self.shared.retry.of(call.timeout);
        let (mut tries, mut acted) = (0, false);
        loop {
            tries += 1;
            let sent = Instant::now();
            let result = self.try_once(&call, &url, &shown).await;
            log(&shown, tries, sent.elapsed(), &result);
            let (kind, cause) = match result {
                Ok(answer) => return Ok(answer),
                Err(end) => end,
            };
            let asked = match &kind {
                ErrorKind::Status(refusal) => refusal.retry_after,
                _ => None,
            };
            let pause = policy.pause(tries, started.elapsed(), asked, retry::jitter());
            match pause.filter(|_| retry::may_repeat(call.effect, &kind)) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(ApiError::new(shown, kind, cause).of(call.service()).acted(acted)),
            }
            acted |= kind.may_have_acted();
        }
    }

    async fn try_once(&self, call: &Call, url: &Url, shown: &str) -> Try {
        let (body, length) = call.body.open();
        let mut headers = self.headers(call, url)?;
        if call.method != Method::GET {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers.insert(ACCEPT, HeaderValue::from_static(call.accept));
        if let Some(media_type) = call.body.media_type() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        let http = self.http(url).await?;
        let request = http.request(call.method.clone(), url.clone()).headers(headers).timeout(call.timeout).body(body);
        let mut response = request.send().await.map_err(|error| ended(call, error))?;
        if !matches!(call.to, To::Foreign(..)) {
            self.remember_instance(&response);
        }
        let status = response.status();
        if !status.is_success() {
            return Err((ErrorKind::Status(Box::new(refusal(&mut response).await)), None));
        }
        let answer_headers = response.headers().clone();
        let body = match whole(&mut response, call.limit).await {
            Ok(Some(body)) => body,
            Ok(None) => return Err((ErrorKind::Unreadable(format!("more than {} bytes", call.limit)), None)),
            Err(error) => return Err(ended(call, error)),
        };
        let (service, status) = (call.service(), status.as_u16());
        Ok(Answer { call: shown.to_owned(), status, service, headers: answer_headers, body })
    }

    /// The URL of a call, and how it is shown.
    fn locate(&self, call: &Call) -> (Url, String) {
        let mut url = match &call.to {
            To::Link(url) | To::OwnLink(url) | To::Foreign(url, _) => url.clone(),
            To::Service(service, path) => {
                let mut url = self.base(*service).clone();
                // A base with a host always has a path; `base` refuses others.
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(path);
                }
                url
            }
        };
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let shown = call.shown(&url);
        (url, shown)
    }

    fn base(&self, service: Service) -> &Url {
        match service {
            Service::EntityStore | Service::Deployments | Service::Customizer | Service::Evaluator => &self.shared.nemo,
            Service::DataStore => &self.shared.datastore,
            Service::Nim => &self.shared.nim,
        }
    }

    /// Whether a link leads back to the Data Store that we were configured with.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.shared.datastore.origin()
    }

    /// The configured headers and the token for this call; a foreign host gets neither.
    fn headers(&self, call: &Call, url: &Url) -> Result<HeaderMap, (ErrorKind, Option<Cause>)> {
        let shared = &self.shared;
        let (ours, token) = match &call.to {
            To::Foreign(_, None) => return Ok(HeaderMap::new()),
            To::Foreign(_, Some(Secret(key))) => {
                let unusable = |_| (ErrorKind::Options("the key holds what no header can".to_owned()), None);
                let bearer = sensitive(&format!("Bearer {key}")).map_err(unusable)?;
                return Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]));
            }
            To::Service(Service::DataStore, _) => (true, shared.hf_token.as_ref().or(shared.bearer.as_ref())),
            To::Service(..) => (true, shared.bearer.as_ref()),
            To::OwnLink(_) if self.is_own(url) => (true, shared.hf_token.as_ref().or(shared.bearer.as_ref())),
            // The verify link of a Data Store whose own address differs from the configured one.
            To::OwnLink(_) => (false, shared.hf_token.as_ref()),
            To::Link(_) => (self.is_own(url), None),
        };
        let mut headers = if ours { shared.headers.clone() } else { HeaderMap::new() };
        if matches!(call.to, To::Link(_)) {
            headers.remove(AUTHORIZATION);
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        Ok(headers)
    }

    async fn http(&self, url: &Url) -> Result<&reqwest::Client, (ErrorKind, Option<Cause>)> {
        if is_loopback(url) && url.scheme() == "http" {
            return Ok(&self.shared.local);
        }
        let build = || async {
            self.shared
                .authorities
                .iter()
                .cloned()
                .fold(builder(), reqwest::ClientBuilder::add_root_certificate)
                .build()
        };
        let remote = self.shared.remote.get_or_try_init(build).await;
        remote.map_err(|error| (ErrorKind::Options("cannot set up TLS".to_owned()), Some(root(&error))))
    }

    fn remember_instance(&self, response: &Response) {
        if let Some(instance) = response.headers().get(EMBEDDED).and_then(|value| value.to_str().ok()) {
            *self.shared.instance.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance.to_owned());
        }
    }
}

/// One line per try, without bodies and headers.
fn log(call: &str, tries: u32, took: Duration, result: &Try) {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(answer) => tracing::debug!(call, status = answer.status, ms, tries, "platform call"),
        Err((ErrorKind::Status(refusal), _)) => {
            tracing::debug!(call, status = refusal.status, ms, tries, "platform call refused");
        }
        Err((end, _)) => tracing::debug!(call, end = %end, ms, tries, "platform call without an answer"),
    }
}

fn builder() -> reqwest::ClientBuilder {
    // No redirects: they would turn a POST into a GET, and carry our headers elsewhere.
    reqwest::Client::builder()
        .user_agent(concat!("dfwfd/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

fn base(key: &str, text: &str) -> Result<Url, ApiError> {
    let url = Url::parse(text).map_err(|error| unusable(key.to_owned(), error))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(unusable(key.to_owned(), "it must begin with http:// or https://"))
    }
}

fn authorities(path: &std::path::Path) -> Result<Vec<Certificate>, ApiError> {
    let shown = path.display().to_string();
    let pem = std::fs::read(path).map_err(|error| {
        ApiError::new("set up the client".into(), ErrorKind::File(shown.clone()), Some(Cause(error.to_string())))
    })?;
    let found =
        Certificate::from_pem_bundle(&pem).map_err(|error| unusable(format!("ca_cert {shown}"), root(&error)))?;
    if found.is_empty() { Err(unusable(format!("ca_cert {shown}"), "it holds no certificate")) } else { Ok(found) }
}

fn sensitive(text: &str) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn unusable(what: String, why: impl ToString) -> ApiError {
    let kind = ErrorKind::Options(format!("{what} cannot be used"));
    ApiError::new("set up the client".to_owned(), kind, Some(Cause(why.to_string())))
}
