//! What an evaluation found: aggregate scores, and the rows of the downloaded archive (nemo-wire 6.5, 6.6).

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use bytes::Bytes;
use serde_json::Value;

use super::call::{Call, Service};
use super::client::Client;
use super::error::ApiError;
use super::evaluation::JOBS;
use super::read;

/// The largest archive that is downloaded.
const ARCHIVE_BYTES: usize = 256 << 20;
/// The largest `results.json` that is unpacked: an archive may claim anything.
const ROWS_BYTES: u64 = 1 << 30;

/// Aggregate scores: task, metric, score, value. A score without a finite value is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// By task or group, metric, and score name.
    pub tasks: BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>,
}

/// One evaluated row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowOutput {
    /// The task.
    pub task: String,
    /// The row of the dataset, as the evaluator read it.
    pub item: Value,
    /// What the model replied.
    pub output_text: Option<String>,
    /// The names of the functions that the model called.
    pub called: Vec<String>,
    /// Tokens of the request.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the reply.
    pub completion_tokens: Option<u64>,
    /// How long the reply took, when the service tells.
    pub latency_ms: Option<f64>,
    /// By metric and score name; a score without a finite value is not in it.
    pub scores: BTreeMap<String, BTreeMap<String, f64>>,
    /// Why a score is missing, when the service tells.
    pub error: Option<String>,
}

impl Results {
    fn read(value: &Value) -> Results {
        let mut tasks = BTreeMap::new();
        for level in ["tasks", "groups"] {
            for (name, task) in read::entries(value, &[level]) {
                tasks.insert(name.clone(), metrics(task));
            }
        }
        Results { tasks }
    }

    /// The value of the first of these scores that the first task with this metric has.
    pub fn score(&self, metric: &str, names: &[&str]) -> Option<f64> {
        let metrics = self.tasks.values().filter_map(|task| task.get(metric));
        metrics.flat_map(|scores| names.iter().filter_map(|name| scores.get(*name))).next().copied()
    }

    /// NeMo's own token-overlap F1, under either of its names.
    pub fn token_f1(&self) -> Option<f64> {
        self.score("f1", &["f1_score", "f1"])
    }
}

/// `metrics.<metric>.scores.<score>.value`; without a value the mean stands for it.
fn metrics(task: &Value) -> BTreeMap<String, BTreeMap<String, f64>> {
    let value = |score: &Value| {
        read::number(score, &["value"]).or_else(|| read::number(score, &["stats", "mean"])).or_else(|| score.as_f64())
    };
    let scores = |metric: &Value| {
        read::entries(metric, &["scores"]).filter_map(|(name, score)| Some((name.clone(), value(score)?))).collect()
    };
    read::entries(task, &["metrics"]).map(|(name, metric)| (name.clone(), scores(metric))).collect()
}

impl RowOutput {
    fn read(task: &str, row: &mut Value) -> RowOutput {
        let sample = row.get("sample").unwrap_or(&Value::Null);
        let reply = ["response", "choices"];
        let said = read::list(sample, &reply).first().and_then(|choice| read::text(choice, &["message", "content"]));
        let choice = read::list(sample, &reply).first();
        let calls = choice.map_or(&[][..], |choice| read::list(choice, &["message", "tool_calls"]));
        let called = calls.iter().filter_map(|call| read::text(call, &["function", "name"])).collect();
        let tokens = |key| read::integer(sample, &["response", "usage", key]);
        RowOutput {
            task: task.to_owned(),
            output_text: read::at(sample, &["output_text"]).and_then(Value::as_str).map(str::to_owned).or(said),
            called,
            prompt_tokens: tokens("prompt_tokens"),
            completion_tokens: tokens("completion_tokens"),
            latency_ms: read::number(sample, &["latency_ms"]).or_else(|| read::number(row, &["latency_ms"])),
            scores: metrics(row),
            error: read::text(row, &["error"]),
            item: row.get_mut("item").map(Value::take).unwrap_or_default(),
        }
    }
}

impl Client {
    /// The aggregate scores of a finished job.
    pub async fn evaluation_results(&self, id: &str) -> Result<Results, ApiError> {
        let answer = self.send(Call::get(Service::Evaluator, &[&JOBS[..], &[id, "results"]].concat())).await?;
        Ok(Results::read(&answer.json()?))
    }

    /// The rows of a finished job, in the order of the dataset.
    pub async fn evaluation_rows(&self, id: &str) -> Result<Vec<RowOutput>, ApiError> {
        let path = [&JOBS[..], &[id, "download-results"]].concat();
        let call = Call::get(Service::Evaluator, &path).accept("application/zip").download(ARCHIVE_BYTES);
        let answer = self.send(call).await?;
        let archive = answer.body.clone();
        let rows = tokio::task::spawn_blocking(move || unpack(archive)).await;
        rows.unwrap_or_else(|_| Err("reading it was broken off".to_owned())).map_err(|what| answer.unreadable(what))
    }
}

/// The rows in an archive, held in memory: nothing is ever written, so paths in it cannot do harm.
fn unpack(archive: Bytes) -> Result<Vec<RowOutput>, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).map_err(|error| format!("not an archive: {error}"))?;
    let mut names: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    names.retain(|name| name.rsplit(['/', '\\']).next() == Some("results.json"));
    // The layout differs between builds; of several the outermost is the job's own.
    names.sort_by_key(|name| (name.split(['/', '\\']).count(), name.clone()));
    let name = names.first().ok_or("no results.json in the archive")?;
    let file = zip.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    let mut json = Vec::new();
    let read = file.take(ROWS_BYTES + 1).read_to_end(&mut json).map_err(|error| format!("{name}: {error}"))?;
    if read as u64 > ROWS_BYTES {
        return Err(format!("{name} holds more than {ROWS_BYTES} bytes"));
    }
    let mut results = read::json(&json).map_err(|error| format!("{name}: {error}"))?;
    Ok(rows(&mut results))
}

/// A map from task to rows, or the rows alone.
fn rows(results: &mut Value) -> Vec<RowOutput> {
    let of = |task: &str, rows: &mut Value| -> Vec<RowOutput> {
        let rows = rows.as_array_mut().into_iter().flatten().filter(|row| row.is_object());
        rows.map(|row| RowOutput::read(task, row)).collect()
    };
    match results {
        Value::Object(tasks) => tasks.iter_mut().flat_map(|(task, rows)| of(task, rows)).collect(),
        rows => of("", rows),
    }
}
