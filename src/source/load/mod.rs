//! `load`: brings files or standard input into a log store. Finds the format of each, converts and counts lines and
//! locates rejects. The forms of records are in `data::forms`, the stores in `local` and `elastic`.

mod examine;
mod format;
mod loader;
mod outcome;
mod sink;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use encoding_rs::Encoding;

use crate::data::forms::presets::Layout;
use crate::data::forms::table::{TableError, TableOptions};
use crate::data::options::Redaction;
use crate::data::unusable::Unusable;
use crate::source::input::{Input, InputError, redacted};
use crate::source::log_store::LogStore;
use crate::source::rejects::Rejects;
pub(crate) use format::FileFormat;
use loader::Loader;
use outcome::LoadOutcome;
pub(crate) use outcome::Loaded;
use sink::Sink;

/// The files to load, and the options.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadRequest {
    /// Files in order. `-` is standard input.
    pub(crate) files: Vec<PathBuf>,
    /// The format of all files. `None` lets each file decide.
    pub(crate) format: Option<FileFormat>,
    pub(crate) table: TableOptions,
    /// The workload of rows without one.
    pub(crate) workload: Option<String>,
    /// The client of rows without one.
    pub(crate) client: Option<String>,
    /// The time of rows without one, in epoch seconds.
    pub(crate) timestamp: Option<i64>,
    /// The encoding of the files. `None` stands for UTF-8, or for UTF-16 where a file is marked as such.
    pub(crate) encoding: Option<&'static Encoding>,
    /// Takes answers that a limit on tokens cut off.
    pub(crate) accept_truncated: bool,
    /// Personal data to mask.
    pub(crate) redact: Option<Redaction>,
    /// The places of the fields in the lines.
    pub(crate) layout: Layout,
}

/// The progress of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadProgress {
    /// Lines, or rows of tables.
    pub(crate) read: u64,
    /// Bytes that were read of all files.
    pub(crate) bytes: u64,
    /// Size of all files. `None` if one is a stream or packed.
    pub(crate) of: Option<u64>,
}

/// A table whose columns or prompts are not clear.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the table {name}")]
pub(crate) struct UnclearTable {
    /// The file as it was named.
    pub(crate) name: String,
    /// The problem of the table.
    pub(crate) source: TableError,
}

impl UnclearTable {
    /// Returns something to do about it.
    pub(crate) fn hint(&self) -> String {
        match self.source {
            TableError::NoHeader(_) => {
                "--no-header --text-column 2 --label-column 1 takes the columns by number; if the first \
                 row is a header, name its columns with --text-column NAME --label-column NAME"
                    .to_owned()
            }
            TableError::Unclear { .. } => {
                "--text-column NAME --label-column NAME takes the columns by name; add --no-header and \
                 give numbers if the first row is data"
                    .to_owned()
            }
            TableError::Export(tool) => format!(
                "--from {tool} takes its fields; --text-column NAME --label-column NAME reads it as a table of texts"
            ),
            TableError::Header => {
                "--encoding NAME reads another encoding than UTF-8, such as windows-1252 or utf-16le".to_owned()
            }
            TableError::Twice { flag, ref columns, .. } => {
                format!("{flag} {} takes the first of them", columns.first().map_or(1, |first| first + 1))
            }
            TableError::NoTables(_) => "load the JSON lines that the tool writes, or leave out --from".to_owned(),
            _ => "`dfwfd load --help` lists the options for CSV and TSV".to_owned(),
        }
    }
}

/// A load that ended in one of its files.
#[derive(Debug, thiserror::Error)]
#[error("cannot load all: read {} of {file}{}", counted_lines(*lines), not_read(unread))]
pub(crate) struct StoppedLoad {
    /// The counts up to there.
    pub(crate) loaded: Loaded,
    /// The file as it was named.
    file: String,
    /// Lines of the file that were read.
    lines: u64,
    /// The files behind it.
    unread: Vec<String>,
}

fn counted_lines(lines: u64) -> String {
    match lines {
        0 => "nothing".to_owned(),
        1 => "the first line".to_owned(),
        lines => format!("the first {lines} lines"),
    }
}

fn not_read(files: &[String]) -> String {
    if files.is_empty() { String::new() } else { format!(", and nothing of {}", files.join(", ")) }
}

/// Loads files into a log store. Writes refused lines to `rejects` and tells `progress` now and then how far it is.
///
/// # Errors
/// Before an error of a file everything that was read is stored. A [`StoppedLoad`] above the error has the counts.
pub(crate) fn load<'a>(
    request: &'a LoadRequest,
    store: impl Into<LogStore<'a>>,
    rejects: Option<&'a mut dyn Write>,
    progress: &'a mut dyn FnMut(LoadProgress),
) -> Result<Loaded> {
    let mut inputs = Vec::new();
    let mut bytes = Some(0);
    for path in &request.files {
        let is_stdin = path.as_os_str() == "-";
        let input = if is_stdin { Input::stream("<stdin>", io::stdin()) } else { Input::file(path) };
        let input = input.open()?;
        bytes = bytes.zip(input.size).map(|(all, bytes)| all + bytes);
        inputs.push(input);
    }
    let sink = Sink::open(store.into())?;
    let outcome = LoadOutcome::new(Rejects::new(rejects), sink.server());
    let redactor = request.redact.as_ref().map(redacted::redactor).transpose()?;
    let mut loader = Loader::new(request, sink, outcome, progress, bytes, redactor);
    let mut inputs = inputs.into_iter();
    while let Some(input) = inputs.next() {
        let (file, before) = (input.name.clone(), loader.lines());
        let Err(error) = loader.take(input) else { continue };
        // A file that cannot be read to its end takes nothing away from what was read.
        if !(error.is::<InputError>() || error.is::<UnclearTable>() || error.is::<Unusable>()) {
            return Err(error);
        }
        let lines = loader.lines() - before;
        let unread: Vec<String> = inputs.map(|input| input.name).collect();
        let loaded = loader.finish()?;
        let is_all = loaded.read == 0 && unread.is_empty();
        return Err(if is_all { error } else { error.context(StoppedLoad { loaded, file, lines, unread }) });
    }
    loader.finish()
}

#[cfg(test)]
mod tests;
