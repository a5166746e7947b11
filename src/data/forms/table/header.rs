//! The header of a table: the names of its columns, and how to tell it from data.

use super::error::TableError;
use super::raw_rows::{Cut, RawRow, RawRows};
use crate::data::label;
use crate::data::reject::Reject;
use crate::data::timestamp;

/// Rows that are looked at to tell a header from data.
const LOOKED_AT: usize = 1000;

/// The columns of a table, and where its rows begin.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) columns: Vec<String>,
    bytes: &'a [u8],
    cut: Cut,
    body: usize,
    is_written: bool,
}

impl<'a> Header<'a> {
    /// Reads the header of a table, or numbers the columns from 1. `None` for an empty table.
    pub(super) fn read(bytes: &'a [u8], cut: Cut, is_written: bool) -> Result<Option<Header<'a>>, TableError> {
        let mut rows = RawRows::new(bytes, cut, cut.start, None);
        let Some(first) = rows.next() else { return Ok(None) };
        if first.cells.iter().any(|cell| cell.contains(&0)) {
            return Err(TableError::Header);
        }
        let columns =
            if is_written { names(&first)? } else { (1..=first.cells.len()).map(|n| n.to_string()).collect() };
        Ok(Some(Header { columns, bytes, cut, body: if is_written { rows.at } else { cut.start }, is_written }))
    }

    /// Returns the rows below the header as they are written.
    pub(super) fn rows(&self) -> RawRows<'a> {
        RawRows::new(self.bytes, self.cut, self.body, Some(self.columns.len()))
    }

    /// Returns true for a row that repeats the header, as in tables that were put together.
    pub(super) fn is_repeated(&self, row: &RawRow<'_>) -> bool {
        let name = |cell| std::str::from_utf8(cell).map(|name: &str| label::key(name.trim_matches(is_around_a_name)));
        let names = row.cells.iter().map(name);
        self.is_written
            && row.cells.len() == self.columns.len()
            && names.eq(self.columns.iter().map(|name| Ok(label::key(name))))
    }

    /// Returns the cells of a row.
    pub(super) fn cells<'r>(&self, row: &'r RawRow<'a>) -> Result<Vec<&'r str>, Reject> {
        if row.broken || row.cells.len() != self.columns.len() {
            return Err(Reject::BadRow);
        }
        row.cells.iter().map(|cell| std::str::from_utf8(cell).map_err(|_| Reject::InvalidUtf8)).collect()
    }

    /// Returns true if the first row is more likely data: a cell of it holds what no name does, or stands in its column once
    /// more, as a label does.
    pub(super) fn is_likely_data(&self) -> bool {
        let recurs = |row: &RawRow<'_>| {
            let is_name = |(cell, name): (&[u8], &String)| {
                std::str::from_utf8(cell)
                    .is_ok_and(|cell| !name.is_empty() && label::key(cell.trim()) == label::key(name))
            };
            !self.is_repeated(row) && row.cells.iter().zip(&self.columns).any(is_name)
        };
        self.is_written && (looks_like_data(&self.columns) || self.rows().take(LOOKED_AT).any(|row| recurs(&row)))
    }
}

/// Returns the names in a header.
fn names(header: &RawRow<'_>) -> Result<Vec<String>, TableError> {
    let name = |cell| std::str::from_utf8(cell).map(|name: &str| name.trim_matches(is_around_a_name).to_owned());
    let names = header.cells.iter().map(name).collect::<Result<Vec<_>, _>>();
    let lossy = || header.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect::<Vec<_>>();
    names.map_err(|_| {
        Some(lossy()).filter(|cells| looks_like_data(cells)).map_or(TableError::Header, TableError::NoHeader)
    })
}

/// Returns true for white space, and for the mark of byte order that stands in front of a file.
fn is_around_a_name(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Returns true if a cell of a first row is a number, a time, or has as many words as a sentence.
fn looks_like_data(cells: &[String]) -> bool {
    cells.iter().any(|cell| {
        cell.parse::<f64>().is_ok() || timestamp::from_text(cell).is_some() || cell.split_whitespace().count() > 4
    })
}
