//! `load`: files or standard input into the local log store or an index. Finds out what a file holds, converts, counts, locates what
//! is refused. The formats themselves are in `data`, the stores in `local` and
//! `elastic`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use crate::data::canonical::Canonical;
use crate::data::chat;
use crate::data::options::IndexAt;
use crate::data::record::{Defaults, Normalised, Record, normalise, write_canonical};
use crate::data::rules::Reject;
use crate::data::table::{self, Table, TableError, TableOptions};
use crate::source::credentials::Credentials;
use crate::source::elastic::bulk::{Bulk, Written};
use crate::source::lines::{self, Lines};
use crate::source::local::{Batch, LogStore, Writer};

/// Bytes that wait for the store before they are appended.
const BATCH: usize = 8 << 20;
/// Of a line that is too long, this much is shown in the rejects file.
const SHOWN_OF_LONG: usize = 1024;
/// Rejects that the report locates itself.
const LOCATED: usize = 5;
/// Lines between two reports of progress.
const REPORT_EVERY: u64 = 10_000;

/// What to load and how.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// Files, in order; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The format of all of them; `None`: found out for each.
    pub format: Option<Format>,
    /// How tables become records.
    pub table: TableOptions,
    /// For rows without a workload.
    pub workload: Option<String>,
    /// For rows without a client.
    pub client: Option<String>,
    /// For rows without a timestamp, in epoch seconds.
    pub timestamp: Option<i64>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
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
    pub located: Vec<Located>,
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

/// Where records go.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The local log store.
    Local(&'a LogStore),
    /// An index, and what opens its server.
    Elasticsearch(&'a IndexAt, &'a Credentials),
}

impl<'a> From<&'a LogStore> for Target<'a> {
    fn from(store: &'a LogStore) -> Target<'a> {
        Target::Local(store)
    }
}

impl Target<'_> {
    fn open(self) -> anyhow::Result<Sink> {
        Ok(match self {
            Target::Local(store) => Sink::Local { writer: store.writer(), pending: BTreeMap::new(), pending_bytes: 0 },
            Target::Elasticsearch(at, credentials) => {
                Sink::Index(Bulk::open(at, credentials).with_context(|| format!("opening {at}"))?)
            }
        })
    }
}

/// A target that is written to.
enum Sink {
    Local { writer: Writer, pending: BTreeMap<String, Batch>, pending_bytes: usize },
    Index(Bulk),
}

/// A reject and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file as it was named; `<stdin>` for standard input.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// What is wrong.
    pub reason: Reject,
}

/// Why a file cannot be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Compressed files are no lines.
    #[error("{file} is compressed; unpack it first")]
    Compressed {
        /// The file as it was named.
        file: String,
    },
    /// A table whose columns or prompts are not clear.
    #[error("reading the table {file}")]
    Table {
        /// The file as it was named.
        file: String,
        /// What is not clear.
        source: TableError,
    },
    /// A file that cannot be opened.
    #[error("opening {file}")]
    Open {
        /// The file as it was named.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A folder where a file should be.
    #[error("{file} is a folder; name the files in it")]
    Folder {
        /// The folder as it was named.
        file: String,
    },
}

impl Loaded {
    /// Lines that hold no record.
    pub fn rejects(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Loads files. Each reject is written to `rejects` as a JSON line; `progress` is told the lines read so
/// far now and then.
pub fn load<'a>(
    request: &'a LoadRequest,
    target: impl Into<Target<'a>>,
    rejects: Option<&'a mut dyn Write>,
    progress: &'a mut dyn FnMut(u64),
) -> anyhow::Result<Loaded> {
    let mut inputs = Vec::new();
    for path in &request.files {
        inputs.push(open(path)?);
    }
    let sink = target.into().open()?;
    let server = match &sink {
        Sink::Index(bulk) => Some(bulk.server.to_string()),
        Sink::Local { .. } => None,
    };
    let loaded = Loaded { server, ..Loaded::default() };
    let mut loader = Loader {
        request,
        sink: Some(sink),
        files: Vec::new(),
        canonical: Canonical::default(),
        rejects,
        progress,
        loaded,
    };
    for (file, input) in inputs {
        loader.files.push(file.clone());
        let taken = loader.take(&file, input);
        loader.flush()?;
        taken?;
    }
    loader.finish()
}

fn open(path: &PathBuf) -> Result<(String, Box<dyn BufRead>), LoadError> {
    if path.as_os_str() == "-" {
        return Ok(("<stdin>".to_owned(), Box::new(BufReader::with_capacity(1 << 18, io::stdin()))));
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| LoadError::Open { file: name.clone(), source })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(LoadError::Folder { file: name });
    }
    Ok((name, Box::new(BufReader::with_capacity(1 << 18, file))))
}

/// What a file holds: by its name, else by how it begins.
pub fn detect(name: &str, beginning: &[u8]) -> Format {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("jsonl" | "ndjson" | "json") => Format::Jsonl,
        Some("csv") => Format::Table(None),
        Some("tsv" | "tab") => Format::Table(Some(b'\t')),
        _ => {
            let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
            let line = text.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
            let first = line.trim_ascii_start().first();
            let delimiter = table::find_delimiter(text);
            let is_text = std::str::from_utf8(line).map_or_else(|error| error.error_len().is_none(), |_| true);
            if matches!(first, Some(b'{' | b'[') | None) || !line.contains(&delimiter) || !is_text {
                Format::Jsonl
            } else {
                Format::Table(Some(delimiter))
            }
        }
    }
}

struct Loader<'a> {
    request: &'a LoadRequest,
    /// `None` once everything is written.
    sink: Option<Sink>,
    /// The names of the files so far.
    files: Vec<String>,
    canonical: Canonical,
    rejects: Option<&'a mut dyn Write>,
    progress: &'a mut dyn FnMut(u64),
    loaded: Loaded,
}

impl Loader<'_> {
    fn take(&mut self, file: &str, mut input: Box<dyn BufRead>) -> anyhow::Result<()> {
        let reading = || format!("reading {file}");
        let beginning = peek(&mut input).with_context(reading)?;
        if lines::is_compressed(&beginning) {
            return Err(LoadError::Compressed { file: file.to_owned() }.into());
        }
        match self.request.format.unwrap_or_else(|| detect(file, &beginning)) {
            Format::Jsonl => self.take_lines(file, beginning.chain(input)),
            Format::Table(delimiter) => {
                let mut bytes = Vec::new();
                beginning.chain(input).read_to_end(&mut bytes).with_context(reading)?;
                self.take_table(file, &bytes, delimiter)
            }
        }
    }

    fn take_lines(&mut self, file: &str, input: impl BufRead) -> anyhow::Result<()> {
        let mut lines = Lines::new(input, 0);
        let mut bytes = Vec::new();
        while let Some(line) = lines.next(&mut bytes).with_context(|| format!("reading {file}"))? {
            let text = if line.number == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes) } else { &bytes };
            let record = if line.too_long { Err(Reject::LineTooLong) } else { self.record(text) };
            self.count(file, line.number, text, record)?;
        }
        Ok(())
    }

    fn take_table(&mut self, file: &str, bytes: &[u8], delimiter: Option<u8>) -> anyhow::Result<()> {
        let mut options = self.request.table.clone();
        options.delimiter = options.delimiter.or(delimiter);
        let table =
            Table::read(bytes, &options).map_err(|source| LoadError::Table { file: file.to_owned(), source })?;
        let Some(table) = table else { return Ok(()) };
        for row in table.rows() {
            let record = row.record.and_then(|json| normalise(&json, &self.defaults()));
            self.count(file, row.line, row.raw, record)?;
        }
        Ok(())
    }

    /// A line as a log record, else as a chat row.
    fn record(&self, json: &[u8]) -> Result<Normalised, Reject> {
        match normalise(json, &self.defaults()) {
            Err(Reject::NoRequest) => match chat::record_of(json) {
                Some(record) => normalise(&record?, &self.defaults()),
                None => Err(Reject::NoRequest),
            },
            other => other,
        }
    }

    fn defaults(&self) -> Defaults<'_> {
        let LoadRequest { workload, client, timestamp, .. } = self.request;
        Defaults { workload: workload.as_deref(), client: client.as_deref(), timestamp: *timestamp }
    }

    fn count(&mut self, file: &str, line: u64, raw: &[u8], record: Result<Normalised, Reject>) -> anyhow::Result<()> {
        self.loaded.read += 1;
        if self.loaded.read.is_multiple_of(REPORT_EVERY) {
            (self.progress)(self.loaded.read);
        }
        let id = record.as_ref().ok().and_then(|record| u128::from_str_radix(&record.id, 16).ok());
        match (record, id) {
            (Ok(record), Some(id)) => self.keep(id, record, line),
            (Err(reason), _) => self.reject(file, line, raw, reason),
            (Ok(_), None) => self.reject(file, line, raw, Reject::InvalidJson),
        }
    }

    fn keep(&mut self, id: u128, record: Normalised, line: u64) -> anyhow::Result<()> {
        let done = match &mut self.sink {
            None => return Ok(()),
            Some(Sink::Local { pending, pending_bytes, .. }) => {
                *pending_bytes += record.line.len();
                pending.entry(record.workload).or_default().push(id, &record.line);
                let full = *pending_bytes >= BATCH;
                return if full { self.flush() } else { Ok(()) };
            }
            Some(Sink::Index(bulk)) if bulk.is_strict() => {
                let five = five_of(&mut self.canonical, &record.line)?;
                self.loaded.trimmed += u64::from(five.len() < record.line.len());
                bulk.push(id, &five, (self.files.len() - 1, line))?
            }
            Some(Sink::Index(bulk)) => bulk.push(id, &record.line, (self.files.len() - 1, line))?,
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
            self.loaded.located.push(Located { file: file.to_owned(), line, reason });
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

/// The canonical line of a record with nothing but its five fields.
fn five_of(canonical: &mut Canonical, line: &[u8]) -> Result<Vec<u8>, Reject> {
    let record = Record::parse(line)?;
    let text = std::str::from_utf8(line).map_err(|_| Reject::InvalidUtf8)?;
    let mut five = Vec::with_capacity(line.len());
    write_canonical(canonical, text, &record, &mut five)?;
    Ok(five)
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
