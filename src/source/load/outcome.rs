//! Counts what a load does and writes what it refuses.

use std::collections::BTreeMap;

use anyhow::Result;
use memchr::memmem;
use serde::Serialize;

use super::sink::Stored;
use crate::data::forms::presets::Preset;
use crate::data::forms::wrapped::Wrapper;
use crate::data::redact::RedactionCounts;
use crate::data::reject::Reject;
use crate::source::rejects::Rejects;

/// Rejects whose places are kept for messages.
pub(super) const LOCATED: usize = 5;

/// The counts of a load. `read` = `added` + `present` + the sum of `rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Loaded {
    /// Lines, or rows of tables.
    pub(crate) read: u64,
    /// Records that are new in the store.
    pub(crate) added: u64,
    /// Records that were in the store, or came twice.
    pub(crate) present: u64,
    /// Lines that hold no record, by reason.
    pub(crate) rejected: BTreeMap<Reject, u64>,
    /// The first rejects, for messages.
    #[serde(skip)]
    pub(crate) located: Vec<LocatedReject>,
    /// Added records by workload.
    #[serde(skip)]
    pub(crate) workloads: BTreeMap<String, u64>,
    /// Headers of tables that were repeated below the first row. They are not read.
    pub(crate) repeated_headers: u64,
    /// The columns that were taken from each table: file, text and label.
    #[serde(skip)]
    pub(crate) columns: Vec<[String; 3]>,
    /// Masked values by kind. `None`: nothing was to be masked.
    pub(crate) redacted: Option<RedactionCounts>,
    /// A row was refused that has a backslash before a quote.
    #[serde(skip)]
    pub(crate) has_backslash_quotes: bool,
    /// The exporter whose lines were refused.
    #[serde(skip)]
    pub(crate) looks_like: Option<&'static str>,
    /// The wrapper around the records of the first refused line.
    #[serde(skip)]
    pub(crate) wrapper: Option<Wrapper>,
    /// Torn lines of a killed load that were cut off.
    #[serde(skip)]
    pub(crate) repaired: u64,
    /// Records that lost fields, because the index admits only the five of a record.
    #[serde(skip)]
    pub(crate) trimmed: u64,
    /// The reason of the server for the first record that it refused.
    #[serde(skip)]
    pub(crate) refusal: Option<String>,
    /// Name and version of the server that was loaded into.
    #[serde(skip)]
    pub(crate) server: Option<String>,
}

/// A reject and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocatedReject {
    /// The file as it was named, or `<stdin>`.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: u64,
    pub(crate) reason: Reject,
}

impl Loaded {
    /// Returns the number of lines that hold no record.
    pub(crate) fn rejects(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Counts what a load does and writes what it refuses.
pub(super) struct LoadOutcome<'a> {
    /// The names of the inputs so far.
    pub(super) names: Vec<String>,
    pub(super) loaded: Loaded,
    rejects: Rejects<'a>,
}

impl<'a> LoadOutcome<'a> {
    /// Starts to count a load into this server.
    pub(super) fn new(rejects: Rejects<'a>, server: Option<String>) -> LoadOutcome<'a> {
        LoadOutcome { names: Vec::new(), loaded: Loaded { server, ..Loaded::default() }, rejects }
    }

    /// Counts what became of records, and rejects those that a server has refused.
    pub(super) fn count(&mut self, stored: Vec<Stored>) -> Result<()> {
        for stored in stored {
            match stored {
                Stored::Local(workload, appended) => {
                    self.loaded.added += appended.added;
                    self.loaded.present += appended.present;
                    self.loaded.repaired += appended.repaired;
                    *self.loaded.workloads.entry(workload).or_default() += appended.added;
                }
                Stored::Index(written) => {
                    self.loaded.added += written.added;
                    self.loaded.present += written.present;
                    for record in written.refused {
                        let (name, line) = (self.names.get(record.origin.0).cloned(), record.origin.1);
                        self.loaded.refusal.get_or_insert(record.why);
                        self.reject(&name.unwrap_or_default(), line, &record.line, Reject::RefusedByStore)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts a refused line and writes it out.
    pub(super) fn reject(&mut self, name: &str, line: u64, text: &[u8], reason: Reject) -> Result<()> {
        *self.loaded.rejected.entry(reason).or_default() += 1;
        self.loaded.has_backslash_quotes |= reason == Reject::BadRow && memmem::find(text, b"\\\"").is_some();
        if self.loaded.located.is_empty() {
            self.loaded.looks_like = Preset::of(text).map(|preset| preset.name);
            self.loaded.wrapper = Wrapper::of(text, reason);
        }
        if self.loaded.located.len() < LOCATED {
            self.loaded.located.push(LocatedReject { file: name.to_owned(), line, reason });
        }
        self.rejects.write(name, line, reason, text)
    }

    /// Returns the counts.
    pub(super) fn finish(mut self) -> Result<Loaded> {
        self.rejects.finish()?;
        Ok(self.loaded)
    }
}
