//! From the findings of lines to records: absorbs them in the order of the lines, counts, and at the end decides the
//! workload type and drops duplicates. Draws nothing and knows no files.

mod examiner;

use std::collections::{BTreeMap, HashSet};

use crate::data::corpus::{Gathered, Ungrouped};
use crate::data::corrections::Corrections;
use crate::data::counts::{LineCounts, TypeCounts};
use crate::data::entry::{Entry, Names};
use crate::data::feedback::RatedRecord;
use crate::data::groups::Prefixes;
use crate::data::options::{DatasetRequest, TypeChoice};
use crate::data::origin::Origin;
use crate::data::reject::Reject;
use crate::data::unusable::Unusable;
use crate::data::workload_type::WorkloadType;
pub(crate) use examiner::{Examiner, ExaminerScratch, Findings};

/// Distinct workloads that are counted each; further ones are ignored.
const NAMED_WORKLOADS: usize = 1000;

/// Takes the findings of all lines and ends in the records of one workload.
#[derive(Debug)]
pub(crate) struct Intake {
    examiner: Examiner,
    counts: LineCounts,
    workloads: BTreeMap<String, u64>,
    entries: Vec<Entry>,
    /// Indexes into `entries`, in the order of [`Intake::ties`].
    tied: Vec<u32>,
    names: Names,
    clients: Names,
    /// Beginnings of conversations.
    prefixes: Prefixes,
    /// The input with the eval set of an earlier run.
    frozen: Option<u32>,
    /// Records that people rated.
    rated: Vec<RatedRecord>,
    /// Requests that people corrected.
    matched: HashSet<u128>,
    /// Records whose label was corrected to another one.
    corrected: u64,
    /// The labels that answers say, by their comparison keys, where people corrected some.
    said: BTreeMap<String, String>,
}

impl Intake {
    /// Creates an empty intake for a request. The error says what is wrong with its label pattern.
    pub(crate) fn new(request: &DatasetRequest) -> Result<Intake, String> {
        Ok(Intake {
            examiner: Examiner::new(request)?,
            counts: LineCounts::default(),
            workloads: BTreeMap::new(),
            entries: Vec::new(),
            tied: Vec::new(),
            names: Names::default(),
            clients: Names::default(),
            prefixes: Prefixes::default(),
            frozen: None,
            rated: Vec::new(),
            matched: HashSet::new(),
            corrected: 0,
            said: BTreeMap::new(),
        })
    }

    /// Replaces the labels of answers by those that people gave, from now on.
    pub(crate) fn correct(&mut self, corrections: Corrections) {
        self.examiner.correct(corrections);
    }

    /// Takes the records that people rated.
    pub(crate) fn take_rated(&mut self) -> Vec<RatedRecord> {
        std::mem::take(&mut self.rated)
    }

    /// Checks the corrections against the records, when all are read.
    ///
    /// # Errors
    /// Names a label that no record says.
    pub(crate) fn check_corrections(&self, corrections: &Corrections) -> Result<(), String> {
        corrections.check(&self.matched, &self.said)
    }

    /// Returns the number of records whose label was corrected to another one, and of requests that were met.
    pub(crate) fn corrected(&self) -> (u64, usize) {
        (self.corrected, self.matched.len())
    }

    /// Takes the input with this number as the eval set of an earlier run, from now on.
    pub(crate) fn freeze(&mut self, input: u32) {
        self.frozen = Some(input);
        self.examiner.freeze();
    }

    /// Returns the examiner that makes findings for [`Intake::absorb`].
    pub(crate) fn examiner(&self) -> Examiner {
        self.examiner.clone()
    }

    /// Absorbs findings, in the order of the lines, and returns the refused lines.
    pub(crate) fn absorb(&mut self, findings: Findings) -> Vec<(Origin, Reject)> {
        self.counts.read += findings.read;
        self.counts.other += findings.other;
        self.corrected += findings.corrected;
        self.matched.extend(findings.matched);
        for (key, label) in findings.said {
            self.said.entry(key).or_insert(label);
        }
        self.rated.extend(findings.rated);
        for (_, reason) in &findings.rejected {
            *self.counts.rejected.entry(*reason).or_default() += 1;
        }
        for (workload, records) in findings.workloads {
            if self.workloads.len() < NAMED_WORKLOADS || self.workloads.contains_key(&workload) {
                *self.workloads.entry(workload).or_default() += records;
            }
        }
        if self.is_ambiguous() {
            self.entries = Vec::new();
        } else {
            let numbers: Vec<u32> = findings.names.list.iter().map(|name| self.names.number(name)).collect();
            let clients: Vec<u32> = findings.clients.list.iter().map(|name| self.clients.number(name)).collect();
            let renumbered = |name: u32| numbers.get(name as usize).copied().unwrap_or_default();
            self.entries.extend(findings.entries.into_iter().map(|entry| Entry {
                label: entry.label.renumbered(renumbered),
                tool: entry.tool.renumbered(renumbered),
                client: clients.get(entry.client as usize).copied().unwrap_or_default(),
                ..entry
            }));
            self.prefixes.extend(findings.prefixes);
        }
        findings.rejected
    }

    /// Returns the records that share their second with others and have no id yet, in the order of reading. Their ids
    /// decide which of them is newer. Hand the ids in with [`Intake::settle`].
    pub(crate) fn ties(&mut self) -> Vec<Origin> {
        self.entries.sort_unstable_by_key(|entry| (entry.timestamp, entry.origin));
        let mut start = 0;
        self.tied.clear();
        for second in self.entries.chunk_by(|a, b| a.timestamp == b.timestamp) {
            let end = start + second.len() as u32;
            if second.len() > 1 {
                self.tied.extend((start..end).filter(|&at| self.entries[at as usize].id == 0));
            }
            start = end;
        }
        self.tied.sort_unstable_by_key(|&at| self.entries[at as usize].origin);
        self.tied.iter().map(|&at| self.entries[at as usize].origin).collect()
    }

    /// Takes the ids of the records that [`Intake::ties`] returned, in its order.
    pub(crate) fn settle(&mut self, ids: &[u128]) {
        for (&at, &id) in self.tied.iter().zip(ids) {
            self.entries[at as usize].id = id;
        }
    }

    fn is_ambiguous(&self) -> bool {
        self.examiner.workload().is_none() && self.workloads.len() > 1
    }

    /// Decides the workload type, refuses the records that it cannot use and drops duplicates. Settle the ties before.
    pub(crate) fn finish(mut self) -> Result<Ungrouped, Unusable> {
        if self.is_ambiguous() {
            return Err(Unusable::Ambiguous { workloads: self.workloads.into_iter().collect() });
        }
        let workload = self.examiner.workload().map(str::to_owned);
        let Some(workload) = workload.or_else(|| self.workloads.keys().next().cloned()) else {
            return Err(Unusable::NoRecords { counts: self.counts });
        };
        if self.entries.is_empty() {
            let workloads = self.workloads.into_iter().collect();
            return Err(Unusable::NoneSelected { workload, counts: self.counts, workloads });
        }
        let types = self.type_counts();
        let workload_type = decide(self.examiner.choice(), types, &self.counts)?;
        let mut late = Vec::new();
        self.entries.retain(|entry| match entry.class_name(workload_type) {
            Ok(_) => true,
            Err(reason) => {
                late.push((entry.origin, reason));
                false
            }
        });
        late.sort_unstable();
        for (_, reason) in &late {
            *self.counts.rejected.entry(*reason).or_default() += 1;
        }
        // Texts have no names to be told apart by.
        let names = if workload_type == WorkloadType::Text { &[String::new()][..] } else { &self.names.list };
        Ok(Ungrouped::new(Gathered {
            workload,
            workload_type,
            types,
            counts: self.counts,
            entries: self.entries,
            names,
            clients: &self.clients.list,
            prefixes: self.prefixes.sorted(),
            late,
            frozen: self.frozen,
        }))
    }

    fn type_counts(&self) -> TypeCounts {
        let mut counts = TypeCounts { records: self.entries.len() as u64, ..TypeCounts::default() };
        for entry in &self.entries {
            counts.tool_calls +=
                u64::from(!matches!(entry.tool.get(), Err(Reject::NoToolCalls | Reject::BadToolCalls)));
            counts.labels += u64::from(entry.label.get() != Err(Reject::NoLabel));
        }
        counts
    }
}

/// Decides the workload type by the majority of the records. A configured type that the records contradict is an error.
fn decide(choice: TypeChoice, types: TypeCounts, counts: &LineCounts) -> Result<WorkloadType, Unusable> {
    let mostly_tools = types.tool_calls * 2 > types.records;
    let mostly_labels = types.labels * 2 > types.records;
    match choice {
        TypeChoice::Classification if mostly_tools && !mostly_labels => {
            Err(Unusable::ToolCalls { types, counts: counts.clone() })
        }
        TypeChoice::Classification => Ok(WorkloadType::Classification),
        TypeChoice::ToolCalling => Ok(WorkloadType::ToolCalling),
        TypeChoice::Auto if mostly_tools => Ok(WorkloadType::ToolCalling),
        TypeChoice::Auto if mostly_labels => Ok(WorkloadType::Classification),
        TypeChoice::Text | TypeChoice::Auto => Ok(WorkloadType::Text),
    }
}
