//! The platform itself: its version, its health, and workspaces (docs/helix-api.md, Finding out the generation and
//! Workspaces).

use std::time::Duration;

use serde_json::json;

use super::{Helix, PLATFORM, get_named, path};
use crate::nemo::transport::{ApiError, ApiRequest, ErrorKind, Transport, read_json};

/// Looks at a platform that does not work, and the pause between two.
const LOOKS: u32 = 60;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The list of workspaces.
pub(super) const WORKSPACES: [&str; 4] = ["apis", "entities", "v2", "workspaces"];

impl Helix {
    /// Returns the platform if its base URL answers as this generation does. A 404 or an answer of another form means that
    /// it is something else.
    pub(crate) async fn detect(transport: &Transport, workspace: &str) -> Result<Option<Helix>, ApiError> {
        let answer = match transport.send(ApiRequest::get(PLATFORM, &["cluster-info"])).await {
            Ok(response) => response.json().ok(),
            Err(error) if error.status() == Some(404) || matches!(error.kind, ErrorKind::Unreadable(_)) => None,
            Err(error) => return Err(error),
        };
        let Some(version) = answer.and_then(|info| read_json::text(&info, &["platform_version"])) else {
            return Ok(None);
        };
        let renamed = transport.send(ApiRequest::get(PLATFORM, &["apis", "evals", "v1", "healthz"]).once()).await;
        let evals = match renamed {
            Err(error) if error.status() == Some(404) => "evaluator",
            _ => "evals",
        };
        Ok(Some(Helix { transport: transport.clone(), version, evals, workspace: workspace.to_owned() }))
    }

    /// Checks that the services are up and the controllers work. A busy platform reports a controller that is late as one
    /// that does not work, and takes it back after its next turn.
    pub(crate) async fn check_api(&self) -> Result<(), ApiError> {
        let mut looks = 1;
        loop {
            match self.look().await {
                Err(error) if matches!(error.kind, ErrorKind::Unreadable(_)) && looks < LOOKS => looks += 1,
                other => return other,
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Checks as [`Self::check_api`] does, with one look.
    pub(crate) async fn look(&self) -> Result<(), ApiError> {
        let response = self.transport.send(ApiRequest::get(PLATFORM, &["status"])).await?;
        let status = response.json()?;
        let controllers = read_json::truth(&status, &["controllers", "healthy"]);
        match (read_json::text(&status, &["status"]).as_deref(), controllers) {
            (Some("healthy"), Some(true)) => Ok(()),
            (_, Some(false)) => Err(response.unreadable("its controllers do not work, so no job would ever start")),
            (word, _) => Err(response.unreadable(format!("it is {}", word.unwrap_or("in an unknown state")))),
        }
    }

    /// Reports whether a workspace exists. Lists of one that does not are refused with 500.
    pub(crate) async fn namespace_exists(&self, workspace: &str) -> Result<bool, ApiError> {
        let one = get_named(&[&WORKSPACES[..], &[workspace]].concat());
        Ok(self.transport.find(one, |_| Some(())).await?.is_some())
    }

    /// Ensures that a workspace exists.
    pub(crate) async fn ensure_namespace(&self, workspace: &str) -> Result<(), ApiError> {
        if self.namespace_exists(workspace).await? {
            return Ok(());
        }
        let body = json!({ "name": workspace, "description": "dfwfd" });
        match self.transport.send(ApiRequest::create(PLATFORM, &WORKSPACES, body)).await {
            Ok(_) => Ok(()),
            // Another run has made it meanwhile, or this one has and lost the answer.
            Err(error) if error.already_exists() => Ok(()),
            Err(error) if error.may_have_been_accepted() => {
                if self.namespace_exists(workspace).await? {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the URL of the gateway that answers chat requests of a workspace.
    pub(crate) fn gateway(&self, workspace: &str) -> String {
        let base = self.transport.base_url(PLATFORM.base);
        let rest = path("inference-gateway", workspace, &["openai", "-", "v1"]).join("/");
        format!("{}/{rest}", base.trim_end_matches('/'))
    }
}
