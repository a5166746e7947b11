//! The results of an evaluation: scores with their statistics (docs/nemo-api.md, Evaluation results), rows in a zip
//! (docs/nemo-api.md, Row results), and a repository in the Data Store.

use std::io::{self, Cursor, Write};

use serde_json::{Map, Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::metrics::Scores;
use super::metrics::bleu::{self, Counts};
use crate::embedded::state::PlatformState;
use crate::embedded::state::blobs::BlobStore;
use crate::embedded::state::evaluation::EvaluationResults;
use crate::embedded::state::repositories::{FileChange, RepoFile, RepoKind, RepoName};
use crate::embedded::wire::stamps::{naive_now, new_id};

pub(crate) const NAMESPACE: &str = "evaluation-results";

/// One evaluated row.
#[derive(Debug)]
pub(crate) struct EvaluatedRow {
    pub(crate) item: Value,
    /// Null if the model was not asked.
    pub(crate) sample: Value,
    pub(crate) scores: Vec<Scores>,
    /// The reason why a score cannot be computed.
    pub(crate) error: Option<String>,
    /// The reason why a judge gave no score.
    pub(crate) note: Option<String>,
}

impl EvaluatedRow {
    /// Returns whether an error left the row without any score.
    pub(crate) fn is_lost(&self) -> bool {
        self.error.is_some() && self.scores.iter().all(|scores| scores.values.iter().all(Option::is_none))
    }
}

#[derive(Debug)]
pub(crate) struct TaskRows {
    pub(crate) name: String,
    /// The name of each metric, and the names of its scores.
    pub(crate) metrics: Vec<(String, Vec<String>)>,
    pub(crate) rows: Vec<EvaluatedRow>,
}

/// Summarises the tasks of a job, and stores their rows; blocks.
pub(super) fn keep(
    blobs: &BlobStore,
    job: &str,
    namespace: &str,
    created_at: &str,
    tasks: &[TaskRows],
) -> io::Result<EvaluationResults> {
    let rows = tasks.iter().map(|task| (task.name.clone(), task.rows())).collect::<Map<_, _>>();
    let rows = blobs.keep(Value::Object(rows).to_string().into())?;
    let summary = summary(job, namespace, created_at, tasks);
    let summary_file = blobs.keep(summary.to_string().into())?;
    Ok(EvaluationResults { summary, rows, summary_file })
}

/// Returns the result entity of a job.
pub(crate) fn summary(job: &str, namespace: &str, created_at: &str, tasks: &[TaskRows]) -> Value {
    json!({
        "created_at": created_at,
        "updated_at": naive_now(),
        "id": new_id("evaluation_result"),
        "job": job,
        "files_url": format!("hf://datasets/{NAMESPACE}/{job}"),
        "tasks": tasks.iter().map(|task| (task.name.clone(), task.summary())).collect::<Map<_, _>>(),
        "groups": {},
        "namespace": namespace,
        "custom_fields": {},
    })
}

/// Returns the errors of rows that are given as JSON, one on each line.
pub(crate) fn complaints(rows: &[u8]) -> io::Result<String> {
    let tasks: Map<String, Value> = serde_json::from_slice(rows)?;
    let mut lines = String::new();
    for (task, rows) in &tasks {
        for (at, row) in rows.as_array().into_iter().flatten().enumerate() {
            if let Some(error) = row["error"].as_str() {
                lines.push_str(&format!("WARNING {task} row {}: {error}\n", at + 1));
            }
        }
    }
    Ok(lines)
}

/// Packs files into a zip archive.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(*path, SimpleFileOptions::default())?;
        zip.write_all(content)?;
    }
    Ok(zip.finish()?.into_inner())
}

impl TaskRows {
    fn summary(&self) -> Value {
        let mut metrics = Map::new();
        for (at, (metric, names)) in self.metrics.iter().enumerate() {
            let mut scores = Map::new();
            for (place, name) in names.iter().enumerate() {
                scores.insert(name.clone(), self.score(at, place));
            }
            let counts: Vec<&Counts> = self.rows.iter().filter_map(|row| row.scores[at].corpus.as_ref()).collect();
            if !counts.is_empty() {
                let (rows, value) = (counts.len(), bleu::corpus(counts.into_iter()));
                scores.insert("corpus".into(), json!({"value": value, "stats": {"count": rows, "mean": value}}));
            }
            metrics.insert(metric.clone(), json!({"scores": scores}));
        }
        json!({"metrics": metrics})
    }

    /// Returns the mean of a score over the rows that have it.
    fn score(&self, metric: usize, place: usize) -> Value {
        let scores: Vec<f64> = self.rows.iter().filter_map(|row| row.scores[metric].values[place]).collect();
        let (count, sum) = (scores.len(), scores.iter().sum::<f64>());
        let mean = (count > 0).then(|| sum / count as f64);
        let mut stats = json!({"count": count, "sum": sum, "mean": mean});
        if count < self.rows.len() {
            stats["nan_count"] = json!(self.rows.len() - count);
        }
        json!({"value": mean, "stats": stats})
    }

    fn rows(&self) -> Value {
        let row = |row: &EvaluatedRow| {
            let mut metrics = Map::new();
            for ((metric, names), scores) in self.metrics.iter().zip(&row.scores) {
                let scores = names.iter().zip(&scores.values);
                let scores: Map<String, Value> =
                    scores.map(|(name, value)| (name.clone(), json!({"value": value}))).collect();
                metrics.insert(metric.clone(), json!({"scores": scores}));
            }
            let mut shown = json!({"item": row.item, "sample": row.sample, "metrics": metrics});
            if let Some(error) = row.error.as_ref().or(row.note.as_ref()) {
                shown["error"] = json!(error);
            }
            shown
        };
        self.rows.iter().map(row).collect()
    }
}

/// Publishes results: as an entity, and as files of a repository of the job.
pub(super) fn publish(state: &mut PlatformState, job: &str, results: &EvaluationResults) {
    let id = results.summary["id"].as_str().unwrap_or_default();
    state.evaluation_results.add("", id, results.summary.clone());
    let name = RepoName::new(RepoKind::Dataset, NAMESPACE, job);
    state.repositories.add_namespace(NAMESPACE);
    state.repositories.create(&name);
    if let Some(repo) = state.repositories.find_mut(&name) {
        let files = vec![
            FileChange::Put("results.json".into(), RepoFile::regular(results.rows.clone())),
            FileChange::Put("summary.json".into(), RepoFile::regular(results.summary_file.clone())),
        ];
        repo.commit("main", "Upload the results", files);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn tasks() -> [TaskRows; 1] {
        let row = |score: Option<f64>| EvaluatedRow {
            item: json!({"n": 1}),
            sample: json!({"output_text": "x"}),
            scores: vec![Scores::of(vec![score])],
            error: score.is_none().then(|| "undefined".to_owned()),
            note: None,
        };
        let rows = vec![row(Some(1.0)), row(None), row(Some(0.5))];
        [TaskRows { name: "t".into(), metrics: vec![("f1".into(), vec!["f1_score".into()])], rows }]
    }

    #[test]
    fn a_row_without_a_score_leaves_the_mean() {
        let scores = &summary("eval-1", "ns", "2025-01-01T00:00:00.000000", &tasks())["tasks"]["t"]["metrics"]["f1"]["scores"]
            ["f1_score"];
        assert_eq!(*scores, json!({"value": 0.75, "stats": {"count": 2, "sum": 1.5, "mean": 0.75, "nan_count": 1}}));
    }

    #[test]
    fn rows_are_kept_by_task_and_archived() {
        let results = keep(&BlobStore::temporary(), "eval-1", "ns", "2025", &tasks()).unwrap();
        let archive = zip(&[("results/results.json", &results.rows.bytes().unwrap())]).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
        let mut text = String::new();
        archive.by_name("results/results.json").unwrap().read_to_string(&mut text).unwrap();
        let rows: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(rows["t"][0]["metrics"]["f1"]["scores"]["f1_score"]["value"], 1.0);
        assert_eq!(rows["t"][1]["metrics"]["f1"]["scores"]["f1_score"]["value"], Value::Null);
        assert_eq!(rows["t"][1]["error"], "undefined");
        assert_eq!(complaints(text.as_bytes()).unwrap(), "WARNING t row 2: undefined\n");
    }
}
