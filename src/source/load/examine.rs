//! The lines of a stream, and the rows of tables, made records or refused: chunks of whole lines in, what they hold out,
//! so that several threads can work at once. Counts nothing and writes nowhere.

use std::io::{self, BufRead};
use std::ops::Range;
use std::sync::Arc;

use crate::data::forms::chat_row;
use crate::data::forms::streamed;
use crate::data::forms::table::TableRow;
use crate::data::record::{Checked, FieldDefaults, Normaliser};
use crate::data::reject::Reject;
use crate::source::lines::Lines;

/// Bytes of a chunk, unless one line has more.
const CHUNK: usize = 512 << 10;

/// Some consecutive lines of a stream.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    lines: Vec<RawLine>,
    /// Bytes of the stream up to its end.
    end: u64,
    /// A used one, for its room.
    spare: Option<Box<Examined>>,
}

#[derive(Clone, Debug)]
struct RawLine {
    number: u64,
    bytes: Range<usize>,
    too_long: bool,
}

impl Chunk {
    /// The next lines of a stream, in the room of a chunk that is no longer needed; `None` at its end.
    pub(super) fn read(lines: &mut Lines<impl BufRead>, spare: Option<Examined>) -> io::Result<Option<Chunk>> {
        let mut chunk = Chunk::default();
        if let Some(mut spare) = spare {
            (chunk.bytes, chunk.lines) = (std::mem::take(&mut spare.raw.bytes), std::mem::take(&mut spare.raw.lines));
            chunk.bytes.clear();
            chunk.lines.clear();
            chunk.spare = Some(Box::new(spare));
        }
        while chunk.bytes.len() < CHUNK {
            let start = chunk.bytes.len();
            let line = match lines.append(&mut chunk.bytes) {
                Ok(Some(line)) => line,
                Ok(None) => break,
                // Met again when the next chunk is read.
                Err(_) if !chunk.lines.is_empty() => break,
                Err(error) => return Err(error),
            };
            // A byte order mark belongs to the file, not to its first record.
            let mark = line.number == 1 && chunk.bytes[start..].starts_with(b"\xef\xbb\xbf");
            let bytes = start + if mark { 3 } else { 0 }..chunk.bytes.len();
            chunk.lines.push(RawLine { number: line.number, bytes, too_long: line.too_long });
            chunk.end = line.end;
        }
        Ok((!chunk.lines.is_empty()).then_some(chunk))
    }
}

/// What the lines of a chunk hold.
#[derive(Debug, Default)]
pub(super) struct Examined {
    raw: Chunk,
    out: Vec<u8>,
    found: Vec<Result<Kept, Reject>>,
}

#[derive(Clone, Debug)]
struct Kept {
    id: u128,
    workload: Arc<str>,
    line: Range<usize>,
    has_more: bool,
}

/// A record, ready for a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundRecord<'a> {
    /// Its id.
    pub(super) id: u128,
    /// Its workload.
    pub(super) workload: &'a str,
    /// Its canonical line.
    pub(super) line: &'a [u8],
    /// Whether it had keys beyond the five of a record.
    pub(super) has_more: bool,
}

impl Examined {
    /// Bytes of the stream up to the end of the chunk.
    pub(super) fn end(&self) -> u64 {
        self.raw.end
    }

    /// Number and bytes of each line, and what it holds.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8], Result<FoundRecord<'_>, Reject>)> {
        self.raw.lines.iter().zip(&self.found).map(|(line, found)| {
            let found = found.as_ref().map_err(|reason| *reason).map(|kept| FoundRecord {
                id: kept.id,
                workload: &kept.workload,
                line: &self.out[kept.line.clone()],
                has_more: kept.has_more,
            });
            (line.number, &self.raw.bytes[line.bytes.clone()], found)
        })
    }
}

/// Makes records of lines; one for each thread.
#[derive(Debug)]
pub(super) struct LoadExaminer<'a> {
    defaults: FieldDefaults<'a>,
    normaliser: Normaliser,
    /// The workload of the last record: most have that of the one before.
    workload: Arc<str>,
}

impl<'a> LoadExaminer<'a> {
    /// With what fills in missing fields; `five`: without any other.
    pub(super) fn new(defaults: FieldDefaults<'a>, five: bool) -> LoadExaminer<'a> {
        let normaliser = if five { Normaliser::of_five() } else { Normaliser::default() };
        LoadExaminer { defaults, normaliser, workload: Arc::from("") }
    }

    /// Examines every line of a chunk.
    pub(super) fn lines(&mut self, mut chunk: Chunk) -> Examined {
        let Examined { mut out, mut found, .. } = chunk.spare.take().map(|spare| *spare).unwrap_or_default();
        out.clear();
        found.clear();
        for line in &chunk.lines {
            let bytes = &chunk.bytes[line.bytes.clone()];
            found.push(if line.too_long { Err(Reject::LineTooLong) } else { self.line(bytes, &mut out) });
        }
        Examined { raw: chunk, out, found }
    }

    /// Examines a row of a table.
    pub(super) fn row(&mut self, row: TableRow<'_>) -> Examined {
        let mut out = Vec::new();
        let found = row.record.and_then(|json| self.record(&json, &mut out));
        let line = RawLine { number: row.line, bytes: 0..row.raw.len(), too_long: false };
        let raw = Chunk { bytes: row.raw.to_vec(), lines: vec![line], ..Chunk::default() };
        Examined { raw, out, found: vec![found] }
    }

    /// A line as a log record, with the response streamed or whole, else as a chat row.
    fn line(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<Kept, Reject> {
        match self.record(json, out) {
            Err(Reject::NoRequest) => match chat_row::record_of(json) {
                Some(record) => self.record(&record?, out),
                None => Err(Reject::NoRequest),
            },
            Err(Reject::BadResponse) => match streamed::record_of(json) {
                Some(record) => self.record(&record, out),
                None => Err(Reject::BadResponse),
            },
            other => other,
        }
    }

    fn record(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<Kept, Reject> {
        let start = out.len();
        let checked = self.normaliser.write(json, &self.defaults, out);
        let Checked { id, record, has_more } = checked.inspect_err(|_| out.truncate(start))?;
        if *self.workload != *record.workload {
            self.workload = Arc::from(&*record.workload);
        }
        Ok(Kept { id, workload: Arc::clone(&self.workload), line: start..out.len(), has_more })
    }
}
