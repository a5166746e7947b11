//! The only way to an MLflow server: sends a request, and turns a failure into a typed error.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, RequestBuilder, Url};
use serde_json::Value;
use thiserror::Error;

use super::login::Login;
use crate::remote_text::{self, Mask};

/// The time limit of connecting. The whole is limited by the caller.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A failure to reach or to use an MLflow server.
#[derive(Debug, Error)]
pub(crate) enum MlflowError {
    #[error("{0}")]
    Setup(String),
    #[error("{call}: {why}")]
    Unreachable { call: String, why: String },
    #[error("{call}: this is no answer of MLflow")]
    Foreign { call: String },
    /// The server refuses a request. `code` is MLflow's own, such as `RESOURCE_DOES_NOT_EXIST`.
    #[error("{call}: HTTP {status}{}{why}", if why.is_empty() { "" } else { ": " })]
    Refused { call: String, status: u16, code: String, why: String },
}

impl MlflowError {
    /// Returns true if a retry can succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            MlflowError::Setup(_) | MlflowError::Foreign { .. } => false,
            MlflowError::Unreachable { .. } => true,
            MlflowError::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
        }
    }

    /// Returns true if the server wants other credentials.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, MlflowError::Refused { status: 401 | 403, .. })
    }

    pub(super) fn has_code(&self, wanted: &str) -> bool {
        matches!(self, MlflowError::Refused { code, .. } if code == wanted)
    }
}

/// A client of one server.
#[derive(Debug)]
pub(crate) struct MlflowClient {
    http: reqwest::Client,
    /// Without a trailing slash.
    base: String,
    login: Login,
    mask: Mask,
}

impl MlflowClient {
    /// Creates a client. Sends nothing. `ca_cert` is a PEM file with a certificate authority to trust.
    pub(crate) fn new(base: &str, login: Login, ca_cert: Option<&Path>) -> Result<MlflowClient, MlflowError> {
        let url = Url::parse(base).map_err(|error| MlflowError::Setup(format!("cannot use {base}: {error}")))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("dfwfd/", env!("CARGO_PKG_VERSION")))
            // A redirect would turn a POST into a GET.
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        if url.scheme() == "http" && is_local(&url) {
            builder = builder.no_proxy().tls_built_in_root_certs(false);
        }
        if let Some(path) = ca_cert {
            let wrong =
                |why: String| MlflowError::Setup(format!("cannot read certificates from {}: {why}", path.display()));
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build();
        let http = http.map_err(|error| MlflowError::Setup(format!("cannot create an HTTP client: {error}")))?;
        let mut mask = Mask::default();
        match &login {
            Login::None => {}
            Login::Token(token) => mask.add(token),
            Login::Basic(user, password) => {
                mask.add(&BASE64.encode(format!("{user}:{password}")));
                mask.add(password);
            }
        }
        Ok(MlflowClient { http, base: base.to_owned(), login, mask })
    }

    /// Reads something.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, MlflowError> {
        self.send("GET", path, self.request(Method::GET, path).query(query)).await
    }

    /// Calls a method of the API.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, MlflowError> {
        self.send("POST", path, self.request(Method::POST, path).json(body)).await
    }

    /// Writes a file.
    pub(super) async fn put(&self, path: &str, content_type: &str, bytes: Vec<u8>) -> Result<(), MlflowError> {
        let request = self.request(Method::PUT, path).header(CONTENT_TYPE, content_type).body(bytes);
        self.send("PUT", path, request).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/2.0/{path}", self.base));
        match &self.login {
            Login::None => request,
            Login::Basic(user, password) => request.basic_auth(user, Some(password)),
            Login::Token(token) => request.bearer_auth(token),
        }
    }

    async fn send(&self, method: &str, path: &str, request: RequestBuilder) -> Result<Value, MlflowError> {
        let call = format!("{method} {}/api/2.0/{path}", self.base);
        let broken = |error: &reqwest::Error| MlflowError::Unreachable { call: call.clone(), why: innermost(error) };
        let response = request.send().await.map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| broken(&error))?;
        let json: Option<Value> = serde_json::from_slice(&body).ok().filter(Value::is_object);
        if (200..300).contains(&status) {
            // The answer to a file is empty, or `{}`, depending on the version.
            let empty = body.is_empty().then(|| Value::Object(serde_json::Map::new()));
            return json.or(empty).ok_or(MlflowError::Foreign { call });
        }
        let told = |key: &str| json.as_ref().and_then(|json| json[key].as_str()).unwrap_or_default();
        let why = self.mask.text(told("message")).lines().next().unwrap_or_default().to_owned();
        Err(MlflowError::Refused { code: told("error_code").to_owned(), call, status, why })
    }
}

/// Returns true for this machine, to which no proxy leads.
fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
    })
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    remote_text::said(&cause.to_string())
}
