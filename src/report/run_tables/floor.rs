//! The floor in the table of headline scores.

use super::super::json::Report;
use super::super::layout::{Grid, Page};
use super::super::text::{Tone, duration};
use super::{cell, interval};
use crate::vocabulary::PlatformKind;

/// Adds the row of the floor.
pub(super) fn row(grid: &mut Grid, report: &Report, metric: &str, with_examples: bool) {
    let Some(floor) = &report.floor else { return };
    let dash = || "-".to_owned();
    let seconds = floor.seconds.map_or_else(dash, duration);
    // The column of examples leaves less room.
    let name = if with_examples { "floor (n-grams)" } else { "floor (n-gram classifier)" }.to_owned();
    let mut cells = vec![name, dash()];
    cells.extend(with_examples.then(dash));
    cells.extend([cell(Some(floor), metric), dash(), interval(floor.score(metric)), seconds]);
    grid.row(cells);
}

/// Says what the floor is.
pub(super) fn note(page: &mut Page, report: &Report) {
    if report.floor.is_none() {
        return;
    }
    let kind = match report.platform {
        PlatformKind::Embedded => "The candidates here are classifiers of the same kind.",
        PlatformKind::Nemo => "A customized model should be better than it.",
    };
    let text = format!("The floor was trained on this machine with the same training rows, without a GPU. {kind}");
    page.tone(Tone::Faint, "", &text);
}
