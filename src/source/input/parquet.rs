//! Reads Parquet: each row becomes a line with a JSON object. Parquet does not tell an absent key from null, so nulls are
//! left out. What the crate cannot read is refused before the first row.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};

use super::ParquetRows;
use super::damage::Damaged;
use super::error::InputError;
use crate::data::json::canonical::write_string;

/// Bytes of lines that are made at once, unless one row has more.
const MADE: usize = 1 << 16;

/// Opens a Parquet file.
pub(super) fn open(name: &str, file: impl FnOnce() -> io::Result<File>) -> Result<ParquetRows, InputError> {
    let file = file().map_err(|error| InputError::of_read(name, error))?;
    let opened = guarded(|| SerializedFileReader::new(file)).map_err(|error| InputError::of_read(name, error))?;
    if let Some(what) = unsupported(opened.metadata()) {
        let hint = "export its records as JSONL, CSV or TSV";
        return Err(InputError::OtherKind { name: name.to_owned(), what: what.into(), hint });
    }
    let columns = opened.metadata().file_metadata().schema().get_fields();
    let is_nanoseconds = |column: &parquet::schema::types::TypePtr| {
        let logical = column.get_basic_info().logical_type_ref();
        matches!(logical, Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::NANOS)
    };
    let nanoseconds = columns.iter().map(is_nanoseconds).collect();
    let columns = columns.iter().map(|column| column.name().to_owned()).collect();
    let lines = Lines { rows: opened.into_iter(), nanoseconds, made: Vec::new(), at: 0, fault: None };
    Ok(ParquetRows { columns, lines: Box::new(lines) })
}

thread_local! {
    /// The crate works on this thread.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls the crate, which panics on some damaged files. Such a panic is damage and prints nothing.
fn guarded<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                hook(info);
            }
        }));
    });
    IS_GUARDED.set(true);
    let called = panic::catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(false);
    let damaged = |why: String| Damaged::error(format!("the Parquet data is cut off or damaged ({why})"));
    match called {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ParquetError::External(error))) => match error.downcast::<io::Error>() {
            Ok(error) => Err(*error),
            Err(error) => Err(damaged(error.to_string())),
        },
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("its pages contradict each other".to_owned())),
    }
}

/// Returns what a file has that cannot be read.
fn unsupported(metadata: &ParquetMetaData) -> Option<String> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let codec = match column.compression() {
            Compression::LZO => "LZO",
            Compression::BROTLI(_) => "Brotli",
            _ => continue,
        };
        return Some(format!("Parquet compressed with {codec}, which is not supported"));
    }
    // The crate panics on all others.
    let is_known = |physical, converted| match (physical, converted) {
        (Physical::INT32, converted) => matches!(
            converted,
            ConvertedType::NONE
                | ConvertedType::INT_8
                | ConvertedType::INT_16
                | ConvertedType::INT_32
                | ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::DECIMAL
        ),
        (Physical::INT64, converted) => matches!(
            converted,
            ConvertedType::NONE
                | ConvertedType::INT_64
                | ConvertedType::UINT_64
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS
                | ConvertedType::DECIMAL
        ),
        (Physical::BYTE_ARRAY, converted) => matches!(
            converted,
            ConvertedType::NONE
                | ConvertedType::UTF8
                | ConvertedType::ENUM
                | ConvertedType::JSON
                | ConvertedType::BSON
                | ConvertedType::DECIMAL
        ),
        (Physical::FIXED_LEN_BYTE_ARRAY, converted) => {
            matches!(converted, ConvertedType::NONE | ConvertedType::DECIMAL)
        }
        _ => true,
    };
    let columns = metadata.file_metadata().schema_descr().columns();
    let unknown = columns.iter().find(|column| !is_known(column.physical_type(), column.converted_type()))?;
    let (path, converted) = (unknown.path().string(), unknown.converted_type());
    Some(format!("Parquet with a column {path} of type {converted}, which is not supported"))
}

/// The rows, each on a line.
struct Lines {
    rows: RowIter<'static>,
    /// For each column: its numbers are nanoseconds of the epoch, which the crate does not tell apart.
    nanoseconds: Vec<bool>,
    /// Lines that were made and not yet handed out, from `at` on.
    made: Vec<u8>,
    at: usize,
    fault: Option<io::Error>,
}

impl Lines {
    fn make(&mut self) -> io::Result<()> {
        (self.at, _) = (0, self.made.clear());
        while self.fault.is_none()
            && self.made.len() < MADE
            && let Some(row) = guarded(|| self.rows.next().transpose()).transpose()
        {
            match row {
                Ok(row) => {
                    write_row(&row, &self.nanoseconds, &mut self.made);
                    self.made.push(b'\n');
                }
                Err(error) => self.fault = Some(error),
            }
        }
        // The rows before an error come first.
        match self.fault.take_if(|_| self.made.is_empty()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.made.len() {
            self.make()?;
        }
        let count = buffer.len().min(self.made.len() - self.at);
        buffer[..count].copy_from_slice(&self.made[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn write_row(row: &Row, nanoseconds: &[bool], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    for (n, (key, field)) in row.get_column_iter().enumerate() {
        if matches!(field, Field::Null) {
            continue;
        }
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        match field {
            Field::Long(value) if nanoseconds.get(n) == Some(&true) => {
                write_time(Timestamp::from_nanosecond(i128::from(*value)), *value, out);
            }
            field => write_field(field, out),
        }
    }
    out.push(b'}');
}

fn write_field(field: &Field, out: &mut Vec<u8>) {
    match field {
        Field::Str(text) => write_string(text, out),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => write_string(text, out),
            Err(_) => write_string(&BASE64_STANDARD.encode(bytes.data()), out),
        },
        Field::Group(row) => write_row(row, &[], out),
        Field::ListInternal(list) => {
            out.push(b'[');
            for (n, item) in list.elements().iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_field(item, out);
            }
            out.push(b']');
        }
        Field::MapInternal(map) => {
            out.push(b'{');
            for (n, (key, value)) in map.entries().iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                match key {
                    Field::Str(key) => write_string(key, out),
                    key => write_string(&key.to_string(), out),
                }
                out.push(b':');
                write_field(value, out);
            }
            out.push(b'}');
        }
        Field::TimestampMillis(value) => write_time(Timestamp::from_millisecond(*value), *value, out),
        Field::TimestampMicros(value) => write_time(Timestamp::from_microsecond(*value), *value, out),
        Field::Date(days) => match Timestamp::from_second(i64::from(*days) * 86_400) {
            Ok(time) => write_string(&time.to_zoned(TimeZone::UTC).date().to_string(), out),
            Err(_) => write_display(days, out),
        },
        Field::Float(number) if number.is_finite() => write_display(number, out),
        Field::Double(number) if number.is_finite() => write_display(number, out),
        Field::Float16(number) if number.is_finite() => write_display(&number.to_f32(), out),
        Field::Null | Field::Float(_) | Field::Double(_) | Field::Float16(_) => out.extend_from_slice(b"null"),
        Field::Decimal(_) => out.extend_from_slice(field.to_string().trim_end_matches('.').as_bytes()),
        Field::Bool(value) => write_display(value, out),
        Field::Byte(number) => write_display(number, out),
        Field::Short(number) => write_display(number, out),
        Field::Int(number) | Field::TimeMillis(number) => write_display(number, out),
        Field::Long(number) | Field::TimeMicros(number) => write_display(number, out),
        Field::UByte(number) => write_display(number, out),
        Field::UShort(number) => write_display(number, out),
        Field::UInt(number) => write_display(number, out),
        Field::ULong(number) => write_display(number, out),
    }
}

/// Writes a time in UTC, or its number if that is no time.
fn write_time(time: Result<Timestamp, jiff::Error>, number: i64, out: &mut Vec<u8>) {
    match time {
        Ok(time) => write_string(&time.to_string(), out),
        Err(_) => write_display(&number, out),
    }
}

fn write_display(value: &dyn std::fmt::Display, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}
