//! What all services share on the wire: refusals in their error shapes, ids and timestamps.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// An answer that refuses a request.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Refusal {
    /// A refusal of the Python services: `{"detail": text}`.
    pub(super) fn detail(status: StatusCode, text: impl Into<String>) -> Self {
        Refusal { status, headers: Vec::new(), body: json!({"detail": text.into()}) }
    }

    /// 404 of the Python services.
    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::detail(StatusCode::NOT_FOUND, text)
    }

    /// 409 of the Python services.
    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Self::detail(StatusCode::CONFLICT, text)
    }

    /// 422 with one sentence: a business refusal.
    pub(super) fn unprocessable(text: impl Into<String>) -> Self {
        Self::detail(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    /// 422 with a list: a body that does not fit the schema.
    pub(super) fn invalid(problems: Vec<Value>) -> Self {
        Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, headers: Vec::new(), body: json!({"detail": problems}) }
    }

    /// A refusal of the Data Store, with the error code that Hugging Face clients look at.
    pub(super) fn datastore(status: StatusCode, code: Option<&str>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut headers = Vec::new();
        if let Some(code) = code {
            headers.push(("x-error-code", code.to_owned()));
            headers.push(("x-error-message", text.clone()));
        }
        Refusal { status, headers, body: json!({"error": text}) }
    }

    /// A refusal of the inference server.
    pub(super) fn inference(status: StatusCode, kind: &str, text: impl Into<String>) -> Self {
        let (text, code) = (text.into(), status.as_u16());
        let body = json!({"object": "error", "message": text, "type": kind, "param": null, "code": code});
        Refusal { status, headers: Vec::new(), body }
    }

    /// The refusal with more members in its body.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.body[key] = value.into();
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = (self.status, Json(self.body)).into_response();
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}

/// What a handler answers: JSON, or a refusal.
pub(super) type Answer = Result<Json<Value>, Refusal>;

/// A new id: the prefix, if there is one, and a random UUID in base 58 (nemo-wire 1.4).
pub(super) fn new_id(prefix: &str) -> String {
    let random = bs58::encode(uuid::Uuid::new_v4().as_bytes()).into_string();
    if prefix.is_empty() { random } else { format!("{prefix}-{random}") }
}

/// Now, as the Python services write it: UTC with microseconds and no zone.
pub(super) fn naive_now() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

/// Now, as Deployment Management writes it: RFC 3339 with nanoseconds.
pub(super) fn nanos_now() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// Now, as the Data Store writes it: RFC 3339 with seconds.
pub(super) fn seconds_now() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
