//! Calls that the jobs of all services share (docs/helix-api.md, Jobs). The id of a job is `workspace/name`.

use serde_json::Value;

use super::{Helix, PLATFORM, delete_named, get_named, names, path};
use crate::nemo::removal::Removal;
use crate::nemo::status::JobStatus;
use crate::nemo::transport::{ApiError, ApiRequest, ErrorKind, Form, RequestBody, read_json};

/// Lines of a log that are read for the reason of a failure.
const LOG_LINES: &str = "100";
/// Lines of it that are told.
const LINES_TOLD: usize = 3;

/// A service that runs jobs, with the path below the workspace.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobService<'a> {
    pub(super) service: &'a str,
    pub(super) jobs: &'a [&'a str],
}

impl JobService<'_> {
    fn path<'p>(&'p self, workspace: &'p str, rest: &[&'p str]) -> Vec<&'p str> {
        path(self.service, workspace, &[self.jobs, rest].concat())
    }
}

impl Helix {
    /// Creates the error about a job in an answer that says nothing of its name.
    pub(super) fn nameless(&self) -> ApiError {
        let what = ErrorKind::Unreadable("a job without a name".to_owned());
        ApiError::new(format!("POST {}", self.transport.base_url(PLATFORM.base)), what, None)
    }

    pub(super) async fn create_job(&self, at: JobService<'_>, workspace: &str, body: Value) -> Result<Value, ApiError> {
        self.transport.send(ApiRequest::create(PLATFORM, &at.path(workspace, &[]), body)).await?.json()
    }

    /// Returns a job with its status, or `None` if it does not exist.
    pub(super) async fn job(&self, at: JobService<'_>, id: &str) -> Result<Option<Value>, ApiError> {
        let (workspace, name) = names::split(id, &self.workspace);
        let request = get_named(&at.path(workspace, &[name])).named(1);
        self.transport.find(request, |job| Some(job.clone())).await
    }

    /// Returns the jobs of the workspace.
    pub(super) async fn all_jobs(&self, at: JobService<'_>) -> Result<Vec<Value>, ApiError> {
        if !self.namespace_exists(&self.workspace).await? {
            return Ok(Vec::new());
        }
        self.jobs_in(at, &self.workspace).await
    }

    /// Returns the jobs of a workspace that exists.
    pub(super) async fn jobs_in(&self, at: JobService<'_>, workspace: &str) -> Result<Vec<Value>, ApiError> {
        self.transport.all(PLATFORM, &at.path(workspace, &[])).await
    }

    /// Returns the status of a job with its steps.
    pub(super) async fn job_status(&self, at: JobService<'_>, id: &str) -> Result<Value, ApiError> {
        let (workspace, name) = names::split(id, &self.workspace);
        let request = ApiRequest::get(PLATFORM, &at.path(workspace, &[name, "status"]));
        self.transport.send(request.answers(Form::With(&["status"]))).await?.json()
    }

    /// Asks a job to stop. A job that has ended or does not exist is no error.
    pub(super) async fn cancel_job(&self, at: JobService<'_>, id: &str) -> Result<(), ApiError> {
        let (workspace, name) = names::split(id, &self.workspace);
        let request = ApiRequest::post(PLATFORM, &at.path(workspace, &[name, "cancel"]), RequestBody::Empty);
        match self.transport.send(request).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_unreachable() && error.status() != Some(404) => Err(error),
            Err(mut error) => match self.job(at, id).await?.map(|job| status_of(&job, None)) {
                Some(status) if !status.is_terminal() && error.is_transient() => Err(error),
                Some(status) if !status.is_terminal() => {
                    // Not as it came: a 404 would be read as "the job does not exist".
                    error.kind = ErrorKind::Unreadable(format!(
                        "the job goes on; asked to stop, the service said: {}",
                        error.kind
                    ));
                    Err(error)
                }
                _ => Ok(()),
            },
        }
    }

    /// Deletes a job that has ended, with its logs and results.
    pub(super) async fn delete_job(&self, at: JobService<'_>, id: &str) -> Result<Removal, ApiError> {
        let (workspace, name) = names::split(id, &self.workspace);
        self.transport.remove(delete_named(&at.path(workspace, &[name]))).await
    }

    /// Returns why a job failed: what the job says, then the last lines of its log, where alone the reason may stand.
    pub(super) async fn failure(&self, at: JobService<'_>, id: &str, job: &Value) -> String {
        let (workspace, name) = names::split(id, &self.workspace);
        let told = read_json::text(job, &["error_details", "message"])
            .or_else(|| read_json::text(job, &["status_details", "message"]));
        let request = ApiRequest::get(PLATFORM, &at.path(workspace, &[name, "logs"])).query("limit", LOG_LINES).once();
        let log = match self.transport.send(request).await {
            Ok(response) => response.json().unwrap_or_default(),
            Err(_) => Value::Null,
        };
        let lines: Vec<String> =
            read_json::list(&log, &["data"]).iter().filter_map(|line| read_json::text(line, &["message"])).collect();
        let mut reason = told.unwrap_or_default();
        for line in telling(&lines) {
            if !reason.is_empty() {
                reason.push_str("; ");
            }
            reason.push_str(&line);
        }
        reason
    }
}

/// Picks the lines of a log that name an error, or the last ones.
fn telling(lines: &[String]) -> Vec<String> {
    let clean = |line: &String| strip_styles(line).trim().to_owned();
    let is_error = |line: &&String| ["error", "Error", "ERROR"].iter().any(|word| line.contains(word));
    let errors: Vec<String> = lines.iter().filter(is_error).map(clean).collect();
    let from = if errors.is_empty() { lines.iter().map(clean).collect() } else { errors };
    from[from.len().saturating_sub(LINES_TOLD)..].to_vec()
}

/// Takes the colours of a terminal out of a line.
fn strip_styles(line: &str) -> String {
    console::strip_ansi_codes(line).into_owned()
}

/// Reads the status of a job.
pub(super) fn status_of(job: &Value, percentage: Option<f32>) -> JobStatus {
    let reason = read_json::text(job, &["error_details", "message"]);
    JobStatus::read(read_json::text(job, &["status"]).as_deref(), percentage, reason.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_names_an_error() {
        let lines = ["start", "\u{1b}[31mError: no such file\u{1b}[0m", "bye"].map(str::to_owned);
        assert_eq!(telling(&lines), ["Error: no such file"]);
        let lines = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(telling(&lines), ["b", "c", "d"]);
        assert!(telling(&[]).is_empty());
    }
}
