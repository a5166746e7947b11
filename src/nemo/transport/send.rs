//! `Transport::send`, through which every request goes: tokens, time limits, retries.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, Url};
use serde_json::Value;

use super::error::{ApiError, ErrorKind};
use super::form::Form;
use super::headers::ConfiguredHeaders;
use super::http::HttpClients;
use super::options::{Base, ClientOptions};
use super::request::{ApiRequest, Destination};
use super::response::{ApiResponse, Try, refusal, whole, without_response};
use crate::nemo::removal::Removal;
use crate::nemo::secret::Secret;
use crate::remote_text::Mask;
use crate::retry::Backoff;

/// How a request is repeated.
const BACKOFF: Backoff = Backoff {
    tries: 4,
    first: Duration::from_millis(500),
    longest: Duration::from_secs(8),
    longest_asked: Duration::from_secs(30),
};
/// No try begins later than this after the first one, unless the request's own time limit is longer.
const BUDGET: Duration = Duration::from_secs(90);
/// The header that every response of the embedded platform carries.
const EMBEDDED: &str = "x-dfwfd-embedded";

/// A connection to one platform. Clones share it.
#[derive(Clone)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
}

struct Shared {
    nemo: Url,
    nim: Url,
    datastore: Url,
    headers: ConfiguredHeaders,
    bearer: Option<Secret>,
    http: HttpClients,
    backoff: Backoff,
    instance: Mutex<Option<String>>,
    mask: Mutex<Arc<Mask>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("nemo", &self.shared.nemo.as_str()).finish_non_exhaustive()
    }
}

impl Transport {
    /// Checks the options. Connects to nothing yet.
    pub(crate) fn new(options: &ClientOptions) -> Result<Transport, ApiError> {
        Transport::with_backoff(options, BACKOFF)
    }

    pub(crate) fn with_backoff(options: &ClientOptions, backoff: Backoff) -> Result<Transport, ApiError> {
        let datastore = base_url("datastore_base_url", &options.base_urls.datastore)?;
        let transport = Transport {
            shared: Arc::new(Shared {
                nemo: base_url("nemo_base_url", &options.base_urls.nemo)?,
                nim: base_url("nim_base_url", &options.base_urls.nim)?,
                headers: ConfiguredHeaders::new(options, datastore.clone())?,
                bearer: options.bearer.clone(),
                datastore,
                http: HttpClients::new(options.ca_cert.as_deref())?,
                backoff,
                instance: Mutex::new(None),
                mask: Mutex::default(),
            }),
        };
        let headers = options.headers.iter().map(|(_, value)| value);
        options.bearer.iter().chain(&options.hf_token).chain(headers).for_each(|secret| transport.hide(secret));
        Ok(transport)
    }

    /// Hides a secret in what servers say from now on.
    pub(crate) fn hide(&self, secret: &Secret) {
        Arc::make_mut(&mut self.shared.mask.lock().unwrap_or_else(PoisonError::into_inner)).add(secret.reveal());
    }

    /// Returns the instance id of the embedded platform from the latest response that carried one.
    pub(crate) fn embedded_instance(&self) -> Option<String> {
        self.shared.instance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the bearer token that the services want, if one is configured.
    pub(crate) fn bearer(&self) -> Option<&Secret> {
        self.shared.bearer.as_ref()
    }

    /// Returns a base URL.
    pub(crate) fn base_url(&self, base: Base) -> &str {
        match base {
            Base::Nemo => self.shared.nemo.as_str(),
            Base::Nim => self.shared.nim.as_str(),
            Base::DataStore => self.shared.datastore.as_str(),
        }
    }

    /// Sends a request, repeats it where that is allowed, and reads the whole response.
    pub(crate) async fn send(&self, request: ApiRequest) -> Result<ApiResponse, ApiError> {
        let started = Instant::now();
        let (url, shown) = self.locate(&request);
        if let Destination::Foreign(_, Some(key)) = &request.to {
            self.hide(key);
        }
        let (mut tries, mut acted) = (0, false);
        loop {
            tries += 1;
            let sent = Instant::now();
            let result = self.try_once(&request, &url, &shown).await;
            log(&shown, tries, sent.elapsed(), &result);
            let (kind, cause) = match result {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let asked = match &kind {
                ErrorKind::Status(refusal) => refusal.retry_after,
                _ => None,
            };
            let pause = self.shared.backoff.pause(tries, asked).filter(|_| request.repeat.allows(&kind));
            match pause.filter(|pause| is_within_budget(started.elapsed() + *pause, request.timeout)) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(ApiError::new(shown, kind, cause).of(request.quirks()).acted(acted)),
            }
            acted |= kind.may_have_acted();
        }
    }

    /// Reads one thing, or returns `None` if the service says that it does not exist. The form of a service's own 404 is
    /// not known, so its list decides unless the message names the thing. A response that is something else is an error, so
    /// that nothing is mistaken for absent.
    pub(crate) async fn find<T>(
        &self,
        request: ApiRequest,
        read: fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let (to, named_by) = (request.to.clone(), request.named_by);
        let response = match self.send(request).await {
            Ok(response) => response,
            Err(error) if named_by > 0 && error.leaves_open(to.segments()) => {
                return Ok(self.find_in_list(&to, named_by).await?.as_ref().and_then(read));
            }
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let thing = Some(response.json()?).filter(Value::is_object);
        match thing.as_ref().and_then(read) {
            Some(thing) => Ok(Some(thing)),
            None => Err(response.unreadable("not a thing of the kind that was asked for")),
        }
    }

    /// Deletes one thing. A thing that does not exist is no error.
    pub(crate) async fn remove(&self, request: ApiRequest) -> Result<Removal, ApiError> {
        let (to, named_by) = (request.to.clone(), request.named_by);
        match self.send(request).await {
            Ok(_) => Ok(Removal::Removed),
            Err(error) if named_by > 0 && error.leaves_open(to.segments()) => {
                match self.find_in_list(&to, named_by).await? {
                    Some(_) => Err(error),
                    None => Ok(Removal::Absent),
                }
            }
            Err(error) if error.is_not_found() => Ok(Removal::Absent),
            Err(error) => Err(error),
        }
    }

    async fn try_once(&self, request: &ApiRequest, url: &Url, shown: &str) -> Try {
        let (body, length) = request.body.open();
        let mut headers = self.shared.headers.of(&request.to, url).map_err(|kind| (kind, None))?;
        if request.method != Method::GET {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers.insert(ACCEPT, HeaderValue::from_static(request.accept));
        if let Some(media_type) = request.body.media_type() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        let http = self.shared.http.of(url).await?;
        let sent = http.request(request.method.clone(), url.clone()).headers(headers).timeout(request.timeout);
        let mask = Arc::clone(&self.shared.mask.lock().unwrap_or_else(PoisonError::into_inner));
        let failed = |error| without_response(request.timeout, &error, &mask);
        let sending = Instant::now();
        let mut response = sent.body(body).send().await.map_err(failed)?;
        if !matches!(request.to, Destination::Foreign(..)) {
            self.remember_instance(&response);
        }
        let status = response.status();
        if !status.is_success() {
            return Err((ErrorKind::Status(Box::new(refusal(&mut response, &mask).await)), None));
        }
        let headers = response.headers().clone();
        let body = whole(&mut response, request.limit, sending).await.map_err(failed)?;
        let (body, arrivals) =
            body.ok_or_else(|| (ErrorKind::Unreadable(format!("more than {} bytes", request.limit)), None))?;
        let (call, status, quirks) = (shown.to_owned(), status.as_u16(), request.quirks());
        let response = ApiResponse { call, status, quirks, headers, body, arrivals, took: sending.elapsed(), mask };
        // A gateway or a log-in does not answer 201.
        let is_created = response.status == 201;
        if request.form != Form::Anything && !(is_created && response.body.is_empty()) {
            // Here, so that a body that was cut or mixed up on its way is asked for again.
            let answer = response.parse()?;
            if let Some(what) = request.form.misfit(&answer, request.name()).filter(|_| !is_created) {
                return Err((ErrorKind::Unreadable(what.to_owned()), None));
            }
        }
        Ok(response)
    }

    /// Returns the URL of a request, and the call as people see it.
    fn locate(&self, request: &ApiRequest) -> (Url, String) {
        let mut url = match &request.to {
            Destination::Link(url) | Destination::OwnLink(url) | Destination::Foreign(url, _) => url.clone(),
            Destination::Service(service, path) => {
                let mut url = self.base(service.base).clone();
                // Always possible: `base_url` accepts only URLs with a host, and those have a path.
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(path);
                }
                url
            }
        };
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let shown = request.shown(&url);
        (url, shown)
    }

    fn base(&self, base: Base) -> &Url {
        match base {
            Base::Nemo => &self.shared.nemo,
            Base::Nim => &self.shared.nim,
            Base::DataStore => &self.shared.datastore,
        }
    }

    fn remember_instance(&self, response: &Response) {
        if let Some(instance) = response.headers().get(EMBEDDED).and_then(|value| value.to_str().ok()) {
            *self.shared.instance.lock().unwrap_or_else(PoisonError::into_inner) = Some(instance.to_owned());
        }
    }
}

/// Reports whether a further try may begin so long after the first one.
fn is_within_budget(elapsed: Duration, timeout: Duration) -> bool {
    elapsed <= BUDGET.max(timeout)
}

/// Logs one try, without bodies and headers.
fn log(call: &str, tries: u32, took: Duration, result: &Try) {
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(response) => tracing::debug!(call, status = response.status, ms, tries, "platform call"),
        Err((ErrorKind::Status(refusal), _)) => {
            tracing::debug!(call, status = refusal.status, ms, tries, "platform call refused");
        }
        Err((end, _)) => tracing::debug!(call, end = %end, ms, tries, "platform call without an answer"),
    }
}

fn base_url(key: &str, text: &str) -> Result<Url, ApiError> {
    let url = Url::parse(text).map_err(|error| ApiError::option(key, error))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(ApiError::option(key, "it must begin with http:// or https://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_upload_may_still_be_tried_again() {
        let seconds = Duration::from_secs;
        assert!(is_within_budget(seconds(90), seconds(60)) && !is_within_budget(seconds(100), seconds(60)));
        assert!(is_within_budget(seconds(100), seconds(1800)));
    }
}
