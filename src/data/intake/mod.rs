//! From lines to a corpus: each line is examined on its own (by any number of threads), the findings are absorbed in
//! order, and at the end the workload type is decided and duplicates go. Draws nothing and knows no files: a line's
//! place is an [`Origin`] that the caller gives and gets back.

use std::collections::HashMap;

use crate::data::corpus::Corpus;
use crate::data::forms::streamed;
use crate::data::json::tape::Tape;
use crate::data::label::LabelReader;
use crate::data::options::{DatasetRequest, Filter, TypeChoice};
use crate::data::record::{self, FieldDefaults, Ids, Record};
use crate::data::reject::Reject;
use crate::data::text_keys::TextKeyMaker;
use crate::data::unusable::Unusable;
use crate::data::workload_type::decide;
pub use crate::data::workload_type::{TypeCounts, WorkloadType};

/// Where a line stands, so that it can be read again and named in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Number of the source (file), in the order of reading.
    pub source: u32,
    /// Bytes before the line.
    pub offset: u64,
    /// Bytes of the line, without its end.
    pub length: u32,
    /// Number of the line, from 1.
    pub line: u64,
}

/// Distinct workloads that are told apart in counts; the rest are only counted together.
const NAMED_WORKLOADS: usize = 1000;

/// What is remembered of a record that passed the filter: about 90 bytes, whatever the record's length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// 0 when not known: nothing depends on it but the order of records that share their second.
    pub(crate) id: u128,
    pub(crate) text: u128,
    pub(crate) masked: u64,
    pub(crate) timestamp: i64,
    pub(crate) origin: Origin,
    label: Verdict,
    tool: Verdict,
}

impl Entry {
    fn verdict(&self, kind: WorkloadType) -> Verdict {
        match kind {
            WorkloadType::Classification => self.label,
            WorkloadType::ToolCalling => self.tool,
        }
    }

    /// Number of the label's (function's) name; only for entries that have one.
    pub(crate) fn name(&self, kind: WorkloadType) -> usize {
        self.verdict(kind).0 as usize
    }
}

/// A spelling of a label or a function's name (an index), or why there is none. One word instead of a `Result`'s two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict(u32);

impl Verdict {
    fn new(found: Result<u32, Reject>) -> Verdict {
        Verdict(found.unwrap_or_else(|reject| u32::MAX - reject as u32))
    }

    fn get(self) -> Result<u32, Reject> {
        let reject = Reject::ALL.get((u32::MAX - self.0) as usize);
        reject.map_or(Ok(self.0), |&reject| Err(reject))
    }

    fn map(self, names: &[u32]) -> Verdict {
        Verdict::new(self.get().map(|local| names.get(local as usize).copied().unwrap_or_default()))
    }
}

/// Texts numbered in the order of their first appearance.
#[derive(Clone, Debug, Default)]
struct Names {
    numbers: HashMap<String, u32>,
    list: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.list.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.list.push(name.to_owned());
        number
    }
}

/// How lines are examined; shared by all threads.
#[derive(Clone, Debug)]
pub struct Examiner {
    filter: Filter,
    labels: LabelReader,
    choice: TypeChoice,
}

/// ExaminerScratch space of one examining thread.
#[derive(Debug, Default)]
pub struct ExaminerScratch {
    keys: TextKeyMaker,
    tape: Tape,
    ids: Ids,
    crowd: Crowd,
}

/// Whether selected records share their second so often that their ids are better made while they are read: making an id
/// takes about as long as reading the record, so it is left to [`Intake::ties`] where few need one.
#[derive(Debug, Default)]
struct Crowd {
    last: Option<i64>,
    seen: u32,
    /// Those that share their second with the one before.
    close: u32,
    is_dense: bool,
}

/// Records after which it is asked anew.
const CROWD: u32 = 256;

impl Crowd {
    /// Notes the time of the next record; whether its id should be made now.
    fn is_dense_at(&mut self, timestamp: i64) -> bool {
        self.close += u32::from(self.last.replace(timestamp) == Some(timestamp));
        self.seen += 1;
        if self.seen == CROWD {
            // In pairs half of the records follow one of their second, and all need an id.
            self.is_dense = self.close >= CROWD / 4;
            (self.seen, self.close) = (0, 0);
        }
        self.is_dense
    }
}

/// The findings of some consecutive lines.
#[derive(Debug, Default)]
pub struct Findings {
    read: u64,
    other: u64,
    rejected: Vec<(Origin, Reject)>,
    workloads: HashMap<String, u64>,
    entries: Vec<Entry>,
    names: Names,
}

impl Findings {
    /// LineCounts a line that was refused before it could be examined.
    pub fn reject(&mut self, at: Origin, reason: Reject) {
        self.read += 1;
        self.rejected.push((at, reason));
    }

    /// Adds `lines` to every line number, for findings that were numbered from the start of a block.
    pub fn shift_lines(&mut self, lines: u64) {
        self.rejected.iter_mut().for_each(|(at, _)| at.line += lines);
        self.entries.iter_mut().for_each(|entry| entry.origin.line += lines);
    }

    /// How many lines the findings are of.
    pub fn lines(&self) -> u64 {
        self.read
    }
}

impl Examiner {
    /// An examiner for this request, or what is wrong with its label pattern.
    pub fn new(request: &DatasetRequest) -> Result<Examiner, String> {
        let labels = LabelReader::new(&request.labels)?;
        Ok(Examiner { filter: request.filter.clone(), labels, choice: request.workload_type })
    }

    /// Examines one line and notes what was found.
    pub fn examine(&self, at: Origin, json: &[u8], scratch: &mut ExaminerScratch, batch: &mut Findings) {
        let mut found = self.entry(at, json, scratch, batch);
        if let Err(Reject::BadResponse) = found
            && let Some(record) = streamed::record_of(json)
        {
            found = self.entry(at, &record, scratch, batch);
        }
        match found {
            Ok(Some(entry)) => {
                batch.read += 1;
                batch.entries.push(entry);
            }
            Ok(None) => {
                batch.read += 1;
                batch.other += 1;
            }
            Err(reason) => batch.reject(at, reason),
        }
    }

    fn entry(
        &self,
        at: Origin,
        json: &[u8],
        scratch: &mut ExaminerScratch,
        batch: &mut Findings,
    ) -> Result<Option<Entry>, Reject> {
        let (record, line) = Record::read(json, &FieldDefaults::default(), &mut scratch.tape)?;
        count(&mut batch.workloads, &record.workload);
        if !self.filter.passes(&record) {
            return Ok(None);
        }
        let keys = scratch.keys.of(&record.messages);
        let said = record.reply.content.filter(|_| self.choice != TypeChoice::ToolCalling).map(|text| text.read());
        let label = match self.choice {
            TypeChoice::ToolCalling => Err(Reject::NoLabel),
            TypeChoice::Auto | TypeChoice::Classification => self.label(said.as_deref()),
        };
        let tool = tool(&record);
        let id = if scratch.crowd.is_dense_at(record.timestamp) { scratch.ids.of(line, &record) } else { 0 };
        Ok(Some(Entry {
            id,
            text: keys.exact,
            masked: keys.masked,
            timestamp: record.timestamp,
            origin: at,
            label: Verdict::new(label.map(|label| batch.names.number(label))),
            tool: Verdict::new(tool.map(|name| batch.names.number(name))),
        }))
    }

    fn label<'r>(&self, said: Option<&'r str>) -> Result<&'r str, Reject> {
        let label = said.and_then(|text| self.labels.read(text)).ok_or(Reject::NoLabel)?;
        if self.labels.allows(label) { Ok(label) } else { Err(Reject::OffTaxonomy) }
    }
}

/// The name of the function that a reply calls first, once all calls of the record are found in order.
fn tool<'r>(record: &'r Record<'_>) -> Result<&'r str, Reject> {
    let calls = record.reply.tool_calls.as_ref().map_err(|_| Reject::BadToolCalls)?;
    let first = calls.first().ok_or(Reject::NoToolCalls)?;
    let history = record.messages.iter().flat_map(|message| &message.tool_calls);
    if calls.iter().chain(history).all(|call| record::arguments_are_object(call.arguments)) {
        Ok(&first.name)
    } else {
        Err(Reject::BadToolArguments)
    }
}

fn count(counts: &mut HashMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

/// How many lines went where; `read` is the sum of the others and of what the split makes of the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines.
    pub read: u64,
    /// Refused lines by reason.
    pub rejected: std::collections::BTreeMap<Reject, u64>,
    /// Valid records of another workload, client or time.
    pub other: u64,
    /// Records whose user messages a newer one has.
    pub duplicates: u64,
}

impl LineCounts {
    /// All refused lines.
    pub fn all_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Takes lines in order and ends in a corpus.
#[derive(Debug)]
pub struct Intake {
    examiner: Examiner,
    counts: LineCounts,
    workloads: std::collections::BTreeMap<String, u64>,
    more_workloads: u64,
    entries: Vec<Entry>,
    /// Indexes into `entries`, in the order of [`Intake::ties`].
    tied: Vec<u32>,
    names: Names,
}

impl Intake {
    /// An empty intake for this request, or what is wrong with its label pattern.
    pub fn new(request: &DatasetRequest) -> Result<Intake, String> {
        Ok(Intake {
            examiner: Examiner::new(request)?,
            counts: LineCounts::default(),
            workloads: std::collections::BTreeMap::new(),
            more_workloads: 0,
            entries: Vec::new(),
            tied: Vec::new(),
            names: Names::default(),
        })
    }

    /// The examiner that other threads use to make batches for [`Intake::absorb`].
    pub fn examiner(&self) -> Examiner {
        self.examiner.clone()
    }

    /// Absorbs the findings of some lines and hands back the refused ones.
    pub fn absorb(&mut self, batch: Findings) -> Vec<(Origin, Reject)> {
        self.counts.read += batch.read;
        self.counts.other += batch.other;
        for (_, reason) in &batch.rejected {
            *self.counts.rejected.entry(*reason).or_default() += 1;
        }
        for (workload, records) in batch.workloads {
            if self.workloads.len() < NAMED_WORKLOADS || self.workloads.contains_key(&workload) {
                *self.workloads.entry(workload).or_default() += records;
            } else {
                self.more_workloads += records;
            }
        }
        if self.is_ambiguous() {
            self.entries = Vec::new();
        } else {
            let numbers: Vec<u32> = batch.names.list.iter().map(|name| self.names.number(name)).collect();
            self.entries.extend(batch.entries.into_iter().map(|entry| Entry {
                label: entry.label.map(&numbers),
                tool: entry.tool.map(&numbers),
                ..entry
            }));
        }
        batch.rejected
    }

    /// Records that share their second with others and whose ids are not known yet, in the order of reading: their ids
    /// decide which is newer, and making ids is too much work to do it for every record. Hand the ids in with
    /// [`Intake::settle`] before finishing.
    pub fn ties(&mut self) -> Vec<Origin> {
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

    /// Takes the ids of the records that [`Intake::ties`] gave, in its order.
    pub fn settle(&mut self, ids: &[u128]) {
        for (&at, &id) in self.tied.iter().zip(ids) {
            self.entries[at as usize].id = id;
        }
    }

    /// No workload was asked for, and there are several.
    fn is_ambiguous(&self) -> bool {
        self.examiner.filter.workload.is_none() && self.workloads.len() > 1
    }

    /// Decides the type, refuses what it cannot use and drops duplicates. Ties must be settled before.
    pub fn finish(mut self) -> Result<Corpus, Unusable> {
        if self.is_ambiguous() {
            return Err(Unusable::Ambiguous { workloads: self.workloads.into_iter().collect() });
        }
        let workload = self.examiner.filter.workload.clone();
        let Some(workload) = workload.or_else(|| self.workloads.keys().next().cloned()) else {
            return Err(Unusable::NoRecords { counts: self.counts });
        };
        if self.entries.is_empty() {
            let workloads = self.workloads.into_iter().collect();
            return Err(Unusable::NoneSelected { workload, counts: self.counts, workloads });
        }
        let types = self.type_counts();
        let kind = decide(self.examiner.choice, types)?;
        let mut late = Vec::new();
        self.entries.retain(|entry| match entry.verdict(kind).get() {
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
        Ok(Corpus::new(workload, kind, types, self.counts, &self.names.list, self.entries, late))
    }

    fn type_counts(&self) -> TypeCounts {
        let mut counts = TypeCounts { records: self.entries.len() as u64, ..TypeCounts::default() };
        for entry in &self.entries {
            let tool = entry.tool.get();
            counts.tool_calls += u64::from(!matches!(tool, Err(Reject::NoToolCalls | Reject::BadToolCalls)));
            counts.labels += u64::from(entry.label.get() != Err(Reject::NoLabel));
        }
        counts
    }
}
