//! The counts of datasets and loads for people: where every record went, and the classes. Values in, text out.

use super::answers::LoadCounts;
use super::layout::{Grid, Page, Side};
use super::model::Data;
use super::text::{Tone, count, counted};

/// What `split` prints: counts, rejects and classes.
pub fn split(data: &Data, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    sections(&mut page, data, "");
    page.text()
}

/// What `load` prints.
pub fn load(counts: &LoadCounts, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    let rejected: u64 = counts.rejected.values().sum();
    stages(
        &mut page,
        &[("read", counts.read), ("added", counts.added), ("present before", counts.present), ("rejected", rejected)],
    );
    rejects(&mut page, &counts.rejected, "");
    page.text()
}

/// One sentence of a run's report.
pub(super) fn sentence(page: &mut Page, data: &Data) {
    let rejected: u64 = data.rejected.values().sum();
    let mut text = format!(
        "{} read, {} kept: {} eval, {} train, {} validation",
        counted(data.read, "record"),
        count(data.kept),
        count(data.eval),
        count(data.train),
        count(data.validation)
    );
    for (n, what) in
        [(data.held_back, "held back"), (rejected, "rejected"), (data.conflicts, "with conflicting labels")]
    {
        if n > 0 {
            text += &format!(", {} {what}", count(n));
        }
    }
    page.plain("", &format!("{text}; seed {}", data.seed));
}

/// Everything about the datasets.
pub(super) fn sections(page: &mut Page, data: &Data, mark: &str) {
    page.title(&format!("{mark}Records"));
    let rejected: u64 = data.rejected.values().sum();
    stages(
        page,
        &[
            ("read", data.read),
            ("rejected", rejected),
            ("other workload, client or time", data.other),
            ("duplicates", data.duplicates),
            ("over the limit", data.over_limit),
            ("kept", data.kept),
            ("  eval", data.eval),
            ("  train", data.train),
            ("  validation", data.validation),
            ("  held back", data.held_back),
        ],
    );
    if data.conflicts > 0 {
        let text = format!("{} in the records with different labels.", stands(data.conflicts));
        page.tone(Tone::Warning, "", &text);
    }
    rejects(page, &data.rejected, mark);
    classes(page, data, mark);
}

fn stands(n: u64) -> String {
    if n == 1 { "1 text stands".to_owned() } else { format!("{} texts stand", count(n)) }
}

/// Counts below each other; an indent in a name says that it is a part of the one above.
fn stages(page: &mut Page, stages: &[(&str, u64)]) {
    let name = stages.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let number = stages.iter().map(|(_, n)| count(*n).len()).max().unwrap_or(0);
    for (stage, n) in stages {
        page.line(&format!("{stage:<name$}  {:>number$}", count(*n)));
    }
}

fn rejects(page: &mut Page, rejected: &std::collections::BTreeMap<String, u64>, mark: &str) {
    if rejected.values().all(|&n| n == 0) {
        return;
    }
    page.title(&format!("{mark}Rejected"));
    let mut grid = Grid::new(&[("reason", Side::Left), ("records", Side::Right)]);
    let mut rows: Vec<(&String, &u64)> = rejected.iter().filter(|(_, n)| **n > 0).collect();
    rows.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (reason, n) in rows {
        grid.row([reason.replace('_', " "), count(*n)]);
    }
    page.grid(&grid);
}

/// Rows per class and dataset, the largest class first.
fn classes(page: &mut Page, data: &Data, mark: &str) {
    let mut grid =
        Grid::new(&[("class", Side::Left), ("eval", Side::Right), ("train", Side::Right), ("validation", Side::Right)]);
    let mut rows: Vec<_> = data.classes.iter().collect();
    rows.sort_by(|a, b| (b.1.train + b.1.eval).cmp(&(a.1.train + a.1.eval)).then(a.0.cmp(b.0)));
    for (label, rows) in rows {
        grid.row([label.clone(), count(rows.eval), count(rows.train), count(rows.validation)]);
    }
    if !grid.is_empty() {
        page.title(&format!("{mark}Classes"));
        page.grid(&grid);
    }
}

#[cfg(test)]
mod tests;
