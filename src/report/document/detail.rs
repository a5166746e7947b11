//! One candidate of a document in detail: its classes, its confusions, its losses and the rows that it got wrong.

use serde::Serialize;

use super::chart::Chart;
use super::charts;
use super::extras::{EvaluatedRows, WrongRow};
use super::words::{number, shown};
use crate::report::json::{Candidate, Evaluation};
use crate::report::metrics::evaluation_label;
use crate::report::text::{count, counted};
use crate::score::classification::ClassScore;

/// Wrong rows that are shown of a model.
const WRONG_ROWS: usize = 20;

#[derive(Debug, Serialize)]
pub(super) struct Detail {
    title: String,
    which: &'static str,
    has_before: bool,
    classes: Vec<ClassBar>,
    confusion: Option<Heat>,
    loss: Option<Chart>,
    last_loss: Option<String>,
    worst: Vec<WrongRow>,
    worst_note: Option<String>,
}

#[derive(Debug, Serialize)]
struct ClassBar {
    label: String,
    support: String,
    before: Option<Width>,
    after: Width,
}

#[derive(Debug, Serialize)]
struct Width {
    /// Per cent.
    width: f64,
    text: String,
}

#[derive(Debug, Serialize)]
struct Heat {
    columns: Vec<String>,
    rows: Vec<HeatRow>,
}

#[derive(Debug, Serialize)]
struct HeatRow {
    label: String,
    cells: Vec<HeatCell>,
}

#[derive(Debug, Serialize)]
struct HeatCell {
    column: String,
    count: u64,
    /// Share of the row, 0 to 1.
    share: f64,
    kind: &'static str,
}

impl Detail {
    /// Shows the last evaluation of a candidate beside its first.
    pub(super) fn of(candidate: &Candidate, rows: &[EvaluatedRows]) -> Option<Detail> {
        let (which, last) = candidate.evaluations.all().pop()?;
        let before = candidate.evaluations.base.as_ref().filter(|_| which != "base");
        let wrong = rows.iter().find(|rows| rows.model == candidate.model);
        let all = wrong.map_or(0, |rows| rows.wrong.len());
        let shown_rows =
            |row: &WrongRow| WrongRow { text: shown(&row.text), gold: shown(&row.gold), reply: shown(&row.reply) };
        Some(Detail {
            title: shown(&candidate.model),
            which: evaluation_label(which),
            has_before: before.is_some(),
            classes: classes(last, before),
            confusion: heat(last),
            loss: charts::loss(candidate),
            last_loss: charts::last_loss(candidate),
            worst: wrong.into_iter().flat_map(|rows| rows.wrong.iter().take(WRONG_ROWS).map(shown_rows)).collect(),
            worst_note: (all > WRONG_ROWS).then(|| format!("{WRONG_ROWS} of {} are shown.", count(all as u64))),
        })
    }
}

fn classes(last: &Evaluation, before: Option<&Evaluation>) -> Vec<ClassBar> {
    let width = |f1: f64| Width { width: (f1 * 1000.0).round() / 10.0, text: number(f1) };
    let bar = |class: &&ClassScore| {
        let before = before.and_then(|one| one.classes.iter().find(|other| other.label == class.label));
        ClassBar {
            label: shown(&class.label),
            support: counted(class.support, "row"),
            before: before.map(|class| width(class.f1)),
            after: width(class.f1),
        }
    };
    let mut classes: Vec<_> = last.classes.iter().filter(|class| class.support > 0).collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.support));
    classes.iter().map(bar).collect()
}

fn heat(evaluation: &Evaluation) -> Option<Heat> {
    let confusion = evaluation.confusion.as_ref()?;
    let row = |(label, counts): (&String, &Vec<u64>)| {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        let cell = |(column, &count): (&String, &u64)| HeatCell {
            column: shown(column),
            count,
            share: (count as f64 / all * 1000.0).round() / 1000.0,
            kind: if column == label { "right" } else { "wrong" },
        };
        HeatRow { label: shown(label), cells: confusion.columns.iter().zip(counts).map(cell).collect() }
    };
    let rows = confusion.labels.iter().zip(&confusion.counts).map(row).collect();
    Some(Heat { columns: confusion.columns.iter().map(|column| shown(column)).collect(), rows })
}
