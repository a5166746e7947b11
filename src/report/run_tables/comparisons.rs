//! Models compared in pairs, as a table.

use super::mark;
use crate::report::json::{Comparison, Report};
use crate::report::layout::{Grid, Page, Side};
use crate::report::text::Tone;

/// Every pair of models that was compared.
pub(super) fn section(page: &mut Page, report: &Report) {
    if !report.comparisons.is_empty() {
        page.title(&format!("{}Comparisons on the same rows", mark(report)));
        rows(page, &report.comparisons);
    }
}

/// Shows comparisons, one a row, and below them the rows that they lack.
pub(in crate::report) fn rows(page: &mut Page, comparisons: &[Comparison]) {
    if comparisons.is_empty() {
        return;
    }
    let columns =
        [("model", Side::Left), ("against", Side::Left), ("change", Side::Right), ("95 % interval", Side::Right)];
    let mut grid = Grid::new(&[&columns[..], &[("p", Side::Right), ("verdict", Side::Left)]].concat());
    for one in comparisons {
        let ends = one.difference.low.zip(one.difference.high);
        grid.row([
            one.b.clone(),
            one.a.clone(),
            format!("{:+.3}", one.difference.value),
            ends.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:+.3} to {high:+.3}")),
            one.p.map_or_else(|| "-".to_owned(), |p| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }),
            one.verdict.clone(),
        ]);
    }
    page.grid(&grid);
    for one in comparisons.iter().filter(|one| one.explanation != one.verdict) {
        page.tone(Tone::Faint, "", &format!("{} against {}: {}", one.b, one.a, one.explanation));
    }
}
