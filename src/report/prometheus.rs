//! A run as metrics in Prometheus' text format, for the textfile collector of the node exporter.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cost;
use super::json::{Candidate, Evaluation, Report};
use crate::run::outcome::LoadStep;
use crate::vocabulary::RunState;

/// The label names and values of a sample.
type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// One metric.
struct Metric<'a> {
    help: &'static str,
    samples: Vec<(Labels<'a>, f64)>,
}

/// The metrics by name.
#[derive(Default)]
struct Metrics<'a>(BTreeMap<&'static str, Metric<'a>>);

/// Writes the metrics of a run. Every sample has the label `workload`.
pub(crate) fn text(report: &Report) -> String {
    let mut metrics = Metrics::default();
    let workload = report.workload.as_deref().unwrap_or_default();
    of_run(&mut metrics, report, workload);
    for candidate in &report.candidates {
        for (which, evaluation) in candidate.evaluations.all() {
            of_evaluation(&mut metrics, [workload, &candidate.model, which], evaluation);
            of_load(&mut metrics, [workload, &candidate.model, which], &evaluation.latency);
        }
        of_candidate(&mut metrics, workload, candidate);
    }
    if let Some(floor) = &report.floor {
        of_evaluation(&mut metrics, [workload, "floor", "floor"], floor);
    }
    if let Some(teacher) = &report.teacher {
        of_load(&mut metrics, [workload, &teacher.model, "teacher"], &teacher.latency);
    }
    metrics.text()
}

fn of_run<'a>(metrics: &mut Metrics<'a>, report: &'a Report, workload: &'a str) {
    let mut add = |name, help, value| metrics.add(name, help, vec![("workload", workload)], value);
    let started = report.started_at.parse::<jiff::Timestamp>().ok().map(|at| at.as_second() as f64);
    add("dfwfd_run_started_timestamp_seconds", "When the run began.", started);
    add("dfwfd_run_duration_seconds", "How long the run took.", report.seconds);
    add("dfwfd_run_exit_code", "The exit code of the run.", report.exit_code.map(f64::from));
    let completed = report.state == RunState::Completed;
    add("dfwfd_run_completed", "1 if every candidate completed.", Some(f64::from(u8::from(completed))));
    add("dfwfd_run_held", "Resources that the run still holds on the platform.", Some(report.held.len() as f64));
    add("dfwfd_run_warnings", "Warnings of the run.", Some(report.warnings.len() as f64));
    if let Some(cost) = &report.cost {
        let gpu_seconds = cost.gpu_hours.map(|hours| hours * 3600.0);
        add("dfwfd_run_gpu_seconds", "Time on GPUs of all deployments and trainings of the run.", gpu_seconds);
        add("dfwfd_run_cost", "Money for the GPUs of the run.", cost.run);
        add("dfwfd_teacher_cost_per_1000", "Money for 1,000 requests to the teacher.", cost.teacher_per_1000);
    }
    if let Some(mix) = report.drift.as_ref().and_then(|drift| drift.labels.as_ref()) {
        let help = "Distance between the label mixes of this run and the run before, 0 to 1.";
        add("dfwfd_label_drift", help, Some(mix.distance));
        add("dfwfd_label_drift_p", "p value of that distance, by a chi-squared test.", Some(mix.p));
    }
    if let Some(teacher) = cost::teacher(report.data.as_ref(), report.teacher.as_ref()) {
        let help = "Latency of the teacher on the eval set, as measured or else as logged.";
        for (percentile, ms) in [("50", teacher.p50_ms), ("95", teacher.p95_ms)] {
            let labels = vec![("workload", workload), ("percentile", percentile)];
            metrics.add("dfwfd_teacher_latency_seconds", help, labels, ms.map(|ms| ms / 1000.0));
        }
    }
    let Some(data) = &report.data else { return };
    let rejected = data.rejected.values().sum();
    for (part, records) in [
        ("read", data.read),
        ("rejected", rejected),
        ("duplicates", data.duplicates),
        ("kept", data.kept),
        ("eval", data.eval),
        ("train", data.train),
        ("validation", data.validation),
    ] {
        let labels = vec![("workload", workload), ("part", part)];
        metrics.add("dfwfd_records", "Records of the run by what became of them.", labels, Some(records as f64));
    }
    for (label, counts) in &data.classes {
        let labels = vec![("workload", workload), ("label", label.as_str())];
        let rows = (counts.eval + counts.train + counts.validation) as f64;
        metrics.add("dfwfd_label_records", "Records of each label in the datasets.", labels, Some(rows));
    }
    for gate in &report.gates {
        let labels = vec![("workload", workload), ("gate", gate.gate.as_str())];
        metrics.add("dfwfd_gate_met", "1 if the quality gate was met.", labels, Some(f64::from(u8::from(gate.met))));
    }
}

fn of_candidate<'a>(metrics: &mut Metrics<'a>, workload: &'a str, candidate: &'a Candidate) {
    let labels = || vec![("workload", workload), ("model", candidate.model.as_str())];
    metrics.add("dfwfd_candidate_duration_seconds", "How long the candidate took.", labels(), candidate.seconds);
    let loss = candidate.training.as_ref().and_then(|training| training.loss.iter().rev().find_map(|one| one.train));
    metrics.add("dfwfd_candidate_loss", "The last training loss.", labels(), loss);
}

fn of_evaluation<'a>(metrics: &mut Metrics<'a>, [workload, model, which]: [&'a str; 3], one: &'a Evaluation) {
    let labels = |more: Option<(&'static str, &'a str)>| {
        let own = [("workload", workload), ("model", model), ("evaluation", which)];
        own.into_iter().chain(more).collect::<Vec<_>>()
    };
    for (name, score) in &one.scores {
        let score_labels = || labels(Some(("score", name.as_str())));
        metrics.add("dfwfd_score", "Score on the eval set.", score_labels(), Some(score.value));
        metrics.add("dfwfd_score_low", "Lower end of its 95 % interval.", score_labels(), score.low);
        metrics.add("dfwfd_score_high", "Upper end of its 95 % interval.", score_labels(), score.high);
    }
    let usage = one.usage.unwrap_or_default();
    metrics.add("dfwfd_cost_per_1000", "Money for 1,000 requests.", labels(None), usage.cost_per_1000);
    for (percentile, ms) in [("50", usage.p50_ms), ("95", usage.p95_ms)] {
        let labels = labels(Some(("percentile", percentile)));
        metrics.add("dfwfd_latency_seconds", "Latency of a reply.", labels, ms.map(|ms| ms / 1000.0));
    }
    let alone = one.latency.iter().find(|step| step.at_once == 1);
    for (percentile, ms) in
        [("50", alone.and_then(|step| step.first_token_p50_ms)), ("95", alone.and_then(|step| step.first_token_p95_ms))]
    {
        let labels = labels(Some(("percentile", percentile)));
        let help = "Time to the first token of a reply, one request at a time.";
        metrics.add("dfwfd_first_token_seconds", help, labels, ms.map(|ms| ms / 1000.0));
    }
    let most = one.latency.iter().map(|step| step.per_second).reduce(f64::max);
    metrics.add("dfwfd_replies_per_second", "The most replies per second under load.", labels(None), most);
    for (kind, tokens) in [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)] {
        let labels = labels(Some(("kind", kind)));
        metrics.add("dfwfd_evaluation_tokens", "Tokens of the evaluation.", labels, tokens.map(|n| n as f64));
    }
}

/// Adds each step of a load, by the number of requests at once.
fn of_load<'a>(metrics: &mut Metrics<'a>, [workload, model, which]: [&'a str; 3], steps: &'a [LoadStep]) {
    for step in steps {
        let own = [("workload", workload), ("model", model), ("evaluation", which)];
        let labels = |more: Option<(&'static str, &'a str)>| {
            let text = |(name, value): (&'static str, &'a str)| (name, Cow::Borrowed(value));
            let at_once = ("concurrency", Cow::Owned(step.at_once.to_string()));
            own.into_iter().map(text).chain([at_once]).chain(more.map(text)).collect::<Labels<'a>>()
        };
        let replies = "Replies per second of a load, by the requests at once.";
        metrics.put("dfwfd_load_replies_per_second", replies, labels(None), Some(step.per_second));
        let failed = "Requests of a load without a reply, by the requests at once.";
        metrics.put("dfwfd_load_failed_requests", failed, labels(None), Some(step.failed as f64));
        for (percentile, ms, first) in
            [("50", step.p50_ms, step.first_token_p50_ms), ("95", step.p95_ms, step.first_token_p95_ms)]
        {
            let labels = || labels(Some(("percentile", percentile)));
            let help = "Latency of a reply under load, by the requests at once.";
            metrics.put("dfwfd_load_latency_seconds", help, labels(), ms.map(|ms| ms / 1000.0));
            let help = "Time to the first token of a reply under load, by the requests at once.";
            metrics.put("dfwfd_load_first_token_seconds", help, labels(), first.map(|ms| ms / 1000.0));
        }
    }
}

impl<'a> Metrics<'a> {
    /// Adds a sample, unless there is no value.
    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Vec<(&'static str, &'a str)>,
        value: Option<f64>,
    ) {
        let labels = labels.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
        self.put(name, help, labels, value);
    }

    /// Adds a sample whose labels may be made for it.
    fn put(&mut self, name: &'static str, help: &'static str, labels: Labels<'a>, value: Option<f64>) {
        if let Some(value) = value {
            let metric = self.0.entry(name).or_insert(Metric { help, samples: Vec::new() });
            metric.samples.push((labels, value));
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for (name, Metric { help, samples }) in &self.0 {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, value) in samples {
                let labels: Vec<String> =
                    labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
                let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
            }
        }
        out
    }
}

/// Escapes a label value (Prometheus, Exposition formats, Text format details).
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn every_sample_stands_below_its_type_and_is_escaped() {
        let mut report = samples::completed();
        report.workload = Some("a \"b\\\nc".to_owned());
        let text = text(&report);
        let line =
            regex::Regex::new(r#"^dfwfd_[a-z0-9_]+\{([a-z]+="([^"\\]|\\["\\n])*",?)+\} (NaN|-?[0-9.]+(e-?[0-9]+)?)$"#)
                .unwrap();
        let mut family = "";
        let mut seen = std::collections::BTreeSet::new();
        for one in text.lines() {
            if let Some(named) = one.strip_prefix("# TYPE ") {
                family = named.strip_suffix(" gauge").unwrap();
            } else if !one.starts_with("# HELP ") {
                assert!(line.is_match(one) && one.starts_with(&format!("{family}{{")), "{one}");
                assert!(seen.insert(one.rsplit_once(' ').unwrap().0), "twice: {one}");
            }
        }
        assert!(text.contains("dfwfd_run_exit_code{workload=\"a \\\"b\\\\\\nc\"} 0\n"), "{text}");
        let value = report.candidates[0].evaluations.customized.as_ref().unwrap().scores["macro_f1"].value;
        let model = &report.candidates[0].model;
        let labels = format!("model=\"{model}\",evaluation=\"customized\",score=\"macro_f1\"}} {value}\n");
        assert!(text.contains(&labels), "{labels}: {text}");
    }
}
