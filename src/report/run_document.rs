//! A report as one flat document for an index of runs, whose fields can be charted.

use serde_json::{Map, Value, json};

use super::assemble::rfc3339;
use super::json::{Candidate, Evaluation, Report};
use crate::store::RunRow;

/// Returns the document of a recorded run.
pub(crate) fn of(report: &Report, row: &RunRow) -> Value {
    let best = report.headline().and_then(|best| report.candidates.iter().find(|one| one.model == best.model));
    let data = report.data.as_ref();
    let records = data.map(|data| {
        json!({
            "read": data.read, "rejected": data.all_rejected(), "duplicates": data.duplicates, "kept": data.kept,
            "eval": data.eval, "train": data.train, "validation": data.validation,
        })
    });
    let drift = report.drift.as_ref().map(|drift| {
        let labels = drift.labels.as_ref();
        json!({"run": drift.run, "labels_p": labels.map(|mix| mix.p), "labels_distance": labels.map(|mix| mix.distance)})
    });
    let evaluations: Vec<Value> = report.candidates.iter().flat_map(evaluations).collect();
    json!({
        "run": report.run,
        "workload": report.workload,
        "state": report.state.as_str(),
        "exit_code": report.exit_code,
        "platform": report.platform.as_str(),
        "rehearsal": report.rehearsal,
        "owner": report.owner,
        "started_at": report.started_at,
        "ended_at": row.ended_ms.map(rfc3339),
        "seconds": report.seconds,
        "model": report.verdict.as_ref().and_then(|verdict| verdict.model.as_ref()),
        "verdict": report.verdict.as_ref().map(|verdict| &verdict.sentence),
        "error": report.error.as_ref().map(|error| &error.failure.message),
        "warnings": report.warnings.len(),
        "gates_missed": report.gates.iter().filter(|gate| !gate.met).count(),
        "headline": report.headline(),
        "best": best.and_then(|best| best.evaluations.last()).map(numbers),
        "floor": report.floor.as_ref().map(numbers),
        "teacher": data.and_then(|data| data.teacher),
        "cost": report.cost,
        "drift": drift,
        "records": records,
        "candidates": evaluations,
    })
}

fn evaluations(candidate: &Candidate) -> Vec<Value> {
    let one = |(which, evaluation): (&str, &Evaluation)| {
        let mut all = numbers(evaluation);
        all.insert("model".to_owned(), json!(candidate.model));
        all.insert("evaluation".to_owned(), json!(which));
        Value::Object(all)
    };
    candidate.evaluations.all().into_iter().map(one).collect()
}

/// Returns the scores of an evaluation, with what it took.
fn numbers(evaluation: &Evaluation) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, score) in &evaluation.scores {
        all.insert(name.clone(), json!(score.value));
    }
    if let Ok(Value::Object(usage)) = serde_json::to_value(evaluation.usage) {
        all.extend(usage);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::vocabulary::{PlatformKind, RunState};

    #[test]
    fn the_scores_of_the_best_model_can_be_charted() {
        let report = samples::completed();
        let row = RunRow {
            id: report.run.clone(),
            workload: report.workload.clone(),
            state: RunState::Completed,
            exit_code: Some(0),
            owner: report.owner.clone(),
            platform: PlatformKind::Embedded,
            rehearsal: false,
            error: None,
            started_ms: 0,
            resumed_ms: 0,
            worked_ms: 0,
            ended_ms: Some(1_000),
        };
        let document = of(&report, &row);
        let best = report.headline().unwrap();
        assert_eq!(document["headline"], json!(best));
        assert_eq!(document["best"][best.metric.as_str()], json!(best.value));
        assert_eq!(document["ended_at"], "1970-01-01T00:00:01Z");
        let count: usize = report.candidates.iter().map(|one| one.evaluations.all().len()).sum();
        assert_eq!(document["candidates"].as_array().map(Vec::len), Some(count));
    }
}
