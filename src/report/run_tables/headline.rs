//! The table that a run ends with: the score of every model, how it stands to its base model, and its cost. The sentences
//! below it explain what stands in it.

use super::super::cost::{self, money};
use super::super::json::{Candidate, Evaluation, Report};
use super::super::layout::{Grid, Page, Side, wrap};
use super::super::metrics::{evaluation_label, metric_label};
use super::super::text::{Tone, counted, duration};
use super::{capitalised, cell, interval, mark};
use crate::vocabulary::{CandidateState, PlatformKind};

/// The columns beside the name.
pub(crate) const COLUMNS: [&str; 6] = ["score", "95 % interval", "change", "verdict", "cost/1,000", "saving"];

/// A name and its cells.
pub(crate) type Line = (&'static str, [String; COLUMNS.len()]);

/// Stands behind a score that has a note.
pub(crate) const MARK: &str = "*";

/// Shows the table and the verdict of the run.
pub(super) fn section(page: &mut Page, report: &Report) {
    if report.candidates.is_empty() {
        return;
    }
    let groups: Vec<(&Candidate, Vec<Line>)> =
        report.candidates.iter().map(|one| (one, of_candidate(report, one))).collect();
    if !has_scores(report) {
        return begun(page, report);
    }
    let yardsticks = yardsticks(report);
    let lines = || yardsticks.iter().chain(groups.iter().flat_map(|(_, lines)| lines));
    let told: Vec<usize> =
        (0..COLUMNS.len()).filter(|&at| at == 0 || lines().any(|(_, cells)| cells[at] != "-")).collect();
    let mut header = vec![("model", Side::Left)];
    header.extend(told.iter().map(|&at| (COLUMNS[at], if at == 3 { Side::Left } else { Side::Right })));
    let mut grid = Grid::new(&header);
    let row = |grid: &mut Grid, (name, cells): &Line| {
        grid.row(std::iter::once((*name).to_owned()).chain(told.iter().map(|&at| cells[at].clone())));
        let tone = match cells[3].as_str() {
            "better" => Tone::Good,
            "worse" => Tone::Bad,
            _ => return,
        };
        grid.tone(told.iter().position(|&at| at == 3).map_or(0, |at| at + 1), tone);
    };
    for line in &yardsticks {
        row(&mut grid, line);
    }
    for (candidate, lines) in &groups {
        for name in wrap(&heading(candidate), page.width()) {
            grid.heading(&name, if candidate.state == CandidateState::Failed { Tone::Bad } else { Tone::Heading });
        }
        for line in lines {
            row(&mut grid, line);
        }
    }
    let rows = evaluations(report).filter_map(|(_, evaluation)| evaluation.rows).max();
    let on = rows.map_or_else(String::new, |rows| format!(" on {}", counted(rows, "eval row")));
    page.title(&format!("{}{}{on}", mark(report), capitalised(&metric_label(report.headline_metric()))));
    page.grid(&grid);
    page.gap();
    if let Some(verdict) = &report.verdict {
        page.tone(if verdict.model.is_some() { Tone::Good } else { Tone::Warning }, "verdict: ", &verdict.sentence);
    }
    for (prefix, text) in notes(report) {
        page.tone(if prefix == MARK { Tone::Warning } else { Tone::Faint }, &prefix, &text);
    }
}

/// Tells if the table has a score to show.
pub(in crate::report) fn has_scores(report: &Report) -> bool {
    report.floor.is_some() || evaluations(report).next().is_some()
}

/// Shows the candidates that have begun, of a run that has no score yet.
fn begun(page: &mut Page, report: &Report) {
    let begun = report.candidates.iter().filter(|candidate| candidate.seconds.is_some());
    let headings: Vec<String> = begun.map(heading).collect();
    if headings.is_empty() {
        return;
    }
    page.title(&format!("{}Candidates", mark(report)));
    for text in &headings {
        page.plain("", text);
    }
    if let Some((term, text)) = run_cost(report) {
        page.gap();
        page.tone(Tone::Faint, &format!("{term}: "), &text);
    }
}

/// Returns what the run cost. `None` if it used no GPU.
fn run_cost(report: &Report) -> Option<(&'static str, String)> {
    let cost = report.cost.as_ref()?;
    let run = cost.run.filter(|run| *run > 0.0)?;
    let hours = cost.gpu_hours.filter(|hours| *hours >= 0.001).map(|hours| format!(", {hours:.3} GPU hours"));
    Some(("this run", format!("{}{}", money(run, &cost.currency), hours.unwrap_or_default())))
}

fn heading(candidate: &Candidate) -> String {
    format!("{}: {}", candidate.model, state_in_words(candidate))
}

/// Returns how far a candidate came, with its time.
pub(in crate::report) fn state_in_words(candidate: &Candidate) -> String {
    let words = match candidate.state {
        CandidateState::Running => "running for".to_owned(),
        CandidateState::Completed => "completed in".to_owned(),
        state if candidate.seconds.is_some() => format!("{} after", state.as_str()),
        state => state.as_str().to_owned(),
    };
    let time = candidate.seconds.map_or_else(String::new, |seconds| format!(" {}", duration(seconds)));
    format!("{words}{time}")
}

fn evaluations(report: &Report) -> impl Iterator<Item = (&'static str, &Evaluation)> {
    report.candidates.iter().flat_map(|candidate| candidate.evaluations.all())
}

/// Returns the lines that candidates are measured against: the teacher, which costs money, and the floor.
pub(crate) fn yardsticks(report: &Report) -> Vec<Line> {
    let dash = || "-".to_owned();
    let price = report.cost.as_ref().and_then(|cost| Some(money(cost.teacher_per_1000?, &cost.currency)));
    let teacher = price.map(|price| ("teacher", [dash(), dash(), dash(), dash(), price, dash()]));
    let metric = report.headline_metric();
    let floor = report.floor.as_ref().map(|floor| {
        ("floor (n-grams)", [cell(Some(floor), metric), interval(floor.score(metric)), dash(), dash(), dash(), dash()])
    });
    teacher.into_iter().chain(floor).collect()
}

/// Returns a line for each evaluation of a candidate.
pub(crate) fn of_candidate(report: &Report, candidate: &Candidate) -> Vec<Line> {
    let metric = report.headline_metric();
    let base = candidate.evaluations.base.as_ref().and_then(|base| base.score(metric));
    let name = |which: &str| format!("{}:{which}", candidate.model);
    let line = |(which, evaluation): (&'static str, &Evaluation)| {
        let score = evaluation.score(metric);
        let change = base.zip(score).filter(|_| which != "base").map(|(base, score)| score.value - base.value);
        let verdict = report.comparisons.iter().find(|one| one.a == name("base") && one.b == name(which));
        let usage = evaluation.usage.unwrap_or_default();
        let cost = report.cost.as_ref().and_then(|cost| Some(money(usage.cost_per_1000?, &cost.currency)));
        let cells = [
            Some(cell(Some(evaluation), metric)),
            Some(interval(score)),
            change.map(|change| format!("{change:+.3}")),
            verdict.map(|one| one.verdict.clone()),
            cost,
            usage.saving.map(cost::percent),
        ];
        (evaluation_label(which), cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned())))
    };
    candidate.evaluations.all().into_iter().map(line).collect()
}

/// Returns how to read the table: each term that stands in it, and its meaning.
pub(crate) fn notes(report: &Report) -> Vec<(String, String)> {
    let has = |which: &str| evaluations(report).any(|(word, _)| word == which);
    let mut notes = Vec::new();
    for candidate in &report.candidates {
        let own = candidate.evaluations.notes();
        notes.extend(
            own.map(|(which, note)| (MARK, format!("{}, {}: {note}", candidate.model, evaluation_label(which)))),
        );
    }
    if report.cost.as_ref().is_some_and(|cost| cost.teacher_per_1000.is_some()) {
        notes.push(("teacher", "the production model, at the configured prices".to_owned()));
    }
    if report.floor.is_some() {
        let kind = match report.platform {
            PlatformKind::Embedded => "the candidates here are of the same kind",
            PlatformKind::Nemo => "a customized model should be better",
        };
        let floor = "a text classifier, trained on the same rows on this machine without a GPU";
        notes.push(("floor", format!("{floor}; {kind}")));
    }
    if has("base") {
        notes.push(("base", "the model as it is".to_owned()));
    }
    if has("icl") {
        notes.push(("with examples", "the base model with answered examples in its prompt".to_owned()));
    }
    if has("customized") {
        notes.push(("customized", "the base model after fine-tuning".to_owned()));
    }
    if has("icl") || has("customized") {
        let terms = if report.comparisons.is_empty() { "change" } else { "change, verdict" };
        notes.push((terms, "against the base model on the same rows; better and worse are beyond chance".to_owned()));
    }
    notes.extend(cost::basis(report).map(|basis| ("cost/1,000", format!("for 1,000 requests. {basis}"))));
    let chosen = report.verdict.as_ref().and_then(|verdict| verdict.model.as_ref().zip(verdict.variant));
    if let Some(even) = chosen.and_then(|(model, variant)| cost::break_even(report, model, variant)) {
        notes.push(("break-even", even));
    }
    notes.extend(run_cost(report));
    notes.into_iter().map(|(term, text)| (format!("{term}{}", if term == MARK { " " } else { ": " }), text)).collect()
}
