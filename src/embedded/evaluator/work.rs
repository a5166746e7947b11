//! The work of an evaluation job: renders a request for each row, has the model asked with bounded parallelism, scores
//! the reply. Owns the meeting of that work and the status reads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::ask::{Asker, Call};
use super::metrics::judge::Judge;
use super::metrics::{Metric, Scores};
use super::request::{Inference, Plan, Task};
use super::results::{self, Results, Row, TaskRows};
use super::rows::answered;
use super::templates::{Context, Templates};
use crate::embedded::world::World;

/// The status read that waits for the end of the work, on `Clock::Polls`: created, pending, running, done.
const ENDS_AT_READ: u32 = 3;

/// How much is shown of a judge's reply in which no score was found.
const NOTE_CHARS: usize = 120;

/// One evaluation under way.
#[derive(Debug)]
pub(super) struct Work {
    id: String,
    done: AtomicUsize,
    total: AtomicUsize,
    cancelled: watch::Sender<bool>,
    outcome: Mutex<Option<Outcome>>,
    ended: watch::Sender<bool>,
}

/// What came of the work.
#[derive(Debug)]
enum Outcome {
    Scored(Results),
    Failed(String),
    Stopped,
}

impl Default for Work {
    fn default() -> Self {
        Work::new("")
    }
}

impl Work {
    pub(super) fn new(id: &str) -> Self {
        Work {
            id: id.to_owned(),
            done: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
            cancelled: watch::Sender::new(false),
            outcome: Mutex::default(),
            ended: watch::Sender::new(false),
        }
    }

    /// Asks the work to stop soon.
    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Rows done, and rows in all.
    pub(super) fn progress(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// Starts the work of a job; with time as the clock, the job ends when its work does.
pub(super) fn spawn(world: Arc<World>, work: Arc<Work>, plan: Plan) {
    tokio::spawn(async move {
        let mut cancelled = work.cancelled.subscribe();
        let outcome = tokio::select! {
            scored = report(&world, &work, &plan) => scored.map_or_else(Outcome::Failed, Outcome::Scored),
            // The sender lives in `work`: this cannot fail.
            _ = cancelled.wait_for(|cancelled| *cancelled) => Outcome::Stopped,
        };
        *work.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        work.ended.send_replace(true);
        if !world.polled() {
            finish(&world, &work.id);
        }
    });
}

/// Evaluates, and stores the rows.
async fn report(world: &Arc<World>, work: &Work, plan: &Plan) -> Result<Results, String> {
    let tasks = run(world, work, plan).await?;
    let (namespace, created_at) = {
        let state = world.state();
        let job = state.evaluation(&work.id).ok_or("the job was deleted")?;
        (job.namespace().to_owned(), job.created_at().to_owned())
    };
    let (within, id) = (Arc::clone(world), work.id.clone());
    let made = move || Results::keep(&within.contents, &id, &namespace, &created_at, &tasks);
    let made = tokio::task::spawn_blocking(made).await.unwrap_or_else(|crash| Err(std::io::Error::other(crash)));
    made.map_err(|error| format!("the results cannot be stored: {error}"))
}

/// A status read of a job: with reads as the clock it advances one step, and waits for the work where that step needs it.
pub(super) async fn observe(world: &World, id: &str) {
    let awaited = {
        let mut state = world.state();
        let Some(job) = state.evaluations.find_mut(|job| job.id == id) else { return };
        if !world.polled() || job.ended() {
            return;
        }
        job.reads += 1;
        (job.reads >= ENDS_AT_READ || job.is_cancelling()).then(|| Arc::clone(job.work()))
    };
    if let Some(work) = awaited {
        // The sender lives in `work`: this cannot fail.
        let _ = work.ended.subscribe().wait_for(|ended| *ended).await;
        finish(world, id);
    }
}

/// Ends a job whose work has ended, and stores its results.
fn finish(world: &World, id: &str) {
    if world.is_shut() {
        // A platform that ends has stopped the work: the job has not ended by that.
        return;
    }
    let mut state = world.state();
    let Some(at) = state.evaluations.iter().position(|job| job.id == id) else { return };
    let job = &mut state.evaluations[at];
    let outcome = job.work().outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    match outcome {
        None => {}
        Some(_) if job.is_cancelling() => job.end_cancelled(),
        Some(Outcome::Stopped) => job.end_cancelled(),
        Some(Outcome::Failed(reason)) => job.fail(reason),
        Some(Outcome::Scored(_)) if let Some(reason) = world.faults.failure(id) => job.fail(reason),
        Some(Outcome::Scored(results)) => {
            job.complete(&results);
            results::store(&mut state, id, &results);
        }
    }
}

/// Evaluates every task of a plan.
pub(super) async fn run(world: &World, work: &Work, plan: &Plan) -> Result<Vec<TaskRows>, String> {
    let mut datasets = Vec::new();
    for task in &plan.tasks {
        datasets.push(task.source.rows(world, task.limit).await?);
    }
    work.total.store(datasets.iter().map(Vec::len).sum(), Ordering::Relaxed);
    let scorer = Scorer { templates: Templates::new(), asker: Asker::new(world, plan.retries, plan.timeout)?, plan };
    let mut scored = Vec::new();
    for (task, items) in plan.tasks.iter().zip(datasets) {
        let rows: Vec<Row> = stream::iter(items)
            .map(|item| async {
                let row = scorer.row(task, item).await;
                work.done.fetch_add(1, Ordering::Relaxed);
                row
            })
            .buffered(plan.parallelism)
            .try_collect()
            .await?;
        if rows.iter().all(Row::is_lost)
            && let Some(why) = rows.iter().find_map(|row| row.error.as_ref())
        {
            return Err(format!("no row of the task {} could be evaluated; the first: {why}", task.name));
        }
        let metrics = task.metrics.iter().map(|(name, metric)| (name.clone(), metric.score_names())).collect();
        scored.push(TaskRows { name: task.name.clone(), metrics, rows });
    }
    Ok(scored)
}

/// Has one row after the other answered, and scores it.
struct Scorer<'a> {
    templates: Templates,
    asker: Asker<'a>,
    plan: &'a Plan,
}

impl Scorer<'_> {
    /// One row, asked and scored; a template that cannot be rendered costs the row its score, a model that cannot be
    /// asked ends the job.
    async fn row(&self, task: &Task, row: Value) -> Result<Row, String> {
        let (item, sample) = match &task.inference {
            None => answered(row),
            Some(inference) => {
                let request = match self.templates.request(&inference.template, &Context::new(&row, None)) {
                    Ok(request) => request,
                    Err(why) => {
                        let none = |(_, metric): &(String, Metric)| Scores::of(vec![None; metric.score_names().len()]);
                        let scores = task.metrics.iter().map(none).collect();
                        return Ok(Row { item: row, sample: Value::Null, scores, error: Some(why), note: None });
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
        Ok(Row { item, sample, scores, error, note })
    }

    async fn sample(&self, inference: &Inference, rendered: serde_json::Map<String, Value>) -> Result<Value, String> {
        let mut request = self.plan.sampling.clone();
        request.extend(rendered);
        let response = self.asker.ask(&inference.model, inference.call, request).await?;
        Ok(json!({"output_text": inference.call.text(&response), "response": response}))
    }

    /// What a judge says of a row; one without a model says nothing.
    async fn judged(&self, judge: &Judge, context: &Context, note: &mut Option<String>) -> Result<Scores, String> {
        let Some(model) = &judge.model else {
            return Ok(Scores::of(vec![None; judge.score_names().len()]));
        };
        let request = judge.request(&self.templates, context)?;
        let response = self.asker.ask(model, Call::Chat, request).await?;
        let reply = Call::Chat.text(&response);
        let scores = judge.read(reply);
        if scores.iter().any(Option::is_none) {
            let begin: String = reply.chars().take(NOTE_CHARS).collect();
            *note = Some(format!("the judge's reply lacks a score: {begin}"));
        }
        Ok(Scores::of(scores))
    }
}
