//! The tables of a run's report. The summary shows scores before and after, failures and what is still held; the full
//! page adds every score and class. Values in, text out.

mod comparisons;
mod cost;
mod drift;
mod gates;
pub(crate) mod gold;
pub(crate) mod headline;
mod latency;
mod texts;

use super::json::{Candidate, Evaluation, Report};
use super::layout::{Grid, Page, Side};
use super::metrics::{evaluation_label, metric_label};
use super::text::{Tone, duration};
use super::{ask_adapter, datasets};
use crate::score::Estimate;
use crate::vocabulary::{CandidateState, Failure, RunState};

pub(super) use comparisons::rows as comparison_rows;

/// Returns the page that `run` ends with.
pub(crate) fn summary(report: &Report, width: usize, color: bool) -> String {
    page(report, width, color, false)
}

/// Returns the page of `status RUN`, with every score and class of every candidate.
pub(crate) fn full(report: &Report, width: usize, color: bool) -> String {
    page(report, width, color, true)
}

fn page(report: &Report, width: usize, color: bool, full: bool) -> String {
    let mut page = Page::new(width, color);
    heading(&mut page, report);
    if let Some(manifest) = &report.data {
        datasets::sentence(&mut page, manifest);
    }
    headline::section(&mut page, report);
    texts::section(&mut page, report);
    judge_scores(&mut page, report);
    latency::section(&mut page, report, full);
    gold::section(&mut page, report);
    gates::section(&mut page, report);
    if full {
        cost::section(&mut page, report);
        comparisons::section(&mut page, report);
        drift::section(&mut page, report);
        for candidate in &report.candidates {
            all_scores(&mut page, report, candidate);
        }
        if let Some(manifest) = &report.data {
            datasets::sections(&mut page, manifest, mark(report));
        }
    }
    failures(&mut page, report, full);
    warnings(&mut page, report);
    held(&mut page, report);
    ask_adapter::lines(&mut page, report);
    page.text()
}

/// Returns the beginning of every title of a rehearsal.
fn mark(report: &Report) -> &'static str {
    if report.rehearsal { "REHEARSAL: " } else { "" }
}

fn heading(page: &mut Page, report: &Report) {
    let state = match report.state {
        RunState::Partial => "partly completed",
        state => state.as_str(),
    };
    let tone = match report.state {
        RunState::Completed | RunState::Running => Tone::Heading,
        RunState::Partial | RunState::Cancelled | RunState::Interrupted => Tone::Warning,
        RunState::Failed => Tone::Bad,
    };
    let workload = report.workload.as_deref().unwrap_or("no workload yet");
    let time = report.seconds.map_or_else(String::new, |seconds| {
        let word = if report.state == RunState::Running { "for" } else { "after" };
        format!(" {word} {}", duration(seconds))
    });
    let platform = report.platform.as_stated(report.generation, report.platform_version.as_deref());
    let text = format!("run {}: {workload}, {state}{time}, on {platform}", report.run);
    page.tone(tone, "", &format!("{}{text}", mark(report)));
    if report.rehearsal {
        let text = "Students stood in for the candidates: these scores say nothing about the models named here.";
        page.tone(Tone::Warning, "", text);
    }
}

/// The judge's score of tool calls beside the scores that comparing the calls gives.
fn judge_scores(page: &mut Page, report: &Report) {
    let Some(judge) = report.judge.as_ref().filter(|_| !texts::are_scored(report)) else { return };
    let mut grid = Grid::new(&[
        ("model", Side::Left),
        ("names", Side::Right),
        ("arguments", Side::Right),
        ("judge", Side::Right),
        ("95 % interval", Side::Right),
        ("not rated", Side::Right),
    ]);
    for candidate in &report.candidates {
        let all = candidate.evaluations.all();
        let last = all.into_iter().rev().map(|(_, evaluation)| evaluation);
        let judged = last.into_iter().find(|evaluation| evaluation.score("judge_unrated").is_some());
        let score = |metric| cell(judged, metric);
        grid.row([
            candidate.model.clone(),
            score("function_name_accuracy"),
            score("name_and_arguments_accuracy"),
            score("judge_correctness"),
            interval(judged.and_then(|judged| judged.score("judge_correctness"))),
            score("judge_unrated"),
        ]);
    }
    page.title(&format!("{}Calls judged by {} ({})", mark(report), judge.model, judge.deployment));
    page.grid(&grid);
    let text = "Each row shows the customized model, or the base model if only that was judged. The judge's score is the \
        share of right calls among those that it rated; the interval is for this score.";
    page.tone(Tone::Faint, "", text);
}

/// Returns a score, or the reason why there is none.
fn cell(evaluation: Option<&Evaluation>, metric: &str) -> String {
    match (evaluation.and_then(|evaluation| evaluation.score(metric)), evaluation) {
        (Some(score), Some(evaluation)) if evaluation.note().is_some() => {
            format!("{:.3}{}", score.value, headline::MARK)
        }
        (Some(score), _) => format!("{:.3}", score.value),
        (None, Some(evaluation)) if evaluation.state != CandidateState::Completed => {
            evaluation.state.as_str().to_owned()
        }
        (None, _) => "-".to_owned(),
    }
}

fn interval(score: Option<Estimate>) -> String {
    let ends = score.and_then(|score| score.low.zip(score.high));
    ends.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.3}–{high:.3}"))
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Every score and class of one candidate.
fn all_scores(page: &mut Page, report: &Report, candidate: &Candidate) {
    let mut columns = candidate.evaluations.all();
    columns.retain(|(_, evaluation)| !evaluation.scores.is_empty());
    if columns.is_empty() {
        return;
    }
    page.title(&format!("{}Scores of {}", mark(report), candidate.model));
    let mut header = vec![("score", Side::Left)];
    for (name, _) in &columns {
        header.extend([(evaluation_label(name), Side::Right), ("95 % interval", Side::Right)]);
    }
    let mut grid = Grid::new(&header);
    let names = score_order(&columns);
    for name in names.iter().filter(|name| !repeats(&columns, name)) {
        let mut cells = vec![metric_label(name)];
        for (_, evaluation) in &columns {
            let score = evaluation.score(name);
            cells.extend([score.map_or_else(|| "-".to_owned(), |s| format!("{:.3}", s.value)), interval(score)]);
        }
        grid.row(cells);
    }
    page.grid(&grid);
    if names.iter().any(|name| name.ends_with("_lenient"))
        && names.iter().all(|n| !n.ends_with("_lenient") || repeats(&columns, n))
    {
        page.tone(Tone::Faint, "", "The lenient scores, which also count a bare label as a reply, are the same.");
    }
    classes(page, report, candidate);
}

/// Tells whether this is a lenient score that equals the strict one in every column.
fn repeats(columns: &[(&str, &Evaluation)], name: &str) -> bool {
    let Some(strict) = name.strip_suffix("_lenient") else { return false };
    columns.iter().all(|(_, evaluation)| evaluation.scores.get(name) == evaluation.scores.get(strict))
}

/// Returns the names of the scores: first the scores of classification in a fixed order, then the others.
fn score_order<'a>(columns: &[(&str, &'a Evaluation)]) -> Vec<&'a str> {
    const FIRST: [&str; 7] =
        ["macro_f1", "accuracy", "weighted_f1", "micro_f1", "kappa", "unparseable", "off_taxonomy"];
    let mut names: Vec<&str> =
        columns.iter().flat_map(|(_, evaluation)| evaluation.scores.keys().map(String::as_str)).collect();
    names.sort_by_key(|name| (FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()), *name));
    names.dedup();
    names
}

/// The class table of a candidate: of its last evaluation, beside its base evaluation.
fn classes(page: &mut Page, report: &Report, candidate: &Candidate) {
    let last = candidate.evaluations.all().pop();
    let Some((which, shown)) = last.filter(|(_, shown)| !shown.classes.is_empty()) else { return };
    let before = candidate.evaluations.base.as_ref().filter(|_| which != "base");
    page.title(&format!("{}Classes of {}, {}", mark(report), candidate.model, evaluation_label(which)));
    let mut header = vec![("class", Side::Left), ("rows", Side::Right)];
    header.extend(before.is_some().then_some(("base F1", Side::Right)));
    let rest = ["F1", "precision", "recall", "predicted"].map(|name| (name, Side::Right));
    header.extend(rest);
    let mut grid = Grid::new(&header);
    for class in &shown.classes {
        let base = before.map(|base| base.classes.iter().find(|other| other.label == class.label));
        let mut cells = vec![class.label.clone(), class.support.to_string()];
        cells.extend(base.map(|base| base.map_or_else(|| "-".to_owned(), |base| format!("{:.3}", base.f1))));
        cells.extend([class.f1, class.precision, class.recall].map(|score| format!("{score:.3}")));
        cells.push(class.predicted.to_string());
        grid.row(cells);
    }
    page.grid(&grid);
    let never: Vec<&str> =
        shown.classes.iter().filter(|c| c.support > 0 && c.predicted == 0).map(|c| c.label.as_str()).collect();
    if !never.is_empty() {
        page.tone(Tone::Warning, "", &format!("Never predicted: {}", never.join(", ")));
    }
    mistakes(page, shown);
}

/// The three most frequent confusions. The JSON report has them all.
fn mistakes(page: &mut Page, evaluation: &Evaluation) {
    let Some(confusion) = &evaluation.confusion else { return };
    let mut cells: Vec<(u64, &str, &str)> = Vec::new();
    for (label, row) in confusion.labels.iter().zip(&confusion.counts) {
        for (column, &n) in confusion.columns.iter().zip(row) {
            if n > 0 && column != label {
                cells.push((n, label, column));
            }
        }
    }
    cells.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let most: Vec<String> =
        cells.iter().take(3).map(|(n, gold, said)| format!("{gold} read as {said} ({n})")).collect();
    if !most.is_empty() {
        page.plain("", &format!("Most frequent mistakes: {}", most.join(", ")));
    }
}

/// Why candidates failed. The full page also says why the run failed; `run` itself says that on stderr.
fn failures(page: &mut Page, report: &Report, full: bool) {
    for candidate in &report.candidates {
        if let Some(failure) = &candidate.error {
            page.gap();
            chain(page, &format!("{}: ", candidate.model), failure);
        }
    }
    if let Some(error) = report.error.as_ref().filter(|_| full) {
        page.gap();
        chain(page, "", &error.failure);
        if let Some(hint) = &error.hint {
            page.plain("hint: ", hint);
        }
    }
}

fn chain(page: &mut Page, of: &str, failure: &Failure) {
    page.tone(Tone::Bad, "error: ", &format!("{of}{}", failure.message));
    for cause in &failure.causes {
        page.plain("  caused by: ", cause);
    }
}

fn warnings(page: &mut Page, report: &Report) {
    if !report.warnings.is_empty() {
        page.gap();
    }
    for warning in report.warnings_with_replies() {
        page.tone(Tone::Warning, "warning: ", &warning);
    }
}

fn held(page: &mut Page, report: &Report) {
    if report.held.is_empty() {
        return;
    }
    page.title("Still held on the platform");
    let mut grid = Grid::new(&[("name", Side::Left), ("kind", Side::Left), ("state", Side::Left)]);
    for held in &report.held {
        grid.row([held.name.clone(), held.kind.as_str().to_owned(), held.state.as_str().to_owned()]);
    }
    page.grid(&grid);
    if report.state != RunState::Running {
        page.plain("hint: ", &format!("dfwfd cleanup {}", report.run));
    }
}

#[cfg(test)]
mod tests;
