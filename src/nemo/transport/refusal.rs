//! Responses with an error status, and the forms of their bodies.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::read_json;

/// The longest message that is kept of a body that is not JSON.
const PAGE_CHARS: usize = 200;
/// The longest message that is kept of a JSON body.
const MESSAGE_CHARS: usize = 2000;

/// A response with an error status.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The server's message, from any form of error body. Empty if there is none.
    pub message: String,
    /// The header `X-Error-Code` of the Data Store, such as `RepoNotFound`.
    pub code: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// The answer is not the service's: a page of an ingress or proxy, a redirect, or a 404 in a form that no service has.
    /// Then the service was not reached.
    pub page: bool,
    /// The body says that the thing exists already.
    pub exists: bool,
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

impl Refusal {
    /// Reads the body of an error. `content_type` helps to tell a page from an answer.
    pub(crate) fn read(status: u16, content_type: &str, body: &[u8]) -> Refusal {
        let text = String::from_utf8_lossy(body);
        let exists = text.to_ascii_lowercase().contains("already exists");
        // No service redirects: it is the log-in of a proxy, or a base URL that is not the service's.
        let redirects = (300..400).contains(&status);
        let (message, page) = match serde_json::from_slice::<Value>(body) {
            Ok(json) => {
                let message = json_message(&json).unwrap_or_else(|| squeeze(&text));
                (cut(&message, MESSAGE_CHARS), status == 404 && !is_of_a_service(&json))
            }
            Err(_) => (page_message(&text), status == 404 || is_page(content_type, &text)),
        };
        Refusal { status, message, code: None, retry_after: None, page: page || redirects, exists }
    }

    /// Reports whether something in front of the service has answered in its place, which may pass. A body that is too
    /// large stays so.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.page && matches!(self.status, 300..=499) && self.status != 413
    }

    /// Reports whether the answer has a mark that only the service can have: an error code of the Data Store, or a message
    /// that names the thing at this path. Gateways and frameworks repeat the whole path at most.
    pub(crate) fn names(&self, path: &[String]) -> bool {
        let named = path.last().is_some_and(|name| self.message.contains(name.as_str()));
        self.code.is_some() || (named && !self.message.contains(&path.join("/")))
    }
}

/// Finds the message in a JSON error body (docs/nemo-api.md, Statuses and error bodies).
fn json_message(json: &Value) -> Option<String> {
    if let Some(text) = json.as_str() {
        return Some(text.to_owned());
    }
    let problems = read_json::list(json, &["detail"]);
    if !problems.is_empty() {
        return Some(problems.iter().map(problem).collect::<Vec<_>>().join("; "));
    }
    [&["detail"][..], &["error"], &["message"], &["error", "message"], &["detail", "message"], &["title"]]
        .iter()
        .find_map(|path| read_json::text(json, path))
}

/// Recognises the forms in which services say that a thing does not exist. A gateway without a route says `message`, or
/// nothing, and frameworks say no more than the name of the status: `{"detail": "Not Found"}` of FastAPI, `error` beside
/// `path` of Spring.
fn is_of_a_service(json: &Value) -> bool {
    let says_more = |value: &Value| !value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("not found"));
    ["detail", "error"].iter().any(|key| json.get(key).is_some_and(says_more)) || json["object"] == "error"
}

/// Renders one entry of a validation error, such as `body.hyperparameters.epochs: Field required`.
fn problem(entry: &Value) -> String {
    let Some(message) = read_json::text(entry, &["msg"]) else { return squeeze(&entry.to_string()) };
    let location: Vec<String> = read_json::list(entry, &["loc"])
        .iter()
        .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
        .collect();
    if location.is_empty() { message } else { format!("{}: {message}", location.join(".")) }
}

/// Recognises a body that is not JSON as an ingress's: HTML, the default backend of nginx, or a router that lacks
/// the path.
fn is_page(content_type: &str, text: &str) -> bool {
    let start = text.trim_start();
    content_type.starts_with("text/html")
        || start.starts_with('<')
        || start.starts_with("default backend")
        || start.starts_with("404 page not found")
}

/// Returns the title of an HTML page, or the beginning of any other text.
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
        assert!(!Refusal::read(422, "text/plain", b"no such job").page);
    }

    #[test]
    fn a_404_counts_only_in_the_form_of_a_service() {
        for own in [
            r#"{"detail":"no such job"}"#,
            r#"{"error":"Repository not found"}"#,
            r#"{"object":"error","message":"The model x does not exist.","code":404}"#,
        ] {
            assert!(!Refusal::read(404, "application/json", own.as_bytes()).page, "{own}");
        }
        for foreign in [
            "",
            "{}",
            "no such path",
            r#"{"message":"no Route matched with those values"}"#,
            r#"{"message":"Not Found"}"#,
            r#"{"detail":"Not Found"}"#,
            r#"{"timestamp":"2026-11-27T02:00:00Z","status":404,"error":"Not Found","path":"/v1/models/ns/x"}"#,
        ] {
            assert!(Refusal::read(404, "application/json", foreign.as_bytes()).page, "{foreign}");
        }
        assert!(!Refusal::read(500, "application/json", br#"{"message":"go says no"}"#).page);
        assert!(Refusal::read(302, "text/plain", b"").page);
    }

    #[test]
    fn only_a_message_that_names_the_thing_is_surely_of_the_service() {
        let path = ["v1", "datasets", "ns", "d1"].map(str::to_owned);
        let names = |detail: &str| {
            let body = serde_json::json!({ "detail": detail }).to_string();
            Refusal::read(404, "application/json", body.as_bytes()).names(&path)
        };
        assert!(names("Dataset ns/d1 not found") && names("no dataset 'd1'"));
        assert!(!names("no such thing") && !names("no route for /nemo/v1/datasets/ns/d1"));
    }
}
