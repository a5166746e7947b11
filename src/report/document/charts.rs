//! The charts of a document: losses, score against cost, and scores over runs.

use super::chart::{Chart, Data, Datum, Range};
use super::extras::PastRun;
use super::words::{capitalised, number, shown};
use crate::report::json::{Candidate, Report};
use crate::report::metrics::metric_label;
use crate::vocabulary::LossPoint;

/// Draws the losses of a training.
pub(super) fn loss(candidate: &Candidate) -> Option<Chart> {
    let points = &candidate.training.as_ref()?.loss;
    let series = |name: &str, value: fn(&LossPoint) -> Option<f64>| {
        let datum = |point| {
            let y = value(point)?;
            Some(Datum { x: point.step as f64, y, label: format!("step {}: {y:.4}", point.step), ..Datum::default() })
        };
        let values: Vec<Datum> = points.iter().filter_map(datum).filter(|datum| datum.y.is_finite()).collect();
        Data { name: name.to_owned(), dots: values.len() < 12, values, line: true }
    };
    let data = [series("training", |point| point.train), series("validation", |point| point.validation)];
    // One point is no curve.
    data.iter().find(|one| one.values.len() > 1)?;
    let values = || data.iter().flat_map(|one| &one.values);
    let ranges = (Range::from_zero(values().map(|datum| datum.x)), Range::from_zero(values().map(|datum| datum.y)));
    Some(Chart::new("Loss", "step", ranges, &data))
}

/// Returns the last losses of a training, in words.
pub(super) fn last_loss(candidate: &Candidate) -> Option<String> {
    let points = &candidate.training.as_ref()?.loss;
    let last = |name: &str, value: fn(&LossPoint) -> Option<f64>| {
        let (step, loss) = points.iter().rev().find_map(|point| Some((point.step, value(point)?)))?;
        Some(format!("{name} {loss:.3} at step {step}"))
    };
    let told = [last("training", |point| point.train), last("validation", |point| point.validation)];
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Draws the score of each candidate against what its requests cost.
pub(super) fn cost(report: &Report, metric: &str) -> Option<Chart> {
    let datum = |candidate: &Candidate| {
        let (which, evaluation) = candidate.evaluations.all().pop()?;
        let (score, cost) = (evaluation.scores.get(metric)?, evaluation.usage?.cost_per_1000?);
        let label = format!("{} {which}: {} for {cost:.4}", shown(&candidate.model), number(score.value));
        let name = candidate.model.rsplit('/').next().map(shown);
        Some(Datum { x: cost, y: score.value, ends: score.low.zip(score.high), label, name })
    };
    let values: Vec<Datum> = report.candidates.iter().filter_map(datum).collect();
    let x = Range::from_zero(values.iter().map(|datum| datum.x * 1.15));
    let data = [Data { name: metric_label(metric), values, line: false, dots: true }];
    let axis = format!("cost of 1,000 requests, {}", report.cost.as_ref().map_or("", |cost| cost.currency.as_str()));
    (!data[0].values.is_empty())
        .then(|| Chart::new(&capitalised(&metric_label(metric)), &axis, (x, Range::UNIT), &data))
}

/// Draws the scores of a workload over its runs, where it has more than one.
pub(super) fn history(past: &[PastRun], metric: &str) -> Option<Chart> {
    let mut runs: Vec<&str> = past.iter().map(|past| past.run.as_str()).collect();
    runs.dedup();
    let mut models: Vec<&str> = past.iter().map(|past| past.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    if runs.len() < 2 {
        return None;
    }
    let series = |model: &&str| {
        let datum = |past: &PastRun| Datum {
            x: runs.iter().position(|run| *run == past.run).unwrap_or_default() as f64,
            y: past.score.value,
            ends: past.score.low.zip(past.score.high),
            label: format!("run {}, {}: {}", past.run, past.started_at, number(past.score.value)),
            name: None,
        };
        let values = past.iter().filter(|past| past.model == *model).map(datum).collect();
        Data { name: shown(model), values, line: true, dots: true }
    };
    let data: Vec<Data> = models.iter().map(series).collect();
    let names: Vec<String> = runs.iter().map(|run| (*run).to_owned()).collect();
    Some(Chart::over_names(&capitalised(&metric_label(metric)), "run", &names, Range::UNIT, &data))
}
