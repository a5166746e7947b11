//! The work of an evaluation job: reads the rows, renders each request, asks the model over HTTP with bounded
//! parallelism, scores the reply. Owns the meeting of that work and the status reads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::request::{Endpoint, Plan, Task};
use super::results::{self, Results, Row, TaskRows};
use super::templates::{Context, Templates};
use crate::embedded::gate::INTERNAL;
use crate::embedded::world::World;

/// The status read that waits for the end of the work, on `Clock::Polls`: created, pending, running, done.
const ENDS_AT_READ: u32 = 3;

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
    Scored(Vec<TaskRows>),
    Failed(String),
    Stopped,
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
            scored = run(&world, &work, &plan) => scored.map_or_else(Outcome::Failed, Outcome::Scored),
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

/// A status read of a job: with reads as the clock it advances one step, and waits for the work where that step needs it.
pub(super) async fn observe(world: &World, id: &str) {
    let awaited = {
        let mut state = world.state();
        let Some(job) = state.evaluations.iter_mut().find(|job| job.id == id) else { return };
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
    let mut state = world.state();
    let Some(at) = state.evaluations.iter().position(|job| job.id == id) else { return };
    let job = &mut state.evaluations[at];
    let outcome = job.work().outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    match outcome {
        None => {}
        Some(_) if job.is_cancelling() => job.end_cancelled(),
        Some(Outcome::Stopped) => job.end_cancelled(),
        Some(Outcome::Failed(reason)) => job.fail(reason),
        Some(Outcome::Scored(tasks)) => {
            let results = Results::new(&job.id, job.namespace(), job.created_at(), &tasks);
            job.complete(results.clone());
            results::store(&mut state, id, &results);
        }
    }
}

async fn run(world: &World, work: &Work, plan: &Plan) -> Result<Vec<TaskRows>, String> {
    let mut datasets = Vec::new();
    for task in &plan.tasks {
        datasets.push(rows(world, task)?);
    }
    work.total.store(datasets.iter().map(Vec::len).sum(), Ordering::Relaxed);
    let asker = Asker::new(world, plan)?;
    let mut scored = Vec::new();
    for (task, items) in plan.tasks.iter().zip(datasets) {
        let rows: Vec<Row> = stream::iter(items)
            .map(|item| async {
                let row = asker.row(task, item).await;
                work.done.fetch_add(1, Ordering::Relaxed);
                row
            })
            .buffered(plan.parallelism)
            .try_collect()
            .await?;
        if let Some(why) = rows.iter().find_map(|row| row.error.as_ref())
            && rows.iter().all(|row| row.error.is_some())
        {
            return Err(format!("no row of the task {} could be evaluated; the first: {why}", task.name));
        }
        let metrics = task.metrics.iter().map(|(name, metric)| (name.clone(), metric.score_name())).collect();
        scored.push(TaskRows { name: task.name.clone(), metrics, rows });
    }
    Ok(scored)
}

/// The rows of a task's dataset.
fn rows(world: &World, task: &Task) -> Result<Vec<Value>, String> {
    let files = world.state().store.dataset_files(&task.files_url);
    let files = files.ok_or_else(|| format!("Dataset {} is not present on datastore", task.files_url))?;
    let mut rows = Vec::new();
    for (path, bytes) in &files {
        read(path, bytes, &mut rows).map_err(|why| format!("{path} of {}: {why}", task.files_url))?;
    }
    rows.truncate(task.limit);
    if rows.is_empty() {
        return Err(format!("{} holds no rows", task.files_url));
    }
    Ok(rows)
}

/// Reads a file of rows: a JSON array, or one row per line.
fn read(path: &str, bytes: &Bytes, rows: &mut Vec<Value>) -> Result<(), String> {
    if path.ends_with(".json") {
        let all: Vec<Map<String, Value>> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        rows.extend(all.into_iter().map(with_plain_keys));
    } else if path.ends_with(".jsonl") {
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace)) {
            let row = serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", at + 1))?;
            rows.push(with_plain_keys(row));
        }
    }
    Ok(())
}

/// The row with its keys as templates can name them: lower case, `_` for what is no letter or digit.
fn with_plain_keys(row: Map<String, Value>) -> Value {
    let mut plain = Map::new();
    for (key, value) in row {
        let named: String = key.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
        let named = named.to_lowercase();
        let mut key = named.clone();
        let mut clash = 0;
        while plain.contains_key(&key) {
            clash += 1;
            key = format!("{named}_{clash}");
        }
        plain.insert(key, value);
    }
    Value::Object(plain)
}

/// Asks the model about one row after the other.
struct Asker<'a> {
    http: reqwest::Client,
    templates: Templates,
    plan: &'a Plan,
    key: &'a str,
}

impl<'a> Asker<'a> {
    fn new(world: &'a World, plan: &'a Plan) -> Result<Self, String> {
        let http = if plan.endpoint.own {
            // Plain HTTP to ourselves: no proxy, and no certificates to load.
            reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build()
        } else {
            reqwest::Client::builder().build()
        };
        let http = http.map_err(|error| format!("Error connecting to inference server: {error}"))?;
        Ok(Asker { http, templates: Templates::new(), plan, key: &world.key })
    }

    /// One row, asked and scored; a template that cannot be rendered costs the row its score, a model that cannot be
    /// asked ends the job.
    async fn row(&self, task: &Task, item: Value) -> Result<Row, String> {
        let request = match self.templates.request(&task.template, &Context::new(&item, None)) {
            Ok(request) => request,
            Err(why) => {
                return Ok(Row { item, sample: Value::Null, scores: vec![None; task.metrics.len()], error: Some(why) });
            }
        };
        let sample = self.ask(request).await?;
        let context = Context::new(&item, Some(&sample));
        let mut error = None;
        let mut score = |metric: &super::metrics::Metric| match metric.score(&self.templates, &context) {
            Ok(score) => Some(score),
            Err(why) => {
                error = Some(why);
                None
            }
        };
        let scores = task.metrics.iter().map(|(_, metric)| score(metric)).collect();
        Ok(Row { item, sample, scores, error })
    }

    async fn ask(&self, rendered: Map<String, Value>) -> Result<Value, String> {
        let Endpoint { url, model, key, own } = &self.plan.endpoint;
        let mut body = Map::new();
        body.insert("model".into(), json!(model));
        body.extend(self.plan.inference.clone());
        body.extend(rendered);
        let mut tries = 0;
        let response = loop {
            let mut request = self.http.post(url).json(&body);
            if *own {
                request = request.header(INTERNAL, self.key);
            }
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            match answer(request).await {
                Ok(response) => break response,
                Err((again, why)) if !again || tries >= self.plan.retries => {
                    return Err(format!("Error connecting to inference server: POST {url}: {why}"));
                }
                Err(_) => tries += 1,
            }
        };
        let text = response["choices"][0]["message"]["content"].as_str().unwrap_or_default();
        Ok(json!({"output_text": text, "response": response}))
    }
}

/// The answer to an inference request; an error says whether to try again.
async fn answer(request: reqwest::RequestBuilder) -> Result<Value, (bool, String)> {
    let response = request.send().await.map_err(|error| (true, error.to_string()))?;
    let status = response.status();
    let body = response.text().await.map_err(|error| (true, error.to_string()))?;
    if !status.is_success() {
        let again = status.is_server_error() || status.as_u16() == 429;
        return Err((again, format!("{status}: {}", body.chars().take(300).collect::<String>())));
    }
    serde_json::from_str(&body).map_err(|error| (false, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names_that_templates_can_say() {
        let row = json!({"Request-Id": 1, "request_id": 2, "request.id": 3, "Über": 4});
        let Value::Object(row) = row else { return };
        assert_eq!(with_plain_keys(row), json!({"request_id": 1, "request_id_1": 2, "request_id_2": 3, "über": 4}));
    }

    #[test]
    fn rows_come_from_lines_and_arrays() {
        let mut rows = Vec::new();
        read("a.jsonl", &Bytes::from("{\"a\":1}\n\n{\"a\":2}"), &mut rows).unwrap();
        read("b.json", &Bytes::from("[{\"a\":3}]"), &mut rows).unwrap();
        read("README.md", &Bytes::from("no rows"), &mut rows).unwrap();
        assert_eq!(rows, [json!({"a": 1}), json!({"a": 2}), json!({"a": 3})]);
        let problem = read("a.jsonl", &Bytes::from("{\"a\":1}\n[1]"), &mut Vec::new()).unwrap_err();
        assert!(problem.starts_with("line 2"), "{problem}");
    }
}
