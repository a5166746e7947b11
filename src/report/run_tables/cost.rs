//! Latency, tokens and money.

use super::super::cost::{COLUMNS, money, note, rows};
use super::super::json::Report;
use super::super::layout::{Grid, Page, Side};
use super::super::text::Tone;
use super::mark;

/// Shows what the teacher and the models took. The summary has it if there is more than tokens to show.
pub(super) fn section(page: &mut Page, report: &Report, full: bool) {
    let told = report.cost.is_some()
        || report.teacher.is_some()
        || report.data.as_ref().and_then(|data| data.teacher).is_some_and(|teacher| teacher.latency_rows > 0);
    let rows = rows(report);
    if rows.is_empty() || !(told || full) {
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
    page.tone(Tone::Faint, "", &note(report));
    if let Some((cost, run)) = report.cost.as_ref().and_then(|cost| Some((cost, cost.run?))) {
        let hours = cost.gpu_hours.filter(|hours| *hours >= 0.001).map(|hours| format!(", {hours:.3} GPU hours"));
        page.plain("", &format!("GPUs of this run: {}{}", money(run, &cost.currency), hours.unwrap_or_default()));
    }
}
