//! Lists for people: runs, what the log store holds, what a cleanup gave back. Values in, text out.

use super::answers::{CleanupReport, LogRow, RunRow};
use super::layout::{Grid, Overflow, Page, Side};
use super::model::{Held, RunState, metric_label};
use super::text::{Tone, count, counted, duration};

/// What `status` prints without a run.
pub fn runs(rows: &[RunRow], width: usize, color: bool) -> String {
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
            state(row.state).to_owned(),
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

fn state(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Completed => "completed",
        RunState::Partial => "partial",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
        RunState::Interrupted => "interrupted",
    }
}

/// An RFC 3339 time to the minute; another text as it is.
fn minute(time: &str) -> String {
    time.parse::<jiff::Timestamp>().map_or_else(|_| time.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// What `logs` prints.
pub fn logs(rows: &[LogRow], width: usize, color: bool) -> String {
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

/// Names with their records, most first.
fn counts(page: &mut Page, title: &str, what: &str, counts: &std::collections::BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    page.title(title);
    let mut grid = Grid::new(&[(what, Side::Left), ("records", Side::Right)]);
    let mut rows: Vec<(&String, &u64)> = counts.iter().collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (name, n) in rows {
        grid.row([name.clone(), count(*n)]);
    }
    page.grid(&grid);
}

/// What `cleanup` prints.
pub fn cleanup(report: &CleanupReport, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    if report.released.is_empty() && report.held.is_empty() {
        page.plain("", "Nothing to give back.");
    }
    listed(&mut page, "given back", &report.released);
    listed(&mut page, "still held", &report.held);
    page.text()
}

fn listed(page: &mut Page, what: &str, resources: &[Held]) {
    if resources.is_empty() {
        return;
    }
    page.title(&format!("{} {what}", counted(resources.len() as u64, "resource")));
    let mut grid = Grid::new(&[("name", Side::Left), ("kind", Side::Left), ("state", Side::Left)]);
    for resource in resources {
        grid.row([resource.name.clone(), resource.kind.clone(), resource.state.clone()]);
    }
    page.grid(&grid);
}

#[cfg(test)]
mod tests;
