//! Finds the format of a file: by its name, else by its first line.

use crate::data::forms::table;
use crate::source::lines::without_mark;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// Log records or chat rows, one per line.
    Jsonl,
    /// Rows of cells with this byte between them. `None` lets the header decide.
    Table(Option<u8>),
}

/// Returns the format of a file that begins with these bytes.
pub(crate) fn detect(name: &str, beginning: &[u8]) -> FileFormat {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("jsonl" | "ndjson" | "json") => FileFormat::Jsonl,
        Some("csv") => FileFormat::Table(None),
        Some("tsv" | "tab") => FileFormat::Table(Some(b'\t')),
        _ => {
            let text = without_mark(beginning);
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
