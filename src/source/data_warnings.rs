//! Warnings about the records of a dataset folder, to be read before a score is trusted.

use std::collections::BTreeMap;
use std::path::Path;

use crate::data::corpus::Corpus;
use crate::data::groups::GroupCause;
use crate::data::label;
use crate::data::options::LabelRules;
use crate::data::workload_type::WorkloadType;

/// A group with one record of this many is warned about: 5 %.
const LARGE_SHARE: usize = 20;
/// Records that a group must have to be warned about. In small logs every pair is a large share.
const LARGE_GROUP: usize = 10;
/// Groups that are warned about. The largest come first.
const SHOWN_GROUPS: usize = 3;
/// The pattern that reads labels without the punctuation around them.
const BARE_LABEL: &str = r"\[\[+\W*(\w[^\[\]]*?)\W*\]\]";

/// Returns the warnings about the records of these inputs.
pub(super) fn of(corpus: &Corpus, rules: &LabelRules, inputs: &[&Path]) -> Vec<String> {
    let mut warnings = Vec::new();
    let rejected = corpus.counts.all_rejected();
    if rejected * 10 > corpus.counts.read {
        warnings.push(format!("{rejected} of {} lines were refused", corpus.counts.read));
    }
    if let ([only], true) = (corpus.classes.as_slice(), corpus.workload_type != WorkloadType::Text) {
        warnings.push(format!("every record has the same label, {only}"));
    }
    warnings.extend(classes_that_look_alike(&corpus.classes, rules));
    warnings.extend(large_groups(corpus, inputs));
    warnings
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
            GroupCause::Conversation => "the messages of one begin those of the next",
        };
        let file = inputs.get(row.origin.input as usize)?.display();
        let (rows, all, line) = (group.len(), corpus.rows.len(), row.origin.line);
        Some(format!("{rows} of {all} records go to one dataset together, because {why} (such as {file}:{line})"))
    };
    large.iter().take(SHOWN_GROUPS).filter_map(warn).collect()
}
