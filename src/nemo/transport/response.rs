//! The outcome of one try: a successful response, or the reason why there is none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use serde_json::Value;

use super::error::{ApiError, Cause, ErrorKind, Quirks};
use super::read_json;
use super::refusal::Refusal;
use crate::remote_text::{self, Mask, said};
use crate::retry;

/// The largest error body that is read.
const ERROR_BYTES: usize = 64 << 10;

/// The outcome of one try: a response, or the failure with its innermost reason.
pub(crate) type Try = Result<ApiResponse, (ErrorKind, Option<Cause>)>;

/// A piece of a body that has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The bytes of the body that were there then.
    pub(crate) bytes: usize,
    /// Since the request was sent.
    pub(crate) after: Duration,
}

/// A successful response.
pub(crate) struct ApiResponse {
    /// Method and URL of the request.
    pub(crate) call: String,
    pub(crate) status: u16,
    pub(crate) quirks: Quirks,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How much of the body had come at which time.
    pub(crate) arrivals: Vec<Arrival>,
    /// From sending the request to the last byte, without the tries before.
    pub(crate) took: Duration,
    /// The secrets that it may repeat.
    pub(crate) mask: Arc<Mask>,
}

impl ApiResponse {
    /// Reads the body as JSON. A bare `NaN` is read as null.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        self.parse().map_err(|(kind, cause)| ApiError::new(self.call.clone(), kind, cause).of(self.quirks))
    }

    /// Reads the body as JSON, or tells why it is none.
    pub(super) fn parse(&self) -> Result<Value, (ErrorKind, Option<Cause>)> {
        let mut value = read_json::parse(&self.body).map_err(|error| {
            let body = self.mask.body(&self.body[..self.body.len().min(ERROR_BYTES)]);
            let start: String = String::from_utf8_lossy(&body).chars().take(80).collect();
            let what = format!("not JSON: {}", start.split_whitespace().collect::<Vec<_>>().join(" "));
            (ErrorKind::Unreadable(said(&what)), Some(Cause(error.to_string())))
        })?;
        self.mask.answer(&mut value);
        Ok(value)
    }

    /// Creates an error about this response.
    pub(crate) fn unreadable(&self, what: impl Into<String>) -> ApiError {
        let what = self.mask.text(&what.into());
        ApiError::new(self.call.clone(), ErrorKind::Unreadable(what), None).of(self.quirks)
    }
}

/// Classifies a try without a complete response.
pub(crate) fn without_response(timeout: Duration, error: &reqwest::Error, mask: &Mask) -> (ErrorKind, Option<Cause>) {
    let kind = if error.is_builder() {
        ErrorKind::Options("the request cannot be built".to_owned())
    } else if remote_text::is_certificate_error(error) {
        ErrorKind::Untrusted
    } else if error.is_connect() {
        ErrorKind::Connect
    } else if error.is_timeout() {
        return (ErrorKind::Timeout(timeout), None);
    } else {
        ErrorKind::Interrupted
    };
    (kind, Some(Cause(mask.text(&root(error).0))))
}

/// Returns the innermost error of a chain. The outer ones only say that something inside went wrong.
pub(crate) fn root(error: &dyn std::error::Error) -> Cause {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Cause(innermost.to_string())
}

/// Reads a response with an error status. What it says may repeat our secrets.
pub(crate) async fn refusal(response: &mut Response, mask: &Mask) -> Refusal {
    let status = response.status();
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let code = header("x-error-code");
    let retry_after = header("retry-after").and_then(|value| retry::retry_after(&value, Timestamp::now()));
    let media_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let location = header(LOCATION.as_str()).filter(|_| status.is_redirection());
    let message = header("x-error-message");
    // The status decides. A body that breaks off or is too long costs only its message.
    let (body, _) = whole(response, ERROR_BYTES, Instant::now()).await.ok().flatten().unwrap_or_default();
    let mut refusal = Refusal { code, retry_after, ..Refusal::read(status.as_u16(), &media_type, &mask.body(&body)) };
    if refusal.code.is_some() {
        // No gateway knows this header.
        refusal.page = false;
    }
    if let Some(location) = location {
        refusal.message = format!("redirects to {location}; set the base URL to where the service is");
    } else if refusal.message.is_empty() {
        refusal.message = message.unwrap_or_default();
    }
    refusal.message = mask.text(&refusal.message);
    refusal
}

/// Reads the whole body with the times of its pieces, or returns `None` if it is longer than `limit`.
pub(crate) async fn whole(
    response: &mut Response,
    limit: usize,
    sent: Instant,
) -> Result<Option<(Bytes, Vec<Arrival>)>, reqwest::Error> {
    let (mut all, mut arrivals) = (Vec::new(), Vec::new());
    while let Some(chunk) = response.chunk().await? {
        if all.len() + chunk.len() > limit {
            return Ok(None);
        }
        all.extend_from_slice(&chunk);
        arrivals.push(Arrival { bytes: all.len(), after: sent.elapsed() });
    }
    Ok(Some((all.into(), arrivals)))
}
