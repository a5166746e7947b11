//! Results of evaluation jobs (docs/helix-api.md, Evaluation results).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::evaluation_jobs::MAX_TOKENS;
use super::{Helix, PLATFORM, eval_rows, names, path};
use crate::nemo::evaluation::{Call, EvaluatedRow, EvaluationScores, MetricScores, TOOL_METRIC};
use crate::nemo::judge::JUDGE_METRIC;
use crate::nemo::transport::{ApiError, ApiRequest, ApiResponse, RequestBody, read_json};

/// The task that all scores are filed under: this generation knows none.
const TASK: &str = "evaluation";
/// The largest result that is downloaded.
const RESULT_BYTES: usize = 256 << 20;

/// Returns the name that a metric has in all generations.
fn metric_name(metric: &str) -> &str {
    match metric {
        "tool-calling" => TOOL_METRIC,
        "llm-judge" => JUDGE_METRIC,
        other => other,
    }
}

/// Reads `metric.score` and its mean, one entry each.
fn read_scores(value: &Value) -> EvaluationScores {
    let mut metrics: MetricScores = BTreeMap::new();
    for score in read_json::list(value, &["scores"]) {
        let (Some(name), Some(mean)) = (read_json::text(score, &["name"]), read_json::number(score, &["mean"])) else {
            continue;
        };
        let (metric, score) = name.split_once('.').unwrap_or((name.as_str(), name.as_str()));
        metrics.entry(metric_name(metric).to_owned()).or_default().insert(score.to_owned(), mean);
    }
    EvaluationScores { tasks: BTreeMap::from([(TASK.to_owned(), metrics)]) }
}

fn read_row(row: &Value) -> EvaluatedRow {
    let choice = read_json::list(row, &["sample", "response", "choices"]).first();
    let tokens = |key| read_json::integer(row, &["sample", "response", "usage", key]);
    let scores = read_json::entries(row, &["metrics"]).map(|(metric, outputs)| {
        let outputs = outputs.as_array().into_iter().flatten();
        let values =
            outputs.filter_map(|one| Some((read_json::text(one, &["name"])?, read_json::number(one, &["value"])?)));
        (metric_name(metric).to_owned(), values.collect())
    });
    EvaluatedRow {
        task: TASK.to_owned(),
        output_text: read_json::at(row, &["sample", "output_text"]).and_then(Value::as_str).map(str::to_owned),
        called: choice.map(|choice| Call::of_message(&choice["message"])).unwrap_or_default(),
        cut_off: choice.and_then(|choice| read_json::text(choice, &["finish_reason"])).as_deref() == Some("length"),
        prompt_tokens: tokens("prompt_tokens"),
        completion_tokens: tokens("completion_tokens"),
        scores: scores.collect(),
        took: None,
        // Without a reply every metric has an error, which is the effect of this one.
        error: read_json::text(row, &["sample", "inference_error"])
            .or_else(|| read_json::at(row, &["metric_errors"]).map(Value::to_string)),
        item: eval_rows::decoded(row.get("item").unwrap_or(&Value::Null)),
    }
}

impl Helix {
    /// Returns a request for a chat reply.
    pub(crate) fn chat(&self, mut body: Value) -> ApiRequest {
        body["max_tokens"] = json!(MAX_TOKENS);
        let workspace = self.routed_by(&body);
        let gateway = path("inference-gateway", &workspace, &["openai", "-", "v1", "chat", "completions"]);
        ApiRequest::post(PLATFORM, &gateway, RequestBody::Json(body)).download(RESULT_BYTES)
    }

    async fn result(&self, id: &str, name: &str) -> Result<ApiResponse, ApiError> {
        let (workspace, job) = names::split(id, &self.workspace);
        let place = path(self.evals, workspace, &["evaluate", "jobs", job, "results", name, "download"]);
        self.transport.send(ApiRequest::get(PLATFORM, &place).accept("*/*").download(RESULT_BYTES)).await
    }

    /// Reports whether a job has left rows.
    pub(super) async fn has_rows(&self, id: &str) -> Result<bool, ApiError> {
        match self.result(id, "row-scores").await {
            Ok(response) => Ok(!response.body.is_empty()),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn evaluation_scores(&self, id: &str) -> Result<EvaluationScores, ApiError> {
        Ok(read_scores(&self.result(id, "aggregate-scores").await?.json()?))
    }

    /// Returns the rows of a finished job, in the order of the dataset.
    pub(crate) async fn evaluated_rows(&self, id: &str) -> Result<Vec<EvaluatedRow>, ApiError> {
        let response = self.result(id, "row-scores").await?;
        let mut rows = Vec::new();
        for line in response.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row = read_json::parse(line)
                .map_err(|error| response.unreadable(format!("a row that is not JSON: {error}")))?;
            let index = read_json::integer(&row, &["row_index"]);
            let row = read_row(&row);
            let error = row.error.as_deref().map(|error| response.mask.text(error));
            rows.push((index, EvaluatedRow { error, ..row }));
        }
        rows.sort_by_key(|(index, _)| *index);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scores_have_the_names_of_all_generations() {
        let scores = read_scores(&json!({"scores": [
            {"name": "f1.f1", "mean": 0.5}, {"name": "tool-calling.function_name_accuracy", "mean": 1.0},
            {"name": "llm-judge.rating", "mean": null}]}));
        assert_eq!(scores.token_f1(), Some(0.5));
        assert_eq!(scores.score(TOOL_METRIC, &["function_name_accuracy"]), Some(1.0));
        assert_eq!(scores.score(JUDGE_METRIC, &["rating"]), None);
    }

    #[test]
    fn a_row_without_a_score_keeps_its_reply() {
        let row = read_row(&json!({"row_index": 3, "item": {"messages": "[]"}, "sample": {"output_text": "x",
            "response": {"choices": [{"message": {"content": "x", "tool_calls": null}}], "usage": {"prompt_tokens": 4}}},
            "metrics": {"f1": [{"name": "f1", "value": "NaN"}]}, "metric_errors": null}));
        assert_eq!((row.output_text.as_deref(), row.prompt_tokens), (Some("x"), Some(4)));
        assert!(row.scores["f1"].is_empty() && row.error.is_none() && row.called.is_empty());
        assert_eq!(row.item["request"]["messages"], json!([]));
    }
}
