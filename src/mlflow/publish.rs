//! Writes a run to MLflow. It may be repeated: the run is found again by its tag, and gets the same content.

use std::time::Duration;

use serde_json::{Value, json};

use super::artifacts;
use super::client::{MlflowClient, MlflowError};
use super::tracked::{Dataset, Metric, TrackedRun};
use crate::retry::Backoff;

/// The tag with the id of the run.
const RUN_TAG: &str = "dfwfd.run";

/// Entities of one request (MLflow REST API, Request Limits). Tags and parameters count together with metrics.
const BATCH: usize = 100;

/// The longest name of a metric, parameter or tag (same page).
const LONGEST_KEY: usize = 250;

/// The longest value of a parameter that every version since 2.8 takes.
const LONGEST_VALUE: usize = 5_000;

/// The tries of the whole.
const BACKOFF: Backoff = Backoff {
    tries: 3,
    first: Duration::from_millis(500),
    longest: Duration::from_secs(5),
    longest_asked: Duration::from_secs(5),
};

/// Writes the run. Returns what of it the server could not take.
///
/// # Errors
/// When the server cannot be reached, or refuses the run.
pub(crate) async fn publish(client: &MlflowClient, run: &TrackedRun) -> Result<Vec<String>, MlflowError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match once(client, run).await {
            Err(error) if error.is_transient() => match BACKOFF.pause(tries, None) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
}

async fn once(client: &MlflowClient, run: &TrackedRun) -> Result<Vec<String>, MlflowError> {
    let experiment = experiment(client, run).await?;
    let info = find_or_create(client, run, &experiment).await?;
    let id = text(&info, "run_id");
    for batch in batches(run) {
        let mut batch = batch;
        batch["run_id"] = json!(id);
        client.post("mlflow/runs/log-batch", &batch).await?;
    }
    // The numbers are there, so a server that refuses the rest gets the run without it.
    let mut missing = Vec::new();
    if !run.datasets.is_empty() {
        let datasets: Vec<Value> = run.datasets.iter().map(dataset).collect();
        let logged = client.post("mlflow/runs/log-inputs", &json!({"run_id": id, "datasets": datasets})).await;
        missing.extend(refused(logged, "its datasets")?);
    }
    match artifacts::upload(client, &text(&info, "artifact_uri"), &run.artifacts).await {
        Ok(told) => missing.extend(told),
        Err(error) => missing.extend(refused(Err(error), "its artefacts")?),
    }
    let end = json!({"run_id": id, "status": run.status.as_str(), "end_time": run.ended_ms});
    client.post("mlflow/runs/update", &end).await?;
    Ok(missing)
}

/// Turns a refusal into what is missing. Other errors stay.
fn refused(logged: Result<Value, MlflowError>, what: &str) -> Result<Option<String>, MlflowError> {
    match logged {
        Err(error) if !error.is_transient() => Ok(Some(format!("{what} are refused: {error}"))),
        other => other.map(|_| None),
    }
}

/// Returns the id of the experiment.
async fn experiment(client: &MlflowClient, run: &TrackedRun) -> Result<String, MlflowError> {
    let name = [("experiment_name", run.experiment.as_str())];
    let look = || client.get("mlflow/experiments/get-by-name", &name);
    let found = match look().await {
        Err(error) if error.has_code("RESOURCE_DOES_NOT_EXIST") => {
            let mut new = json!({"name": run.experiment});
            if let Some(location) = &run.artifact_location {
                new["artifact_location"] = json!(location);
            }
            match client.post("mlflow/experiments/create", &new).await {
                Ok(created) => return Ok(text(&created, "experiment_id")),
                // Another run may have created it at the same time.
                Err(error) if error.has_code("RESOURCE_ALREADY_EXISTS") => look().await?,
                Err(error) => return Err(error),
            }
        }
        found => found?,
    };
    let experiment = &found["experiment"];
    if experiment["lifecycle_stage"] == "deleted" {
        let why = format!(
            "the experiment {} is deleted: restore it, or choose another mlflow_config.experiment_name_prefix",
            run.experiment
        );
        return Err(MlflowError::Setup(why));
    }
    Ok(text(experiment, "experiment_id"))
}

/// Returns the `info` of the run.
async fn find_or_create(client: &MlflowClient, run: &TrackedRun, experiment: &str) -> Result<Value, MlflowError> {
    let filter = format!("tags.`{RUN_TAG}` = '{}'", run.id);
    let search = json!({"experiment_ids": [experiment], "filter": filter, "max_results": 1});
    let found = client.post("mlflow/runs/search", &search).await?;
    if let Some(info) = found.pointer("/runs/0/info") {
        return Ok(info.clone());
    }
    let tag = json!({"key": RUN_TAG, "value": run.id});
    let new = json!({"experiment_id": experiment, "run_name": run.id, "start_time": run.started_ms, "tags": [tag]});
    let created = client.post("mlflow/runs/create", &new).await?;
    let foreign = || MlflowError::Foreign { call: "mlflow/runs/create".to_owned() };
    created.pointer("/run/info").cloned().ok_or_else(foreign)
}

/// Returns the bodies that log parameters, tags and metrics.
fn batches(run: &TrackedRun) -> Vec<Value> {
    let pair = |(key, value): &(String, String)| json!({"key": name(key), "value": cut(value, LONGEST_VALUE)});
    let metric = |Metric { key, value, timestamp_ms, step }: &Metric| json!({"key": name(key), "value": value, "timestamp": timestamp_ms, "step": step});
    let params: Vec<Value> = run.params.iter().map(pair).collect();
    let tags: Vec<Value> = run.tags.iter().map(pair).collect();
    let metrics: Vec<Value> = run.metrics.iter().map(metric).collect();
    let all = [("params", params), ("tags", tags), ("metrics", metrics)];
    let bodies = all.iter().flat_map(|(kind, all)| all.chunks(BATCH).map(move |some| json!({*kind: some})));
    bodies.collect()
}

fn dataset(dataset: &Dataset) -> Value {
    let Dataset { name, digest, uri, rows, context } = dataset;
    json!({
        "tags": [{"key": "mlflow.data.context", "value": context}],
        "dataset": {
            "name": name,
            // At most 36 characters (mlflow/utils/validation.py).
            "digest": cut(digest, 36),
            "source_type": "local",
            "source": json!({"uri": uri}).to_string(),
            "profile": json!({"num_rows": rows}).to_string(),
        },
    })
}

/// Returns a name as MLflow allows it: letters, digits, and `_-. /`.
fn name(key: &str) -> String {
    let allowed = |letter: char| letter.is_alphanumeric() || "_-. /".contains(letter);
    let name: String = key.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    cut(&name, LONGEST_KEY).to_owned()
}

fn cut(text: &str, longest: usize) -> &str {
    text.char_indices().nth(longest).map_or(text, |(end, _)| &text[..end])
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_no_more_than_a_server_takes() {
        let pair = |number: usize| (format!("key.{number}"), "v".repeat(9_000));
        let metric = |step| Metric { key: "a/train_loss".to_owned(), value: 0.5, timestamp_ms: 1, step };
        let run = TrackedRun {
            params: (0..250).map(pair).collect(),
            tags: (0..3).map(pair).collect(),
            metrics: (0..100).map(metric).collect(),
            ..TrackedRun::default()
        };
        let batches = batches(&run);
        let sizes = |kind: &str| -> Vec<usize> {
            batches.iter().filter_map(|batch| batch[kind].as_array().map(Vec::len)).collect()
        };
        assert_eq!((sizes("params"), sizes("tags"), sizes("metrics")), (vec![100, 100, 50], vec![3], vec![100]));
        assert!(batches.iter().all(|batch| batch.to_string().len() < 1_000_000));
        assert_eq!(batches[0]["params"][0]["value"].as_str().map(str::len), Some(LONGEST_VALUE));
    }

    #[test]
    fn a_name_has_only_what_mlflow_allows() {
        assert_eq!(name("meta/llama-3.2-1b:v2/base/recall[a,b]"), "meta/llama-3.2-1b_v2/base/recall_a_b_");
        assert_eq!(name(&"\u{e9}".repeat(300)).chars().count(), LONGEST_KEY);
    }
}
