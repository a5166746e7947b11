//! One request as data: where it goes, what it carries, and whether it may be repeated.

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use super::body::RequestBody;
use super::error::{ErrorKind, Quirks};
use super::form::Form;
use super::options::Base;
use crate::nemo::secret::Secret;

/// The time limit of an ordinary request, from connecting to the last byte of the response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The time limit of a request that carries a file.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The time limit of a request whose response is a file.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The largest JSON response that is read.
const RESPONSE_BYTES: usize = 64 << 20;

/// Where a service is, and how it deviates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) base: Base,
    pub(crate) quirks: Quirks,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// A path of a service, as segments that are not encoded yet.
    Service(Endpoint, Vec<String>),
    /// A link from the Data Store that authorises itself.
    Link(Url),
    /// A link from the Data Store that wants our token.
    OwnLink(Url),
    /// An address outside of the platform, with its own token.
    Foreign(Url, Option<Secret>),
}

impl Destination {
    /// Returns the segments of the path of a service, and none of any other address.
    pub(crate) fn segments(&self) -> &[String] {
        match self {
            Destination::Service(_, path) => path,
            Destination::Link(_) | Destination::OwnLink(_) | Destination::Foreign(..) => &[],
        }
    }
}

/// Says if a request may be sent again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Always, because sending it twice has the effect of sending it once.
    Safe,
    /// As `Safe`, and after a 404 or a redirect that is not the service's, because no thing is asked for.
    Patient,
    /// Only if nothing was accepted, because each request creates something.
    UnlessAccepted,
    /// Never, because the caller polls.
    Never,
}

impl Repeat {
    /// Reports whether a request may be sent again after this failure.
    pub(crate) fn allows(self, failure: &ErrorKind) -> bool {
        let status = match failure {
            ErrorKind::Connect => return self != Repeat::Never,
            ErrorKind::Timeout(_) | ErrorKind::Interrupted | ErrorKind::Unreadable(_) => return self.is_safe(),
            ErrorKind::Status(refusal) if refusal.is_elsewhere() && matches!(refusal.status, 300..=399 | 404) => {
                return self == Repeat::Patient;
            }
            ErrorKind::Status(refusal) if refusal.is_elsewhere() => return self.is_safe(),
            ErrorKind::Status(refusal) => refusal.status,
            ErrorKind::Options(_) | ErrorKind::File(_) | ErrorKind::Untrusted => return false,
        };
        match self {
            Repeat::Safe | Repeat::Patient => matches!(status, 408 | 429 | 500..=599),
            // 429 refuses before anything is done. Any other status may follow a create that happened.
            Repeat::UnlessAccepted => status == 429,
            Repeat::Never => false,
        }
    }

    fn is_safe(self) -> bool {
        matches!(self, Repeat::Safe | Repeat::Patient)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) to: Destination,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: RequestBody,
    pub(crate) repeat: Repeat,
    pub(crate) timeout: Duration,
    /// The largest response body that is read.
    pub(crate) limit: usize,
    pub(crate) accept: &'static str,
    /// The form of the answer. An answer of another form is not the service's.
    pub(crate) form: Form,
    /// The number of segments at the end of the path that name a thing of the list at the rest of the path.
    pub(crate) named_by: usize,
}

impl ApiRequest {
    fn new(method: Method, to: Destination, body: RequestBody, repeat: Repeat) -> ApiRequest {
        let (timeout, limit, accept) = (REQUEST_TIMEOUT, RESPONSE_BYTES, "application/json");
        let form = if method == Method::GET { Form::Json } else { Form::Anything };
        ApiRequest { method, to, query: Vec::new(), body, repeat, timeout, limit, accept, form, named_by: 0 }
    }

    /// Reads something.
    pub(crate) fn get(service: impl Into<Endpoint>, path: &[&str]) -> ApiRequest {
        ApiRequest::new(Method::GET, to(service, path), RequestBody::Empty, Repeat::Safe)
    }

    /// Creates something with a POST.
    pub(crate) fn create(service: impl Into<Endpoint>, path: &[&str], body: Value) -> ApiRequest {
        ApiRequest::new(Method::POST, to(service, path), RequestBody::Json(body), Repeat::UnlessAccepted)
    }

    /// Sends a POST that may be repeated without harm.
    pub(crate) fn post(service: impl Into<Endpoint>, path: &[&str], body: RequestBody) -> ApiRequest {
        ApiRequest::new(Method::POST, to(service, path), body, Repeat::Safe)
    }

    /// Deletes something.
    pub(crate) fn delete(service: impl Into<Endpoint>, path: &[&str]) -> ApiRequest {
        ApiRequest::new(Method::DELETE, to(service, path), RequestBody::Empty, Repeat::Safe)
    }

    /// Puts something in its place, with the effect of the last put.
    pub(crate) fn put(service: impl Into<Endpoint>, path: &[&str], body: RequestBody) -> ApiRequest {
        ApiRequest::new(Method::PUT, to(service, path), body, Repeat::Safe)
    }

    /// Sends a repeatable request to a link from the Data Store or to a foreign address.
    pub(crate) fn link(method: Method, to: Destination, body: RequestBody) -> ApiRequest {
        ApiRequest::new(method, to, body, Repeat::Safe)
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> ApiRequest {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn body(self, body: RequestBody) -> ApiRequest {
        ApiRequest { body, ..self }
    }

    /// Asks for another media type than JSON.
    pub(crate) fn accept(self, accept: &'static str) -> ApiRequest {
        ApiRequest { accept, form: Form::Anything, ..self }
    }

    /// Takes only JSON for an answer of the service.
    pub(crate) fn answers_json(self) -> ApiRequest {
        self.answers(Form::Json)
    }

    /// Takes only an answer of this form for one of the service.
    pub(crate) fn answers(self, form: Form) -> ApiRequest {
        ApiRequest { form, ..self }
    }

    /// Takes only the thing that was asked for as an answer, and else does as `listed`. For what takes GPUs.
    pub(crate) fn named(self, segments: usize) -> ApiRequest {
        self.answers(Form::Thing).listed(segments)
    }

    /// Returns the segments of the path that name the thing.
    pub(super) fn name(&self) -> &[String] {
        let path = self.to.segments();
        &path[path.len().saturating_sub(self.named_by)..]
    }

    /// Lets the list decide if an answer that the thing does not exist may not be the service's. The last `segments` of
    /// the path are the id of the thing, or its namespace and its name.
    pub(crate) fn listed(self, segments: usize) -> ApiRequest {
        ApiRequest { named_by: segments, ..self }
    }

    pub(crate) fn upload(self) -> ApiRequest {
        ApiRequest { timeout: UPLOAD_TIMEOUT, ..self }
    }

    pub(crate) fn download(self, limit: usize) -> ApiRequest {
        ApiRequest { timeout: DOWNLOAD_TIMEOUT, limit, ..self }
    }

    /// Turns repetition off, for callers that poll.
    pub(crate) fn once(self) -> ApiRequest {
        ApiRequest { repeat: Repeat::Never, ..self }
    }

    /// Takes a 404 in a form that no service has, or a redirect, for a passing fault: a gateway that is restarted forgets its
    /// routes for a moment. For calls that never ask for one thing.
    pub(crate) fn patient(self) -> ApiRequest {
        ApiRequest { repeat: Repeat::Patient, ..self }
    }

    /// Returns the quirks of the call and of the service that answers.
    pub(crate) fn quirks(&self) -> Quirks {
        let of_service = match &self.to {
            Destination::Service(service, _) => service.quirks,
            Destination::Link(_) => Quirks { handed_out: true, ..Quirks::default() },
            Destination::OwnLink(_) | Destination::Foreign(..) => Quirks::default(),
        };
        // Only what may be sent again changes a thing that exists: a 409 to a create says that it exists already.
        let conflicts_pass = of_service.conflicts_pass && self.repeat.is_safe();
        Quirks { reads: self.method == Method::GET, conflicts_pass, ..of_service }
    }

    /// Returns method and URL for people, without user information. The query of a link is left out too, because it may
    /// hold a signature.
    pub(crate) fn shown(&self, url: &Url) -> String {
        let mut url = url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        if !matches!(self.to, Destination::Service(..)) {
            url.set_query(None);
        }
        format!("{} {url}", self.method)
    }
}

fn to(service: impl Into<Endpoint>, path: &[&str]) -> Destination {
    Destination::Service(service.into(), path.iter().map(|segment| (*segment).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemo::transport::refusal::Refusal;

    #[test]
    fn a_create_is_repeated_only_if_nothing_was_accepted() {
        let status = |status| ErrorKind::Status(Box::new(Refusal::read(status, "", b"")));
        for again in [ErrorKind::Connect, status(429)] {
            assert!(Repeat::UnlessAccepted.allows(&again), "{again:?}");
        }
        let second = Duration::from_secs(1);
        for never in [ErrorKind::Timeout(second), ErrorKind::Interrupted, status(408), status(500), status(503)] {
            assert!(!Repeat::UnlessAccepted.allows(&never), "{never:?}");
            assert!(Repeat::Safe.allows(&never), "{never:?}");
        }
        let unreadable = ErrorKind::Unreadable(String::new());
        assert!(!Repeat::UnlessAccepted.allows(&unreadable) && Repeat::Safe.allows(&unreadable));
        for never in [status(400), status(404), status(409)] {
            assert!(!Repeat::UnlessAccepted.allows(&never) && !Repeat::Safe.allows(&never), "{never:?}");
        }
        assert!(!Repeat::Never.allows(&ErrorKind::Connect));
        let gateways =
            ErrorKind::Status(Box::new(Refusal::read(404, "application/json", br#"{"message":"no Route"}"#)));
        let services = ErrorKind::Status(Box::new(Refusal::read(404, "application/json", br#"{"detail":"no job"}"#)));
        assert!(Repeat::Patient.allows(&gateways) && !Repeat::Patient.allows(&services));
        assert!(!Repeat::Safe.allows(&gateways) && Repeat::Patient.allows(&status(503)));
    }
}
