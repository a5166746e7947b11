//! The Evaluator: jobs (nemo-wire 6.1, 6.2). Their results are in `results`.

use serde_json::{Map, Value, json};

use super::body::Body;
use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::judge::{JUDGE_METRIC, Judge};
use super::status::JobStatus;
use super::{Removal, not_cancelled, read};

pub(crate) const JOBS: [&str; 3] = ["v1", "evaluation", "jobs"];

/// The metric of tool calls, by which its scores are found.
pub const TOOL_METRIC: &str = "tool-calling-accuracy";

/// What is asked of each row, and what its reply is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationKind {
    /// The messages; the text of the log's answer.
    Classification,
    /// The messages with the tools, one of which must be called; the log's calls.
    ToolCalling,
}

/// What the row's log says the answer is.
const GROUND_TRUTH: &str = "{{ item.response.choices[0].message.content | trim }}";

/// The calls of the log's answer.
const TRUE_CALLS: &str = "{{ item.response.choices[0].message.tool_calls | tojson }}";

/// An evaluation of one model on the rows of one file: each row's request is sent, its reply compared with the log's.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvaluation {
    /// Its namespace.
    pub ns: String,
    /// Name and owner, by which the job is found again.
    pub description: String,
    /// What is asked and compared.
    pub kind: EvaluationKind,
    /// Who judges each row's calls beside the comparison; `None`: nobody.
    pub judge: Option<Judge>,
    /// The id that the NIM proxy serves.
    pub model: String,
    /// `hf://datasets/{ns}/{name}/{file}`.
    pub files_url: String,
    /// Only the first rows; `None`: all.
    pub limit: Option<u64>,
    /// Rows asked at once; `None`: the service's choice.
    pub parallelism: Option<u32>,
    /// Sampling temperature; services refuse exactly 0; `None`: the service's choice.
    pub temperature: Option<f64>,
    /// Tokens of a reply at most; `None`: the service's choice.
    pub max_tokens: Option<u32>,
}

/// An evaluation job.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationJob {
    /// Its id.
    pub id: String,
    /// What it does; running with the percentage, failed with the message.
    pub status: JobStatus,
    /// 0 to 100; may stay unknown while running.
    pub progress: Option<f32>,
    /// Rows done.
    pub samples_processed: Option<u64>,
    /// What the service says about the status.
    pub message: Option<String>,
    /// Name and owner.
    pub description: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// When it was made, epoch milliseconds.
    pub created_at_ms: Option<i64>,
}

impl NewEvaluation {
    fn body(&self) -> Value {
        let mut dataset = json!({ "files_url": self.files_url });
        if let Some(limit) = self.limit {
            dataset["limit"] = json!(limit);
        }
        let (name, mut task) = self.kind.task(dataset);
        if let Some(judge) = &self.judge {
            task["metrics"][JUDGE_METRIC] = judge.metric();
        }
        let mut config = json!({ "type": "custom", "tasks": { name: task } });
        let mut params = Map::new();
        let mut set = |key: &str, value: Option<Value>| value.map(|value| params.insert(key.to_owned(), value));
        set("parallelism", self.parallelism.map(Value::from));
        set("temperature", self.temperature.map(Value::from));
        set("max_tokens", self.max_tokens.map(Value::from));
        if !params.is_empty() {
            config["params"] = Value::Object(params);
        }
        json!({
            "namespace": self.ns, "description": self.description,
            "target": { "type": "model", "model": self.model }, "config": config,
        })
    }
}

impl EvaluationKind {
    /// The name and the body of the task.
    fn task(self, dataset: Value) -> (&'static str, Value) {
        let messages = "{{ item.request.messages | tojson }}";
        let (name, template, metrics) = match self {
            EvaluationKind::Classification => (
                "chat-completion",
                json!({ "messages": messages }),
                json!({
                    "f1": { "type": "f1", "params": { "ground_truth": GROUND_TRUTH } },
                    "string-check": {
                        "type": "string-check",
                        "params": { "check": ["{{ sample.output_text | trim }}", "equals", GROUND_TRUTH] },
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
}

impl EvaluationJob {
    fn read(value: &Value) -> Option<EvaluationJob> {
        let message = read::text(value, &["status_details", "message"]);
        let progress = read::number(value, &["status_details", "progress"]).map(|done| done.clamp(0.0, 100.0) as f32);
        let word = read::text(value, &["status"]);
        Some(EvaluationJob {
            id: read::text(value, &["id"])?,
            status: JobStatus::read(word.as_deref(), progress, message.as_deref()),
            progress,
            samples_processed: read::integer(value, &["status_details", "samples_processed"]),
            message,
            description: read::text(value, &["description"]),
            namespace: read::text(value, &["namespace"]),
            created_at_ms: read::millis(value, &["created_at"]),
        })
    }
}

impl Client {
    /// Starts an evaluation.
    pub async fn create_evaluation_job(&self, new: &NewEvaluation) -> Result<EvaluationJob, ApiError> {
        let answer = self.send(Call::create(Service::Evaluator, &JOBS, new.body())).await;
        let answer = answer.map_err(|error| match &new.judge {
            Some(judge) => error.without(&|text| judge.without_key(text)),
            None => error,
        })?;
        EvaluationJob::read(&answer.json()?).ok_or_else(|| answer.unreadable("a job without an id"))
    }

    /// A job, unless there is none.
    pub async fn evaluation_job(&self, id: &str) -> Result<Option<EvaluationJob>, ApiError> {
        self.find(Call::get(Service::Evaluator, &[&JOBS[..], &[id]].concat()), EvaluationJob::read).await
    }

    /// Asks a job to stop; it has stopped when its status is terminal. That it has ended or is not there is success.
    pub async fn cancel_evaluation_job(&self, id: &str) -> Result<(), ApiError> {
        let cancel = Call::post(Service::Evaluator, &[&JOBS[..], &[id, "cancel"]].concat(), Body::Empty);
        match self.send(cancel).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_unreachable() => Err(error),
            Err(error) => match self.evaluation_job(id).await? {
                Some(job) if !job.status.is_terminal() => Err(not_cancelled(error)),
                _ => Ok(()),
            },
        }
    }

    /// Deletes a job with its results.
    pub async fn delete_evaluation_job(&self, id: &str) -> Result<Removal, ApiError> {
        self.remove(Call::delete(Service::Evaluator, &[&JOBS[..], &[id]].concat())).await
    }

    /// The newest job with this description that is not older than `since_ms`.
    pub async fn find_evaluation_job(
        &self,
        description: &str,
        since_ms: i64,
    ) -> Result<Option<EvaluationJob>, ApiError> {
        let found = self.find_described(Service::Evaluator, &JOBS, description, since_ms).await?;
        Ok(found.as_ref().and_then(EvaluationJob::read))
    }
}
