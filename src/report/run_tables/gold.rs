//! The production model and the candidates against labels that people gave.

use std::collections::BTreeMap;

use super::super::json::Report;
use super::super::layout::{Grid, Page, Side};
use super::super::metrics::evaluated_label;
use super::super::text::{Tone, counted};
use super::{interval, mark};
use crate::run::outcome::GoldFact;
use crate::score::Estimate;

/// The columns of the table. The first is a name.
pub(crate) const COLUMNS: [&str; 7] =
    ["model", "macro F1", "95 % interval", "accuracy", "vs teacher", "apart", "right then"];

/// Explains the columns.
pub(crate) const NOTE: &str = "The scores are against the labels of people. Vs teacher: the accuracy against the answers of the teacher. Apart: rows on which the model and the teacher differ; right then: the \
    share of these rows on which the model agrees with people.";

/// Shows the comparison, if there is one.
pub(super) fn section(page: &mut Page, report: &Report) {
    let Some(gold) = &report.gold else { return };
    page.title(&format!("{}{}", mark(report), title(gold)));
    let sides = [Side::Left].into_iter().chain(std::iter::repeat(Side::Right));
    let header: Vec<(&str, Side)> = COLUMNS.into_iter().zip(sides).collect();
    let mut grid = Grid::new(&header);
    for row in rows(gold) {
        grid.row(row);
    }
    page.grid(&grid);
    page.tone(Tone::Faint, "", NOTE);
    if let Some(text) = unmatched(gold) {
        page.tone(Tone::Warning, "", &text);
    }
}

/// Returns the title of the table.
pub(crate) fn title(gold: &GoldFact) -> String {
    format!("Against {}, on {}", gold.file, counted(gold.matched, "labelled eval row"))
}

/// Returns a row for the teacher, and one for each model.
pub(crate) fn rows(gold: &GoldFact) -> Vec<[String; 7]> {
    let dash = || "-".to_owned();
    let score = |scores: &BTreeMap<String, Estimate>, name: &str| {
        scores.get(name).map_or_else(dash, |score| format!("{:.3}", score.value))
    };
    let row = |name: &str, human: &BTreeMap<String, Estimate>, [versus, apart, right]: [String; 3]| {
        let ends = interval(human.get("macro_f1").copied());
        [name.to_owned(), score(human, "macro_f1"), ends, score(human, "accuracy"), versus, apart, right]
    };
    let mut rows = vec![row("teacher", &gold.teacher, [dash(), dash(), dash()])];
    for one in &gold.models {
        let right = one.right.map_or_else(dash, |right| format!("{:.0} %", right.value * 100.0));
        let last = [score(&one.teacher, "accuracy"), one.disagreements.to_string(), right];
        rows.push(row(&evaluated_label(&one.model), &one.human, last));
    }
    rows
}

/// Tells of labels that were not used.
pub(crate) fn unmatched(gold: &GoldFact) -> Option<String> {
    let text = || format!("{} of {} labels belong to no eval row.", gold.unmatched, gold.labels);
    (gold.unmatched > 0).then(text)
}
