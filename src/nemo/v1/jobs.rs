//! Cancelling jobs and finding them again, for the Customizer and the Evaluator alike.

use std::ops::ControlFlow;

use serde_json::Value;

use super::{Service, V1};
use crate::nemo::status::JobStatus;
use crate::nemo::transport::{ApiError, ApiRequest, ErrorKind, RequestBody, read_json};

impl V1 {
    /// Asks a job to stop. `status` looks the job up. A job that has ended or does not exist is no error.
    pub(super) async fn cancel_job(
        &self,
        service: Service,
        job: &[&str],
        status: impl Future<Output = Result<Option<JobStatus>, ApiError>>,
    ) -> Result<(), ApiError> {
        let request = ApiRequest::post(service, &[job, &["cancel"]].concat(), RequestBody::Empty);
        match self.transport.send(request).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_unreachable() && error.status() != Some(404) => Err(error),
            Err(error) => match status.await? {
                Some(status) if !status.is_terminal() && error.is_transient() => Err(error),
                Some(status) if !status.is_terminal() => Err(not_cancelled(error)),
                _ => Ok(()),
            },
        }
    }

    /// Finds the newest job with exactly this description. It names the run, the candidate and the attempt, so it decides
    /// alone: the clock of the service may be hours off, and its times may lack their zone.
    pub(super) async fn find_described(
        &self,
        service: Service,
        path: &[&str],
        description: &str,
    ) -> Result<Option<Value>, ApiError> {
        let mut found: Option<(Option<i64>, Value)> = None;
        let look = |items: &[Value]| {
            let created: Vec<_> = items.iter().map(|item| read_json::millis(item, &["created_at"])).collect();
            for (item, at) in items.iter().zip(&created) {
                let is_newer = found.as_ref().is_none_or(|(best, _)| *at > *best);
                let text = read_json::text(item, &["description"]);
                if is_newer && text.as_deref() == Some(description) {
                    found = Some((*at, item.clone()));
                }
            }
            // A server may ignore `sort`, so the search ends early only in a list that really is newest first.
            let known: Vec<i64> = created.into_iter().flatten().collect();
            let is_newest_first = known.is_sorted_by(|a, b| a >= b);
            if is_newest_first && found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.transport.pages(service, path, Some("-created_at"), look).await?;
        Ok(found.map(|(_, item)| item))
    }
}

/// Turns the refusal of a cancel into an error that cannot be read as "the job does not exist".
fn not_cancelled(mut error: ApiError) -> ApiError {
    error.kind =
        ErrorKind::Unreadable(format!("the job goes on, because the service refused to cancel it: {}", error.kind));
    error
}
