//! The configured headers and tokens of a request. A token goes only to the host that it is for.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};

use super::error::{ApiError, ErrorKind};
use super::options::{Base, ClientOptions};
use super::request::{Destination, Endpoint};
use crate::nemo::secret::Secret;

/// The configured headers and tokens.
pub(crate) struct ConfiguredHeaders {
    headers: HeaderMap,
    bearer: Option<HeaderValue>,
    hf_token: Option<HeaderValue>,
    datastore: Url,
}

impl ConfiguredHeaders {
    /// Checks the headers and tokens of the options. `datastore` is the base URL of the Data Store.
    pub(crate) fn new(options: &ClientOptions, datastore: Url) -> Result<ConfiguredHeaders, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let unusable = |why: &dyn ToString| ApiError::option(&format!("header {name}"), why.to_string());
            let header = HeaderName::try_from(name).map_err(|error| unusable(&error))?;
            headers.append(header, sensitive(value.reveal()).map_err(|error| unusable(&error))?);
        }
        let bearer = |secret: &Option<Secret>, what: &str| {
            let value = secret.as_ref().map(bearer);
            value.transpose().map_err(|error| ApiError::option(what, error))
        };
        Ok(ConfiguredHeaders {
            headers,
            bearer: bearer(&options.bearer, "the bearer token")?,
            hf_token: bearer(&options.hf_token, "the Data Store token")?,
            datastore,
        })
    }

    /// Returns the headers of a request to this destination, whose URL is `url`.
    pub(crate) fn of(&self, to: &Destination, url: &Url) -> Result<HeaderMap, ErrorKind> {
        let is_own = url.origin() == self.datastore.origin();
        let (configured, token) = match to {
            Destination::Foreign(_, None) => return Ok(HeaderMap::new()),
            Destination::Foreign(_, Some(key)) => {
                let token = bearer(key)
                    .map_err(|_| ErrorKind::Options("the key holds characters that no header can hold".into()))?;
                return Ok(HeaderMap::from_iter([(AUTHORIZATION, token)]));
            }
            Destination::Service(Endpoint { base: Base::DataStore, .. }, _) => (true, self.datastore_token()),
            Destination::Service(..) => (true, self.bearer.as_ref()),
            Destination::OwnLink(_) if is_own => (true, self.datastore_token()),
            // The Data Store may know itself under another address than the configured one.
            Destination::OwnLink(_) => (false, self.hf_token.as_ref()),
            Destination::Link(_) => (is_own, None),
        };
        let mut headers = if configured { self.headers.clone() } else { HeaderMap::new() };
        if matches!(to, Destination::Link(_)) {
            headers.remove(AUTHORIZATION);
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        Ok(headers)
    }

    fn datastore_token(&self) -> Option<&HeaderValue> {
        self.hf_token.as_ref().or(self.bearer.as_ref())
    }
}

fn bearer(secret: &Secret) -> Result<HeaderValue, InvalidHeaderValue> {
    sensitive(&format!("Bearer {}", secret.reveal()))
}

fn sensitive(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}
