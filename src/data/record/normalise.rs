//! The normalised line of a record: canonical JSON with the five fields in the form that ids are made of.

use std::cell::Cell;

use super::id::{hex_digits, id_of};
use super::{FieldDefaults, LINE, Record};
use crate::data::json::canonical::{self, CanonicalWriter};
use crate::data::json::tape::{JsonValue, Tape};
use crate::data::reject::Reject;

/// A record in the form that the log stores keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Normalised {
    pub(crate) id: u128,
    pub(crate) workload: String,
    pub(crate) client: String,
    /// Whole epoch seconds.
    pub(crate) timestamp: i64,
    /// Canonical JSON without a line end: the five fields normalised, other keys kept.
    pub(crate) line: Vec<u8>,
}

/// Checks and normalises one record.
pub(crate) fn normalise(json: &[u8], defaults: &FieldDefaults<'_>) -> Result<Normalised, Reject> {
    Normaliser::default().normalise(json, defaults)
}

/// Checks and normalises records. Holds scratch space, so reuse it.
#[derive(Debug, Default)]
pub(crate) struct Normaliser {
    tape: Tape,
    writer: CanonicalWriter,
    ids: Ids,
    only_five: bool,
}

/// A record that was checked and written.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) id: u128,
    pub(crate) record: Record<'a>,
    /// It has keys beyond the five of a record.
    pub(crate) has_more: bool,
}

impl Normaliser {
    /// Creates a normaliser that drops every key but the five of a record.
    pub(crate) fn of_five() -> Normaliser {
        Normaliser { only_five: true, ..Normaliser::default() }
    }

    /// Checks and normalises one record.
    pub(crate) fn normalise(&mut self, json: &[u8], defaults: &FieldDefaults<'_>) -> Result<Normalised, Reject> {
        let mut line = Vec::with_capacity(json.len() + 64);
        let Checked { id, record, .. } = self.write(json, defaults, &mut line)?;
        let Record { timestamp, workload, client, .. } = record;
        Ok(Normalised { id, workload: workload.into_owned(), client: client.into_owned(), timestamp, line })
    }

    /// Checks one record and appends its normalised line to `out`. May leave a part of it there when it is refused.
    pub(crate) fn write<'a>(
        &mut self,
        json: &'a [u8],
        defaults: &FieldDefaults<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Checked<'a>, Reject> {
        let (record, root) = Record::read(json, defaults, &mut self.tape)?;
        let (start, more, only_five) = (out.len(), Cell::new(false), self.only_five);
        let keep = |key: JsonValue<'_, '_>| {
            let is_more = !is_one_of_five(key);
            more.set(more.get() || is_more);
            !(is_more && only_five)
        };
        five_fields(&mut self.writer, root, &record, keep, out);
        let has_more = more.get();
        // Of a record without other keys the line itself is what the id is made of. Most are such.
        let id = if has_more && !only_five { self.ids.of(root, &record) } else { id_of(&out[start..]) };
        Ok(Checked { id, record, has_more })
    }

    /// Returns the id of a record in hex digits.
    pub(crate) fn hex_id(&mut self, json: &[u8]) -> Result<String, Reject> {
        self.id(json).map(|id| String::from_utf8_lossy(&hex_digits(id)).into_owned())
    }

    /// Returns the id of a record.
    pub(crate) fn id(&mut self, json: &[u8]) -> Result<u128, Reject> {
        let (record, root) = Record::read(json, &FieldDefaults::default(), &mut self.tape)?;
        Ok(self.ids.of(root, &record))
    }
}

/// Makes the ids of records. Holds scratch space, so reuse it.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    writer: CanonicalWriter,
    five: Vec<u8>,
}

impl Ids {
    /// Returns the id of the record that was read from `line`.
    pub(crate) fn of(&mut self, line: JsonValue<'_, '_>, record: &Record<'_>) -> u128 {
        self.five.clear();
        five_fields(&mut self.writer, line, record, is_one_of_five, &mut self.five);
        id_of(&self.five)
    }
}

fn is_one_of_five(key: JsonValue<'_, '_>) -> bool {
    LINE.iter().any(|name| key.is_key(*name))
}

fn five_fields(
    writer: &mut CanonicalWriter,
    line: JsonValue<'_, '_>,
    record: &Record<'_>,
    keep: impl Fn(JsonValue<'_, '_>) -> bool,
    out: &mut Vec<u8>,
) {
    let mut workload = Vec::with_capacity(record.workload.len() + 2);
    canonical::write_string(&record.workload, &mut workload);
    let mut client = Vec::with_capacity(record.client.len() + 2);
    canonical::write_string(&record.client, &mut client);
    let timestamp = record.timestamp.to_string();
    let given = [(LINE[2], client.as_slice()), (LINE[0], timestamp.as_bytes()), (LINE[1], workload.as_slice())];
    writer.write_object(line, &given, keep, out);
}
