//! The usable records of one workload, each request once, in canonical order, with the counts of the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet};

use crate::data::counts::{LineCounts, TypeCounts};
use crate::data::entry::Entry;
use crate::data::groups::{self, GroupCause, Prefix};
use crate::data::label;
use crate::data::origin::Origin;
use crate::data::reject::Reject;
use crate::data::workload_type::WorkloadType;

/// The usable records of one workload.
#[derive(Debug)]
pub(crate) struct Corpus {
    pub(crate) workload: String,
    pub(crate) workload_type: WorkloadType,
    /// The counts by which the type was decided.
    pub(crate) types: TypeCounts,
    pub(crate) counts: LineCounts,
    /// The labels (names of functions) of the rows as written most often, in the order of their comparison keys.
    pub(crate) classes: Vec<String>,
    /// The records in canonical order: timestamp, then id.
    pub(crate) rows: Vec<CorpusRow>,
    /// The client of each row, numbered in the order of their names. Empty unless records are limited per client.
    pub(crate) clients: Vec<u32>,
    /// Requests that were answered differently, in the order of their kept rows.
    pub(crate) conflicts: Vec<LabelConflict>,
    /// Epoch seconds of the oldest and of the newest row. `None` without rows.
    pub(crate) window: Option<(i64, i64)>,
    /// Records that only the workload type refuses, in the order of reading.
    pub(crate) late: Vec<(Origin, Reject)>,
}

/// The time of a record that has none.
pub(crate) const NO_TIME: i64 = 0;

/// One usable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CorpusRow {
    /// Place of its line.
    pub(crate) origin: Origin,
    /// Index into [`Corpus::classes`].
    pub(crate) class: u32,
    /// Equal for records that must not straddle two datasets.
    pub(crate) group: u64,
    pub(crate) cause: GroupCause,
    /// Whole epoch seconds, or [`NO_TIME`].
    pub(crate) timestamp: i64,
    /// It belongs to the eval set of an earlier run.
    pub(crate) is_frozen: bool,
}

/// A request that was answered differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelConflict {
    /// Place of the newest record of the request. It is kept.
    pub(crate) kept: Origin,
    /// Label of that record.
    pub(crate) label: String,
    /// All labels of the request with their number of records.
    pub(crate) labels: BTreeMap<String, u64>,
    /// Number of different answers. Calls of one function differ by their arguments.
    pub(crate) answers: usize,
}

/// Holds what the intake has gathered of the records that a corpus is made of.
pub(crate) struct Gathered<'a> {
    pub(crate) workload: String,
    pub(crate) workload_type: WorkloadType,
    pub(crate) types: TypeCounts,
    pub(crate) counts: LineCounts,
    /// Every entry has a class name.
    pub(crate) entries: Vec<Entry>,
    /// The names by their numbers in the entries.
    pub(crate) names: &'a [String],
    /// The names of clients by their numbers in the entries.
    pub(crate) clients: &'a [String],
    /// Beginnings of conversations, in the order of their keys.
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) late: Vec<(Origin, Reject)>,
    /// The input with the eval set of an earlier run.
    pub(crate) frozen: Option<u32>,
}

/// The usable records of one workload, before they are grouped.
#[derive(Debug)]
pub(crate) struct Ungrouped {
    /// Without rows.
    corpus: Corpus,
    /// In canonical order.
    entries: Vec<Entry>,
    /// Class of each name in the entries.
    class_of: Vec<u32>,
    /// Place of each client in the entries among their names.
    client_of: Vec<u32>,
    prefixes: Vec<Prefix>,
    frozen: Option<u32>,
}

/// The place of a record and where its text stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextAt {
    pub(crate) origin: Origin,
    /// In all messages, because most records have the same user message.
    pub(crate) is_whole: bool,
}

impl Ungrouped {
    /// Keeps the newest record of each request and sorts them into canonical order.
    pub(super) fn new(gathered: Gathered<'_>) -> Ungrouped {
        let Gathered { workload, workload_type, types, mut counts, mut entries, names, clients, .. } = gathered;
        let Gathered { prefixes, late, frozen, .. } = gathered;
        let labels = ClassNames::new(names, entries.iter().map(|entry| name_of(entry, workload_type)));
        let mut conflicts = Vec::new();
        let mut is_older = vec![false; entries.len()];
        for same in several(&entries).chunk_by(|a, b| a.0.request == b.0.request) {
            let Some(((newest, _), older)) = same.split_last() else { continue };
            counts.duplicates += older.len() as u64;
            older.iter().for_each(|&(_, at)| is_older[at as usize] = true);
            let same = same.iter().map(|(entry, _)| entry);
            if let Some(conflict) = conflict(same, newest, workload_type, &labels) {
                conflicts.push((newest.timestamp, newest.id, conflict));
            }
        }
        // In place: a second list of entries would double the memory of the command.
        let mut at = 0;
        entries.retain(|_| (!is_older[at], at += 1).0);
        // Most logs are in order of time already, and sorting those costs nothing.
        entries.sort_by_key(|entry| entry.timestamp);
        for second in entries.chunk_by_mut(|a, b| a.timestamp == b.timestamp) {
            second.sort_unstable_by_key(|entry| entry.id);
        }
        let window = entries.first().zip(entries.last()).map(|(oldest, newest)| (oldest.timestamp, newest.timestamp));
        conflicts.sort_unstable_by_key(|&(timestamp, id, _)| (timestamp, id));
        let mut used = vec![false; labels.shown.len()];
        entries.iter().for_each(|entry| used[labels.class_of[name_of(entry, workload_type)]] = true);
        let mut next = 0;
        let number: Vec<u32> = used.iter().map(|&used| (next, next += u32::from(used)).0).collect();
        let class_of = labels.class_of.into_iter().map(|class| number[class]).collect();
        let classes = labels.shown.into_iter().zip(used).filter_map(|(label, used)| used.then_some(label)).collect();
        let conflicts = conflicts.into_iter().map(|(_, _, conflict)| conflict).collect();
        let mut by_name: Vec<u32> = (0..clients.len() as u32).collect();
        by_name.sort_unstable_by_key(|&client| &clients[client as usize]);
        let mut client_of = vec![0; clients.len()];
        by_name.into_iter().zip(0..).for_each(|(client, place)| client_of[client as usize] = place);
        let (rows, clients) = (Vec::new(), Vec::new());
        let corpus = Corpus { workload, workload_type, types, counts, classes, rows, clients, conflicts, window, late };
        Ungrouped { corpus, entries, class_of, client_of, prefixes, frozen }
    }

    /// Returns the places of the texts that near-copies are looked for in, in canonical order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = TextAt> + '_ {
        let usual = groups::usual_text(self.entries.iter().map(|entry| &entry.group));
        let is_whole = move |entry: &Entry| Some(entry.group.user_text) == usual;
        self.entries.iter().map(move |entry| TextAt { origin: entry.origin, is_whole: is_whole(entry) })
    }

    /// Returns up to `most` of these places. The keys of requests choose them, so the order of the records does not.
    pub(crate) fn some_texts(&self, most: usize) -> Vec<TextAt> {
        let mut least: BinaryHeap<(u128, u32)> = BinaryHeap::with_capacity(most + 1);
        for (entry, at) in self.entries.iter().zip(0..) {
            if least.len() < most || least.peek().is_some_and(|(largest, _)| entry.request < *largest) {
                least.push((entry.request, at));
                if least.len() > most {
                    least.pop();
                }
            }
        }
        let chosen: HashSet<u32> = least.into_iter().map(|(_, at)| at).collect();
        self.texts().zip(0..).filter(|(_, at)| chosen.contains(at)).map(|(text, _)| text).collect()
    }

    /// Groups the records. `near` holds pairs of records whose texts are near-copies.
    pub(crate) fn grouped(self, near: &[(u32, u32)]) -> Corpus {
        let Ungrouped { mut corpus, entries, class_of, client_of, prefixes, frozen } = self;
        let groups = groups::group(&entries, &prefixes, near);
        let rows = entries.iter().zip(groups.of.iter().zip(&groups.cause)).map(|(entry, (&group, &cause))| CorpusRow {
            origin: entry.origin,
            class: class_of[name_of(entry, corpus.workload_type)],
            group,
            cause,
            timestamp: entry.timestamp,
            is_frozen: frozen == Some(entry.origin.input),
        });
        corpus.rows = rows.collect();
        corpus.clients = entries.iter().map_while(|entry| client_of.get(entry.client as usize).copied()).collect();
        corpus
    }
}

/// Returns the number of the name that decides the class. Every entry of a corpus has one.
fn name_of(entry: &Entry, workload_type: WorkloadType) -> usize {
    entry.class_name(workload_type).unwrap_or_default() as usize
}

/// Returns the entries of requests that may occur several times, with their places: request after request, and each from the
/// oldest to the newest. It walks through all entries once, because they may lie in a file (`--memory`).
fn several(entries: &[Entry]) -> Vec<(Entry, u32)> {
    // Half of a key tells nearly all requests apart, and numbers are sorted several times faster than entries.
    let half = |entry: &Entry| (entry.request >> 64) as u64;
    let mut order: Vec<(u64, u32)> = entries.iter().map(half).zip(0..).collect();
    order.sort_unstable();
    let alike = order.chunk_by(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1);
    let mut places: Vec<u32> = alike.flatten().map(|&(_, at)| at).collect();
    places.sort_unstable();
    let mut several: Vec<(Entry, u32)> = places.into_iter().map(|at| (entries[at as usize], at)).collect();
    several.sort_unstable_by_key(|(entry, _)| (entry.request, entry.timestamp, entry.id, Reverse(entry.origin)));
    several
}

/// Returns the conflict among the records of one request, if their answers differ.
fn conflict<'a>(
    same: impl Iterator<Item = &'a Entry> + Clone,
    newest: &Entry,
    workload_type: WorkloadType,
    labels: &ClassNames,
) -> Option<LabelConflict> {
    let class = |entry: &Entry| labels.class_of[name_of(entry, workload_type)];
    let answer = |entry: &Entry| match workload_type {
        WorkloadType::Classification => class(entry) as u64,
        WorkloadType::ToolCalling => entry.calls,
        // A model words its texts anew each time.
        WorkloadType::Text => 0,
    };
    if same.clone().all(|entry| answer(entry) == answer(newest)) {
        return None;
    }
    let (mut all, mut answers) = (BTreeMap::new(), BTreeSet::new());
    for entry in same {
        *all.entry(labels.shown[class(entry)].clone()).or_default() += 1;
        answers.insert(answer(entry));
    }
    let label = labels.shown[class(newest)].clone();
    Some(LabelConflict { kept: newest.origin, label, labels: all, answers: answers.len() })
}

/// Brings spellings together into classes.
struct ClassNames {
    /// Class of each name.
    class_of: Vec<usize>,
    /// The shown name of each class: the most frequent spelling, of equals the first in code point order.
    shown: Vec<String>,
}

impl ClassNames {
    fn new(names: &[String], uses: impl Iterator<Item = usize>) -> ClassNames {
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
        ClassNames { class_of, shown }
    }
}
