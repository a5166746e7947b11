//! The usable records of one workload, each text once, in canonical order. Says what became of the others.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::data::intake::{Counts, Entry, Origin, TypeCounts, WorkloadType};
use crate::data::label;
use crate::data::rules::Reject;

/// The usable records of one workload.
#[derive(Debug)]
pub struct Corpus {
    /// The workload.
    pub workload: String,
    /// What kind of task it is.
    pub kind: WorkloadType,
    /// What that was decided from.
    pub types: TypeCounts,
    /// What became of all lines read.
    pub counts: Counts,
    /// The labels (names of functions) of the rows, as written most often, ordered by their comparison key.
    pub classes: Vec<String>,
    /// The records in canonical order: timestamp, then id.
    pub rows: Vec<Row>,
    /// Texts that stand with different labels, in the order of their kept rows.
    pub conflicts: Vec<Conflict>,
    /// Records refused only because of the workload's type, in the order of reading.
    pub late: Vec<(Origin, Reject)>,
}

/// One usable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub origin: Origin,
    /// Index into [`Corpus::classes`].
    pub class: u32,
    /// Equal for near-duplicates.
    pub group: u64,
}

/// A text that stands with different labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The newest record of the text, which is kept.
    pub kept: Origin,
    /// Its label.
    pub label: String,
    /// All labels of the text, with the number of their records.
    pub labels: BTreeMap<String, u64>,
}

impl Corpus {
    /// Drops all but the newest record of each text and puts the rest into canonical order. Every entry has a name.
    pub(crate) fn new(
        workload: String,
        kind: WorkloadType,
        types: TypeCounts,
        mut counts: Counts,
        names: &[String],
        mut entries: Vec<Entry>,
        late: Vec<(Origin, Reject)>,
    ) -> Corpus {
        let labels = Labels::new(names, entries.iter().map(|entry| entry.name(kind)));
        entries.sort_unstable_by_key(|entry| (entry.text, entry.timestamp, entry.id, Reverse(entry.origin)));
        let mut conflicts = Vec::new();
        let (mut kept, mut start) = (0, 0);
        // In place, because a second list of entries would double the memory of the whole command.
        while start < entries.len() {
            let same = |entry: &&Entry| entry.text == entries[start].text;
            let end = start + entries[start..].iter().take_while(same).count();
            let newest = entries[end - 1];
            counts.duplicates += (end - start - 1) as u64;
            if let Some(conflict) = conflict(&entries[start..end], newest, kind, &labels) {
                conflicts.push((newest.timestamp, newest.id, conflict));
            }
            entries[kept] = newest;
            kept += 1;
            start = end;
        }
        entries.truncate(kept);
        entries.sort_unstable_by_key(|entry| (entry.timestamp, entry.id));
        conflicts.sort_unstable_by_key(|&(timestamp, id, _)| (timestamp, id));
        let mut used = vec![false; labels.shown.len()];
        entries.iter().for_each(|entry| used[labels.class_of[entry.name(kind)]] = true);
        let mut next = 0;
        let number: Vec<u32> = used.iter().map(|&used| (next, next += u32::from(used)).0).collect();
        let rows = entries.iter().map(|entry| Row {
            origin: entry.origin,
            class: number[labels.class_of[entry.name(kind)]],
            group: entry.masked,
        });
        let rows = rows.collect();
        let classes = labels.shown.into_iter().zip(used).filter_map(|(label, used)| used.then_some(label)).collect();
        let conflicts = conflicts.into_iter().map(|(_, _, conflict)| conflict).collect();
        Corpus { workload, kind, types, counts, classes, rows, conflicts, late }
    }
}

/// What to tell of the records of one text, if their labels differ.
fn conflict(same_text: &[Entry], newest: Entry, kind: WorkloadType, labels: &Labels) -> Option<Conflict> {
    let class = |entry: &Entry| labels.class_of[entry.name(kind)];
    if same_text.iter().all(|entry| class(entry) == class(&newest)) {
        return None;
    }
    let mut all = BTreeMap::new();
    for entry in same_text {
        *all.entry(labels.shown[class(entry)].clone()).or_default() += 1;
    }
    Some(Conflict { kept: newest.origin, label: labels.shown[class(&newest)].clone(), labels: all })
}

/// The spellings of names brought together into classes.
struct Labels {
    /// Class of each name.
    class_of: Vec<usize>,
    /// How each class is shown: as written most often; of equals, the first in code point order.
    shown: Vec<String>,
}

impl Labels {
    fn new(names: &[String], uses: impl Iterator<Item = usize>) -> Labels {
        let mut counts = vec![0_u64; names.len()];
        uses.for_each(|name| counts[name] += 1);
        let keys: Vec<String> = names.iter().map(|name| label::key(name)).collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_unstable_by_key(|&name| (&keys[name], Reverse(counts[name]), &names[name]));
        let mut class_of = vec![0; names.len()];
        let mut shown = Vec::new();
        for spellings in order.chunk_by(|&a, &b| keys[a] == keys[b]) {
            spellings.iter().for_each(|&name| class_of[name] = shown.len());
            shown.extend(spellings.first().map(|&name| names[name].clone()));
        }
        Labels { class_of, shown }
    }
}
