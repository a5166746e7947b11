//! The secrets of an evaluation job: the key of its judge, and the token with which its requests pass the gateway of a
//! platform that wants one (docs/helix-api.md, Secrets). They are there for the time of the job.

use serde_json::{Value, json};

use super::{Helix, names};
use crate::nemo::evaluation::NewEvaluation;
use crate::nemo::judge::{JudgeModel, RemoteModel};
use crate::nemo::transport::{ApiError, read_json};

/// Returns the name of the secret that holds the key of the judge of a job.
pub(super) fn judge_secret(job: &str) -> String {
    format!("{job}-key")
}

/// Returns the name of the secret that holds the token of the platform for a job.
fn gateway_secret(job: &str) -> String {
    format!("{job}-token")
}

/// Returns the secrets of a job that it refers to.
fn secrets_of(job: &Value, name: &str) -> Vec<String> {
    let of_target = read_json::text(job, &["spec", "target", "api_key_secret"]);
    let of_metrics = read_json::list(job, &["spec", "metrics"])
        .iter()
        .flat_map(|metric| read_json::entries(metric, &["secrets"]))
        .filter_map(|(_, secret)| secret.as_str().map(str::to_owned));
    let named: Vec<String> = of_target.into_iter().chain(of_metrics).collect();
    [judge_secret(name), gateway_secret(name)].into_iter().filter(|secret| named.contains(secret)).collect()
}

impl Helix {
    /// Returns a model of the platform as a job asks it. The evaluator calls the gateway without the identity of the job,
    /// so a platform that wants a token gets the one of the run.
    pub(super) fn asked(&self, model: &str, job: &str) -> Value {
        let mut asked = json!({ "url": self.chat_url(model), "name": model });
        if self.transport.bearer().is_some() {
            asked["api_key_secret"] = json!(gateway_secret(job));
        }
        asked
    }

    /// Stores what a job needs.
    pub(super) async fn keep_secrets(&self, new: &NewEvaluation) -> Result<(), ApiError> {
        let job = names::of_description(&new.description);
        if let Some(token) = self.transport.bearer() {
            self.store_secret(&new.namespace, &gateway_secret(&job), token).await?;
        }
        if let Some(JudgeModel::Remote(RemoteModel { key: Some(key), .. })) = &new.judge {
            self.store_secret(&new.namespace, &judge_secret(&job), key).await?;
        }
        Ok(())
    }

    /// Deletes what a job has had, which is not there.
    pub(super) async fn forget_secrets(&self, workspace: &str, job: &str) -> Result<(), ApiError> {
        self.delete_our_secret(workspace, &judge_secret(job)).await?;
        if self.transport.bearer().is_some() {
            self.delete_our_secret(workspace, &gateway_secret(job)).await?;
        }
        Ok(())
    }

    /// Deletes what a job has that has ended.
    pub(super) async fn forget_secrets_of(&self, workspace: &str, name: &str, job: &Value) -> Result<(), ApiError> {
        for secret in secrets_of(job, name) {
            self.delete_secret(workspace, &secret).await?;
        }
        Ok(())
    }
}
