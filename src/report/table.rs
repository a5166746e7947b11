//! The report of a run for people: what it came to, and with `full` also every score and class. Values in, text out.

use super::layout::{Grid, Page, Side};
use super::model::{Candidate, Evaluation, Report, RunState, State, metric_label, score_of};
use super::text::{Tone, counted, duration};
use super::{data, serve};
use crate::score::Estimate;

/// What `run` ends with: scores before and after, what failed, what is still held, and how to ask the adapter.
pub fn summary(report: &Report, width: usize, color: bool) -> String {
    page(report, width, color, false)
}

/// The same with every score and class of every candidate.
pub fn full(report: &Report, width: usize, color: bool) -> String {
    page(report, width, color, true)
}

fn page(report: &Report, width: usize, color: bool, full: bool) -> String {
    let mut page = Page::new(width, color);
    heading(&mut page, report);
    if let Some(counts) = &report.data {
        data::sentence(&mut page, counts);
    }
    scores(&mut page, report);
    if full {
        for candidate in &report.candidates {
            detail(&mut page, report, candidate);
        }
        if let Some(counts) = &report.data {
            data::sections(&mut page, counts, mark(report));
        }
    }
    failures(&mut page, report, full);
    warnings(&mut page, report);
    held(&mut page, report);
    serve::lines(&mut page, report);
    page.text()
}

/// What every table of a rehearsal begins with.
fn mark(report: &Report) -> &'static str {
    if report.rehearsal { "REHEARSAL: " } else { "" }
}

fn heading(page: &mut Page, report: &Report) {
    let state = match report.state {
        RunState::Running => "running",
        RunState::Completed => "completed",
        RunState::Partial => "partly completed",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
        RunState::Interrupted => "interrupted",
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
    let platform = if report.platform == "embedded" { "the embedded platform" } else { "NeMo" };
    page.tone(tone, "", &format!("{}run {}: {workload}, {state}{time}, on {platform}", mark(report), report.run));
    if report.rehearsal {
        let text = "Students stood in for the candidates: these scores say nothing about the models named here.";
        page.tone(Tone::Warning, "", text);
    }
}

/// The result table.
fn scores(page: &mut Page, report: &Report) {
    if report.candidates.is_empty() {
        return;
    }
    let metric = report.headline_metric();
    let evaluations = || {
        report.candidates.iter().flat_map(|c| {
            let all = &c.evaluations;
            [&all.base, &all.icl, &all.customized].into_iter().flatten()
        })
    };
    let rows = evaluations().filter_map(|evaluation| evaluation.rows).max();
    let on = rows.map_or_else(String::new, |rows| format!(" on {}", counted(rows, "eval row")));
    page.title(&format!("{}{}{on}", mark(report), capitalised(&metric_label(metric))));
    let icl = report.candidates.iter().any(|candidate| candidate.evaluations.icl.is_some());
    let mut header = vec![("model", Side::Left), ("base", Side::Right)];
    header.extend(icl.then_some(("in-context", Side::Right)));
    header.extend([
        ("customized", Side::Right),
        ("change", Side::Right),
        ("95 % interval", Side::Right),
        ("runtime", Side::Right),
    ]);
    let mut grid = Grid::new(&header);
    for candidate in &report.candidates {
        result_row(&mut grid, candidate, metric, icl);
    }
    page.grid(&grid);
    if evaluations().any(|evaluation| evaluation.scores.contains_key(metric)) {
        let text = "The interval is that of the customized model, of the base model where there is no other.";
        page.tone(Tone::Faint, "", text);
    }
    judged(page, report);
    if let Some(verdict) = &report.verdict {
        page.gap();
        page.plain("", &verdict.sentence);
    }
}

/// What a judge says of the calls, next to what comparing them says.
fn judged(page: &mut Page, report: &Report) {
    let Some(judge) = &report.judge else { return };
    let last = |candidate: &'_ Candidate| {
        let all = candidate.evaluations.clone();
        [all.customized, all.base]
            .into_iter()
            .flatten()
            .find(|evaluation| evaluation.scores.contains_key("judge_unrated"))
    };
    let mut grid = Grid::new(&[
        ("model", Side::Left),
        ("names", Side::Right),
        ("arguments", Side::Right),
        ("judge", Side::Right),
        ("95 % interval", Side::Right),
        ("not rated", Side::Right),
    ]);
    for candidate in &report.candidates {
        let evaluation = last(candidate);
        let score = |metric| cell(evaluation.as_ref(), metric);
        grid.row([
            candidate.model.clone(),
            score("function_name_accuracy"),
            score("name_and_arguments_accuracy"),
            score("judge_correctness"),
            interval(score_of(evaluation.as_ref(), "judge_correctness")),
            score("judge_unrated"),
        ]);
    }
    page.title(&format!("{}Calls judged by {} ({})", mark(report), judge.model, judge.deployment));
    page.grid(&grid);
    let text = "Of the customized model, of the base model where there is no other. The interval is that of the judge's \
        score, which is the share of right calls among those that it rated.";
    page.tone(Tone::Faint, "", text);
}

fn result_row(grid: &mut Grid, candidate: &Candidate, metric: &str, icl: bool) {
    let all = &candidate.evaluations;
    let base = score_of(all.base.as_ref(), metric);
    let customized = score_of(all.customized.as_ref(), metric);
    let change = base.zip(customized).map(|(base, customized)| customized.value - base.value);
    let mut cells = vec![candidate.model.clone(), cell(all.base.as_ref(), metric)];
    cells.extend(icl.then(|| cell(all.icl.as_ref(), metric)));
    let at = cells.len();
    cells.push(match (&all.customized, candidate.state) {
        (None, State::Completed) => "-".to_owned(),
        (None, state) => word(state).to_owned(),
        (evaluation, _) => cell(evaluation.as_ref(), metric),
    });
    cells.extend([
        change.map_or_else(|| "-".to_owned(), |change| format!("{change:+.3}")),
        interval(customized.or(base)),
        candidate.seconds.map_or_else(|| "-".to_owned(), duration),
    ]);
    grid.row(cells);
    match change {
        Some(change) if change >= 0.000_5 => grid.tone(at + 1, Tone::Good),
        Some(change) if change <= -0.000_5 => grid.tone(at + 1, Tone::Bad),
        _ => {}
    }
    if candidate.state == State::Failed && customized.is_none() {
        grid.tone(at, Tone::Bad);
    }
}

/// A score, or why there is none.
fn cell(evaluation: Option<&Evaluation>, metric: &str) -> String {
    match (score_of(evaluation, metric), evaluation) {
        (Some(score), _) => format!("{:.3}", score.value),
        (None, Some(evaluation)) if evaluation.state != State::Completed => word(evaluation.state).to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Running => "running",
        State::Completed => "completed",
        State::Failed => "failed",
        State::Skipped => "skipped",
        State::Cancelled => "cancelled",
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
fn detail(page: &mut Page, report: &Report, candidate: &Candidate) {
    let all = &candidate.evaluations;
    let columns: Vec<(&str, &Evaluation)> =
        [("base", &all.base), ("in-context", &all.icl), ("customized", &all.customized)]
            .into_iter()
            .filter_map(|(name, evaluation)| Some((name, evaluation.as_ref()?)))
            .filter(|(_, evaluation)| !evaluation.scores.is_empty())
            .collect();
    if columns.is_empty() {
        return;
    }
    page.title(&format!("{}Scores of {}", mark(report), candidate.model));
    let mut header = vec![("score", Side::Left)];
    for (name, _) in &columns {
        header.extend([(*name, Side::Right), ("95 % interval", Side::Right)]);
    }
    let mut grid = Grid::new(&header);
    let names = score_order(&columns);
    for name in names.iter().filter(|name| !repeats(&columns, name)) {
        let mut cells = vec![metric_label(name)];
        for (_, evaluation) in &columns {
            let score = score_of(Some(evaluation), name);
            cells.extend([score.map_or_else(|| "-".to_owned(), |s| format!("{:.3}", s.value)), interval(score)]);
        }
        grid.row(cells);
    }
    page.grid(&grid);
    if names.iter().any(|name| name.ends_with("_lenient"))
        && names.iter().all(|n| !n.ends_with("_lenient") || repeats(&columns, n))
    {
        page.tone(Tone::Faint, "", "Read leniently (a reply that is a bare label counts), every score is the same.");
    }
    classes(page, report, candidate);
}

/// Whether this is a lenient score that equals the strict one everywhere.
fn repeats(columns: &[(&str, &Evaluation)], name: &str) -> bool {
    let Some(strict) = name.strip_suffix("_lenient") else { return false };
    columns.iter().all(|(_, evaluation)| evaluation.scores.get(name) == evaluation.scores.get(strict))
}

/// The names of the scores: the ones we know first and in our order, then the rest.
fn score_order<'a>(columns: &[(&str, &'a Evaluation)]) -> Vec<&'a str> {
    const FIRST: [&str; 7] =
        ["macro_f1", "accuracy", "weighted_f1", "micro_f1", "kappa", "unparseable", "off_taxonomy"];
    let mut names: Vec<&str> =
        columns.iter().flat_map(|(_, evaluation)| evaluation.scores.keys().map(String::as_str)).collect();
    names.sort_by_key(|name| (FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()), *name));
    names.dedup();
    names
}

/// The class table of a candidate, of its customized evaluation where there is one.
fn classes(page: &mut Page, report: &Report, candidate: &Candidate) {
    let all = &candidate.evaluations;
    let Some(shown) = all.customized.as_ref().or(all.base.as_ref()).filter(|shown| !shown.classes.is_empty()) else {
        return;
    };
    let before = all.customized.as_ref().and(all.base.as_ref());
    let which = if all.customized.is_some() { "customized" } else { "base" };
    page.title(&format!("{}Classes of {}, {which}", mark(report), candidate.model));
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

/// The confusions that happen most; all of them are in the JSON report.
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

/// Why candidates failed, and in full why the run did, which `run` itself says on stderr.
fn failures(page: &mut Page, report: &Report, full: bool) {
    for candidate in &report.candidates {
        if let Some(failure) = &candidate.error {
            page.gap();
            chain(page, &format!("{}: ", candidate.model), &failure.message, &failure.causes);
        }
    }
    if let Some(error) = report.error.as_ref().filter(|_| full) {
        page.gap();
        chain(page, "", &error.message, &error.causes);
        if let Some(hint) = &error.hint {
            page.plain("hint: ", hint);
        }
    }
}

fn chain(page: &mut Page, of: &str, message: &str, causes: &[String]) {
    page.tone(Tone::Bad, "error: ", &format!("{of}{message}"));
    for cause in causes {
        page.plain("  caused by: ", cause);
    }
}

fn warnings(page: &mut Page, report: &Report) {
    if !report.warnings.is_empty() {
        page.gap();
    }
    for warning in &report.warnings {
        page.tone(Tone::Warning, "warning: ", warning);
    }
}

fn held(page: &mut Page, report: &Report) {
    if report.held.is_empty() {
        return;
    }
    page.title("Still held on the platform");
    let mut grid = Grid::new(&[("name", Side::Left), ("kind", Side::Left), ("state", Side::Left)]);
    for held in &report.held {
        grid.row([held.name.clone(), held.kind.clone(), held.state.clone()]);
    }
    page.grid(&grid);
    if report.state != RunState::Running {
        page.plain("hint: ", &format!("dfwfd cleanup {}", report.run));
    }
}

#[cfg(test)]
mod tests;
