//! The options of a client: where the platform is, and what is sent to it with each request.

use std::path::PathBuf;

use crate::nemo::secret::Secret;

/// The three base URLs of a platform, with or without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrls {
    /// Entity Store, Customizer, Evaluator, Deployment Management.
    pub nemo: String,
    /// The NIM proxy.
    pub nim: String,
    /// The Data Store.
    pub datastore: String,
}

/// How to reach a platform.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub base_urls: BaseUrls,
    /// A bearer token for the services.
    pub bearer: Option<Secret>,
    /// A token for the Data Store. Without it, the bearer token is sent there too.
    pub hf_token: Option<Secret>,
    /// Extra headers of every request to one of the base URLs.
    pub headers: Vec<(String, Secret)>,
    /// A PEM file with the certificate authority of the services.
    pub ca_cert: Option<PathBuf>,
}

/// One of the three base URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Nemo,
    Nim,
    DataStore,
}
