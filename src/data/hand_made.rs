//! Files that people write or edit: CSV whose first line names the columns, or JSON lines. Knows nothing of what they hold.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads the rows of a file with their lines: JSON lines if it begins with a brace, else CSV. `check_header` refuses a
/// table that lacks a column.
///
/// # Errors
/// Says what is wrong, with the line.
pub(crate) fn rows<T: DeserializeOwned>(
    bytes: &[u8],
    check_header: impl FnOnce(&[&str]) -> Result<(), String>,
) -> Result<Vec<(usize, T)>, String> {
    let text = text_of(bytes)?;
    let text = text.trim_start_matches('\u{feff}');
    let rows = if text.trim_start().starts_with('{') { of_lines(text)? } else { of_table(text, check_header)? };
    if rows.is_empty() {
        return Err("it holds no row".to_owned());
    }
    Ok(rows)
}

/// Returns the text of a file in UTF-8, or in UTF-16 if it is marked as that, as spreadsheets write it.
fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let (encoding, _) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    let (text, _, is_broken) = encoding.decode(bytes);
    // Many encodings have each of these bytes, and each of them reads another letter.
    let unclear = "it is neither UTF-8 text nor marked as UTF-16: save it as CSV UTF-8, or convert it, such as with iconv -f \
         WINDOWS-1252 -t UTF-8";
    if is_broken { Err(unclear.to_owned()) } else { Ok(text) }
}

/// Returns a CSV file with these columns. Each row has one value for each.
///
/// # Errors
/// When a row cannot be written, which no value causes.
pub(crate) fn table<T: Serialize>(header: &[&str], mut rows: impl Iterator<Item = T>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(header)?;
    rows.try_for_each(|row| writer.serialize(row))?;
    Ok(writer.into_inner()?)
}

fn of_lines<T: DeserializeOwned>(text: &str) -> Result<Vec<(usize, T)>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let row =
        |(at, line)| serde_json::from_str(line).map(|row| (at, row)).map_err(|error| format!("line {at}: {error}"));
    lines.map(row).collect()
}

fn of_table<T: DeserializeOwned>(
    text: &str,
    check_header: impl FnOnce(&[&str]) -> Result<(), String>,
) -> Result<Vec<(usize, T)>, String> {
    let first = text.lines().next().unwrap_or_default();
    // Some spreadsheets write semicolons where a comma separates decimals, and tabs into UTF-16.
    let delimiter =
        [',', ';', '\t'].into_iter().find(|delimiter| first.contains(*delimiter)).map_or(b',', |found| found as u8);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?;
    check_header(&header.iter().collect::<Vec<_>>())?;
    (2..)
        .zip(reader.deserialize())
        .map(|(at, row)| Ok((at, row.map_err(|error: csv::Error| error.to_string())?)))
        .collect()
}
