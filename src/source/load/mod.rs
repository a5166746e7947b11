//! `load`: files or standard input into the local log store or an index. Finds out what a file holds, converts, counts,
//! locates what is refused. Lines are checked in `examine`, the formats themselves are in `data`, the stores in `local`
//! and `elastic`.

mod error;
mod examine;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use crate::data::forms::reshape::Reshaper;
use crate::data::forms::table::{self, Table, TableOptions};
use crate::data::options::Fields;
use crate::data::record::FieldDefaults;
use crate::data::reject::Reject;
use crate::source::elastic::bulk::{Bulk, Written};
use crate::source::input::digest::Seen;
use crate::source::input::packed::{self, PackedKind};
use crate::source::input::reshaped::Reshaped;
use crate::source::lines::Lines;
use crate::source::local::{AppendBatch, StoreWriter};
use crate::source::log_store::LogStore;
use crate::source::pipeline;
pub use error::LoadError;
use error::unread;
use examine::{Chunk, Examined, FoundRecord, LoadExaminer};

/// Bytes that wait for the store before they are appended.
const BATCH: usize = 8 << 20;
/// Of a line that is too long, this much is shown in the rejects file.
const SHOWN_OF_LONG: usize = 1024;
/// Bytes of lines of another shape that are looked at before any is stored.
const FIRST: u64 = 1 << 20;
/// Rejects that the report locates itself.
const LOCATED: usize = 5;

/// What to load and how.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// Files, in order; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The format of all of them; `None`: found out for each.
    pub format: Option<FileFormat>,
    /// How tables become records.
    pub table: TableOptions,
    /// For rows without a workload.
    pub workload: Option<String>,
    /// For rows without a client.
    pub client: Option<String>,
    /// For rows without a timestamp, in epoch seconds.
    pub timestamp: Option<i64>,
    /// Where the fields of a record stand in lines of another shape.
    pub fields: Fields,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Log records or chat rows, one per line.
    Jsonl,
    /// Rows of cells with this byte between them (`None`: found out).
    Table(Option<u8>),
}

/// What a load did. `read` = `added` + `present` + the sum of `rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// Lines, or rows of tables.
    pub read: u64,
    /// Records that are new in the store.
    pub added: u64,
    /// Records that were there already, or came twice.
    pub present: u64,
    /// Lines that hold no record, by reason.
    pub rejected: BTreeMap<Reject, u64>,
    /// The first rejects, for messages.
    #[serde(skip)]
    pub located: Vec<LocatedReject>,
    /// Added records by workload.
    #[serde(skip)]
    pub workloads: BTreeMap<String, u64>,
    /// Torn lines that an earlier, killed load had left and that were cut off.
    #[serde(skip)]
    pub repaired: u64,
    /// Records of which only the five fields were written, because the index admits no others.
    #[serde(skip)]
    pub trimmed: u64,
    /// What the server said of the first record that it refused.
    #[serde(skip)]
    pub refusal: Option<String>,
    /// Name and version of the server that was loaded into.
    #[serde(skip)]
    pub server: Option<String>,
}

/// A target that is written to.
enum Sink {
    Local { writer: StoreWriter, pending: BTreeMap<String, AppendBatch>, pending_bytes: usize },
    Index(Bulk),
}

impl Sink {
    fn open(store: LogStore<'_>) -> anyhow::Result<Sink> {
        Ok(match store {
            LogStore::Local(store) => {
                Sink::Local { writer: store.writer(), pending: BTreeMap::new(), pending_bytes: 0 }
            }
            LogStore::Elasticsearch(at, credentials) => {
                Sink::Index(Bulk::open(at, credentials).with_context(|| format!("opening {at}"))?)
            }
        })
    }
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Lines, or rows of tables.
    pub read: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of all files to their end; `None` where one is a stream.
    pub of: Option<u64>,
}

/// A reject and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedReject {
    /// The file as it was named; `<stdin>` for standard input.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// What is wrong.
    pub reason: Reject,
}

impl Loaded {
    /// Lines that hold no record.
    pub fn rejects(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Loads files. Each reject is written to `rejects` as a JSON line; `progress` is told now and then how far it is.
pub fn load<'a>(
    request: &'a LoadRequest,
    store: impl Into<LogStore<'a>>,
    rejects: Option<&'a mut dyn Write>,
    progress: &'a mut dyn FnMut(LoadProgress),
) -> anyhow::Result<Loaded> {
    let mut inputs = Vec::new();
    let mut of = Some(0);
    for path in &request.files {
        let (name, input, bytes) = open(path)?;
        inputs.push((name, input));
        of = of.zip(bytes).map(|(all, bytes)| all + bytes);
    }
    let sink = Sink::open(store.into())?;
    let server = match &sink {
        Sink::Index(bulk) => Some(bulk.server.to_string()),
        Sink::Local { .. } => None,
    };
    let mut loader = Loader {
        request,
        five: matches!(&sink, Sink::Index(bulk) if bulk.is_strict()),
        sink: Some(sink),
        files: Vec::new(),
        rejects,
        progress,
        reached: LoadProgress { of, ..LoadProgress::default() },
        loaded: Loaded { server, ..Loaded::default() },
    };
    for (file, input) in inputs {
        loader.files.push(file.clone());
        let taken = loader.take(&file, input);
        loader.flush()?;
        if let Err(error) = taken {
            // A file that cannot be read further takes nothing away from what has been read.
            if error.is::<LoadError>() {
                loader.finish()?;
            }
            return Err(error);
        }
    }
    loader.finish()
}

/// A file, what it is called, and how many bytes it has.
type Opened = (String, Box<dyn BufRead>, Option<u64>);

fn open(path: &PathBuf) -> Result<Opened, LoadError> {
    if path.as_os_str() == "-" {
        return Ok(("<stdin>".to_owned(), Box::new(BufReader::with_capacity(1 << 18, io::stdin())), None));
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| LoadError::Open { file: name.clone(), source })?;
    let metadata = file.metadata().ok();
    if metadata.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return Err(LoadError::Folder { file: name });
    }
    let bytes = metadata.filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((name, Box::new(BufReader::with_capacity(1 << 18, file)), bytes))
}

/// What a file holds: by its name, else by how it begins.
pub fn detect(name: &str, beginning: &[u8]) -> FileFormat {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("jsonl" | "ndjson" | "json") => FileFormat::Jsonl,
        Some("csv") => FileFormat::Table(None),
        Some("tsv" | "tab") => FileFormat::Table(Some(b'\t')),
        _ => {
            let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
            let line = text.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
            let first = line.trim_ascii_start().first();
            let delimiter = table::find_delimiter(text);
            let is_text = std::str::from_utf8(line).map_or_else(|error| error.error_len().is_none(), |_| true);
            if matches!(first, Some(b'{' | b'[') | None) || !line.contains(&delimiter) || !is_text {
                FileFormat::Jsonl
            } else {
                FileFormat::Table(Some(delimiter))
            }
        }
    }
}

struct Loader<'a> {
    request: &'a LoadRequest,
    /// `None` once everything is written.
    sink: Option<Sink>,
    /// Whether nothing but the five fields of a record is written.
    five: bool,
    /// The names of the files so far.
    files: Vec<String>,
    rejects: Option<&'a mut dyn Write>,
    progress: &'a mut dyn FnMut(LoadProgress),
    reached: LoadProgress,
    loaded: Loaded,
}

impl<'a> Loader<'a> {
    fn take(&mut self, file: &str, mut input: Box<dyn BufRead>) -> anyhow::Result<()> {
        let reading = |error| unread(file, error);
        let mut beginning = peek(&mut input).map_err(reading)?;
        let mut name = file;
        match PackedKind::of(&beginning) {
            PackedKind::Plain => {}
            PackedKind::Foreign(unpack) => return Err(LoadError::Compressed { file: file.to_owned(), unpack }.into()),
            PackedKind::Packed(packing) => {
                let unpacked = packing.unpack(io::Cursor::new(beginning).chain(input)).map_err(reading)?;
                input = Box::new(BufReader::with_capacity(1 << 18, unpacked));
                beginning = peek(&mut input).map_err(reading)?;
                name = packed::inner_name(file);
                // How much is in it is not known before its end.
                self.reached.of = None;
            }
        }
        match self.request.format.unwrap_or_else(|| detect(name, &beginning)) {
            FileFormat::Jsonl if self.request.fields.are_own() => self.take_lines(file, beginning.chain(input)),
            FileFormat::Jsonl => self.take_documents(file, beginning.chain(input)),
            FileFormat::Table(delimiter) => {
                let mut bytes = Vec::new();
                beginning.chain(input).read_to_end(&mut bytes).map_err(reading)?;
                self.take_table(file, &bytes, delimiter)
            }
        }
    }

    /// Lines of another shape. A field that none of the first has stands elsewhere, and nothing is stored without it.
    fn take_documents(&mut self, file: &str, mut input: impl BufRead) -> anyhow::Result<()> {
        let mut first = Vec::new();
        input.by_ref().take(FIRST).read_to_end(&mut first).map_err(|error| unread(file, error))?;
        let mut reshaper = Reshaper::new(&self.request.fields);
        let whole = memchr::memrchr(b'\n', &first).unwrap_or(first.len());
        for line in first[..whole].split(|byte| *byte == b'\n') {
            reshaper.write(line, &mut Vec::new());
        }
        if let Some(unmet) = reshaper.unmet() {
            return Err(unmet.into());
        }
        let records = Reshaped::new(first.chain(input), &mut reshaper, &Seen::default());
        self.take_lines(file, BufReader::with_capacity(1 << 18, records))
    }

    fn take_lines(&mut self, file: &str, input: impl BufRead) -> anyhow::Result<()> {
        let mut lines = Lines::new(input, 0);
        let spare = std::cell::RefCell::new(Vec::new());
        let (before, defaults, five) = (self.reached.bytes, self.defaults(), self.five);
        let mut fault = None;
        pipeline::in_order(
            // A fault ends the lines, so that those before it go their way first.
            || {
                Ok(Chunk::read(&mut lines, spare.borrow_mut().pop())
                    .unwrap_or_else(|error| (fault = Some(error), None).1))
            },
            || LoadExaminer::new(defaults, five),
            |examiner: &mut LoadExaminer<'_>, chunk: Chunk| examiner.lines(chunk),
            |examined: Examined| {
                self.take_examined(file, &examined)?;
                self.report(before + examined.end());
                spare.borrow_mut().push(examined);
                Ok(())
            },
        )?;
        fault.map_or(Ok(()), |error| Err(unread(file, error).into()))
    }

    fn take_table(&mut self, file: &str, bytes: &[u8], delimiter: Option<u8>) -> anyhow::Result<()> {
        let mut options = self.request.table.clone();
        options.delimiter = options.delimiter.or(delimiter);
        let table =
            Table::read(bytes, &options).map_err(|source| LoadError::Table { file: file.to_owned(), source })?;
        let before = self.reached.bytes;
        let mut examiner = LoadExaminer::new(self.defaults(), self.five);
        for row in table.iter().flat_map(Table::rows) {
            self.take_examined(file, &examiner.row(row))?;
        }
        self.report(before + bytes.len() as u64);
        Ok(())
    }

    fn take_examined(&mut self, file: &str, examined: &Examined) -> anyhow::Result<()> {
        for (line, raw, found) in examined.iter() {
            self.loaded.read += 1;
            match found {
                Ok(found) => self.keep(found, line)?,
                Err(reason) => self.reject(file, line, raw, reason)?,
            }
        }
        Ok(())
    }

    fn defaults(&self) -> FieldDefaults<'a> {
        let LoadRequest { workload, client, timestamp, .. } = self.request;
        FieldDefaults { workload: workload.as_deref(), client: client.as_deref(), timestamp: *timestamp }
    }

    fn report(&mut self, bytes: u64) {
        (self.reached.read, self.reached.bytes) = (self.loaded.read, bytes);
        (self.progress)(self.reached);
    }

    fn keep(&mut self, found: FoundRecord<'_>, line: u64) -> anyhow::Result<()> {
        let done = match &mut self.sink {
            None => return Ok(()),
            Some(Sink::Local { pending, pending_bytes, .. }) => {
                *pending_bytes += found.line.len();
                match pending.get_mut(found.workload) {
                    Some(batch) => batch.push(found.id, found.line),
                    None => pending.entry(found.workload.to_owned()).or_default().push(found.id, found.line),
                }
                let full = *pending_bytes >= BATCH;
                return if full { self.flush() } else { Ok(()) };
            }
            Some(Sink::Index(bulk)) => {
                self.loaded.trimmed += u64::from(self.five && found.has_more);
                bulk.push(found.id, found.line, (self.files.len() - 1, line))?
            }
        };
        self.written(done)
    }

    fn written(&mut self, done: Vec<Written>) -> anyhow::Result<()> {
        for Written { added, present, refused } in done {
            self.loaded.added += added;
            self.loaded.present += present;
            for record in refused {
                let (file, line) = (self.files.get(record.place.0).cloned().unwrap_or_default(), record.place.1);
                self.loaded.refusal.get_or_insert(record.why);
                self.reject(&file, line, &record.line, Reject::RefusedByStore)?;
            }
        }
        Ok(())
    }

    fn reject(&mut self, file: &str, line: u64, raw: &[u8], reason: Reject) -> anyhow::Result<()> {
        *self.loaded.rejected.entry(reason).or_default() += 1;
        if self.loaded.located.len() < LOCATED {
            self.loaded.located.push(LocatedReject { file: file.to_owned(), line, reason });
        }
        let Some(out) = &mut self.rejects else { return Ok(()) };
        let shown = if reason == Reject::LineTooLong { &raw[..raw.len().min(SHOWN_OF_LONG)] } else { raw };
        let text = String::from_utf8_lossy(shown);
        let reject = serde_json::json!({"file": file, "line": line, "reason": reason.as_str(), "text": text});
        writeln!(out, "{reject}").context("writing the rejects file")
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let Some(Sink::Local { writer, pending, pending_bytes }) = &mut self.sink else { return Ok(()) };
        for (workload, batch) in std::mem::take(pending) {
            let done = writer.append(&workload, &batch)?;
            self.loaded.added += done.added;
            self.loaded.present += done.present;
            self.loaded.repaired += done.repaired;
            *self.loaded.workloads.entry(workload).or_default() += done.added;
        }
        *pending_bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<Loaded> {
        if let Some(Sink::Index(bulk)) = self.sink.take() {
            let done = bulk.finish()?;
            self.written(done)?;
        }
        Ok(self.loaded)
    }
}

/// The first bytes of a stream: up to the end of the first line that is not blank, or 64 KiB.
fn peek(input: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::new();
    let mut input = input.take(64 << 10);
    while beginning.trim_ascii().is_empty() && input.read_until(b'\n', &mut beginning)? > 0 {}
    Ok(beginning)
}

#[cfg(test)]
mod tests;
