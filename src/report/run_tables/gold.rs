//! The production model and the candidates against labels that people gave.

use std::collections::BTreeMap;

use super::super::json::Report;
use super::super::layout::{Page, Side};
use super::super::metrics::evaluated_label;
use super::super::text::{Tone, count, counted};
use super::{interval, mark};
use crate::run::gold::{GoldFact, UnknownLabel};
use crate::score::Estimate;

/// Labels that are named, at most.
const NAMED: usize = 5;

/// The columns of [`rows`]. The first two are names.
pub(crate) const COLUMNS: [&str; 7] =
    ["model", "measured", "macro F1", "95 % interval", "accuracy", "95 % interval", "rows"];

/// Explains the rows.
pub(crate) const NOTE: &str = "Against people: the labels that people gave are the truth. Against the teacher: its answers to the same rows are. Where they \
    differ: on the rows on which the model and the teacher differ, the share on which the model agrees with people.";

/// Shows the comparison, if there is one.
pub(super) fn section(page: &mut Page, report: &Report) {
    let Some(gold) = &report.gold else { return };
    page.title(&format!("{}{}", mark(report), title(gold)));
    let sides = [Side::Left].into_iter().chain(std::iter::repeat(Side::Right));
    let header: Vec<(&str, Side)> = COLUMNS[1..].iter().copied().zip(sides).collect();
    page.grid_of_groups(&header, &rows(gold));
    page.tone(Tone::Faint, "", NOTE);
    for text in caveats(gold) {
        page.tone(Tone::Warning, "", &text);
    }
}

/// Returns the title of the table.
pub(crate) fn title(gold: &GoldFact) -> String {
    format!("Against {}, on {}", gold.file, counted(gold.matched, "labelled eval row"))
}

/// Returns a row for the teacher, and up to three for each model.
pub(crate) fn rows(gold: &GoldFact) -> Vec<[String; 7]> {
    let matched = gold.matched;
    let mut rows = vec![row("teacher", "against people", &gold.teacher, matched)];
    for one in &gold.models {
        let name = evaluated_label(&one.model);
        rows.push(row(&name, "against people", &one.human, matched));
        rows.push(row(&name, "against the teacher", &one.teacher, matched));
        if let Some(right) = one.right {
            let right = BTreeMap::from([("accuracy".to_owned(), right)]);
            rows.push(row(&name, "where they differ", &right, one.disagreements));
        }
    }
    rows
}

fn row(model: &str, measured: &str, scores: &BTreeMap<String, Estimate>, rows: u64) -> [String; 7] {
    let score = |name: &str| scores.get(name).map_or_else(|| "-".to_owned(), |score| format!("{:.3}", score.value));
    let ends = |name: &str| interval(scores.get(name).copied());
    let (model, measured) = (model.to_owned(), measured.to_owned());
    [model, measured, score("macro_f1"), ends("macro_f1"), score("accuracy"), ends("accuracy"), count(rows)]
}

/// Names the labels that are no class of the run.
fn unknown(gold: &GoldFact) -> Option<String> {
    let named = |one: &UnknownLabel| {
        let nearest = one.nearest.as_ref().map(|class| format!(", is {class} meant?")).unwrap_or_default();
        format!("{} ({}{nearest})", one.label, counted(one.rows, "row"))
    };
    let rows: u64 = gold.unknown.iter().map(|one| one.rows).sum();
    let mut names: Vec<String> = gold.unknown.iter().take(NAMED).map(named).collect();
    names.extend((gold.unknown.len() > NAMED).then(|| "and others".to_owned()));
    (rows > 0).then(|| {
        format!(
            "People gave {} a label that is no class of this run, so the teacher and every model that keeps to the classes are \
             wrong there: {}.",
            counted(rows, "row"),
            names.join(", ")
        )
    })
}

/// Tells of labels that were not used, and what speaks against scores.
pub(crate) fn caveats(gold: &GoldFact) -> Vec<String> {
    let unmatched = format!("{} of {} labels belong to no eval row.", gold.unmatched, gold.labels);
    let contradictory = match gold.contradictory {
        1 => "1 record or text has more than one label and is left out.".to_owned(),
        many => format!("{many} records or texts have more than one label and are left out."),
    };
    let counted = [(gold.unmatched, unmatched), (gold.contradictory, contradictory)];
    let counted = counted.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text);
    counted.chain(unknown(gold)).chain(gold.warnings.iter().cloned()).collect()
}
