//! Rows of tables as they are written: finds delimiter and quoting, and cuts a table into rows and cells.

use memchr::memmem;

use crate::data::reject::Reject;

/// The way in which a table is cut into cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) delimiter: u8,
    /// Quotes stand around cells. Otherwise they are part of the texts.
    pub(super) has_quotes: bool,
    /// Bytes before the first row, without the mark of the byte order.
    pub(super) start: usize,
}

impl Cut {
    /// Finds the way in which a table is cut. Tables with tabs have no quoting unless they plainly use it.
    pub(super) fn of(bytes: &[u8], delimiter: Option<u8>) -> Cut {
        let declared = declared_delimiter(bytes);
        let start = declared.map_or(0, |(_, behind)| behind);
        let delimiter = delimiter.or(declared.map(|(delimiter, _)| delimiter));
        let delimiter = delimiter.unwrap_or_else(|| find_delimiter(bytes));
        Cut { delimiter, has_quotes: delimiter != b'\t' || uses_quotes(bytes, delimiter, start), start }
    }
}

/// Returns the delimiter that a first line such as `sep=;` declares to spreadsheets, and where the next line begins.
fn declared_delimiter(bytes: &[u8]) -> Option<(u8, usize)> {
    let bytes = without_mark(bytes);
    let feed = memchr::memchr(b'\n', bytes)?;
    let line = bytes[..feed].trim_ascii_start();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, delimiter) = line.split_at_checked(4)?;
    match delimiter {
        [delimiter] if name.eq_ignore_ascii_case(b"sep=") => Some((*delimiter, feed + 1)),
        _ => None,
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Returns the likeliest delimiter: tab, comma, semicolon or bar, whichever occurs most often outside quotes in the
/// first line.
pub(crate) fn find_delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let mut quoted = false;
    let mut counts = [(b',', 0), (b'\t', 0), (b';', 0), (b'|', 0)];
    for byte in line {
        quoted ^= *byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(delimiter, _)| delimiter == byte && !quoted) {
            *count += 1;
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

/// One row as written.
pub(super) struct RawRow<'a> {
    /// Number of the line on which it starts, from 1.
    pub(super) line: u64,
    /// The row without its line end.
    pub(super) raw: &'a [u8],
    pub(super) cells: csv::ByteRecord,
    /// A quote in it is not closed.
    pub(super) broken: bool,
}

/// One row of a table.
#[derive(Debug)]
pub(crate) struct TableRow<'a> {
    /// Number of the line on which it starts, from 1.
    pub(crate) line: u64,
    /// The row as written, without its line end.
    pub(crate) raw: &'a [u8],
    /// It repeats the header, as in tables that were put together.
    pub(crate) is_header: bool,
    /// The log record as JSON, or the reason that there is none.
    pub(crate) record: Result<Vec<u8>, Reject>,
}

/// Reads the rows of a table as written. A quote that is never closed would swallow the rows behind it, so such a row
/// ends with its first line.
pub(super) struct RawRows<'a> {
    bytes: &'a [u8],
    cut: Cut,
    /// Cells of a good row.
    width: Option<usize>,
    reader: csv::Reader<&'a [u8]>,
    /// Offset at which `reader` began.
    base: usize,
    /// Offset of the next row, with the blank lines before it.
    pub(super) at: usize,
    /// Line number at the offset `counted`.
    line: u64,
    counted: usize,
}

impl<'a> RawRows<'a> {
    /// Reads rows from an offset on. `width` is the number of cells of a good row.
    pub(super) fn new(bytes: &'a [u8], cut: Cut, from: usize, width: Option<usize>) -> RawRows<'a> {
        let bytes = without_mark(bytes);
        let reader = reader(&bytes[from..], cut);
        RawRows { bytes, cut, width, reader, base: from, at: from, line: 1, counted: 0 }
    }

    fn line_of(&mut self, at: usize) -> u64 {
        self.line += memchr::memchr_iter(b'\n', &self.bytes[self.counted..at]).count() as u64;
        self.counted = at;
        self.line
    }
}

impl<'a> Iterator for RawRows<'a> {
    type Item = RawRow<'a>;

    fn next(&mut self) -> Option<RawRow<'a>> {
        let mut cells = csv::ByteRecord::new();
        if !self.reader.read_byte_record(&mut cells).unwrap_or(false) {
            self.at = self.bytes.len();
            return None;
        }
        let end = self.base + usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        let before = &self.bytes[self.at..end];
        let blank = before.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let start = self.at + blank;
        let line = self.line_of(start);
        let raw = without_line_end(&self.bytes[start..end]);
        self.at = end;
        let first = memchr::memchr(b'\n', raw);
        let wrong_width = self.width.is_some_and(|width| width != cells.len());
        let broken = self.cut.has_quotes && (!well_quoted(raw, self.cut.delimiter) || (wrong_width && first.is_some()));
        if let Some(first) = first.filter(|_| broken) {
            self.at = start + first + 1;
            self.base = self.at;
            self.reader = reader(&self.bytes[self.at..], self.cut);
            return Some(RawRow { line, raw: without_line_end(&raw[..first]), cells, broken });
        }
        Some(RawRow { line, raw, cells, broken })
    }
}

fn reader(bytes: &[u8], cut: Cut) -> csv::Reader<&[u8]> {
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(cut.delimiter).quoting(cut.has_quotes).from_reader(bytes)
}

/// Returns true if quotes plainly stand around cells: every cell that begins with one ends with one, and some need them,
/// or every row has such a cell. Elsewhere quotes are part of the texts.
fn uses_quotes(bytes: &[u8], delimiter: u8, start: usize) -> bool {
    let (mut rows, mut quoted, mut is_needed) = (0_u64, 0_u64, false);
    for row in RawRows::new(bytes, Cut { delimiter, has_quotes: true, start }, start, None) {
        if row.broken || !well_quoted(row.raw, delimiter) {
            return false;
        }
        rows += 1;
        if row.raw.first() == Some(&b'"') || memmem::find(row.raw, &[delimiter, b'"']).is_some() {
            quoted += 1;
            let plain_cells = memchr::memchr_iter(delimiter, row.raw).count() + 1;
            is_needed |= plain_cells != row.cells.len()
                || memchr::memchr(b'\n', row.raw).is_some()
                || memmem::find(row.raw, b"\"\"").is_some();
        }
    }
    is_needed || quoted > 1 && quoted == rows
}

fn without_line_end(raw: &[u8]) -> &[u8] {
    let end = raw.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
    &raw[..end]
}

/// Returns true if every quoted cell of a row is closed and followed by a delimiter or the end, but for spaces.
fn well_quoted(raw: &[u8], delimiter: u8) -> bool {
    let mut at = 0;
    loop {
        if raw.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let Some(found) = memchr::memchr(b'"', &raw[at..]) else { return false };
                at += found + 1;
                if raw.get(at) != Some(&b'"') {
                    break;
                }
                at += 1;
            }
            at += raw[at..].iter().take_while(|b| **b == b' ').count();
            if raw.get(at).is_some_and(|b| *b != delimiter) {
                return false;
            }
        } else {
            at += memchr::memchr(delimiter, &raw[at..]).unwrap_or(raw.len() - at);
        }
        if at >= raw.len() {
            return true;
        }
        at += 1;
    }
}
