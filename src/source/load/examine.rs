//! Makes records of lines and of the rows of tables, or says why they hold none. Several threads can work at once. Counts
//! nothing and writes nowhere.

use std::ops::Range;
use std::sync::Arc;

use crate::data::forms::{self, Forms};
use crate::data::origin::Origin;
use crate::data::record::{Checked, FieldDefaults, Normaliser};
use crate::data::reject::Reject;
use crate::source::lines::Block;
use crate::source::load::LoadRequest;

/// A block of lines and what they hold.
#[derive(Debug, Default)]
pub(super) struct ExaminedBlock {
    block: Block,
    out: Vec<u8>,
    found: Vec<Result<FoundPlace, RefusedPlace>>,
}

/// Where a record stands in the output of an examiner.
#[derive(Clone, Debug)]
struct FoundPlace {
    id: u128,
    workload: Arc<str>,
    line: Range<usize>,
    has_more: bool,
}

/// The reason for refusing a line, and the place of the line.
#[derive(Clone, Copy, Debug)]
struct RefusedPlace {
    reason: Reject,
    at: Origin,
}

/// A record, ready for a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundRecord<'a> {
    pub(super) id: u128,
    pub(super) workload: &'a str,
    /// Its canonical line.
    pub(super) line: &'a [u8],
    /// It had keys beyond the five of a record.
    pub(super) has_more: bool,
}

impl FoundPlace {
    fn record<'a>(&'a self, out: &'a [u8]) -> FoundRecord<'a> {
        let FoundPlace { id, workload, line, has_more } = self;
        FoundRecord { id: *id, workload, line: &out[line.clone()], has_more: *has_more }
    }
}

impl ExaminedBlock {
    /// Returns the bytes of the stream up to the end of the block.
    pub(super) fn end(&self) -> u64 {
        self.block.end()
    }

    /// Returns for each line the record that it holds, or the reason that it is refused and its text.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<FoundRecord<'_>, (Reject, &[u8])>> {
        self.found.iter().map(|found| match found {
            Ok(place) => Ok(place.record(&self.out)),
            Err(RefusedPlace { reason, at }) => Err((*reason, self.block.text(at))),
        })
    }

    /// Gives the buffer of the block back, and the rest for another block.
    pub(super) fn reuse(mut self) -> (Vec<u8>, ExaminedBlock) {
        (std::mem::take(&mut self.block).into_buffer(), self)
    }
}

/// Makes records of lines; one for each thread.
#[derive(Debug)]
pub(super) struct LoadExaminer<'a> {
    defaults: FieldDefaults<'a>,
    normaliser: Normaliser,
    accept_truncated: bool,
    /// The workload of the last record. Most records have the workload of the record before.
    workload: Arc<str>,
}

impl<'a> LoadExaminer<'a> {
    /// Creates an examiner for a request. `only_five` drops all fields but those of a record.
    pub(super) fn new(request: &'a LoadRequest, only_five: bool) -> LoadExaminer<'a> {
        let LoadRequest { workload, client, timestamp, accept_truncated, .. } = request;
        let defaults =
            FieldDefaults { workload: workload.as_deref(), client: client.as_deref(), timestamp: *timestamp };
        let normaliser = if only_five { Normaliser::of_five() } else { Normaliser::default() };
        LoadExaminer { defaults, normaliser, accept_truncated: *accept_truncated, workload: Arc::from("") }
    }

    /// Examines every line of a block, in the room of one that is no longer needed.
    pub(super) fn lines(&mut self, block: Block, used: ExaminedBlock) -> ExaminedBlock {
        let ExaminedBlock { mut out, mut found, .. } = used;
        out.clear();
        found.clear();
        for line in block.lines() {
            let record = if line.is_too_long {
                Err(Reject::LineTooLong)
            } else {
                forms::read(line.text, Forms::LoggedAndChatRows, |json| self.record(json, &mut out))
            };
            found.push(record.map_err(|reason| RefusedPlace { reason, at: line.origin(0) }));
        }
        ExaminedBlock { block, out, found }
    }

    /// Examines the JSON of a record in any form. `out` takes its line.
    pub(super) fn json<'o>(&'o mut self, json: &[u8], out: &'o mut Vec<u8>) -> Result<FoundRecord<'o>, Reject> {
        out.clear();
        let place = forms::read(json, Forms::Logged, |json| self.record(json, out))?;
        Ok(FoundRecord { id: place.id, workload: &self.workload, line: out, has_more: place.has_more })
    }

    fn record(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<FoundPlace, Reject> {
        let start = out.len();
        let checked = self.normaliser.write(json, &self.defaults, out);
        let Checked { id, record, has_more } = checked.inspect_err(|_| out.truncate(start))?;
        if record.reply.is_truncated && !self.accept_truncated {
            out.truncate(start);
            return Err(Reject::TruncatedAnswer);
        }
        if *self.workload != *record.workload {
            self.workload = Arc::from(&*record.workload);
        }
        Ok(FoundPlace { id, workload: Arc::clone(&self.workload), line: start..out.len(), has_more })
    }
}
