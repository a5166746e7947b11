//! A report in MLflow's terms: what is a parameter, a metric, a tag, a dataset.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::json::{Evaluation, Report};
use crate::config::plan::{MlflowPlan, Plan};
use crate::mlflow::{Artifact, Dataset, Metric, RunStatus, TrackedRun};
use crate::source::dataset::DatasetFile;
use crate::store::RunRow;
use crate::vocabulary::RunState;

/// The values of one run, at one time.
struct Metrics {
    timestamp_ms: i64,
    all: Vec<Metric>,
}

/// Returns the content of a recorded run that has ended. `folder` holds its datasets.
pub(crate) fn of(
    report: &Report,
    row: &RunRow,
    plan: &Plan,
    server: &MlflowPlan,
    folder: &Path,
    artifacts: Vec<Artifact>,
) -> TrackedRun {
    let prefix = &server.experiment_name_prefix;
    let experiment = report.workload.as_ref().map_or_else(|| prefix.clone(), |workload| format!("{prefix}-{workload}"));
    let ended_ms = row.ended_ms.unwrap_or(row.started_ms);
    let params = plan.origins.iter().map(|(key, origin)| (key.clone(), origin.value.clone()));
    TrackedRun {
        experiment,
        artifact_location: server.artifact_location.clone(),
        id: report.run.clone(),
        status: match report.state {
            RunState::Completed | RunState::Partial | RunState::Running => RunStatus::Finished,
            RunState::Failed | RunState::Interrupted => RunStatus::Failed,
            RunState::Cancelled => RunStatus::Killed,
        },
        started_ms: row.started_ms,
        ended_ms,
        tags: tags(report),
        params: params.collect(),
        metrics: metrics(report, row.started_ms, ended_ms),
        datasets: datasets(report, folder),
        artifacts,
    }
}

fn tags(report: &Report) -> Vec<(String, String)> {
    let sentence = report.verdict.as_ref().map(|verdict| verdict.sentence.clone());
    let error = report.error.as_ref().map(|error| error.failure.message.clone());
    let model = report.verdict.as_ref().and_then(|verdict| verdict.model.clone());
    let tags = [
        ("dfwfd.run", Some(report.run.clone())),
        ("dfwfd.version", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("dfwfd.workload", report.workload.clone()),
        ("dfwfd.state", Some(report.state.as_str().to_owned())),
        ("dfwfd.exit_code", report.exit_code.map(|code| code.to_string())),
        ("dfwfd.platform", Some(report.platform.as_str().to_owned())),
        ("dfwfd.rehearsal", Some(report.rehearsal.to_string())),
        ("dfwfd.model", model),
        // Those that MLflow's pages show.
        ("mlflow.note.content", sentence.or(error)),
        ("mlflow.user", Some(report.owner.clone())),
        ("mlflow.source.name", Some("dfwfd".to_owned())),
        ("mlflow.source.type", Some("JOB".to_owned())),
    ];
    tags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn metrics(report: &Report, started_ms: i64, ended_ms: i64) -> Vec<Metric> {
    let mut metrics = Metrics { timestamp_ms: ended_ms, all: Vec::new() };
    metrics.add("seconds", report.seconds);
    metrics.add("headline", report.headline().map(|headline| headline.value));
    metrics.numbers("cost", &report.cost);
    if let Some(data) = &report.data {
        let records =
            [("read", data.read), ("duplicates", data.duplicates), ("kept", data.kept), ("conflicts", data.conflicts)];
        let rows = [("eval", data.eval), ("train", data.train), ("validation", data.validation)];
        for (part, count) in records.into_iter().chain([("rejected", data.all_rejected())]).chain(rows) {
            metrics.add(&format!("records/{part}"), Some(count as f64));
        }
        metrics.numbers("teacher", &data.teacher);
    }
    if let Some(floor) = &report.floor {
        metrics.evaluation("floor", floor);
    }
    for candidate in &report.candidates {
        let model = &candidate.model;
        metrics.add(&format!("{model}/seconds"), candidate.seconds);
        for (which, evaluation) in candidate.evaluations.all() {
            metrics.evaluation(&format!("{model}/{which}"), evaluation);
        }
        let Some(training) = &candidate.training else { continue };
        metrics.add(&format!("{model}/training_seconds"), training.seconds);
        for point in &training.loss {
            for (which, loss) in [("train", point.train), ("validation", point.validation)] {
                let Some(value) = loss.filter(|loss| loss.is_finite()) else { continue };
                let key = format!("{model}/{which}_loss");
                metrics.all.push(Metric { key, value, timestamp_ms: started_ms, step: point.step });
            }
        }
    }
    metrics.all
}

impl Metrics {
    fn add(&mut self, key: &str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.all.push(Metric { key: key.to_owned(), value, timestamp_ms: self.timestamp_ms, step: 0 });
        }
    }

    fn evaluation(&mut self, prefix: &str, evaluation: &Evaluation) {
        for (name, score) in &evaluation.scores {
            self.add(&format!("{prefix}/{name}"), Some(score.value));
            self.add(&format!("{prefix}/{name}_low"), score.low);
            self.add(&format!("{prefix}/{name}_high"), score.high);
        }
        self.add(&format!("{prefix}/seconds"), evaluation.seconds);
        self.add(&format!("{prefix}/unanswered"), evaluation.unanswered.map(|rows| rows as f64));
        self.numbers(prefix, &evaluation.usage);
    }

    /// Adds the numbers of an object.
    fn numbers(&mut self, prefix: &str, object: &impl Serialize) {
        let Ok(Value::Object(members)) = serde_json::to_value(object) else { return };
        for (name, value) in &members {
            self.add(&format!("{prefix}/{name}"), value.as_f64());
        }
    }
}

fn datasets(report: &Report, folder: &Path) -> Vec<Dataset> {
    let Some(data) = &report.data else { return Vec::new() };
    let dataset = |file: &DatasetFile| {
        let part = Path::new(&file.path).parent()?.file_name()?.to_str()?;
        Some(Dataset {
            name: format!("{}-{part}", data.workload),
            digest: file.sha256.clone(),
            uri: format!("file://{}", folder.join(&file.path).display()),
            rows: file.rows,
            context: match part {
                "training" => "training",
                "validation" => "validation",
                _ => "evaluation",
            },
        })
    };
    data.files.iter().filter_map(dataset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn every_number_of_a_report_is_a_metric_and_losses_have_their_steps() {
        let report = samples::completed();
        let metrics = metrics(&report, 1_000, 2_000);
        let of = |key: &str| metrics.iter().filter(|metric| metric.key == key).cloned().collect::<Vec<Metric>>();
        for candidate in &report.candidates {
            for (which, evaluation) in candidate.evaluations.all() {
                for (name, score) in &evaluation.scores {
                    let key = format!("{}/{which}/{name}", candidate.model);
                    let [one] = &of(&key)[..] else { panic!("{key}") };
                    assert_eq!((one.value, one.timestamp_ms, one.step), (score.value, 2_000, 0));
                }
            }
            let loss = candidate.training.as_ref().map_or(&[][..], |training| &training.loss);
            let told = of(&format!("{}/train_loss", candidate.model));
            let wanted: Vec<(u64, f64)> = loss.iter().filter_map(|point| Some((point.step, point.train?))).collect();
            assert_eq!(told.iter().map(|one| (one.step, one.value)).collect::<Vec<_>>(), wanted);
        }
        assert_eq!(of("headline")[0].value, report.headline().unwrap().value);
    }
}
