//! NeMo Helix, the open-source successor of the microservices (NeMo Platform before 0.7). Each file holds the calls of one
//! subject. docs/helix-api.md is the reference.
//!
//! Everything hangs below one base URL, and everything that a run makes has a name within a workspace. A name is therefore
//! the handle: what was created by a request whose answer was lost is found by it.

mod adapters;
mod datasets;
mod deployments;
mod eval_rows;
mod evaluation_jobs;
mod evaluation_results;
mod evaluation_secrets;
mod jobs;
mod made_models;
mod model_users;
mod models;
mod names;
mod platform;
mod secrets;
mod stored;
mod training_jobs;

pub(super) use names::is_name;
pub(crate) use training_jobs::precisions;

use serde_json::Value;

use super::transport::{ApiRequest, Base, Endpoint, Quirks, Transport, read_json};

/// A platform of this generation.
#[derive(Clone, Debug)]
pub(super) struct Helix {
    pub(super) transport: Transport,
    /// The version that the platform reports, such as `0.8.1`.
    pub(super) version: String,
    /// The service of evaluations: `evals`, or `evaluator` before 0.8.
    pub(super) evals: &'static str,
    /// The workspace of the run: `nmp_namespace`.
    pub(super) workspace: String,
}

/// The only endpoint: all services share one base URL, and none deviates.
const PLATFORM: Endpoint = Endpoint {
    base: Base::Nemo,
    quirks: Quirks {
        exists_in_text: false,
        starts_with_errors: false,
        handed_out: false,
        reads: false,
        conflicts_pass: true,
        blames_itself: true,
    },
};

/// The description of what runs share: base models, their files, and secrets. What has another one belongs to somebody else.
const OURS: &str = "dfwfd";

/// Reports whether dfwfd has made an object that runs share.
fn is_ours(object: &Value) -> bool {
    read_json::text(object, &["description"]).as_deref() == Some(OURS)
}

/// Returns the path of something in a workspace of a service.
fn path<'a>(service: &'a str, workspace: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["apis", service, "v2", "workspaces", workspace][..], rest].concat()
}

/// Reads the thing that the last segment names. If a 404 may not be the service's, the list decides.
fn get_named(path: &[&str]) -> ApiRequest {
    ApiRequest::get(PLATFORM, path).listed(1)
}

/// Deletes the thing that the last segment names. If a 404 may not be the service's, the list decides.
fn delete_named(path: &[&str]) -> ApiRequest {
    ApiRequest::delete(PLATFORM, path).listed(1)
}
