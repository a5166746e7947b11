//! Secrets that the platform keeps for jobs (docs/helix-api.md, Secrets). Their values never come back.

use serde_json::json;

use super::{Helix, PLATFORM, delete_named, path};
use crate::nemo::removal::Removal;
use crate::nemo::secret::Secret;
use crate::nemo::transport::{ApiError, ApiRequest};

const SECRETS: &str = "secrets";

impl Helix {
    /// Stores a secret. `already_exists` holds for the error if one of that name exists.
    pub(crate) async fn create_secret(&self, workspace: &str, name: &str, value: &Secret) -> Result<(), ApiError> {
        let body = json!({ "name": name, "value": value.reveal() });
        self.transport.hide(value);
        let request = ApiRequest::create(PLATFORM, &path(SECRETS, workspace, &["secrets"]), body);
        self.transport.send(request).await.map(drop)
    }

    /// Deletes a secret.
    pub(crate) async fn delete_secret(&self, workspace: &str, name: &str) -> Result<Removal, ApiError> {
        self.transport.remove(delete_named(&path(SECRETS, workspace, &["secrets", name]))).await
    }
}
