//! The lists for people: runs, workloads of the log store, resources that a cleanup released. Values in, text out.

use super::json::{CheckState, CleanupReport, DoctorReport, Held, LogRow, OrphanRow, RunSummary};
use super::layout::{Grid, Overflow, Page, Side};
use super::metrics::metric_label;
use super::text::{Tone, count, counted, duration, paint};
use crate::vocabulary::RunState;

/// Returns the page of `status` without a run.
pub(crate) fn runs(rows: &[RunSummary], width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    if rows.is_empty() {
        page.plain("", "No runs yet.");
        return page.text();
    }
    let mut grid = Grid::new(&[
        ("run", Side::Left),
        ("workload", Side::Left),
        ("state", Side::Left),
        ("started (UTC)", Side::Left),
        ("runtime", Side::Right),
        ("best", Side::Left),
    ])
    .overflow(Overflow::SpillLast);
    for row in rows {
        let best = row.headline.as_ref().map_or_else(
            || "-".to_owned(),
            |best| format!("{} {:.3}, {}", metric_label(&best.metric), best.value, best.model),
        );
        grid.row([
            row.run.clone(),
            row.workload.clone().unwrap_or_else(|| "-".to_owned()),
            row.state.as_str().to_owned(),
            minute(&row.started_at),
            row.seconds.map_or_else(|| "-".to_owned(), duration),
            best,
        ]);
        match row.state {
            RunState::Failed => grid.tone(2, Tone::Bad),
            RunState::Partial | RunState::Interrupted | RunState::Cancelled => grid.tone(2, Tone::Warning),
            RunState::Completed | RunState::Running => {}
        }
    }
    page.grid(&grid);
    page.text()
}

/// Returns an RFC 3339 time to the minute, and any other text unchanged.
fn minute(time: &str) -> String {
    time.parse::<jiff::Timestamp>().map_or_else(|_| time.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Returns the page of `doctor`: a line for each check under its section, and its remedy below.
pub(crate) fn doctor(report: &DoctorReport, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    let mut section = "";
    for check in &report.checks {
        if check.section != section {
            section = &check.section;
            page.title(section);
        }
        let tone = match check.state {
            CheckState::Ok => Tone::Good,
            CheckState::Warning | CheckState::Skipped => Tone::Warning,
            CheckState::Failed => Tone::Bad,
        };
        page.plain(
            &format!("  {} ", paint(color, tone, &format!("{:<7}", check.state.as_str()))),
            &format!("{}: {}", check.subject, check.detail),
        );
        if let Some(remedy) = &check.remedy {
            page.plain("          do: ", remedy);
        }
    }
    let count = |state: CheckState| report.checks.iter().filter(|check| check.state == state).count() as u64;
    let (failed, warnings) = (count(CheckState::Failed), count(CheckState::Warning));
    page.gap();
    page.plain(
        "",
        &match (failed, warnings) {
            (0, 0) => "Everything that a run needs is there.".to_owned(),
            // A warning may be of another run, beside which none starts without a flag.
            (0, _) => format!("Nothing that a run needs is missing. {}.", counted(warnings, "warning")),
            _ => format!("A run cannot start: {} failed.", counted(failed, "check")),
        },
    );
    page.text()
}

/// Returns the page of `logs`.
pub(crate) fn logs(rows: &[LogRow], width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    if rows.is_empty() {
        page.plain("", "The log store is empty.");
        return page.text();
    }
    let mut grid = Grid::new(&[
        ("workload", Side::Left),
        ("records", Side::Right),
        ("oldest (UTC)", Side::Left),
        ("newest (UTC)", Side::Left),
    ]);
    for row in rows {
        let time = |time: &Option<String>| time.as_deref().map_or_else(|| "-".to_owned(), minute);
        grid.row([row.workload.clone(), count(row.records), time(&row.first), time(&row.last)]);
    }
    page.grid(&grid);
    for row in rows {
        counts(&mut page, &format!("Clients of {}", row.workload), "client", &row.clients);
        counts(&mut page, &format!("Labels of {}", row.workload), "label", &row.labels);
    }
    page.text()
}

/// A table of names with their records, most records first.
fn counts(page: &mut Page, title: &str, column: &str, counts: &std::collections::BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    page.title(title);
    let mut grid = Grid::new(&[(column, Side::Left), ("records", Side::Right)]);
    let mut rows: Vec<(&String, &u64)> = counts.iter().collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (name, n) in rows {
        grid.row([name.clone(), count(*n)]);
    }
    page.grid(&grid);
}

/// Returns the page of `cleanup`.
pub(crate) fn cleanup(report: &CleanupReport, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    if report.released.is_empty() && report.held.is_empty() && report.orphans.is_empty() {
        page.plain("", "Nothing to release.");
    }
    orphans(&mut page, &report.orphans);
    listed(&mut page, "released", &report.released);
    listed(&mut page, "still held", &report.held);
    page.text()
}

fn orphans(page: &mut Page, rows: &[OrphanRow]) {
    if rows.is_empty() {
        return;
    }
    page.title(&format!("{} in no ledger of this state directory", counted(rows.len() as u64, "resource")));
    let mut grid =
        Grid::new(&[("name", Side::Left), ("kind", Side::Left), ("owner", Side::Left), ("age", Side::Right)]);
    for row in rows {
        #[expect(clippy::cast_precision_loss, reason = "years at most")]
        let age = row.age_seconds.map_or_else(|| "-".to_owned(), |seconds| duration(seconds as f64));
        let owner = row.owner.clone().unwrap_or_else(|| "not known".to_owned());
        grid.row([row.name.clone(), row.kind.as_str().to_owned(), owner, age]);
    }
    page.grid(&grid);
}

fn listed(page: &mut Page, title: &str, resources: &[Held]) {
    if resources.is_empty() {
        return;
    }
    page.title(&format!("{} {title}", counted(resources.len() as u64, "resource")));
    let mut grid = Grid::new(&[("name", Side::Left), ("kind", Side::Left), ("state", Side::Left)]);
    for resource in resources {
        grid.row([resource.name.clone(), resource.kind.as_str().to_owned(), resource.state.as_str().to_owned()]);
    }
    page.grid(&grid);
}

#[cfg(test)]
mod tests;
