//! Secrets that the platform keeps for jobs (docs/helix-api.md, Secrets). Their values never come back.

use serde_json::json;

use super::{Helix, OURS, PLATFORM, delete_named, get_named, is_ours, path};
use crate::nemo::removal::Removal;
use crate::nemo::secret::Secret;
use crate::nemo::transport::{ApiError, ApiRequest, ErrorKind};

const SECRETS: &str = "secrets";

impl Helix {
    /// Stores a secret. One of an earlier try may have another value, so it is replaced.
    ///
    /// # Errors
    /// Also when a secret of that name exists that dfwfd did not store.
    pub(crate) async fn store_secret(&self, workspace: &str, name: &str, value: &Secret) -> Result<(), ApiError> {
        match self.create_secret(workspace, name, value).await {
            Err(error) if error.already_exists() || error.may_have_been_accepted() => {
                if self.is_our_secret(workspace, name).await? == Some(false) {
                    let why = "a secret of that name exists, and dfwfd did not make it: rename that one";
                    let act = format!("store the secret {workspace}/{name}");
                    return Err(ApiError::new(act, ErrorKind::Options(why.to_owned()), None));
                }
                self.delete_secret(workspace, name).await?;
                self.create_secret(workspace, name, value).await
            }
            other => other,
        }
    }

    async fn create_secret(&self, workspace: &str, name: &str, value: &Secret) -> Result<(), ApiError> {
        let body = json!({ "name": name, "description": OURS, "value": value.reveal() });
        self.transport.hide(value);
        let request = ApiRequest::create(PLATFORM, &path(SECRETS, workspace, &["secrets"]), body);
        self.transport.send(request).await.map(drop)
    }

    /// Reports whether dfwfd has stored a secret, or `None` if it does not exist.
    async fn is_our_secret(&self, workspace: &str, name: &str) -> Result<Option<bool>, ApiError> {
        let request = get_named(&path(SECRETS, workspace, &["secrets", name]));
        self.transport.find(request, |secret| Some(is_ours(secret))).await
    }

    /// Deletes a secret, if dfwfd has stored it.
    pub(crate) async fn delete_our_secret(&self, workspace: &str, name: &str) -> Result<Removal, ApiError> {
        match self.is_our_secret(workspace, name).await? {
            Some(true) => self.delete_secret(workspace, name).await,
            Some(false) | None => Ok(Removal::Absent),
        }
    }

    /// Deletes a secret, whoever has stored it.
    pub(crate) async fn delete_secret(&self, workspace: &str, name: &str) -> Result<Removal, ApiError> {
        self.transport.remove(delete_named(&path(SECRETS, workspace, &["secrets", name]))).await
    }
}
