//! Evaluation jobs (docs/helix-api.md, Creating an evaluation).

use serde_json::{Map, Value, json};

use super::eval_rows::{ANSWER, CALLS, MESSAGES, ROWS_FILE, TOOLS};
use super::evaluation_secrets::judge_secret;
use super::jobs::{JobService, status_of};
use super::{Helix, delete_named, names, path};
use crate::nemo::EVALUATION_TEMPERATURE;
use crate::nemo::evaluation::{EvaluationJob, EvaluationKind, NewEvaluation};
use crate::nemo::judge::{JUDGE_SCORE, JudgeModel};
use crate::nemo::removal::Removal;
use crate::nemo::status::JobStatus;
use crate::nemo::transport::{ApiError, read_json};

/// The longest reply. Without it the evaluator asks for 4,096 tokens.
pub(super) const MAX_TOKENS: u32 = 1024;
/// Requests at once.
const PARALLELISM: u32 = 8;
/// How often the evaluator repeats a request.
const MAX_RETRIES: u32 = 3;

/// The judge's view of a row: the columns hold JSON text. It lacks the word that would make the platform parse it.
const QUESTION: &str = "CONVERSATION\n{{ item.messages }}\n\nRIGHT CALLS\n{{ item.calls }}\n\n\
CALLS THAT WERE MADE\n{{ sample.response.choices[0].message.tool_calls | default([], true) }}";

/// The judge's view of a row of free text.
const TEXT_QUESTION: &str = "CONVERSATION\n{{ item.messages }}\n\nGOOD REPLY\n{{ item.answer }}\n\n\
OTHER REPLY\n{{ sample.output_text }}";

/// The reply, as it is compared with the logged answer.
const REPLY: &str = "{{ sample.output_text | trim }}";

/// Wraps a metric in the envelope that the platform wants. The outputs must equal, to the title, what it derives itself.
fn bundle(metric: Value, outputs: &[&str], secrets: &Map<String, Value>) -> Value {
    let schema =
        json!({ "description": "Continuous numeric metric value.", "title": "ContinuousScore", "type": "number" });
    let output = |name| json!({ "name": name, "description": null, "required": true, "value_json_schema": schema });
    json!({
        "bundle_kind": "metric-bundle", "bundle_format_version": "v1", "metric_type": metric["type"], "metadata": {},
        "secrets": secrets, "outputs": outputs.iter().map(output).collect::<Vec<_>>(),
        "payload": { "kind": "inline", "metric": metric },
    })
}

impl Helix {
    fn jobs(&self) -> JobService<'static> {
        JobService { service: self.evals, jobs: &["evaluate", "jobs"] }
    }

    fn metrics(&self, new: &NewEvaluation) -> Vec<Value> {
        let none = Map::new();
        match new.kind {
            EvaluationKind::Classification | EvaluationKind::Text => {
                let check = json!({ "type": "string-check", "left_template": REPLY, "operation": "equals", "right_template": ANSWER });
                let f1 = json!({ "type": "f1", "reference": ANSWER });
                let overlap = [bundle(f1, &["f1"], &none), bundle(check, &["string-check"], &none)];
                overlap.into_iter().chain(new.judge.as_ref().map(|judge| self.judge_metric(new, judge))).collect()
            }
            EvaluationKind::ToolCalling => {
                let scores = ["function_name_accuracy", "function_name_and_args_accuracy"];
                let calls = bundle(json!({ "type": "tool-calling", "reference": CALLS }), &scores, &none);
                std::iter::once(calls).chain(new.judge.as_ref().map(|judge| self.judge_metric(new, judge))).collect()
            }
        }
    }

    fn judge_metric(&self, new: &NewEvaluation, judge: &JudgeModel) -> Value {
        let mut secrets = Map::new();
        let model = match judge {
            // Its token is the one of the target.
            JudgeModel::Served(id) => self.asked(id, &names::of_description(&new.description)),
            JudgeModel::Remote(remote) => {
                let mut model = json!({ "url": remote.chat_url(), "name": remote.model });
                if remote.key.is_some() {
                    let secret = judge_secret(&names::of_description(&new.description));
                    model["api_key_secret"] = json!(secret);
                    secrets.insert(secret.replace('-', "_"), json!(secret));
                }
                model
            }
        };
        let task = new.kind.judge_task();
        let question = if new.kind == EvaluationKind::Text { TEXT_QUESTION } else { QUESTION };
        let messages =
            json!([{ "role": "system", "content": task.instructions }, { "role": "user", "content": question }]);
        let parser = json!({ "type": "regex", "pattern": task.pattern, "method": "search" });
        let metric = json!({
            "type": "llm-judge", "model": model,
            "prompt_template": { "messages": messages, "temperature": EVALUATION_TEMPERATURE },
            "scores": [{ "name": JUDGE_SCORE, "minimum": 0, "maximum": task.best, "parser": parser }],
        });
        bundle(metric, &[JUDGE_SCORE], &secrets)
    }

    /// Returns the URL for chat requests to a model: its route is in the workspace of its entity.
    pub(super) fn chat_url(&self, model: &str) -> String {
        format!("{}/chat/completions", self.gateway(names::split(model, &self.workspace).0))
    }

    fn body(&self, new: &NewEvaluation) -> Value {
        let mut template = json!({ "messages": MESSAGES });
        if new.kind == EvaluationKind::ToolCalling {
            template["tools"] = json!(TOOLS);
            template["tool_choice"] = json!("required");
        }
        let mut inference = json!({ "max_tokens": MAX_TOKENS });
        if let Some(temperature) = new.temperature {
            inference["temperature"] = json!(temperature);
        }
        let name = names::of_description(&new.description);
        json!({
            "name": name, "description": new.description,
            "spec": {
                "dataset": format!("{}/{}#{ROWS_FILE}", new.namespace, new.dataset),
                "target": self.asked(&new.model, &name),
                "prompt_template": template,
                // A row whose request fails stays without an answer and is counted; it does not cost all others.
                "params": {
                    "parallelism": PARALLELISM, "ignore_request_failure": true, "max_retries": MAX_RETRIES, "inference": inference,
                },
                "metrics": self.metrics(new),
            },
        })
    }

    fn read(&self, value: &Value) -> Option<EvaluationJob> {
        let workspace = read_json::text(value, &["workspace"]).unwrap_or_else(|| self.workspace.clone());
        let name = read_json::text(value, &["name"])?;
        Some(EvaluationJob {
            id: format!("{workspace}/{name}"),
            status: status_of(value, None),
            progress: None,
            samples_processed: read_json::integer(value, &["status_details", "evaluation", "scored"]),
            description: read_json::text(value, &["description"]),
            namespace: Some(workspace),
            created_at_ms: read_json::millis(value, &["created_at"]),
        })
    }

    pub(crate) async fn create_evaluation_job(&self, new: &NewEvaluation) -> Result<EvaluationJob, ApiError> {
        let made = async {
            self.keep_secrets(new).await?;
            self.create_job(self.jobs(), &new.namespace, self.body(new)).await
        };
        match made.await {
            Ok(job) => self.read(&job).ok_or_else(|| self.nameless()),
            Err(error) => {
                // Nobody looks for a job that was refused, so its secrets would stay.
                if !error.already_exists()
                    && !error.may_have_been_accepted()
                    && let Err(error) =
                        self.forget_secrets(&new.namespace, &names::of_description(&new.description)).await
                {
                    tracing::warn!(%error, "cannot delete the secrets of a refused evaluation job");
                }
                Err(error)
            }
        }
    }

    pub(crate) async fn evaluation_jobs(&self) -> Result<Vec<EvaluationJob>, ApiError> {
        Ok(self.all_jobs(self.jobs()).await?.iter().filter_map(|job| self.read(job)).collect())
    }

    /// Finds the job of this description by its name, which carries the run. If there is none, its secrets are of no use.
    pub(crate) async fn find_evaluation_job(&self, description: &str) -> Result<Option<EvaluationJob>, ApiError> {
        let name = &names::of_description(description);
        let found = self.evaluation_job(name).await?;
        if found.is_none() {
            self.forget_secrets(&self.workspace, name).await?;
        }
        Ok(found)
    }

    /// Returns a job. Once it has ended, its secrets are deleted. A job with rows counts as done, whatever its status: the
    /// platform says `error` when no row has a score, and may lose the update that would end the job.
    pub(crate) async fn evaluation_job(&self, id: &str) -> Result<Option<EvaluationJob>, ApiError> {
        let Some(job) = self.job(self.jobs(), id).await? else { return Ok(None) };
        let mut read = self.read(&job);
        let has_counted = read_json::at(&job, &["status_details", "evaluation", "total"]).is_some();
        if let Some(EvaluationJob { status, .. }) = &mut read {
            let is_failed = matches!(status, JobStatus::Failed(_));
            if (is_failed || (has_counted && !status.is_terminal())) && self.has_rows(id).await? {
                *status = JobStatus::Done;
            } else if is_failed {
                *status = JobStatus::Failed(self.failure(self.jobs(), id, &job).await);
            }
        }
        if read.as_ref().is_some_and(|read| read.status.is_terminal()) {
            let (workspace, name) = names::split(id, &self.workspace);
            self.forget_secrets_of(workspace, name, &job).await?;
        }
        Ok(read)
    }

    pub(crate) async fn cancel_evaluation_job(&self, id: &str) -> Result<(), ApiError> {
        self.cancel_job(self.jobs(), id).await
    }

    /// Reports whether a job is there.
    pub(crate) async fn evaluation_remains(&self, id: &str) -> Result<bool, ApiError> {
        Ok(self.job(self.jobs(), id).await?.is_some())
    }

    /// Deletes a job that has ended, and its scores, which the platform keeps in a list of their own.
    pub(crate) async fn delete_evaluation_job(&self, id: &str) -> Result<Removal, ApiError> {
        let (workspace, name) = names::split(id, &self.workspace);
        let scores = path(self.evals, workspace, &["eval-results", name]);
        self.transport.remove(delete_named(&scores)).await?;
        self.delete_job(self.jobs(), id).await
    }
}
