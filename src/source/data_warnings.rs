//! Warnings about the records of a dataset folder, to be read before a score is trusted.

use std::collections::BTreeMap;
use std::path::Path;

use crate::data::corpus::{Corpus, NO_TIME};
use crate::data::groups::GroupCause;
use crate::data::label;
use crate::data::options::{DatasetRequest, LabelRules, SplitBy};
use crate::data::workload_type::WorkloadType;
use crate::score::warnings::{self, FEW_ROWS, SCARCE_ROWS};

/// A group with one record of this many is warned about: 5 %.
const LARGE_SHARE: usize = 20;
/// Records that a group must have to be warned about. In small logs every pair is a large share.
const LARGE_GROUP: usize = 10;
/// Groups that are warned about. The largest come first.
const SHOWN_GROUPS: usize = 3;
/// The pattern that reads labels without the punctuation around them.
const BARE_LABEL: &str = r"\[\[+\W*(\w[^\[\]]*?)\W*\]\]";

/// Classes that a warning names.
const SHOWN_CLASSES: usize = 10;

/// The rows of a class in the eval set, and in all datasets.
pub(super) struct ClassRows<'a> {
    pub(super) class: &'a str,
    pub(super) eval: u64,
    pub(super) all: u64,
}

/// Warns about classes with too few eval rows for a score, with the size of an eval set that has enough.
pub(super) fn scarce_classes(classes: &[ClassRows<'_>]) -> Option<String> {
    let evaluated = classes.iter().filter(|rows| rows.all > 0);
    let mut scarce: Vec<&ClassRows<'_>> = evaluated.clone().filter(|rows| rows.eval < SCARCE_ROWS).collect();
    if scarce.is_empty() {
        return None;
    }
    let few = evaluated.clone().filter(|rows| rows.eval < FEW_ROWS).count();
    let mut warning = warnings::few_rows(few, evaluated.count());
    scarce.sort_by_key(|rows| std::cmp::Reverse(rows.all));
    let listed = list(scarce.iter().map(|rows| format!("{} {}", rows.class, rows.eval)));
    warning += &format!("; fewer than {SCARCE_ROWS}: {listed}");
    // A class needs as many rows to train on.
    let (frequent, rare): (Vec<_>, Vec<_>) = scarce.into_iter().partition(|rows| rows.all >= 2 * SCARCE_ROWS);
    let all: u64 = classes.iter().map(|rows| rows.all).sum();
    if let Some(rows) = frequent.iter().map(|rows| (SCARCE_ROWS * all).div_ceil(rows.all)).max() {
        warning += &format!(" (about {SCARCE_ROWS} of each with data_split_config.eval_size={rows})");
    }
    if !rare.is_empty() {
        let listed = list(rare.iter().map(|rows| format!("{} {}", rows.class, rows.all)));
        warning += &format!("; fewer than {} records in all: {listed}", 2 * SCARCE_ROWS);
    }
    Some(warning)
}

/// Lists classes, of many the first.
fn list(classes: impl ExactSizeIterator<Item = String>) -> String {
    let more = classes.len().saturating_sub(SHOWN_CLASSES);
    let mut shown: Vec<String> = classes.take(SHOWN_CLASSES).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

/// Returns the warnings about the records of these inputs.
pub(super) fn of(corpus: &Corpus, request: &DatasetRequest, inputs: &[&Path]) -> Vec<String> {
    let mut warnings = Vec::new();
    let rejected = corpus.counts.all_rejected();
    if rejected * 10 > corpus.counts.read {
        warnings.push(format!("{rejected} of {} lines were refused", corpus.counts.read));
    }
    warnings.extend(of_records(corpus, request, inputs));
    warnings
}

/// Returns the warnings about the records that are left.
pub(super) fn of_records(corpus: &Corpus, request: &DatasetRequest, inputs: &[&Path]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let ([only], true) = (corpus.classes.as_slice(), corpus.workload_type != WorkloadType::Text) {
        warnings.push(format!("every record has the same label, {only}"));
    }
    warnings.extend(classes_that_look_alike(&corpus.classes, &request.labels));
    warnings.extend(large_groups(corpus, inputs));
    if request.split.split == SplitBy::Temporal {
        warnings.extend(timeless(corpus));
    }
    warnings
}

/// Warns about records that a split by time leaves out.
fn timeless(corpus: &Corpus) -> Option<String> {
    let rows = corpus.rows.iter().filter(|row| row.timestamp == NO_TIME && !row.is_frozen).count();
    let all = corpus.rows.len();
    (rows > 0).then(|| {
        format!(
            "{rows} of {all} records have no time: split: temporal holds them back, because they may be newer than eval rows"
        )
    })
}

/// Warns about classes that differ only in markup or punctuation, with the setting that joins them.
fn classes_that_look_alike(classes: &[String], rules: &LabelRules) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for class in classes {
        alike.entry(label::bare(class)).or_default().push(class);
    }
    let several = alike.into_iter().filter(|(bare, classes)| !bare.is_empty() && classes.len() > 1);
    several
        .map(|(_, classes)| {
            let inner = |class: &&str| label::key(class.trim_matches(|c: char| !c.is_alphanumeric()));
            let differ_outside = classes.iter().all(|class| inner(class) == inner(&classes[0]));
            let remedy = if differ_outside && rules.pattern.is_none() {
                format!("join them with --set 'label_pattern={BARE_LABEL}'")
            } else {
                "name the right one in labels, which rejects the others, or read labels with label_pattern".to_owned()
            };
            format!("classes differ only in markup or punctuation: {}; {remedy}", classes.join(", "))
        })
        .collect()
}

/// Warns about groups that hold a large share of the records, with what ties them together.
fn large_groups(corpus: &Corpus, inputs: &[&Path]) -> Vec<String> {
    let mut sorted: Vec<u64> = corpus.rows.iter().map(|row| row.group).collect();
    sorted.sort_unstable();
    let is_large = |group: &&[u64]| group.len() >= LARGE_GROUP && group.len() * LARGE_SHARE > corpus.rows.len();
    let mut large: Vec<&[u64]> = sorted.chunk_by(|a, b| a == b).filter(is_large).collect();
    large.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let warn = |group: &&[u64]| {
        let row = corpus.rows.iter().find(|row| row.group == group[0])?;
        let why = match row.cause {
            GroupCause::UserText => "their first user message is the same but for case, digits and punctuation",
            GroupCause::Messages => "their messages are the same but for case, digits and punctuation",
            GroupCause::NearCopy => {
                "by near_duplicate_threshold their texts share most of their words, one with the next"
            }
            GroupCause::Conversation => "the messages of one begin those of the next",
        };
        let file = inputs.get(row.origin.input as usize)?.display();
        let (rows, all, line) = (group.len(), corpus.rows.len(), row.origin.line);
        Some(format!("{rows} of {all} records go to one dataset together, because {why} (such as {file}:{line})"))
    };
    large.iter().take(SHOWN_GROUPS).filter_map(warn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(classes: &[(&str, u64, u64)]) -> Option<String> {
        let rows: Vec<ClassRows<'_>> =
            classes.iter().map(|&(class, eval, all)| ClassRows { class, eval, all }).collect();
        scarce_classes(&rows)
    }

    #[test]
    fn classes_with_few_eval_rows_are_counted_and_the_rarest_named_with_the_size_that_would_do() {
        assert_eq!(warning(&[("A", 50, 500), ("B", 5, 50)]), None);
        let some = warning(&[("A", 90, 900), ("B", 2, 25), ("C", 3, 30), ("D", 0, 4), ("E", 0, 0)]).unwrap();
        assert_eq!(
            some,
            "3 of 4 classes have fewer than 30 eval rows: do not rely on the scores of single classes; fewer than 5: C 3, \
             B 2, D 0 (about 5 of each with data_split_config.eval_size=192); fewer than 10 records in all: D 4"
        );
        assert!(warning(&[("A", 20, 200), ("B", 1, 9)]).unwrap().ends_with("B 1; fewer than 10 records in all: B 9"));
        let names: Vec<String> = (0..14).map(|n| format!("class {n}")).collect();
        let many: Vec<(&str, u64, u64)> = names.iter().map(|name| (name.as_str(), 1, 20)).collect();
        assert!(warning(&many).unwrap().contains("class 9 1, 4 more (about 5 of each with"));
    }
}
