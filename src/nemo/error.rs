//! What can go wrong with a call, and the questions that callers decide on. Reads the error bodies of all services;
//! decides nothing about retries.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::call::Service;
use super::read;

/// How much of a message that is not JSON is kept.
const PAGE_CHARS: usize = 200;
/// How much of a service's own message is kept.
const MESSAGE_CHARS: usize = 2000;

/// A call that did not give what was asked for: which call, and how it ended.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {kind}")]
pub struct ApiError {
    /// Method and URL, without secrets.
    pub call: String,
    /// How it ended.
    pub kind: ErrorKind,
    #[source]
    cause: Option<Cause>,
    service: Option<Service>,
    acted: bool,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorKind {
    /// The client's own options cannot be used.
    Options(String),
    /// A local file cannot be read.
    File(String),
    /// No connection: nothing was sent.
    Connect,
    /// No answer in time.
    Timeout(Duration),
    /// The connection broke before the answer was complete.
    Interrupted,
    /// An answer with a status other than success.
    Status(Box<Refusal>),
    /// A success whose body is not what the API says, with what is wrong with it.
    Unreadable(String),
}

/// An answer with a status other than success.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The server's message, from whichever body form it chose; empty when it said nothing.
    pub message: String,
    /// `X-Error-Code` of the Data Store, such as `RepoNotFound`.
    pub code: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// The body was a page and no API answer: an ingress or proxy spoke, the service was not reached.
    pub page: bool,
    /// The body says that the thing exists already.
    pub exists: bool,
}

/// The innermost reason, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cause(pub(crate) String);

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Options(what) => f.write_str(what),
            ErrorKind::File(path) => write!(f, "cannot read {path}"),
            ErrorKind::Connect => f.write_str("no connection"),
            ErrorKind::Timeout(after) => write!(f, "no answer within {} s", after.as_secs()),
            ErrorKind::Interrupted => f.write_str("connection lost before the answer was complete"),
            ErrorKind::Status(refusal) => refusal.fmt(f),
            ErrorKind::Unreadable(what) => write!(f, "unexpected answer: {what}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = reqwest::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        write!(f, "{}", self.status)?;
        if let Some(reason) = reason {
            write!(f, " {reason}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if self.page {
            f.write_str(" (from an ingress or proxy, not from the service)")?;
        }
        Ok(())
    }
}

impl ApiError {
    pub(crate) fn new(call: String, kind: ErrorKind, cause: Option<Cause>) -> ApiError {
        ApiError { call, kind, cause, service: None, acted: false }
    }

    pub(crate) fn of(mut self, service: Option<Service>) -> ApiError {
        self.service = service;
        self
    }

    /// Marks that an earlier try of the same call may have had its effect.
    pub(crate) fn acted(mut self, acted: bool) -> ApiError {
        self.acted = acted;
        self
    }

    /// The same with every text that a server has said rewritten: some repeat the request, secrets included.
    pub(crate) fn without(mut self, rewrite: &dyn Fn(&str) -> String) -> ApiError {
        match &mut self.kind {
            ErrorKind::Status(refusal) => refusal.message = rewrite(&refusal.message),
            ErrorKind::Unreadable(what) => *what = rewrite(what),
            _ => {}
        }
        self.cause = self.cause.map(|Cause(why)| Cause(rewrite(&why)));
        self
    }

    /// The HTTP status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match &self.kind {
            ErrorKind::Status(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// The service says that the thing is not there. A 404 page of an ingress says nothing about the thing.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.kind, ErrorKind::Status(refusal) if refusal.status == 404 && !refusal.page)
    }

    /// The service answered 409.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// The service says that the thing exists already.
    ///
    /// Deployment Management says so with status 500 and only in the text (nemo-wire 4.1); this is the one place where
    /// a decision is made on the text of a message.
    pub fn already_exists(&self) -> bool {
        let ErrorKind::Status(refusal) = &self.kind else { return false };
        refusal.status == 409 || (self.service == Some(Service::Deployments) && refusal.exists)
    }

    /// The service is there and does not let us: 401 or 403.
    pub fn is_refused(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// The service cannot be used at present (exit code 3): no connection, no answer, 5xx, a page of an ingress, a
    /// redirect, 401 and 403, or an answer that is not of this API.
    pub fn is_unreachable(&self) -> bool {
        match &self.kind {
            ErrorKind::Connect | ErrorKind::Timeout(_) | ErrorKind::Interrupted | ErrorKind::Unreadable(_) => true,
            ErrorKind::Status(refusal) => {
                !self.already_exists()
                    && (refusal.page || matches!(refusal.status, 300..=399 | 401 | 403 | 408 | 429 | 500..=599))
            }
            _ => false,
        }
    }

    /// A later try of the same read may succeed: the service is away, busy or still starting. Of the NIM proxy, 404 and
    /// answers that are not JSON are among it (nemo-wire section 7).
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            ErrorKind::Connect | ErrorKind::Timeout(_) | ErrorKind::Interrupted => true,
            ErrorKind::Status(refusal) => {
                let starting = self.service == Some(Service::Nim) && refusal.status == 404;
                let away = matches!(refusal.status, 408 | 429 | 500..=599) || (refusal.page && refusal.status == 404);
                starting || (away && !self.already_exists())
            }
            ErrorKind::Unreadable(_) => self.service == Some(Service::Nim),
            _ => false,
        }
    }

    /// The request may have had its effect although this error came of it: look the thing up before making it again.
    pub fn may_have_been_accepted(&self) -> bool {
        self.acted || (self.kind.may_have_acted() && !self.already_exists())
    }
}

impl ErrorKind {
    /// Whether the server may have acted on the request of this one try.
    pub(crate) fn may_have_acted(&self) -> bool {
        match self {
            ErrorKind::Options(_) | ErrorKind::File(_) | ErrorKind::Connect => false,
            ErrorKind::Timeout(_) | ErrorKind::Interrupted | ErrorKind::Unreadable(_) => true,
            ErrorKind::Status(refusal) => refusal.status == 408 || refusal.status >= 500,
        }
    }
}

impl Refusal {
    /// Reads status and body; `content_type` helps to tell a page from an answer.
    pub(crate) fn read(status: u16, content_type: &str, body: &[u8]) -> Refusal {
        let text = String::from_utf8_lossy(body);
        let exists = text.to_ascii_lowercase().contains("already exists");
        let (message, page) = match serde_json::from_slice::<Value>(body) {
            Ok(json) => (cut(&json_message(&json).unwrap_or_else(|| squeeze(&text)), MESSAGE_CHARS), false),
            Err(_) => (page_message(&text), is_page(content_type, &text)),
        };
        Refusal { status, message, code: None, retry_after: None, page, exists }
    }
}

/// The message in an error body: `detail` as text or as a list of problems, `error`, `message` (nemo-wire 1.3).
fn json_message(json: &Value) -> Option<String> {
    if let Some(text) = json.as_str() {
        return Some(text.to_owned());
    }
    let problems = read::list(json, &["detail"]);
    if !problems.is_empty() {
        return Some(problems.iter().map(problem).collect::<Vec<_>>().join("; "));
    }
    [&["detail"][..], &["error"], &["message"], &["error", "message"], &["detail", "message"], &["title"]]
        .iter()
        .find_map(|path| read::text(json, path))
}

/// One entry of a validation error: `body.hyperparameters.epochs: Field required`.
fn problem(entry: &Value) -> String {
    let Some(message) = read::text(entry, &["msg"]) else { return squeeze(&entry.to_string()) };
    let place: Vec<String> = read::list(entry, &["loc"])
        .iter()
        .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
        .collect();
    if place.is_empty() { message } else { format!("{}: {message}", place.join(".")) }
}

/// Whether a body that is not JSON comes from an ingress: HTML, nginx' default backend, or a router without such a path.
fn is_page(content_type: &str, text: &str) -> bool {
    let start = text.trim_start();
    content_type.starts_with("text/html")
        || start.starts_with('<')
        || start.starts_with("default backend")
        || start.starts_with("404 page not found")
}

/// The title of an HTML page, else its beginning.
fn page_message(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len());
    let title = title.and_then(|from| Some(&text[from..from + lower[from..].find("</title>")?]));
    cut(&squeeze(title.unwrap_or(text)), PAGE_CHARS)
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        Refusal::read(422, "application/json", body.as_bytes()).message
    }

    #[test]
    fn every_body_form_gives_its_message() {
        assert_eq!(message(r#"{"detail":"Model m is not enabled."}"#), "Model m is not enabled.");
        let list = r#"{"detail":[{"loc":["body","hyperparameters",0],"msg":"Field required","type":"missing"},
            {"msg":"No place"},{"odd":1}]}"#;
        assert_eq!(message(list), r#"body.hyperparameters.0: Field required; No place; {"odd":1}"#);
        assert_eq!(message(r#"{"error":"repo exists"}"#), "repo exists");
        assert_eq!(message(r#"{"message":"go says no"}"#), "go says no");
        assert_eq!(message(r#"{"error":{"message":"inner","code":404}}"#), "inner");
        assert_eq!(
            message(r#"{"object":"error","message":"The model x does not exist."}"#),
            "The model x does not exist."
        );
        assert_eq!(message(r#"{"status":401,"title":"Unauthorized"}"#), "Unauthorized");
        assert_eq!(message(r#"{"detail":null,"other":1}"#), r#"{"detail":null,"other":1}"#);
        assert_eq!(message("plain  text\n"), "plain text");
        assert_eq!(message(""), "");
    }

    #[test]
    fn a_page_is_cut_and_told_from_an_answer() {
        let page = Refusal::read(502, "text/html", b"<html><head><TITLE>502 Bad\n Gateway</title></head></html>");
        assert_eq!((page.message.as_str(), page.page), ("502 Bad Gateway", true));
        let long = Refusal::read(413, "", format!("<p>{}", "\u{e9}".repeat(5000)).as_bytes());
        assert_eq!(long.message.chars().count(), PAGE_CHARS + 3);
        assert!(Refusal::read(404, "text/plain", b"default backend - 404").page);
        assert!(Refusal::read(404, "text/plain; charset=utf-8", b"404 page not found\n").page);
        assert!(!Refusal::read(404, "text/plain", b"no such job").page);
        assert!(!Refusal::read(404, "", b"").page);
    }

    fn error(service: Service, status: u16, content_type: &str, body: &str) -> ApiError {
        let kind = ErrorKind::Status(Box::new(Refusal::read(status, content_type, body.as_bytes())));
        ApiError::new("POST http://x/y".into(), kind, None).of(Some(service))
    }

    #[test]
    fn deployment_management_says_exists_with_500() {
        let exists = error(Service::Deployments, 500, "", r#"{"message":"Model Deployment already exists"}"#);
        assert!(exists.already_exists() && !exists.is_conflict());
        assert!(!exists.is_unreachable() && !exists.is_transient() && !exists.may_have_been_accepted());
        let other = error(Service::Customizer, 500, "", r#"{"detail":"already exists"}"#);
        assert!(!other.already_exists() && other.is_unreachable() && other.may_have_been_accepted());
        assert!(error(Service::EntityStore, 409, "", "").already_exists());
    }

    #[test]
    fn a_404_page_is_not_the_services_word() {
        let missing = error(Service::Evaluator, 404, "application/json", r#"{"detail":"no such job"}"#);
        assert!(missing.is_not_found() && !missing.is_unreachable() && !missing.is_transient());
        let page = error(Service::Evaluator, 404, "text/html", "<html>nginx</html>");
        assert!(!page.is_not_found() && page.is_unreachable() && page.is_transient());
        assert!(error(Service::Nim, 404, "", "").is_transient());
    }

    #[test]
    fn refused_is_unreachable_but_not_transient() {
        for status in [401, 403] {
            let refused = error(Service::EntityStore, status, "", "");
            assert!(refused.is_refused() && refused.is_unreachable() && !refused.is_transient());
        }
        assert!(!error(Service::EntityStore, 422, "", "").is_unreachable());
    }

    #[test]
    fn display_names_call_status_and_message_once() {
        let refused = error(Service::Customizer, 422, "", r#"{"detail":"Model m is not enabled."}"#);
        assert_eq!(refused.to_string(), "POST http://x/y: 422 Unprocessable Entity: Model m is not enabled.");
        let away = ApiError::new("GET http://x/y".into(), ErrorKind::Connect, Some(Cause("refused".into())));
        assert_eq!(away.to_string(), "GET http://x/y: no connection");
        assert_eq!(std::error::Error::source(&away).unwrap().to_string(), "refused");
    }
}
