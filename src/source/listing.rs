//! The listing of a log store: counts by workload, client and label.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::data::forms::{self, Forms};
use crate::data::label::{self, LabelReader};
use crate::data::options::Filter;
use crate::data::record::Record;

/// The listing of a log store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct StoreListing {
    /// The workloads, by name.
    pub(crate) workloads: Vec<WorkloadListing>,
    /// Lines that are no records. Only edits by hand leave such lines.
    pub(crate) unreadable: u64,
    /// Name and version of the server of an index.
    pub(crate) server: Option<String>,
}

/// The listing of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WorkloadListing {
    pub(crate) workload: String,
    pub(crate) records: u64,
    /// Epoch seconds of the oldest.
    pub(crate) first: i64,
    /// Epoch seconds of the newest.
    pub(crate) last: i64,
    /// Records by client, in the order of names. The empty name stands for no client.
    pub(crate) clients: Vec<(String, u64)>,
    /// Records by label or called function, each as written most often, the most frequent first.
    pub(crate) labels: Vec<(String, u64)>,
    /// Records with neither label nor tool calls.
    pub(crate) unlabelled: u64,
    /// Records whose response calls tools.
    pub(crate) tool_calls: u64,
}

/// Counts records into a listing.
#[derive(Debug, Default)]
pub(crate) struct ListingTally {
    workloads: BTreeMap<String, WorkloadCounts>,
    unreadable: u64,
}

#[derive(Debug, Default)]
struct WorkloadCounts {
    listing: WorkloadListing,
    clients: BTreeMap<String, u64>,
    labels: BTreeMap<String, BTreeMap<String, u64>>,
}

impl ListingTally {
    /// Counts a line, if it is a record that `filter` lets pass.
    pub(crate) fn take(&mut self, line: &[u8], filter: &Filter, labels: &LabelReader) {
        let taken = forms::read(line, Forms::Logged, |json| {
            Record::parse(json).map(|record| {
                if filter.passes(&record) {
                    self.take_record(&record, labels);
                }
            })
        });
        self.unreadable += u64::from(taken.is_err());
    }

    fn take_record(&mut self, record: &Record<'_>, labels: &LabelReader) {
        if !self.workloads.contains_key(&*record.workload) {
            self.workloads.insert(record.workload.to_string(), WorkloadCounts::default());
        }
        if let Some(counts) = self.workloads.get_mut(&*record.workload) {
            counts.count(record, labels);
        }
    }

    /// Returns the listing.
    pub(crate) fn finish(self) -> StoreListing {
        let workloads = self.workloads.into_iter().map(|(workload, counts)| counts.finish(workload)).collect();
        StoreListing { workloads, unreadable: self.unreadable, server: None }
    }
}

impl WorkloadCounts {
    fn count(&mut self, record: &Record<'_>, labels: &LabelReader) {
        let listing = &mut self.listing;
        if listing.records == 0 {
            (listing.first, listing.last) = (record.timestamp, record.timestamp);
        }
        listing.records += 1;
        listing.first = listing.first.min(record.timestamp);
        listing.last = listing.last.max(record.timestamp);
        *self.clients.entry(record.client.to_string()).or_default() += 1;
        let called = record.reply.tool_calls.as_ref().ok().and_then(|calls| calls.first());
        listing.tool_calls += u64::from(called.is_some());
        let content = record.reply.content.map(|text| text.read());
        let said = content.as_deref().and_then(|content| labels.read(content));
        match called.map(|call| &*call.name).or(said) {
            Some(found) => {
                *self.labels.entry(label::key(found)).or_default().entry(found.to_owned()).or_default() += 1;
            }
            None => listing.unlabelled += 1,
        }
    }

    fn finish(self, workload: String) -> WorkloadListing {
        let shown = |spellings: BTreeMap<String, u64>| {
            let all = spellings.values().sum();
            let most = spellings.into_iter().rev().max_by_key(|(_, count)| *count);
            most.map(|(label, _)| (label, all))
        };
        let mut labels: Vec<(String, u64)> = self.labels.into_values().filter_map(shown).collect();
        labels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        WorkloadListing { workload, clients: self.clients.into_iter().collect(), labels, ..self.listing }
    }
}
