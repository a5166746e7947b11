//! Tables whose rows are documents, such as the exports of other tools: turns each row into a JSON object of its cells.

use serde_json::value::RawValue;

use super::error::TableError;
use super::header::Header;
use super::raw_rows::{Cut, TableRow};
use crate::data::json::canonical::write_string;
use crate::data::json::members::write_object;

/// A table of documents.
#[derive(Debug)]
pub(crate) struct Documents<'a>(Header<'a>);

impl<'a> Documents<'a> {
    /// Reads the header. Returns `None` for an empty table.
    pub(crate) fn read(bytes: &'a [u8], delimiter: Option<u8>) -> Result<Option<Documents<'a>>, TableError> {
        Ok(Header::read(bytes, Cut::of(bytes, delimiter), true)?.map(Documents))
    }

    /// Returns true if a column holds what stands at this dotted path.
    pub(crate) fn has_column_of(&self, path: &str) -> bool {
        let holds = |column: &String| {
            path.strip_prefix(column.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0.columns.iter().any(holds)
    }

    /// Returns the rows below the header, each with its document.
    pub(crate) fn rows(&self) -> impl Iterator<Item = TableRow<'a>> + '_ {
        self.0.rows().map(|row| {
            let record = self.0.cells(&row).map(|cells| self.document(&cells));
            TableRow { line: row.line, raw: row.raw, is_header: self.0.is_repeated(&row), record }
        })
    }

    fn document(&self, cells: &[&str]) -> Vec<u8> {
        let values: Vec<Vec<u8>> = cells.iter().map(|cell| value(cell.trim())).collect();
        let members = self.0.columns.iter().zip(&values).filter(|(_, value)| !value.is_empty());
        let mut out = Vec::new();
        write_object(members.map(|(name, value)| (name.as_str(), value.as_slice())), &mut out);
        out
    }
}

/// Returns the JSON of a cell: what it holds if that is an object, a list or a quoted text, else its text. Numbers stay
/// texts, because they may be names. Nothing for an empty cell.
fn value(cell: &str) -> Vec<u8> {
    let is_json = cell.starts_with(['{', '[', '"']) && serde_json::from_str::<&RawValue>(cell).is_ok();
    let mut out = Vec::new();
    match cell {
        "" | "null" => {}
        _ if is_json => out.extend_from_slice(cell.as_bytes()),
        _ => write_string(cell, &mut out),
    }
    out
}
