//! The production model and the candidates against labels that people gave.

use std::collections::BTreeMap;

use super::super::json::Report;
use super::super::layout::{Grid, Page, Side};
use super::super::text::{Tone, counted};
use super::{interval, mark};
use crate::score::Estimate;

/// Shows the comparison, if there is one.
pub(super) fn section(page: &mut Page, report: &Report) {
    let Some(gold) = &report.gold else { return };
    page.title(&format!("{}Against {}, on {}", mark(report), gold.file, counted(gold.matched, "labelled eval row")));
    let columns = ["macro F1", "95 % interval", "accuracy", "vs teacher", "apart", "right then"];
    let mut header = vec![("model", Side::Left)];
    header.extend(columns.map(|name| (name, Side::Right)));
    let mut grid = Grid::new(&header);
    let dash = || "-".to_owned();
    let score = |scores: &BTreeMap<String, Estimate>, name: &str| {
        scores.get(name).map_or_else(dash, |score| format!("{:.3}", score.value))
    };
    let cells = |name: &str, human: &BTreeMap<String, Estimate>| {
        let ends = interval(human.get("macro_f1").copied());
        vec![name.to_owned(), score(human, "macro_f1"), ends, score(human, "accuracy")]
    };
    let mut teacher = cells("teacher", &gold.teacher);
    teacher.extend([dash(), dash(), dash()]);
    grid.row(teacher);
    for one in &gold.models {
        let mut row = cells(&one.model, &one.human);
        let right = one.right.map_or_else(dash, |right| format!("{:.0} %", right.value * 100.0));
        row.extend([score(&one.teacher, "accuracy"), one.disagreements.to_string(), right]);
        grid.row(row);
    }
    page.grid(&grid);
    let text = "The scores are against the labels of people. Apart: rows on which the model and the teacher differ; right then: the \
        share of these rows on which the model agrees with people.";
    page.tone(Tone::Faint, "", text);
    if gold.unmatched > 0 {
        let text = format!("{} of {} labels belong to no eval row.", gold.unmatched, gold.labels);
        page.tone(Tone::Warning, "", &text);
    }
}
