//! Evaluates the rows of a plan: renders a request for each row, asks the model with bounded parallelism, and scores
//! the reply.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

use super::dataset_rows::answered;
use super::job_request::{EvaluationPlan, EvaluationTask, Inference};
use super::metrics::judge::Judge;
use super::metrics::{Metric, Scores};
use super::model_client::{ModelApi, ModelClient};
use super::results::{EvaluatedRow, TaskRows};
use super::templates::{Context, Templates};
use crate::embedded::backend::Backend;
use crate::embedded::state::evaluation::EvaluationWork;

/// The length at which the note cuts a judge's reply without a score, in characters.
const NOTE_CHARS: usize = 120;

pub(super) async fn run(
    backend: &Backend,
    work: &EvaluationWork,
    plan: &EvaluationPlan,
) -> Result<Vec<TaskRows>, String> {
    let mut datasets = Vec::new();
    for task in &plan.tasks {
        datasets.push(task.source.rows(backend, task.limit).await?);
    }
    work.update(|rows| rows.total = datasets.iter().map(Vec::len).sum());
    let scorer =
        Scorer { templates: Templates::new(), client: ModelClient::new(backend, plan.retries, plan.timeout)?, plan };
    let mut scored = Vec::new();
    for (task, items) in plan.tasks.iter().zip(datasets) {
        let rows: Vec<EvaluatedRow> = stream::iter(items)
            .map(|item| async {
                let row = scorer.row(task, item).await;
                work.update(|rows| rows.done += 1);
                row
            })
            .buffered(plan.parallelism)
            .try_collect()
            .await?;
        if rows.iter().all(EvaluatedRow::is_lost)
            && let Some(why) = rows.iter().find_map(|row| row.error.as_ref())
        {
            return Err(format!("no row of the task {} could be evaluated; the first: {why}", task.name));
        }
        let metrics = task.metrics.iter().map(|(name, metric)| (name.clone(), metric.score_names())).collect();
        scored.push(TaskRows { name: task.name.clone(), metrics, rows });
    }
    Ok(scored)
}

/// Asks and scores row after row.
struct Scorer<'a> {
    templates: Templates,
    client: ModelClient<'a>,
    plan: &'a EvaluationPlan,
}

impl Scorer<'_> {
    /// Asks and scores one row. A template that cannot be rendered leaves the row without a score; a model that cannot
    /// be asked ends the job.
    async fn row(&self, task: &EvaluationTask, row: Value) -> Result<EvaluatedRow, String> {
        let (item, sample) = match &task.inference {
            None => answered(row),
            Some(inference) => {
                let request = match self.templates.request(&inference.template, &Context::new(&row, None)) {
                    Ok(request) => request,
                    Err(why) => {
                        let none = |(_, metric): &(String, Metric)| Scores::of(vec![None; metric.score_names().len()]);
                        let scores = task.metrics.iter().map(none).collect();
                        return Ok(EvaluatedRow {
                            item: row,
                            sample: Value::Null,
                            scores,
                            error: Some(why),
                            note: None,
                        });
                    }
                };
                let sample = self.sample(inference, request).await?;
                (row, sample)
            }
        };
        let context = Context::new(&item, Some(&sample));
        let (mut scores, mut error, mut note) = (Vec::new(), None, None);
        for (_, metric) in &task.metrics {
            let scored = match metric {
                Metric::Judge(judge) => self.judged(judge, &context, &mut note).await,
                other => other.score(&self.templates, &context, &sample),
            };
            scores.push(scored.unwrap_or_else(|why| {
                error = Some(why);
                Scores::of(vec![None; metric.score_names().len()])
            }));
        }
        Ok(EvaluatedRow { item, sample, scores, error, note })
    }

    async fn sample(&self, inference: &Inference, rendered: Map<String, Value>) -> Result<Value, String> {
        let mut request = self.plan.sampling.clone();
        request.extend(rendered);
        let response = self.client.ask(&inference.model, inference.api, request).await?;
        Ok(json!({"output_text": inference.api.text(&response), "response": response}))
    }

    /// Asks a judge about a row. One without a model gives no scores.
    async fn judged(&self, judge: &Judge, context: &Context, note: &mut Option<String>) -> Result<Scores, String> {
        let Some(model) = &judge.model else {
            return Ok(Scores::of(vec![None; judge.score_names().len()]));
        };
        let request = judge.request(&self.templates, context)?;
        let response = self.client.ask(model, ModelApi::Chat, request).await?;
        let reply = ModelApi::Chat.text(&response);
        let scores = judge.read(reply);
        if scores.iter().any(Option::is_none) {
            let begin: String = reply.chars().take(NOTE_CHARS).collect();
            *note = Some(format!("the judge's reply lacks a score: {begin}"));
        }
        Ok(Scores::of(scores))
    }
}
