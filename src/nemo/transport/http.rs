//! The connections: one HTTP client for loopback addresses, one for all others.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Url};
use tokio::sync::OnceCell;

use super::error::{ApiError, Cause, ErrorKind};
use super::response::root;

/// The time limit of connecting, name look-up and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the idle timeout of common ingresses (60 s and more), so that a pooled connection is rarely a closed one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP clients of one platform.
pub(crate) struct HttpClients {
    /// For loopback addresses: uses no proxy and loads no system certificates.
    local: reqwest::Client,
    /// For all other addresses, built on first use, because loading the system certificates takes time.
    remote: OnceCell<reqwest::Client>,
    authorities: Vec<Certificate>,
}

impl HttpClients {
    /// Prepares the clients. `ca_cert` is a PEM file with a certificate authority to trust.
    pub(crate) fn new(ca_cert: Option<&Path>) -> Result<HttpClients, ApiError> {
        let authorities = ca_cert.map(authorities).transpose()?.unwrap_or_default();
        let local = builder().no_proxy().tls_built_in_root_certs(false).build();
        let local = local.map_err(|error| ApiError::option("the HTTP client", error))?;
        Ok(HttpClients { local, remote: OnceCell::new(), authorities })
    }

    /// Returns the client for a URL.
    pub(crate) async fn of(&self, url: &Url) -> Result<&reqwest::Client, (ErrorKind, Option<Cause>)> {
        if is_loopback(url) && url.scheme() == "http" {
            return Ok(&self.local);
        }
        let build = || async {
            self.authorities.iter().cloned().fold(builder(), reqwest::ClientBuilder::add_root_certificate).build()
        };
        let remote = self.remote.get_or_try_init(build).await;
        remote.map_err(|error| (ErrorKind::Options("cannot set up TLS".to_owned()), Some(root(&error))))
    }
}

fn builder() -> reqwest::ClientBuilder {
    // A redirect would turn a POST into a GET and carry our headers to another host.
    reqwest::Client::builder()
        .user_agent(concat!("dfwfd/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, ApiError> {
    let shown = path.display().to_string();
    let option = format!("ca_cert {shown}");
    let pem = std::fs::read(path).map_err(|error| {
        ApiError::new("cannot use ca_cert".into(), ErrorKind::File(shown), Some(Cause(error.to_string())))
    })?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| ApiError::option(&option, root(&error)))?;
    if found.is_empty() { Err(ApiError::option(&option, "the file holds no certificate")) } else { Ok(found) }
}
