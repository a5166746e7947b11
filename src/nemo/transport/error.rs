//! The error of a call, and the questions on which callers decide.

use std::fmt;
use std::time::Duration;

use super::refusal::Refusal;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {kind}")]
pub struct ApiError {
    /// Method and URL, without secrets.
    pub call: String,
    pub kind: ErrorKind,
    #[source]
    cause: Option<Cause>,
    quirks: Quirks,
    acted: bool,
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorKind {
    /// An option of the client cannot be used, with the reason.
    Options(String),
    /// A local file cannot be read.
    File(String),
    /// No connection, so nothing was sent.
    Connect,
    /// The certificate of the service is not trusted, so nothing was sent.
    Untrusted,
    /// No response within this time.
    Timeout(Duration),
    /// The connection broke before the answer was complete.
    Interrupted,
    /// A response with an error status.
    Status(Box<Refusal>),
    /// A success whose body does not fit the API, with the reason.
    Unreadable(String),
}

/// The innermost reason of an error, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cause(pub(crate) String);

/// The circumstances that change the meaning of an error: the kind of the call, and deviations of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// The service reports an existing thing in the text of an error, whatever the status.
    pub(crate) exists_in_text: bool,
    /// The service answers with 404 or with a body that is not JSON while it starts.
    pub(crate) starts_with_errors: bool,
    /// The call goes to a link that a service handed out.
    pub(crate) handed_out: bool,
    /// The call only reads, so an answer that cannot be read may be better the next time.
    pub(crate) reads: bool,
    /// The call changes a thing that exists, and the service answers 409 while something else changes or uses it.
    pub(crate) conflicts_pass: bool,
    /// The service answers a request that it cannot use with a 5xx.
    pub(crate) blames_itself: bool,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Options(what) => f.write_str(what),
            ErrorKind::File(path) => write!(f, "cannot read {path}"),
            ErrorKind::Connect => f.write_str("no connection"),
            ErrorKind::Untrusted => f.write_str("the certificate of the service is not trusted"),
            ErrorKind::Timeout(after) => write!(f, "no answer within {} s", after.as_secs()),
            ErrorKind::Interrupted => f.write_str("connection lost before the answer was complete"),
            ErrorKind::Status(refusal) => refusal.fmt(f),
            ErrorKind::Unreadable(what) => write!(f, "unexpected answer: {what}"),
        }
    }
}

impl ApiError {
    pub(crate) fn new(call: String, kind: ErrorKind, cause: Option<Cause>) -> ApiError {
        ApiError { call, kind, cause, quirks: Quirks::default(), acted: false }
    }

    /// Creates the error of an option that cannot be used.
    pub(crate) fn option(what: &str, why: impl ToString) -> ApiError {
        ApiError::new(format!("cannot use {what}"), ErrorKind::Options(why.to_string()), None)
    }

    /// Creates the error of a call that its caller has given up.
    pub(crate) fn late(call: &str, after: Duration) -> ApiError {
        ApiError::new(call.to_owned(), ErrorKind::Timeout(after), None)
    }

    pub(crate) fn of(self, quirks: Quirks) -> ApiError {
        ApiError { quirks, ..self }
    }

    /// Records whether an earlier try of the same call may have had its effect.
    pub(crate) fn acted(self, acted: bool) -> ApiError {
        ApiError { acted, ..self }
    }

    /// Returns the HTTP status, if there was a response.
    pub fn status(&self) -> Option<u16> {
        match &self.kind {
            ErrorKind::Status(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Reports whether the service itself says that the thing does not exist. The 404 page of an ingress does not count.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.kind, ErrorKind::Status(refusal) if refusal.status == 404 && !refusal.page)
    }

    /// Reports whether a 404 leaves open if the thing at this path exists: the message does not name it.
    pub(crate) fn leaves_open(&self, path: &[String]) -> bool {
        matches!(&self.kind, ErrorKind::Status(refusal) if refusal.status == 404 && (refusal.page || !refusal.names(path)))
    }

    /// Reports whether the service answered 409.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Reports whether the thing exists already.
    ///
    /// Deployment Management answers 500 and says so only in the text (docs/nemo-api.md, Creating a deployment). This is
    /// the only decision that is made on the text of a message.
    pub fn already_exists(&self) -> bool {
        let ErrorKind::Status(refusal) = &self.kind else { return false };
        refusal.status == 409 || (self.quirks.exists_in_text && refusal.exists)
    }

    /// Reports whether the service denies access: 401 or 403.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Reports whether something in front of the service has answered in its place.
    pub(crate) fn is_of_proxy(&self) -> bool {
        matches!(&self.kind, ErrorKind::Status(refusal) if refusal.page)
    }

    /// Reports whether a 5xx of the service may be the fault of the request, which then fails each time.
    pub(crate) fn may_be_of_the_request(&self) -> bool {
        let ErrorKind::Status(refusal) = &self.kind else { return false };
        self.quirks.blames_itself && !refusal.page && matches!(refusal.status, 500 | 502)
    }

    /// Reports whether the call went to a link that a service handed out, most often into its own storage.
    pub(crate) fn is_of_link(&self) -> bool {
        self.quirks.handed_out
    }

    /// Reports whether the service cannot be used at present (exit code 3): no connection, no response, 5xx, a page of an
    /// ingress, a redirect, 401, 403, or a response that does not fit the API.
    pub fn is_unreachable(&self) -> bool {
        match &self.kind {
            ErrorKind::Connect
            | ErrorKind::Untrusted
            | ErrorKind::Timeout(_)
            | ErrorKind::Interrupted
            | ErrorKind::Unreadable(_) => true,
            ErrorKind::Status(refusal) => {
                !self.already_exists()
                    && (refusal.page || matches!(refusal.status, 300..=399 | 401 | 403 | 408 | 429 | 500..=599))
            }
            _ => false,
        }
    }

    /// Reports whether the same call may succeed later, because the service or the thing is busy, or the service is away or
    /// still starting.
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            ErrorKind::Connect | ErrorKind::Timeout(_) | ErrorKind::Interrupted => true,
            ErrorKind::Status(refusal) => {
                let starting = self.quirks.starts_with_errors && refusal.status == 404;
                let away = matches!(refusal.status, 408 | 429 | 500..=599) || refusal.is_elsewhere();
                let in_use = self.quirks.conflicts_pass && refusal.status == 409;
                starting || in_use || (away && !self.already_exists())
            }
            ErrorKind::Unreadable(_) => self.quirks.starts_with_errors || self.quirks.reads,
            _ => false,
        }
    }

    /// Reports whether the call may have had its effect in spite of the error. Then look the thing up before you create
    /// it again.
    pub fn may_have_been_accepted(&self) -> bool {
        self.acted || (self.kind.may_have_acted() && !self.already_exists())
    }
}

impl ErrorKind {
    /// Reports whether the server may have acted on this one try.
    pub(crate) fn may_have_acted(&self) -> bool {
        match self {
            ErrorKind::Options(_) | ErrorKind::File(_) | ErrorKind::Connect | ErrorKind::Untrusted => false,
            ErrorKind::Timeout(_) | ErrorKind::Interrupted | ErrorKind::Unreadable(_) => true,
            ErrorKind::Status(refusal) => refusal.status == 408 || refusal.status >= 500,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Quirks = Quirks {
        exists_in_text: false,
        starts_with_errors: false,
        handed_out: false,
        reads: false,
        conflicts_pass: false,
        blames_itself: false,
    };
    const DEPLOYMENTS: Quirks = Quirks { exists_in_text: true, ..NONE };
    const NIM: Quirks = Quirks { starts_with_errors: true, ..NONE };

    fn error(quirks: Quirks, status: u16, content_type: &str, body: &str) -> ApiError {
        let kind = ErrorKind::Status(Box::new(Refusal::read(status, content_type, body.as_bytes())));
        ApiError::new("POST http://x/y".into(), kind, None).of(quirks)
    }

    #[test]
    fn deployment_management_says_exists_with_500() {
        let exists = error(DEPLOYMENTS, 500, "", r#"{"message":"Model Deployment already exists"}"#);
        assert!(exists.already_exists() && !exists.is_conflict());
        assert!(!exists.is_unreachable() && !exists.is_transient() && !exists.may_have_been_accepted());
        let other = error(NONE, 500, "", r#"{"detail":"already exists"}"#);
        assert!(!other.already_exists() && other.is_unreachable() && other.may_have_been_accepted());
        assert!(error(NONE, 409, "", "").already_exists());
    }

    #[test]
    fn a_404_page_is_not_the_services_word() {
        let missing = error(NONE, 404, "application/json", r#"{"detail":"no such job"}"#);
        assert!(missing.is_not_found() && !missing.is_unreachable() && !missing.is_transient());
        let page = error(NONE, 404, "text/html", "<html>nginx</html>");
        assert!(!page.is_not_found() && page.is_unreachable() && page.is_transient());
        assert!(error(NIM, 404, "", "").is_transient());
        let log_in = error(NONE, 302, "text/html", "");
        assert!(log_in.is_unreachable() && log_in.is_transient() && !log_in.may_have_been_accepted());
    }

    #[test]
    fn refused_is_unreachable_but_not_transient() {
        for status in [400, 401, 403, 421] {
            let page = error(NONE, status, "text/html", "<html>WAF</html>");
            assert!(page.is_unreachable() && page.is_transient() && !page.may_have_been_accepted(), "{status}");
        }
        assert!(!error(NONE, 413, "text/html", "<html>too large</html>").is_transient());
        for status in [401, 403] {
            let refused = error(NONE, status, "", "");
            assert!(refused.is_refused() && refused.is_unreachable() && !refused.is_transient());
        }
        assert!(!error(NONE, 422, "", "").is_unreachable());
    }

    #[test]
    fn display_names_call_status_and_message_once() {
        let refused = error(NONE, 422, "", r#"{"detail":"Model m is not enabled."}"#);
        assert_eq!(refused.to_string(), "POST http://x/y: 422 Unprocessable Entity: Model m is not enabled.");
        let away = ApiError::new("GET http://x/y".into(), ErrorKind::Connect, Some(Cause("refused".into())));
        assert_eq!(away.to_string(), "GET http://x/y: no connection");
        assert_eq!(std::error::Error::source(&away).unwrap().to_string(), "refused");
    }
}
