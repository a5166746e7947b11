//! Endpoints that are no part of this platform: their addresses and keys, and the clients that reach them. What is asked
//! of them is the business of the Evaluator and the NIM proxy; nothing else of the platform leaves the machine.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;

/// Connecting, name look-up and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What an address may end with, behind its base.
const CALLS: [&str; 3] = ["/chat/completions", "/completions", "/embeddings"];

/// The formats that an endpoint may be said to speak: all of them are OpenAI's chat.
const FORMATS: [&str; 3] = ["nim", "openai", "lama_stack"];

/// An endpoint: where its calls are, and the key that it wants.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Without the call and without a slash at the end.
    pub(super) base: String,
    key: Option<String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base).field("key", &self.key.as_ref().map(|_| "***")).finish()
    }
}

impl Endpoint {
    /// An endpoint by its base or by the address of one of its calls; an empty key is none.
    pub(super) fn parse(url: &str, key: Option<&str>) -> Result<Self, String> {
        let valid = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !valid {
            return Err(format!("{url:?} is no address that begins with http:// or https://"));
        }
        let url = url.trim_end_matches('/');
        let base = CALLS.iter().find_map(|call| url.strip_suffix(call)).unwrap_or(url);
        Ok(Endpoint { base: base.to_owned(), key: key.filter(|key| !key.is_empty()).map(str::to_owned) })
    }

    /// The same for the address of a host: without a path the calls are below `/v1`.
    pub(super) fn of_host(url: &str, key: Option<&str>) -> Result<Self, String> {
        let mut endpoint = Endpoint::parse(url, key)?;
        if Url::parse(&endpoint.base).is_ok_and(|url| url.path() == "/") {
            endpoint.base.push_str("/v1");
        }
        Ok(endpoint)
    }

    /// Whether it is this platform itself, which listens on this port.
    pub(super) fn is_own(&self, port: u16) -> bool {
        Url::parse(&self.base).is_ok_and(|url| is_near(&url) && url.port_or_known_default() == Some(port))
    }

    /// A text without the key, whoever has put it there.
    pub(super) fn without_key(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| text.replace(key.as_str(), "******"))
    }
}

/// Whether an endpoint can be of this format.
pub(super) fn is_format(format: &str) -> bool {
    FORMATS.contains(&format)
}

/// The clients, made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// For this machine: no proxy, and no certificates to load.
    near: OnceLock<Result<reqwest::Client, String>>,
    far: OnceLock<Result<reqwest::Client, String>>,
}

impl Outside {
    /// A POST of JSON to a call of an endpoint, with its key.
    pub(super) fn post(&self, endpoint: &Endpoint, call: &str) -> Result<reqwest::RequestBuilder, String> {
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
    // A redirect would carry the request, and the prompt in it, to somebody who was not named.
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
            assert_eq!(Endpoint::parse(url, Some("")).unwrap().base, "http://h/v1", "{url}");
        }
        for wrong in ["", "h/v1", "ftp://h/v1", "http://", "file:///etc/passwd"] {
            assert!(Endpoint::parse(wrong, None).is_err(), "{wrong}");
        }
        for (host, base) in
            [("https://h", "https://h/v1"), ("https://h:1/", "https://h:1/v1"), ("https://h/x", "https://h/x")]
        {
            assert_eq!(Endpoint::of_host(host, None).unwrap().base, base);
        }
    }

    #[test]
    fn the_platform_knows_itself() {
        let own = |url| Endpoint::parse(url, None).unwrap().is_own(8900);
        assert!(own("http://127.0.0.1:8900/nim/v1") && own("http://localhost:8900") && own("http://[::1]:8900/v1"));
        assert!(!own("http://127.0.0.1:8901/nim/v1") && !own("http://h:8900/v1"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let endpoint = Endpoint::parse("http://h/v1", Some("s3cr3t")).unwrap();
        assert!(!format!("{endpoint:?}").contains("s3cr3t"));
        assert_eq!(endpoint.without_key("no such key: s3cr3t"), "no such key: ******");
    }
}
