//! Evaluations of models: the request, the job, its scores and its rows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{self, JudgeModel, JudgeTask};
use super::status::JobStatus;
use super::transport::read_json;

/// The metric of tool calls.
pub(crate) const TOOL_METRIC: &str = "tool-calling-accuracy";

/// The sampling temperature of evaluations, of candidates and judges: nearly greedy, so that two evaluations of one model
/// agree. Some services refuse exactly 0.
pub(crate) const EVALUATION_TEMPERATURE: f64 = 0.01;

/// How each row is asked and scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationKind {
    /// Sends the messages and compares the text of the reply with the logged text.
    Classification,
    /// Does as `Classification`, and a judge rates how alike the two texts are.
    Text,
    /// Sends the messages and the tools, requires a call, and compares the calls with the logged calls.
    ToolCalling,
}

impl EvaluationKind {
    /// Returns what a judge is asked about each row.
    pub(super) fn judge_task(self) -> JudgeTask {
        if self == EvaluationKind::Text { judge::OF_TEXTS } else { judge::OF_CALLS }
    }
}

/// An evaluation of one model on the rows of one file of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvaluation {
    pub namespace: String,
    /// Its name and owner. The job is found again by it.
    pub description: String,
    pub kind: EvaluationKind,
    /// The model that also judges the calls of each row, if any.
    pub judge: Option<JudgeModel>,
    /// The id under which the model is served.
    pub model: String,
    /// The name of the dataset.
    pub dataset: String,
    /// The path of the file in the dataset.
    pub file: String,
    /// The sampling temperature. Some services refuse exactly 0. `None`: the service chooses.
    pub temperature: Option<f64>,
}

/// An evaluation job on the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationJob {
    pub id: String,
    pub status: JobStatus,
    /// 0 to 100. It may stay unknown while the job runs.
    pub progress: Option<f32>,
    /// The number of rows done.
    pub samples_processed: Option<u64>,
    pub description: Option<String>,
    pub namespace: Option<String>,
    /// The creation time in epoch milliseconds.
    pub created_at_ms: Option<i64>,
}

/// Scores by metric and score name. Values that are not finite are left out.
pub type MetricScores = BTreeMap<String, BTreeMap<String, f64>>;

/// The aggregate scores of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvaluationScores {
    /// The scores of each task or group.
    pub tasks: BTreeMap<String, MetricScores>,
}

/// One evaluated row.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedRow {
    pub task: String,
    /// The row of the dataset as the evaluator read it.
    pub item: Value,
    /// The text of the model's reply.
    pub output_text: Option<String>,
    /// The functions that the model called.
    pub called: Vec<Call>,
    /// The reply was cut off at the largest number of tokens.
    pub cut_off: bool,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    /// The time that the reply took. No evaluator tells it: only of a NIM that was asked by this program.
    pub took: Option<Duration>,
    pub scores: MetricScores,
    /// The reason for a missing score, if the service reports one.
    pub error: Option<String>,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub name: String,
    /// JSON, as a text.
    pub arguments: String,
}

impl Call {
    /// Reads the calls of a message. Some services send the arguments as an object.
    pub(crate) fn of_message(message: &Value) -> Vec<Call> {
        let call = |call: &Value| {
            let name = read_json::text(call, &["function", "name"])?;
            let arguments = match read_json::at(call, &["function", "arguments"]) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            Some(Call { name, arguments })
        };
        read_json::list(message, &["tool_calls"]).iter().filter_map(call).collect()
    }
}

/// Returns the request that an evaluator sends for a row.
pub(super) fn chat_request(model: &str, kind: EvaluationKind, temperature: f64, item: &Value) -> Value {
    let request = &item["request"];
    let mut body = json!({ "model": model, "messages": request["messages"], "temperature": temperature });
    if kind == EvaluationKind::ToolCalling {
        body["tools"] = request["tools"].clone();
        body["tool_choice"] = json!("required");
    }
    body
}

impl EvaluatedRow {
    /// Returns a row without scores from the model's response, which is null if there is none.
    pub(crate) fn of_answer(item: Value, response: &Value) -> EvaluatedRow {
        let choice = read_json::list(response, &["choices"]).first();
        let tokens = |key| read_json::integer(response, &["usage", key]);
        EvaluatedRow {
            task: String::new(),
            item,
            output_text: choice.and_then(|choice| Some(choice.pointer("/message/content")?.as_str()?.to_owned())),
            called: choice.map(|choice| Call::of_message(&choice["message"])).unwrap_or_default(),
            cut_off: choice.and_then(|choice| read_json::text(choice, &["finish_reason"])).as_deref() == Some("length"),
            prompt_tokens: tokens("prompt_tokens"),
            completion_tokens: tokens("completion_tokens"),
            took: None,
            scores: MetricScores::new(),
            error: None,
        }
    }
}

impl EvaluationScores {
    /// Returns the first of these scores in the first task that has the metric.
    pub fn score(&self, metric: &str, names: &[&str]) -> Option<f64> {
        let metrics = self.tasks.values().filter_map(|task| task.get(metric));
        metrics.flat_map(|scores| names.iter().filter_map(|name| scores.get(*name))).next().copied()
    }

    /// Returns NeMo's token-overlap F1 under either of its names.
    pub fn token_f1(&self) -> Option<f64> {
        self.score("f1", &["f1_score", "f1"])
    }
}
