//! Jobs of the Evaluator (docs/nemo-api.md, Evaluation jobs).

use serde_json::{Value, json};

use super::datasets::files_url;
use super::{Service, V1};
use crate::nemo::evaluation::{EvaluationJob, EvaluationKind, NewEvaluation, TOOL_METRIC};
use crate::nemo::judge::{JUDGE_METRIC, JudgeModel, RemoteModel};
use crate::nemo::removal::Removal;
use crate::nemo::status::JobStatus;
use crate::nemo::transport::{ApiError, ApiRequest, read_json};

pub(super) const JOBS: [&str; 3] = ["v1", "evaluation", "jobs"];
/// The namespace in which the Evaluator keeps the results of its jobs, one repository per job.
const RESULTS_NAMESPACE: &str = "evaluation-results";
/// The logged text of a row.
const TRUE_TEXT: &str = "{{ item.response.choices[0].message.content | trim }}";
/// The logged calls of a row.
const TRUE_CALLS: &str = "{{ item.response.choices[0].message.tool_calls | tojson }}";

fn body(new: &NewEvaluation) -> Value {
    let url = format!("{}/{}", files_url(&new.namespace, &new.dataset), new.file);
    let (name, mut task) = task(new.kind, json!({ "files_url": url }));
    if let Some(judge) = &new.judge {
        task["metrics"][JUDGE_METRIC] = super::judge::metric(judge, new.kind);
    }
    let mut config = json!({ "type": "custom", "tasks": { name: task } });
    if let Some(temperature) = new.temperature {
        config["params"] = json!({ "temperature": temperature });
    }
    json!({
        "namespace": new.namespace, "description": new.description,
        "target": { "type": "model", "model": new.model }, "config": config,
    })
}

/// Returns the name and the body of the task.
fn task(kind: EvaluationKind, dataset: Value) -> (&'static str, Value) {
    let messages = "{{ item.request.messages | tojson }}";
    let (name, template, metrics) = match kind {
        EvaluationKind::Classification | EvaluationKind::Text => (
            "chat-completion",
            json!({ "messages": messages }),
            json!({
                "f1": { "type": "f1", "params": { "ground_truth": TRUE_TEXT } },
                "string-check": {
                    "type": "string-check",
                    "params": { "check": ["{{ sample.output_text | trim }}", "equals", TRUE_TEXT] },
                },
            }),
        ),
        EvaluationKind::ToolCalling => (
            "custom-tool-calling",
            json!({
                "messages": messages, "tools": "{{ item.request.tools | tojson }}", "tool_choice": "required",
            }),
            json!({ TOOL_METRIC: { "type": "tool-calling", "params": { "tool_calls_ground_truth": TRUE_CALLS } } }),
        ),
    };
    let params = json!({ "template": template });
    (name, json!({ "type": "chat-completion", "dataset": dataset, "params": params, "metrics": metrics }))
}

fn read(value: &Value) -> Option<EvaluationJob> {
    let message = read_json::text(value, &["status_details", "message"]);
    let progress = read_json::number(value, &["status_details", "progress"]).map(|done| done.clamp(0.0, 100.0) as f32);
    let word = read_json::text(value, &["status"]);
    Some(EvaluationJob {
        id: read_json::text(value, &["id"])?,
        status: JobStatus::read(word.as_deref(), progress, message.as_deref()),
        progress,
        samples_processed: read_json::integer(value, &["status_details", "samples_processed"]),
        description: read_json::text(value, &["description"]),
        namespace: read_json::text(value, &["namespace"]),
        created_at_ms: read_json::millis(value, &["created_at"]),
    })
}

impl V1 {
    pub(crate) async fn create_evaluation_job(&self, new: &NewEvaluation) -> Result<EvaluationJob, ApiError> {
        if let Some(JudgeModel::Remote(RemoteModel { key: Some(key), .. })) = &new.judge {
            self.transport.hide(key);
        }
        let response = self.transport.send(ApiRequest::create(Service::Evaluator, &JOBS, body(new))).await?;
        read(&response.json()?).ok_or_else(|| response.unreadable("a job without an id"))
    }

    pub(crate) async fn evaluation_job(&self, id: &str) -> Result<Option<EvaluationJob>, ApiError> {
        self.transport.find(ApiRequest::get(Service::Evaluator, &[&JOBS[..], &[id]].concat()).named(1), read).await
    }

    pub(crate) async fn evaluation_jobs(&self) -> Result<Vec<EvaluationJob>, ApiError> {
        Ok(self.transport.all(Service::Evaluator, &JOBS).await?.iter().filter_map(read).collect())
    }

    /// Asks a job to stop. It has stopped when its status is terminal.
    pub(crate) async fn cancel_evaluation_job(&self, id: &str) -> Result<(), ApiError> {
        let status = async { Ok(self.evaluation_job(id).await?.map(|job| job.status)) };
        self.cancel_job(Service::Evaluator, &[&JOBS[..], &[id]].concat(), status).await
    }

    /// Deletes a job, then the repository with its results.
    pub(crate) async fn delete_evaluation_job(&self, id: &str) -> Result<Removal, ApiError> {
        let request = ApiRequest::delete(Service::Evaluator, &[&JOBS[..], &[id]].concat());
        let removal = self.transport.remove(request).await?;
        self.delete_repo(RESULTS_NAMESPACE, id).await?;
        Ok(removal)
    }

    /// Reports whether anything of a job is there.
    pub(crate) async fn evaluation_remains(&self, id: &str) -> Result<bool, ApiError> {
        Ok(self.evaluation_job(id).await?.is_some() || self.repo_files(RESULTS_NAMESPACE, id).await?.is_some())
    }

    /// Finds a job by its description.
    pub(crate) async fn find_evaluation_job(&self, description: &str) -> Result<Option<EvaluationJob>, ApiError> {
        let found = self.find_described(Service::Evaluator, &JOBS, description).await?;
        Ok(found.as_ref().and_then(read))
    }
}
