//! The latency of models under load.

use super::super::cost::{LOAD_COLUMNS, load_rows};
use super::super::json::Report;
use super::super::layout::{Grid, Page, Side};
use super::super::text::Tone;
use super::mark;

/// Shows the steps of each load. The summary has one request at once, and the step with the most replies per second.
pub(super) fn section(page: &mut Page, report: &Report, full: bool) {
    let rows = load_rows(report, full);
    if rows.is_empty() {
        return;
    }
    let side = |column: usize| if column == 0 { Side::Left } else { Side::Right };
    let header: Vec<(&str, Side)> =
        LOAD_COLUMNS.into_iter().enumerate().map(|(at, column)| (column, side(at))).collect();
    let mut grid = Grid::new(&header);
    for row in rows {
        grid.row(row);
    }
    page.title(&format!("{}Latency under load", mark(report)));
    page.grid(&grid);
    page.tone(Tone::Faint, "", "The requests of the eval set, so many at once. First token: the median time to it.");
}
