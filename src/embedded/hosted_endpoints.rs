//! Endpoints outside of the platform: their addresses, their keys, and the HTTP clients for them. Only the Evaluator
//! and the NIM proxy call them; nothing else of the platform leaves the machine.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;

/// Includes name resolution and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The paths of calls that an address may end with.
const CALLS: [&str; 3] = ["/chat/completions", "/completions", "/embeddings"];

/// The formats that an endpoint may have; all of them mean OpenAI's chat API.
const FORMATS: [&str; 3] = ["nim", "openai", "lama_stack"];

/// An endpoint outside of the platform.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HostedEndpoint {
    /// The address without the path of a call and without a slash at the end.
    pub(crate) base: String,
    key: Option<String>,
}

impl fmt::Debug for HostedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base).field("key", &self.key.as_ref().map(|_| "***")).finish()
    }
}

impl HostedEndpoint {
    /// Reads the base address, or the address of one call. An empty key means no key.
    pub(crate) fn parse(url: &str, key: Option<&str>) -> Result<Self, String> {
        let valid = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !valid {
            return Err(format!("{url:?} is no address that begins with http:// or https://"));
        }
        let url = url.trim_end_matches('/');
        let base = CALLS.iter().find_map(|call| url.strip_suffix(call)).unwrap_or(url);
        Ok(HostedEndpoint { base: base.to_owned(), key: key.filter(|key| !key.is_empty()).map(str::to_owned) })
    }

    /// Reads the address of a host: without a path, its calls are below `/v1`.
    pub(crate) fn of_host(url: &str, key: Option<&str>) -> Result<Self, String> {
        let mut endpoint = HostedEndpoint::parse(url, key)?;
        if Url::parse(&endpoint.base).is_ok_and(|url| url.path() == "/") {
            endpoint.base.push_str("/v1");
        }
        Ok(endpoint)
    }

    /// Returns whether it is this platform, which listens on `port`.
    pub(crate) fn is_own(&self, port: u16) -> bool {
        Url::parse(&self.base).is_ok_and(|url| is_near(&url) && url.port_or_known_default() == Some(port))
    }

    /// Removes the key from a text.
    pub(crate) fn without_key(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| text.replace(key.as_str(), "******"))
    }
}

/// Returns whether an endpoint can have this format.
pub(crate) fn is_format(format: &str) -> bool {
    FORMATS.contains(&format)
}

/// The HTTP clients, made at their first use.
#[derive(Debug, Default)]
pub(crate) struct EndpointClients {
    /// For this machine: without a proxy, and without loading certificates.
    near: OnceLock<Result<reqwest::Client, String>>,
    far: OnceLock<Result<reqwest::Client, String>>,
}

impl EndpointClients {
    /// Prepares a POST to a call of an endpoint, with its key.
    pub(crate) fn post(&self, endpoint: &HostedEndpoint, call: &str) -> Result<reqwest::RequestBuilder, String> {
        let url = format!("{}{call}", endpoint.base);
        let near = Url::parse(&url).is_ok_and(|url| url.scheme() == "http" && is_near(&url));
        let client = match near {
            true => self.near.get_or_init(|| made(builder().no_proxy().tls_built_in_root_certs(false))),
            false => self.far.get_or_init(|| made(builder())),
        };
        let request = client.as_ref().map_err(String::clone)?.post(url);
        Ok(match &endpoint.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        })
    }
}

fn builder() -> reqwest::ClientBuilder {
    // Follows no redirect: it would send the prompt to a host that nobody named.
    reqwest::Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT)
}

fn made(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    builder.build().map_err(|error| format!("setting up the client: {error}"))
}

fn is_near(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_given_as_a_base_or_in_full() {
        for url in ["http://h/v1", "http://h/v1/", "http://h/v1/chat/completions", "http://h/v1/completions"] {
            assert_eq!(HostedEndpoint::parse(url, Some("")).unwrap().base, "http://h/v1", "{url}");
        }
        for wrong in ["", "h/v1", "ftp://h/v1", "http://", "file:///etc/passwd"] {
            assert!(HostedEndpoint::parse(wrong, None).is_err(), "{wrong}");
        }
        for (host, base) in
            [("https://h", "https://h/v1"), ("https://h:1/", "https://h:1/v1"), ("https://h/x", "https://h/x")]
        {
            assert_eq!(HostedEndpoint::of_host(host, None).unwrap().base, base);
        }
    }

    #[test]
    fn the_platform_knows_itself() {
        let own = |url| HostedEndpoint::parse(url, None).unwrap().is_own(8900);
        assert!(own("http://127.0.0.1:8900/nim/v1") && own("http://localhost:8900") && own("http://[::1]:8900/v1"));
        assert!(!own("http://127.0.0.1:8901/nim/v1") && !own("http://h:8900/v1"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let endpoint = HostedEndpoint::parse("http://h/v1", Some("s3cr3t")).unwrap();
        assert!(!format!("{endpoint:?}").contains("s3cr3t"));
        assert_eq!(endpoint.without_key("no such key: s3cr3t"), "no such key: ******");
    }
}
