//! Refusals, in the error shapes of the services.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Refusal {
    /// Returns an error of the Python services: `{"detail": text}`.
    pub(crate) fn detail(status: StatusCode, text: impl Into<String>) -> Self {
        Refusal { status, headers: Vec::new(), body: json!({"detail": text.into()}) }
    }

    /// Returns a 404 of the Python services.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::detail(StatusCode::NOT_FOUND, text)
    }

    /// Returns a 409 of the Python services.
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::detail(StatusCode::CONFLICT, text)
    }

    /// Returns a 422 with one sentence: the body is valid, its content is not accepted.
    pub(crate) fn unprocessable(text: impl Into<String>) -> Self {
        Self::detail(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    /// Returns a 422 with a list of problems: the body does not fit the schema.
    pub(crate) fn invalid(problems: Vec<Value>) -> Self {
        Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, headers: Vec::new(), body: json!({"detail": problems}) }
    }

    /// Returns an error of the Data Store, with the error code that Hugging Face clients read.
    pub(crate) fn datastore(status: StatusCode, code: Option<&str>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut headers = Vec::new();
        if let Some(code) = code {
            headers.push(("x-error-code", code.to_owned()));
            headers.push(("x-error-message", text.clone()));
        }
        Refusal { status, headers, body: json!({"error": text}) }
    }

    /// Returns an error of the inference server.
    pub(crate) fn inference(status: StatusCode, kind: &str, text: impl Into<String>) -> Self {
        let (text, code) = (text.into(), status.as_u16());
        let body = json!({"object": "error", "message": text, "type": kind, "param": null, "code": code});
        Refusal { status, headers: Vec::new(), body }
    }

    /// Adds a member to the body.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
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

/// The result of a handler that answers JSON.
pub(crate) type JsonResult = Result<Json<Value>, Refusal>;
