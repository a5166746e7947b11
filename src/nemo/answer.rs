//! What came back: a successful answer, a refusal, or the way a try ended without either. Sends nothing.

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use serde_json::Value;

use super::call::{Call, Service};
use super::error::{ApiError, Cause, ErrorKind, Refusal};
use super::{read, retry};

/// The largest error body that is read.
const ERROR_BYTES: usize = 64 << 10;

/// How one try ended: an answer, or why there is none with the innermost reason.
pub(crate) type Try = Result<Answer, (ErrorKind, Option<Cause>)>;

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) call: String,
    pub(crate) status: u16,
    pub(crate) service: Option<Service>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON; bare `NaN` is read as null.
    pub(crate) fn json(&self) -> Result<Value, ApiError> {
        read::json(&self.body).map_err(|error| {
            let cause = Some(Cause(error.to_string()));
            let start: String = String::from_utf8_lossy(&self.body[..self.body.len().min(80)]).into_owned();
            let what = format!("not JSON: {}", start.split_whitespace().collect::<Vec<_>>().join(" "));
            ApiError::new(self.call.clone(), ErrorKind::Unreadable(what), cause).of(self.service)
        })
    }

    /// An error about this answer.
    pub(crate) fn unreadable(&self, what: impl Into<String>) -> ApiError {
        ApiError::new(self.call.clone(), ErrorKind::Unreadable(what.into()), None).of(self.service)
    }
}

/// How a try without a complete answer ended, with the innermost reason.
pub(crate) fn ended(call: &Call, error: reqwest::Error) -> (ErrorKind, Option<Cause>) {
    let kind = if error.is_builder() {
        ErrorKind::Options("the request cannot be built".to_owned())
    } else if error.is_connect() {
        ErrorKind::Connect
    } else if error.is_timeout() {
        return (ErrorKind::Timeout(call.timeout), None);
    } else {
        ErrorKind::Interrupted
    };
    (kind, Some(root(&error)))
}

/// The innermost error of a chain: the layers above it only say that something below went wrong.
pub(crate) fn root(error: &dyn std::error::Error) -> Cause {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Cause(innermost.to_string())
}

/// A status other than success, with whatever the server said.
pub(crate) async fn refusal(response: &mut Response) -> Refusal {
    let status = response.status();
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let code = header("x-error-code");
    let retry_after = header("retry-after").and_then(|value| retry::retry_after(&value, Timestamp::now()));
    let media_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let location = header(LOCATION.as_str()).filter(|_| status.is_redirection());
    let spoken = header("x-error-message");
    // The status decides; a body that breaks off or is too long only costs its message.
    let body = whole(response, ERROR_BYTES).await.ok().flatten().unwrap_or_default();
    let mut refusal = Refusal { code, retry_after, ..Refusal::read(status.as_u16(), &media_type, &body) };
    if let Some(location) = location {
        refusal.message = format!("redirects to {location}; set the base URL to where the service is");
    } else if refusal.message.is_empty() {
        refusal.message = spoken.unwrap_or_default();
    }
    refusal
}

/// The whole body, or `None` when it is longer than `limit`.
pub(crate) async fn whole(response: &mut Response, limit: usize) -> Result<Option<Bytes>, reqwest::Error> {
    let mut all = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if all.len() + chunk.len() > limit {
            return Ok(None);
        }
        all.extend_from_slice(&chunk);
    }
    Ok(Some(all.into()))
}
