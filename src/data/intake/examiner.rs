//! Examines single lines: reads the record, applies the filter and finds label, function and keys. Any number of threads
//! can do so at once.

use std::collections::{BTreeMap, HashMap};

use crate::data::corrections::Corrections;
use crate::data::entry::{ClassName, Entry, Names};
use crate::data::feedback::{self, RatedRecord};
use crate::data::forms::{self, Forms};
use crate::data::groups::Prefix;
use crate::data::json::tape::{KeyName, Tape};
use crate::data::label::{self, LabelReader};
use crate::data::options::{DatasetRequest, Filter, TypeChoice};
use crate::data::origin::Origin;
use crate::data::record::{self, FieldDefaults, Ids, Record};
use crate::data::reject::Reject;
use crate::data::request_keys::RequestKeyMaker;

const FEEDBACK: KeyName = KeyName::new("feedback");

/// Examines lines by one request.
#[derive(Clone, Debug)]
pub(crate) struct Examiner {
    filter: Filter,
    labels: LabelReader,
    choice: TypeChoice,
    accept_truncated: bool,
    /// Records are limited per client.
    by_client: bool,
    /// Added to the keys of requests. Rows of an earlier eval set are no duplicates of others.
    mark: u128,
    corrections: Corrections,
}

/// Scratch space of one examining thread.
#[derive(Debug, Default)]
pub(crate) struct ExaminerScratch {
    keys: RequestKeyMaker,
    tape: Tape,
    ids: Ids,
    seconds: SharedSeconds,
}

/// The findings of some consecutive lines.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Lines that were examined.
    pub(crate) read: u64,
    pub(super) other: u64,
    pub(super) rejected: Vec<(Origin, Reject)>,
    pub(super) workloads: HashMap<String, u64>,
    pub(super) entries: Vec<Entry>,
    pub(super) names: Names,
    pub(super) clients: Names,
    /// Beginnings of conversations.
    pub(super) prefixes: Vec<Prefix>,
    /// Records that people rated.
    pub(super) rated: Vec<RatedRecord>,
    /// Requests that people corrected.
    pub(super) matched: Vec<u128>,
    /// Records whose label was corrected to another one.
    pub(super) corrected: u64,
    /// The labels that answers say, by their comparison keys, where people corrected some.
    pub(super) said: BTreeMap<String, String>,
}

impl Findings {
    /// Counts a line that was refused.
    pub(crate) fn reject(&mut self, at: Origin, reason: Reject) {
        self.read += 1;
        self.rejected.push((at, reason));
    }

    /// Adds `lines` to every line number, for findings that were numbered from the start of a block.
    pub(crate) fn shift_lines(&mut self, lines: u64) {
        self.rejected.iter_mut().for_each(|(at, _)| at.line += lines);
        self.entries.iter_mut().for_each(|entry| entry.origin.line += lines);
        self.rated.iter_mut().for_each(|rated| rated.origin.line += lines);
    }
}

impl Examiner {
    /// Creates an examiner for a request. The error says what is wrong with its label pattern.
    pub(crate) fn new(request: &DatasetRequest) -> Result<Examiner, String> {
        let labels = LabelReader::new(&request.labels)?;
        Ok(Examiner {
            filter: request.filter.clone(),
            labels,
            choice: request.workload_type,
            accept_truncated: request.accept_truncated,
            by_client: request.split.limit_per_client.is_some(),
            mark: 0,
            corrections: Corrections::default(),
        })
    }

    /// Gives it labels that replace those of answers.
    pub(super) fn correct(&mut self, corrections: Corrections) {
        self.corrections = corrections;
    }

    /// Turns it to the rows of an earlier eval set, whose clients and times do not matter.
    pub(super) fn freeze(&mut self) {
        self.filter = Filter { workload: self.filter.workload.take(), ..Filter::default() };
        self.mark = 1;
    }

    /// Returns the workload that was asked for.
    pub(super) fn workload(&self) -> Option<&str> {
        self.filter.workload.as_deref()
    }

    pub(super) fn choice(&self) -> TypeChoice {
        self.choice
    }

    /// Examines one line and notes what it holds.
    pub(crate) fn examine(&self, at: Origin, line: &[u8], scratch: &mut ExaminerScratch, findings: &mut Findings) {
        match forms::read(line, Forms::Logged, |json| self.entry(at, json, scratch, findings)) {
            Ok(entry) => {
                findings.read += 1;
                findings.other += u64::from(entry.is_none());
                findings.entries.extend(entry);
            }
            Err(reason) => findings.reject(at, reason),
        }
    }

    /// Returns what to remember of a record; `None` if it does not pass the filter.
    fn entry(
        &self,
        at: Origin,
        json: &[u8],
        scratch: &mut ExaminerScratch,
        findings: &mut Findings,
    ) -> Result<Option<Entry>, Reject> {
        let (record, line) = Record::read(json, &FieldDefaults::default(), &mut scratch.tape)?;
        count(&mut findings.workloads, &record.workload);
        if !self.filter.passes(&record) {
            return Ok(None);
        }
        if record.reply.is_truncated && !self.accept_truncated {
            return Err(Reject::TruncatedAnswer);
        }
        let keys = scratch.keys.of(&record.messages, record.tools);
        findings.prefixes.extend_from_slice(scratch.keys.prefixes());
        let rating = line.get(FEEDBACK).filter(|_| self.mark == 0).and_then(|given| feedback::rating(given.raw()));
        findings.rated.extend(rating.map(|is_good| RatedRecord {
            request: keys.request,
            timestamp: record.timestamp,
            origin: at,
            is_good,
        }));
        if self.filter.without_bad && rating == Some(false) {
            return Ok(None);
        }
        let holds_labels = matches!(self.choice, TypeChoice::Auto | TypeChoice::Classification);
        let said = record.reply.content.filter(|_| holds_labels).map(|text| text.read());
        let label = match self.choice {
            TypeChoice::ToolCalling | TypeChoice::Text => Err(Reject::NoLabel),
            TypeChoice::Auto | TypeChoice::Classification => self.label(said.as_deref(), keys.request, findings),
        };
        let tool = first_function(&record);
        let id = if scratch.seconds.are_shared_at(record.timestamp) { scratch.ids.of(line, &record) } else { 0 };
        Ok(Some(Entry {
            id,
            request: keys.request ^ self.mark,
            group: keys.group,
            calls: scratch.keys.calls(record.reply.tool_calls.as_deref().unwrap_or_default()),
            timestamp: record.timestamp,
            origin: at,
            label: ClassName::new(label.map(|label| findings.names.number(label))),
            tool: ClassName::new(tool.map(|name| findings.names.number(name))),
            client: if self.by_client { findings.clients.number(&record.client) } else { 0 },
        }))
    }

    /// Returns the label of an answer: the one that a person gave, else the one that it says.
    fn label<'r>(&'r self, said: Option<&'r str>, request: u128, findings: &mut Findings) -> Result<&'r str, Reject> {
        let label = said.and_then(|text| self.labels.read(text)).ok_or(Reject::NoLabel)?;
        if !self.corrections.is_empty() {
            findings.said.entry(label::key(label)).or_insert_with(|| label.to_owned());
        }
        // An earlier eval set stays as it was.
        if let Some(right) = self.corrections.label(request).filter(|_| self.mark == 0) {
            findings.matched.push(request);
            findings.corrected += u64::from(label::key(label) != label::key(right));
            return Ok(right);
        }
        if self.labels.allows(label) { Ok(label) } else { Err(Reject::OffTaxonomy) }
    }
}

/// Returns the name of the function that a reply calls first, if all calls of the record have usable arguments.
fn first_function<'r>(record: &'r Record<'_>) -> Result<&'r str, Reject> {
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

/// Tells whether records share their second so often that it pays to make their ids while they are read. Making an id
/// takes about as long as reading a record, so elsewhere it is left to [`super::Intake::ties`].
#[derive(Debug, Default)]
struct SharedSeconds {
    last: Option<i64>,
    records: u32,
    /// Records that share their second with the one before.
    shared: u32,
    is_dense: bool,
}

/// Records after which the answer is found anew.
const WINDOW: u32 = 256;

impl SharedSeconds {
    /// Notes the time of the next record and tells whether its id should be made now.
    fn are_shared_at(&mut self, timestamp: i64) -> bool {
        self.shared += u32::from(self.last.replace(timestamp) == Some(timestamp));
        self.records += 1;
        if self.records == WINDOW {
            // Where records come in pairs, half of them follow one of their second, and all need an id.
            self.is_dense = self.shared >= WINDOW / 4;
            (self.records, self.shared) = (0, 0);
        }
        self.is_dense
    }
}
