//! One call as data: which service, which path, what effect. Sends nothing.

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use super::body::Body;
use super::client::Secret;

/// An ordinary request, from connecting to the last byte of its answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A request that carries a file.
pub(crate) const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A request whose answer is a file.
pub(crate) const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// The largest JSON answer that is read.
pub(crate) const ANSWER_BYTES: usize = 64 << 20;

/// A service of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Namespaces, dataset and model entities.
    EntityStore,
    /// Files.
    DataStore,
    /// Deployment Management.
    Deployments,
    /// Fine-tuning.
    Customizer,
    /// Evaluation.
    Evaluator,
    /// The NIM proxy.
    Nim,
}

impl Service {
    /// All of them, in the order in which a run needs them.
    pub const ALL: [Service; 6] = [
        Service::EntityStore,
        Service::DataStore,
        Service::Deployments,
        Service::Customizer,
        Service::Evaluator,
        Service::Nim,
    ];

    /// The name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::EntityStore => "Entity Store",
            Service::DataStore => "Data Store",
            Service::Deployments => "Deployment Management",
            Service::Customizer => "Customizer",
            Service::Evaluator => "Evaluator",
            Service::Nim => "NIM proxy",
        }
    }
}

/// Where a call goes.
#[derive(Clone, Debug)]
pub(crate) enum To {
    /// A path of a service, as segments that are not encoded yet.
    Service(Service, Vec<String>),
    /// A link that the Data Store gave out; it authorises itself.
    Link(Url),
    /// A link that the Data Store gave out and that wants our token.
    OwnLink(Url),
    /// An address that is no part of the platform, with the token that is for it alone.
    Foreign(Url, Option<Secret>),
}

/// What sending a call twice may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing that sending it once does not do.
    Repeatable,
    /// Makes something a second time.
    Create,
    /// Nothing, but the caller has its own rhythm.
    Once,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) to: To,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    pub(crate) effect: Effect,
    pub(crate) timeout: Duration,
    pub(crate) limit: usize,
    pub(crate) accept: &'static str,
}

impl Call {
    fn new(method: Method, to: To, body: Body, effect: Effect) -> Call {
        let accept = "application/json";
        Call { method, to, query: Vec::new(), body, effect, timeout: REQUEST_TIMEOUT, limit: ANSWER_BYTES, accept }
    }

    /// A read.
    pub(crate) fn get(service: Service, path: &[&str]) -> Call {
        Call::new(Method::GET, to(service, path), Body::Empty, Effect::Repeatable)
    }

    /// A POST that makes something.
    pub(crate) fn create(service: Service, path: &[&str], body: Value) -> Call {
        Call::new(Method::POST, to(service, path), Body::Json(body), Effect::Create)
    }

    /// A POST that may be sent again without harm.
    pub(crate) fn post(service: Service, path: &[&str], body: Body) -> Call {
        Call::new(Method::POST, to(service, path), body, Effect::Repeatable)
    }

    /// A delete.
    pub(crate) fn delete(service: Service, path: &[&str]) -> Call {
        Call::new(Method::DELETE, to(service, path), Body::Empty, Effect::Repeatable)
    }

    /// A repeatable call to a link that the Data Store gave out, or to a foreign address.
    pub(crate) fn link(method: Method, to: To, body: Body) -> Call {
        Call::new(method, to, body, Effect::Repeatable)
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Call {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn body(self, body: Body) -> Call {
        Call { body, ..self }
    }

    pub(crate) fn accept(self, accept: &'static str) -> Call {
        Call { accept, ..self }
    }

    pub(crate) fn upload(self) -> Call {
        Call { timeout: UPLOAD_TIMEOUT, ..self }
    }

    pub(crate) fn download(self, limit: usize) -> Call {
        Call { timeout: DOWNLOAD_TIMEOUT, limit, ..self }
    }

    /// Not tried again: the caller polls.
    pub(crate) fn once(self) -> Call {
        Call { effect: Effect::Once, ..self }
    }

    /// The service that answers, when it is one of ours.
    pub(crate) fn service(&self) -> Option<Service> {
        match &self.to {
            To::Service(service, _) => Some(*service),
            To::Link(_) | To::OwnLink(_) | To::Foreign(..) => None,
        }
    }

    /// The call for people: method and URL, without user information; a link also without its query, which may hold a
    /// signature.
    pub(crate) fn shown(&self, url: &Url) -> String {
        let mut url = url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        if self.service().is_none() {
            url.set_query(None);
        }
        format!("{} {url}", self.method)
    }
}

fn to(service: Service, path: &[&str]) -> To {
    To::Service(service, path.iter().map(|segment| (*segment).to_owned()).collect())
}
