//! Takes the content of one input after the other: cuts it into lines or rows, stores what they hold and counts.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use anyhow::Result;

use super::examine::{ExaminedBlock, FoundRecord, LoadExaminer};
use super::format::{FileFormat, detect};
use super::outcome::{LoadOutcome, Loaded};
use super::sink::Sink;
use super::{LoadProgress, LoadRequest, UnclearTable};
use crate::data::forms::batches::Batches;
use crate::data::forms::presets::Layout;
use crate::data::forms::reshape::Reshaper;
use crate::data::forms::rows_to_csv;
use crate::data::forms::stored_completions;
use crate::data::forms::table::{Documents, Table, TableError, TableOptions, TableRow};
use crate::data::redact::Redactor;
use crate::data::reject::Reject;
use crate::source::elastic::bulk::InputLine;
use crate::source::input::packed::inner_name;
use crate::source::input::redacted::redacted;
use crate::source::input::reshaped::reshaped;
use crate::source::input::rewritten::Rewritten;
use crate::source::input::{InputError, OpenInput};
use crate::source::lines::{Block, Blocks, Lines};
use crate::source::pipeline;

/// Bytes of documents of another shape that are looked at before any is stored.
const FIRST: u64 = 1 << 20;
/// Bytes that are looked at to find the format of a file.
const BEGINNING: u64 = 64 << 10;
/// Bytes of a buffer in front of an input.
const BUFFER: usize = 1 << 18;

/// Loads inputs into one store.
pub(super) struct Loader<'a> {
    request: &'a LoadRequest,
    sink: Sink,
    /// Stores only the five fields of a record.
    only_five: bool,
    outcome: LoadOutcome<'a>,
    progress: &'a mut dyn FnMut(LoadProgress),
    reached: LoadProgress,
    redactor: Option<Redactor>,
    batches: Batches,
}

impl<'a> Loader<'a> {
    /// Creates a loader. `bytes` is the size of all inputs, if it is known.
    pub(super) fn new(
        request: &'a LoadRequest,
        sink: Sink,
        outcome: LoadOutcome<'a>,
        progress: &'a mut dyn FnMut(LoadProgress),
        bytes: Option<u64>,
        redactor: Option<Redactor>,
    ) -> Loader<'a> {
        Loader {
            request,
            only_five: sink.takes_only_five(),
            sink,
            outcome,
            progress,
            reached: LoadProgress { of: bytes, ..LoadProgress::default() },
            redactor,
            batches: Batches::default(),
        }
    }

    /// Returns the number of lines that were read so far.
    pub(super) fn lines(&self) -> u64 {
        self.outcome.loaded.read
    }

    /// Loads one input. Also after an error everything before it is stored.
    pub(super) fn take(&mut self, input: OpenInput<'_>) -> Result<()> {
        self.outcome.names.push(input.name.clone());
        let taken = self.take_content(input);
        self.outcome.count(self.sink.flush()?)?;
        taken
    }

    /// Stores what still waits and returns the counts.
    pub(super) fn finish(mut self) -> Result<Loaded> {
        self.take_joined()?;
        let Loader { sink, mut outcome, redactor, .. } = self;
        outcome.loaded.redacted = redactor.map(|redactor| redactor.counts);
        outcome.count(sink.finish()?)?;
        outcome.finish()
    }

    fn take_content(&mut self, input: OpenInput<'_>) -> Result<()> {
        let OpenInput { name, is_packed, bytes, columns, .. } = input.unpacked(None, self.request.encoding)?;
        if is_packed {
            // Only the end shows how much is packed.
            self.reached.of = None;
        }
        let failed = |error| InputError::of_read(&name, error);
        let mut bytes = BufReader::with_capacity(BUFFER, bytes);
        if let Some(columns) = columns {
            return self.take_rows(&name, &columns, bytes);
        }
        let beginning = beginning(&mut bytes).map_err(failed)?;
        let name_inside = if is_packed { inner_name(&name) } else { &name };
        let format = self.request.format.unwrap_or_else(|| detect(name_inside, &beginning));
        let mut content = Cursor::new(beginning).chain(bytes);
        match format {
            FileFormat::Jsonl => self.take_json(&name, content),
            FileFormat::Table(delimiter) => {
                let mut table = Vec::new();
                content.read_to_end(&mut table).map_err(failed)?;
                let options = self.request.table.clone();
                let delimiter = options.delimiter.or(delimiter);
                self.take_table(&name, table, &TableOptions { delimiter, ..options }, |row, _| row.line)
            }
        }
    }

    /// Loads rows of named columns, each of which is a JSON object on a line: records, or those of a table.
    fn take_rows(&mut self, name: &str, columns: &[String], mut rows: impl Read) -> Result<()> {
        let is_own = matches!(&self.request.layout, Layout::Fields(fields) if fields.are_own());
        if !is_own || !rows_to_csv::are_of_a_table(columns) {
            return self.take_json(name, rows);
        }
        let mut lines = String::new();
        rows.read_to_string(&mut lines).map_err(|error| InputError::of_read(name, error))?;
        let options = self.request.table.clone();
        let options = TableOptions { delimiter: Some(b','), has_no_header: false, ..options };
        self.take_table(name, rows_to_csv::csv_of(columns, &lines)?, &options, |_, number| number)
    }

    /// Loads lines of JSON in the layout of the request.
    fn take_json(&mut self, name: &str, content: impl Read) -> Result<()> {
        match &self.request.layout {
            Layout::Fields(fields) if fields.are_own() => self.take_masked(name, content),
            Layout::Fields(fields) => self.take_documents(name, content, Reshaper::new(fields)),
            Layout::Export(export) => self.take_documents(name, content, Reshaper::of_export(export)),
            Layout::StoredCompletions => self.take_masked(name, Rewritten::new(content, stored_completions::write)),
            Layout::Batches => self.take_batch(name, content),
        }
    }

    /// Loads documents of another shape. If none of the first has a field, it stands elsewhere, and nothing is stored.
    fn take_documents(&mut self, name: &str, mut content: impl Read, mut reshaper: Reshaper) -> Result<()> {
        let mut first = Vec::new();
        content.by_ref().take(FIRST).read_to_end(&mut first).map_err(|error| InputError::of_read(name, error))?;
        let whole = memchr::memrchr(b'\n', &first).unwrap_or(first.len());
        io::copy(&mut reshaped(&first[..whole], &mut reshaper), &mut io::sink())?;
        if let Some(unmet) = reshaper.unmet() {
            return Err(unmet.into());
        }
        self.take_masked(name, reshaped(first.chain(content), &mut reshaper))
    }

    /// Loads lines, with personal data masked if asked to.
    fn take_masked(&mut self, name: &str, content: impl Read) -> Result<()> {
        let Some(mut redactor) = self.redactor.take() else { return self.take_lines(name, content) };
        let taken = self.take_lines(name, redacted(content, &mut redactor));
        self.redactor = Some(redactor);
        taken
    }

    fn take_lines(&mut self, name: &str, content: impl Read) -> Result<()> {
        let mut blocks = Blocks::new(content, 0);
        let used = RefCell::new(Vec::new());
        let (before, request, only_five) = (self.reached.bytes, self.request, self.only_five);
        let file = self.outcome.names.len() - 1;
        let (mut fault, mut lines) = (None, 0);
        pipeline::in_order(
            || {
                let (buffer, room) = used.borrow_mut().pop().map(ExaminedBlock::reuse).unwrap_or_default();
                // An error ends the lines, so that those before it are stored first.
                let block = blocks.next(buffer).unwrap_or_else(|error| (fault = Some(error), None).1);
                Ok(block.map(|block| (block, room)))
            },
            || LoadExaminer::new(request, only_five),
            |examiner: &mut LoadExaminer<'_>, (block, room): (Block, ExaminedBlock)| examiner.lines(block, room),
            |examined: ExaminedBlock| {
                for found in examined.iter() {
                    lines += 1;
                    self.take_line((file, lines), found)?;
                }
                self.report(before + examined.end());
                used.borrow_mut().push(examined);
                Ok(())
            },
        )?;
        fault.map_or(Ok(()), |error| Err(InputError::of_read(name, error).into()))
    }

    /// Keeps the lines of a batch until all files are read, because a request and its answer stand in different files.
    fn take_batch(&mut self, name: &str, content: impl Read) -> Result<()> {
        let (before, file) = (self.reached.bytes, self.outcome.names.len() - 1);
        let failed = |error| InputError::of_read(name, error);
        let mut redactor = self.redactor.take();
        let mut content: Box<dyn Read + '_> = match &mut redactor {
            Some(redactor) => Box::new(redacted(content, redactor)),
            None => Box::new(content),
        };
        let mut lines = Lines::new(&mut content, 0);
        let taken = loop {
            match lines.next() {
                Ok(None) => break Ok(()),
                Err(error) => break Err(failed(error)),
                Ok(Some(line)) if line.is_too_long => {
                    self.take_line((file, line.number), Err((Reject::LineTooLong, line.text)))?;
                }
                Ok(Some(line)) => {
                    self.batches.push((file, line.number), line.text);
                    self.reached.bytes = before + line.end;
                }
            }
        };
        drop(content);
        self.redactor = redactor;
        (self.progress)(self.reached);
        Ok(taken?)
    }

    /// Stores the records of all batches.
    fn take_joined(&mut self) -> Result<()> {
        let mut examiner = LoadExaminer::new(self.request, self.only_five);
        let mut out = Vec::new();
        for joined in std::mem::take(&mut self.batches).join() {
            let found = joined.record.and_then(|record| examiner.json(&record, &mut out));
            self.take_line(joined.at, found.map_err(|reason| (reason, &*joined.line)))?;
        }
        Ok(())
    }

    /// Loads a table. `line` returns the line of a row for messages, which it is told with the number of the row.
    fn take_table(
        &mut self,
        name: &str,
        mut bytes: Vec<u8>,
        options: &TableOptions,
        line: fn(&TableRow<'_>, u64) -> u64,
    ) -> Result<()> {
        if let Some(redactor) = &mut self.redactor {
            let masked = String::from_utf8(bytes).map(|text| redactor.text(&text).into_owned().into_bytes());
            // Bytes in another encoding are refused row by row.
            bytes = masked.unwrap_or_else(|error| error.into_bytes());
        }
        let unclear = |source| UnclearTable { name: name.to_owned(), source };
        let end = self.reached.bytes + bytes.len() as u64;
        match self.reshaper_of(&bytes, options).map_err(unclear)? {
            Some((documents, reshaper)) => self.take_documents_of_table(&documents, reshaper, line)?,
            None => {
                let table = Table::read(&bytes, options).map_err(unclear)?;
                if let Some([text, label]) = table.as_ref().map(Table::taken) {
                    self.outcome.loaded.columns.push([name.to_owned(), text, label]);
                }
                self.take_table_rows(table.iter().flat_map(Table::rows), line)?;
            }
        }
        self.report(end);
        Ok(())
    }

    /// Returns a table as documents, with what makes records of them. `None` if its columns hold texts and labels.
    fn reshaper_of<'t>(
        &self,
        bytes: &'t [u8],
        options: &TableOptions,
    ) -> Result<Option<(Documents<'t>, Reshaper)>, TableError> {
        let reshaper = match &self.request.layout {
            Layout::StoredCompletions => return Err(TableError::NoTables("openai")),
            Layout::Batches => return Err(TableError::NoTables("openai-batch")),
            Layout::Export(export) => Reshaper::of_export(export),
            Layout::Fields(fields) if fields.are_own() => return Ok(None),
            Layout::Fields(fields) => Reshaper::new(fields),
        };
        let documents = Documents::read(bytes, options.delimiter)?;
        let is_mapped = |documents: &Documents<'_>| match &self.request.layout {
            Layout::Fields(fields) => documents.has_column_of(fields.path("request")),
            _ => true,
        };
        Ok(documents.filter(is_mapped).map(|documents| (documents, reshaper)))
    }

    /// Loads the rows of a table as documents. If none of the first has a field, nothing is stored.
    fn take_documents_of_table(
        &mut self,
        documents: &Documents<'_>,
        mut reshaper: Reshaper,
        line: fn(&TableRow<'_>, u64) -> u64,
    ) -> Result<()> {
        let mut looked = 0;
        for document in documents.rows().filter_map(|row| row.record.ok()).take_while(|row| {
            looked += row.len() as u64;
            looked <= FIRST
        }) {
            reshaper.write(&document, &mut Vec::new());
        }
        if let Some(unmet) = reshaper.unmet() {
            return Err(unmet.into());
        }
        let mut record = |document: Vec<u8>| {
            let mut record = Vec::new();
            reshaper.write(&document, &mut record);
            record
        };
        let rows = documents.rows().map(|row| TableRow { record: row.record.map(&mut record), ..row });
        self.take_table_rows(rows, line)
    }

    fn take_table_rows<'t>(
        &mut self,
        rows: impl Iterator<Item = TableRow<'t>>,
        line: fn(&TableRow<'_>, u64) -> u64,
    ) -> Result<()> {
        let mut examiner = LoadExaminer::new(self.request, self.only_five);
        let mut out = Vec::new();
        let file = self.outcome.names.len() - 1;
        for (row, number) in rows.zip(1..) {
            if row.is_header {
                self.outcome.loaded.repeated_headers += 1;
                continue;
            }
            let found = row.record.as_ref().map_err(|reason| *reason).and_then(|json| examiner.json(json, &mut out));
            self.take_line((file, line(&row, number)), found.map_err(|reason| (reason, row.raw)))?;
        }
        Ok(())
    }

    /// Stores the record of a line, or rejects the line.
    fn take_line(&mut self, at: InputLine, found: Result<FoundRecord<'_>, (Reject, &[u8])>) -> Result<()> {
        self.outcome.loaded.read += 1;
        match found {
            Ok(record) => {
                self.outcome.loaded.trimmed += u64::from(self.only_five && record.has_more);
                let stored = self.sink.push(record, at)?;
                self.outcome.count(stored)
            }
            Err((reason, text)) => {
                let name = self.outcome.names.get(at.0).cloned().unwrap_or_default();
                self.outcome.reject(&name, at.1, text, reason)
            }
        }
    }

    fn report(&mut self, bytes: u64) {
        (self.reached.read, self.reached.bytes) = (self.outcome.loaded.read, bytes);
        (self.progress)(self.reached);
    }
}

/// Reads up to the end of the first line that is not blank.
fn beginning(content: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::new();
    let mut content = content.take(BEGINNING);
    while beginning.trim_ascii().is_empty() && content.read_until(b'\n', &mut beginning)? > 0 {}
    Ok(beginning)
}
