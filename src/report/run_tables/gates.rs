//! The quality gates of a run as a table.

use super::mark;
use crate::report::json::Report;
use crate::report::layout::{Grid, Page, Side};
use crate::report::text::Tone;

/// Shows each gate, whether it was met, and the number that decided.
pub(super) fn section(page: &mut Page, report: &Report) {
    if report.gates.is_empty() {
        return;
    }
    page.title(&format!("{}Gates", mark(report)));
    let mut grid = Grid::new(&[("gate", Side::Left), ("", Side::Left), ("score", Side::Left)]);
    for gate in &report.gates {
        grid.row([gate.gate.clone(), if gate.met { "met" } else { "missed" }.to_owned(), gate.explanation.clone()]);
        grid.tone(1, if gate.met { Tone::Good } else { Tone::Bad });
    }
    page.grid(&grid);
}
