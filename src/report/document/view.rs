//! The content of a document, as texts and per cents: every number of the report is turned into its words here, once.

use serde::Serialize;

use super::cases::{self, Case};
use super::chart::Chart;
use super::charts;
use super::detail::Detail;
use super::extras::Extras;
use super::words::{capitalised, interval, number, shown};
use crate::report::cost;
use crate::report::datasets;
use crate::report::json::{Candidate, Evaluation, Report};
use crate::report::metrics::{evaluated_label, evaluation_label, metric_label};
use crate::report::run_tables::gold;
use crate::report::run_tables::headline::{self, MARK};
use crate::report::text::{count, duration};
use crate::run::gates::Gate;
use crate::run::gold::GoldFact;
use crate::run::outcome::ComparisonFact;
use crate::score::Estimate;
use crate::vocabulary::Failure;

/// The content of a document.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    run: String,
    workload: String,
    state: &'static str,
    started_at: String,
    seconds: f64,
    rehearsal: bool,
    verdict: String,
    error: Option<Failure>,
    facts: Vec<Fact>,
    warnings: Vec<String>,
    gates: Vec<GateLine>,
    metric: String,
    models: Vec<Model>,
    /// Each row begins with the model and the evaluation.
    headline: Vec<Vec<String>>,
    headline_columns: [&'static str; headline::COLUMNS.len()],
    headline_notes: Vec<String>,
    comparisons: Vec<Comparison>,
    gold: Option<Gold>,
    scores: Option<ScoreTable>,
    details: Vec<Detail>,
    cost: Option<Chart>,
    costs: Vec<[String; 8]>,
    cost_columns: [&'static str; 8],
    cost_note: String,
    loads: Vec<[String; 8]>,
    load_columns: [&'static str; 8],
    history: Option<Chart>,
    data: Vec<Fact>,
    adapters: Vec<Adapter>,
    cases: Vec<Case>,
}

#[derive(Debug, Serialize)]
struct Fact {
    label: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct GateLine {
    gate: String,
    met: bool,
    explanation: String,
}

#[derive(Debug, Serialize)]
struct Model {
    name: String,
    bars: Vec<IntervalBar>,
    verdict: Option<String>,
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct IntervalBar {
    which: &'static str,
    label: &'static str,
    /// Per cent of the track.
    at: f64,
    low: Option<f64>,
    span: Option<f64>,
    value: String,
    interval: Option<String>,
}

#[derive(Debug, Serialize)]
struct Comparison {
    a: String,
    b: String,
    difference: String,
    interval: String,
    p: String,
    verdict: String,
}

/// The models against labels of people.
#[derive(Debug, Serialize)]
struct Gold {
    title: String,
    columns: [&'static str; 7],
    rows: Vec<[String; 7]>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ScoreTable {
    columns: Vec<ScoreColumn>,
    rows: Vec<ScoreRow>,
}

#[derive(Debug, Serialize)]
struct ScoreColumn {
    model: String,
    which: &'static str,
}

#[derive(Debug, Serialize)]
struct ScoreRow {
    name: String,
    label: String,
    cells: Vec<ScoreCell>,
}

#[derive(Debug, Serialize)]
struct ScoreCell {
    text: String,
    interval: Option<String>,
    /// The number itself, for readers that are programs.
    raw: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Adapter {
    name: String,
    model: String,
}

impl Page {
    /// Turns a report into words.
    pub(super) fn new(report: &Report, extras: &Extras) -> Page {
        let metric = report.headline_metric();
        let workload = report.workload.as_deref().map_or_else(|| "workload not known".to_owned(), shown);
        Page {
            title: format!("{workload}: run {} of dfwfd", report.run),
            run: report.run.clone(),
            workload,
            state: report.state.as_str(),
            started_at: report.started_at.clone(),
            seconds: report.seconds.unwrap_or_default(),
            rehearsal: report.rehearsal,
            verdict: report
                .verdict
                .as_ref()
                .map_or_else(|| "This run has no verdict.".to_owned(), |verdict| shown(&verdict.sentence)),
            error: report.error.as_ref().map(|error| chain(&error.failure)),
            facts: facts(report),
            warnings: report.warnings_with_replies().map(|warning| shown(&warning)).collect(),
            gates: report.gates.iter().map(gate).collect(),
            metric: capitalised(&metric_label(metric)),
            models: report.candidates.iter().map(|one| model(one, metric)).chain(floor(report, metric)).collect(),
            headline: headline_rows(report),
            headline_columns: headline::COLUMNS,
            headline_notes: headline_notes(report),
            comparisons: comparisons(report),
            gold: report.gold.as_ref().map(gold),
            scores: score_table(report),
            details: report.candidates.iter().filter_map(|one| Detail::of(one, &extras.rows)).collect(),
            cost: charts::cost(report, metric),
            costs: cost::rows(report).into_iter().map(|row| row.map(|cell| shown(&cell))).collect(),
            cost_columns: cost::COLUMNS,
            cost_note: cost::note(report),
            loads: cost::load_rows(report, true).into_iter().map(|row| row.map(|cell| shown(&cell))).collect(),
            load_columns: cost::LOAD_COLUMNS,
            history: charts::history(&extras.history, metric),
            data: data_facts(report),
            adapters: report.candidates.iter().filter_map(adapter).collect(),
            cases: cases::of(report),
        }
    }
}

fn chain(failure: &Failure) -> Failure {
    Failure { message: shown(&failure.message), causes: failure.causes.iter().map(|cause| shown(cause)).collect() }
}

fn gate(gate: &Gate) -> GateLine {
    GateLine { gate: shown(&gate.gate), met: gate.met, explanation: shown(&gate.explanation) }
}

fn facts(report: &Report) -> Vec<Fact> {
    let fact = |label: &str, value: String| Fact { label: label.to_owned(), value };
    let platform = report.platform.as_stated(report.generation, report.platform_version.as_deref());
    let mut facts = vec![fact("platform", shown(&platform))];
    facts.extend(report.seconds.map(|seconds| fact("time", duration(seconds))));
    if let Some(data) = &report.data {
        facts.push(fact("eval rows", count(data.eval)));
        facts.push(fact("training rows", count(data.train)));
    }
    facts.push(fact("candidates", report.candidates.len().to_string()));
    facts.push(fact("owner", shown(&report.owner)));
    facts
}

fn interval_bar(which: &'static str, evaluation: &Evaluation, metric: &str) -> Option<IntervalBar> {
    let score = evaluation.scores.get(metric)?;
    let per_cent = |value: f64| (value.clamp(0.0, 1.0) * 1000.0).round() / 10.0;
    let low = score.low.map(per_cent);
    Some(IntervalBar {
        which,
        label: if which == "floor" { "n-grams" } else { evaluation_label(which) },
        at: per_cent(score.value),
        low,
        span: low.zip(score.high).map(|(low, high)| per_cent(high) - low),
        value: number(score.value) + if evaluation.note().is_some() { MARK } else { "" },
        interval: interval(score),
    })
}

/// Shows the floor as the last of the models.
fn floor(report: &Report, metric: &str) -> Option<Model> {
    let bars = interval_bar("floor", report.floor.as_ref()?, metric).into_iter().collect();
    Some(Model { name: "Floor".to_owned(), bars, verdict: None, note: None })
}

fn model(candidate: &Candidate, metric: &str) -> Model {
    let bar = |(which, evaluation)| interval_bar(which, evaluation, metric);
    let state = match &candidate.error {
        Some(error) => Some(format!("{}: {}", candidate.state.as_str(), shown(&error.message))),
        None if candidate.evaluations.customized.is_none() => Some(headline::state_in_words(candidate)),
        None => None,
    };
    let notes =
        candidate.evaluations.notes().map(|(which, note)| format!("{MARK} {}: {note}", evaluation_label(which)));
    let note = state.into_iter().chain(notes).reduce(|all, next| format!("{all}; {next}"));
    Model {
        name: shown(&candidate.model),
        bars: candidate.evaluations.all().into_iter().filter_map(bar).collect(),
        verdict: candidate.verdict.as_ref().map(|verdict| shown(&verdict.sentence)),
        note,
    }
}

fn headline_rows(report: &Report) -> Vec<Vec<String>> {
    if !headline::has_scores(report) {
        return Vec::new();
    }
    let row = |model: &str, (name, cells): headline::Line| {
        [model, name].into_iter().map(str::to_owned).chain(cells).map(|cell| shown(&cell)).collect()
    };
    let yardsticks = headline::yardsticks(report).into_iter().map(|(name, cells)| row(name, ("-", cells)));
    let candidates = report
        .candidates
        .iter()
        .flat_map(|one| headline::of_candidate(report, one).into_iter().map(|line| row(&one.model, line)));
    yardsticks.chain(candidates).collect()
}

/// Returns how to read the table. The notes of single models stand with these models.
fn headline_notes(report: &Report) -> Vec<String> {
    let notes = headline::notes(report).into_iter().filter(|(term, _)| !term.starts_with(MARK));
    notes.map(|(term, text)| shown(&(term + &text))).collect()
}

fn comparisons(report: &Report) -> Vec<Comparison> {
    let row = |one: &ComparisonFact| Comparison {
        a: shown(&evaluated_label(&one.a)),
        b: shown(&evaluated_label(&one.b)),
        difference: format!("{:+.3}", one.difference.value),
        interval: one
            .difference
            .low
            .zip(one.difference.high)
            .map_or_else(String::new, |(low, high)| format!("{low:+.3} to {high:+.3}")),
        p: one.p.map_or_else(String::new, |p| if p < 0.001 { "< 0.001".to_owned() } else { number(p) }),
        verdict: shown(&one.explanation),
    };
    report.comparisons.iter().map(row).collect()
}

fn gold(fact: &GoldFact) -> Gold {
    Gold {
        title: shown(&gold::title(fact)),
        columns: gold::COLUMNS,
        rows: gold::rows(fact).into_iter().map(|row| row.map(|cell| shown(&cell))).collect(),
        notes: std::iter::once(gold::NOTE.to_owned())
            .chain(gold::caveats(fact).iter().map(|text| shown(text)))
            .collect(),
    }
}

fn score_table(report: &Report) -> Option<ScoreTable> {
    let mut columns: Vec<(ScoreColumn, &Evaluation)> = Vec::new();
    for candidate in &report.candidates {
        let column = |which| ScoreColumn { model: shown(&candidate.model), which: evaluation_label(which) };
        columns.extend(candidate.evaluations.all().into_iter().map(|(which, one)| (column(which), one)));
    }
    let mut names: Vec<&String> = columns.iter().flat_map(|(_, one)| one.scores.keys()).collect();
    names.sort();
    names.dedup();
    // The headline stands first.
    names.sort_by_key(|name| name.as_str() != report.headline_metric());
    let cell = |score: Option<&Estimate>| ScoreCell {
        text: score.map_or_else(String::new, |score| number(score.value)),
        interval: score.and_then(interval),
        raw: score.map(|score| score.value),
    };
    let row = |name: &String| ScoreRow {
        name: name.clone(),
        label: metric_label(name),
        cells: columns.iter().map(|(_, one)| cell(one.scores.get(name))).collect(),
    };
    let rows: Vec<ScoreRow> = names.into_iter().map(row).collect();
    let columns = columns.into_iter().map(|(column, _)| column).collect();
    (!rows.is_empty()).then_some(ScoreTable { columns, rows })
}

fn data_facts(report: &Report) -> Vec<Fact> {
    let Some(data) = &report.data else { return Vec::new() };
    datasets::of_stages(data)
        .into_iter()
        .chain([("conflicting labels", data.conflicts), ("seed", data.seed)])
        .map(|(label, value)| Fact { label: label.trim().to_owned(), value: count(value) })
        .collect()
}

fn adapter(candidate: &Candidate) -> Option<Adapter> {
    let name = candidate.training.as_ref()?.adapter.as_deref().map(shown)?;
    Some(Adapter { name, model: shown(&candidate.model) })
}
