//! The pages about records: the counts of datasets, of a load, and the classes. Values in, text out.

use std::collections::BTreeMap;

use super::json::LoadCounts;
use super::layout::{Grid, Page, Side};
use super::text::{Tone, count, counted};
use crate::source::dataset::Manifest;

/// Returns the page of `split`: counts, rejects and classes.
pub(crate) fn split(data: &Manifest, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    sections(&mut page, data, "");
    page.text()
}

/// Returns the page of `load`.
pub(crate) fn load(counts: &LoadCounts, width: usize, color: bool) -> String {
    let mut page = Page::new(width, color);
    let rejected: u64 = counts.rejected.values().sum();
    stages(
        &mut page,
        &[("read", counts.read), ("added", counts.added), ("present before", counts.present), ("rejected", rejected)],
    );
    rejects(&mut page, counts.rejected.iter().map(|(reason, n)| (reason.as_str(), *n)), "");
    masked(&mut page, counts.redacted.as_ref());
    page.text()
}

/// One sentence for the report of a run.
pub(super) fn sentence(page: &mut Page, data: &Manifest) {
    let rejected = data.all_rejected();
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

/// Returns the counts from the records read to the datasets. An indented name is a part of the count above it.
pub(super) fn of_stages(data: &Manifest) -> [(&'static str, u64); 10] {
    [
        ("read", data.read),
        ("rejected", data.all_rejected()),
        ("other workload, client or time", data.other),
        ("duplicates", data.duplicates),
        ("over the limit", data.over_limit),
        ("kept", data.kept),
        ("  eval", data.eval),
        ("  train", data.train),
        ("  validation", data.validation),
        ("  held back", data.held_back),
    ]
}

/// Counts, rejects and classes.
pub(super) fn sections(page: &mut Page, data: &Manifest, mark: &str) {
    page.title(&format!("{mark}Records"));
    stages(page, &of_stages(data));
    masked(page, data.redacted.as_ref());
    if let Some(given) = &data.corrections {
        page.line(&format!("Corrected: {} got another label.", counted(given.records, "record")));
    }
    if let Some(near) = data.near_copies {
        page.line(&format!(
            "Near-copies put {} into groups; {} of them would give eval rows away.",
            counted(near.grouped, "record"),
            count(near.leaks_prevented)
        ));
    }
    if data.conflicts > 0 {
        let text = format!("{} in the records with different labels.", occurs(data.conflicts));
        page.tone(Tone::Warning, "", &text);
    }
    rejects(page, data.rejected.iter().map(|(reason, n)| (reason.as_str(), *n)), mark);
    classes(page, data, mark);
}

/// Numbers of masked values.
fn masked(page: &mut Page, redacted: Option<&BTreeMap<String, u64>>) {
    let Some(redacted) = redacted else { return };
    let kinds: Vec<String> = redacted.iter().map(|(kind, n)| format!("{kind} {}", count(*n))).collect();
    let what = if kinds.is_empty() { "no values".to_owned() } else { kinds.join(", ") };
    page.line(&format!("Masked: {what}"));
}

fn occurs(texts: u64) -> String {
    if texts == 1 { "1 text occurs".to_owned() } else { format!("{} texts occur", count(texts)) }
}

/// Counts one below the other. An indented name is a part of the count above it.
fn stages(page: &mut Page, stages: &[(&str, u64)]) {
    let name = stages.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let number = stages.iter().map(|(_, n)| count(*n).len()).max().unwrap_or(0);
    for (stage, n) in stages {
        page.line(&format!("{stage:<name$}  {:>number$}", count(*n)));
    }
}

/// Rejected lines by reason, the most frequent reason first.
fn rejects<'a>(page: &mut Page, rejected: impl Iterator<Item = (&'a str, u64)>, mark: &str) {
    let mut rows: Vec<(&str, u64)> = rejected.filter(|(_, n)| *n > 0).collect();
    if rows.is_empty() {
        return;
    }
    page.title(&format!("{mark}Rejected"));
    let mut grid = Grid::new(&[("reason", Side::Left), ("records", Side::Right)]);
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    for (reason, n) in rows {
        grid.row([reason.replace('_', " "), count(n)]);
    }
    page.grid(&grid);
}

/// Rows per class and dataset, the largest class first.
fn classes(page: &mut Page, data: &Manifest, mark: &str) {
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
