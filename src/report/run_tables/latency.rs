//! The latency of models under load.

use super::super::cost::{LOAD_COLUMNS, load_rows};
use super::super::json::Report;
use super::super::layout::{Page, Side};
use super::super::text::Tone;
use super::mark;

/// Shows the steps of each load. The summary has one request at once, and the step with the most replies per second.
pub(super) fn section(page: &mut Page, report: &Report, full: bool) {
    let rows = load_rows(report, full);
    if rows.is_empty() {
        return;
    }
    let side = |at: usize| if at == 0 { Side::Left } else { Side::Right };
    let header: Vec<(&str, Side)> =
        LOAD_COLUMNS[1..].iter().enumerate().map(|(at, &column)| (column, side(at))).collect();
    page.title(&format!("{}Latency under load", mark(report)));
    page.grid_of_groups(&header, &rows);
    page.tone(Tone::Faint, "", "The requests of the eval set, so many at once. First token: the median time to it.");
}
