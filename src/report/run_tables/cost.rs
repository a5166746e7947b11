//! Latency, tokens and money.

use super::super::cost::{COLUMNS, note, rows};
use super::super::json::Report;
use super::super::layout::{Grid, Page, Side};
use super::super::text::Tone;
use super::mark;

/// Shows what the teacher and the models took.
pub(super) fn section(page: &mut Page, report: &Report) {
    let rows = rows(report);
    if rows.is_empty() {
        return;
    }
    let is_told = |column: &usize| *column == 0 || rows.iter().any(|row| row[*column] != "-");
    let columns: Vec<usize> = (0..COLUMNS.len()).filter(is_told).collect();
    let side = |column: usize| if column == 0 { Side::Left } else { Side::Right };
    let header: Vec<(&str, Side)> = columns.iter().map(|&column| (COLUMNS[column], side(column))).collect();
    let mut grid = Grid::new(&header);
    for row in &rows {
        grid.row(columns.iter().map(|&column| row[column].clone()));
    }
    page.title(&format!("{}Latency, tokens and cost", mark(report)));
    page.grid(&grid);
    let note = note(report);
    if !note.is_empty() {
        page.tone(Tone::Faint, "", &note);
    }
}
