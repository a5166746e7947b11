//! The users of a base model on the platform. While it has one it stays, because another ledger may know the run (docs/helix-api.md,
//! Base models).

use serde_json::Value;

use super::jobs::status_of;
use super::models::MODELS;
use super::platform::WORKSPACES;
use super::training_jobs::{AUTOMODEL, UNSLOTH, base_of};
use super::{Helix, PLATFORM, names, path};
use crate::nemo::transport::{ApiError, read_json};

/// Reports whether a thing of a workspace names a base model, by its full reference or by its bare name.
fn names_model(there: Option<&str>, workspace: &str, reference: &str) -> bool {
    there.is_some_and(|there| names::split(there, workspace) == names::split(reference, workspace))
}

impl Helix {
    /// Returns what uses a base model, in words: a deployment, an adapter or an unfinished training of any workspace.
    pub(super) async fn user_of(&self, reference: &str) -> Result<Option<String>, ApiError> {
        for workspace in self.transport.all(PLATFORM, &WORKSPACES).await? {
            let Some(workspace) = read_json::text(&workspace, &["name"]) else { continue };
            let named = |kind: &str, one: &Value| {
                format!("the {kind} {workspace}/{}", read_json::text(one, &["name"]).unwrap_or_default())
            };
            for (list, kind, key) in
                [("deployment-configs", "deployment", "model_entity_id"), ("adapters", "adapter", "model")]
            {
                let all = self.transport.all(PLATFORM, &path(MODELS, &workspace, &[list])).await?;
                let uses = |one: &&Value| names_model(read_json::text(one, &[key]).as_deref(), &workspace, reference);
                if let Some(one) = all.iter().find(uses) {
                    return Ok(Some(named(kind, one)));
                }
            }
            for service in [AUTOMODEL, UNSLOTH] {
                let all = self.jobs_in(service, &workspace).await?;
                let uses = |one: &&Value| {
                    names_model(base_of(one).as_deref(), &workspace, reference) && !status_of(one, None).is_terminal()
                };
                if let Some(one) = all.iter().find(uses) {
                    return Ok(Some(named("training", one)));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_of_the_workspace_of_the_thing() {
        assert!(names_model(Some("w/m"), "x", "w/m") && names_model(Some("m"), "w", "w/m"));
        assert!(
            !names_model(Some("m"), "x", "w/m")
                && !names_model(Some("w/m2"), "w", "w/m")
                && !names_model(None, "w", "w/m")
        );
    }
}
