//! The scores of free text: the judge's beside the overlap of words.

use super::super::json::Report;
use super::super::layout::{Grid, Page, Side};
use super::super::text::Tone;
use super::{cell, mark};
use crate::data::workload_type::WorkloadType;

/// Tells whether the replies of a run are texts.
pub(super) fn are_scored(report: &Report) -> bool {
    report.data.as_ref().is_some_and(|data| data.workload_type == WorkloadType::Text)
}

/// Shows every score of the last evaluation of each candidate.
pub(super) fn section(page: &mut Page, report: &Report) {
    if !are_scored(report) {
        return;
    }
    let mut header = vec![("model", Side::Left)];
    header.extend(
        report.judge.is_some().then_some([("judge", Side::Right), ("not rated", Side::Right)]).into_iter().flatten(),
    );
    header.extend([("ROUGE-L", Side::Right), ("token F1", Side::Right)]);
    let mut grid = Grid::new(&header);
    for candidate in &report.candidates {
        let last = candidate.evaluations.last();
        let mut cells = vec![candidate.model.clone()];
        if report.judge.is_some() {
            cells.extend(["judge_similarity", "judge_unrated"].map(|score| cell(last, score)));
        }
        cells.extend(["rouge_l", "token_f1"].map(|score| cell(last, score)));
        grid.row(cells);
    }
    page.title(&format!("{}Likeness to the logged replies", mark(report)));
    page.grid(&grid);
    let judge = report.judge.as_ref().map(|judge| format!(" The judge is {} ({}).", judge.model, judge.deployment));
    let text = "Each row shows the last evaluation of the model. ROUGE-L and token F1 count shared words and are weak: a right \
        answer in other words scores low, a wrong one in the same words scores high.";
    page.tone(Tone::Faint, "", &format!("{text}{}", judge.unwrap_or_default()));
}
