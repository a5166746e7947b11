//! The store that a load fills: collects records and hands them over in batches.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::examine::FoundRecord;
use crate::source::elastic::bulk::{BulkOutcome, BulkWriter, InputLine};
use crate::source::local::{AppendBatch, Appended, StoreWriter};
use crate::source::log_store::LogStore;

/// Bytes that wait for the local store before they are appended.
const BATCH: usize = 8 << 20;

/// The store that a load fills.
pub(super) enum Sink {
    /// The local log store, with the records that wait for it.
    Local(LocalSink),
    /// An index.
    Index(BulkWriter),
}

/// The local log store that a load fills.
#[derive(Debug)]
pub(super) struct LocalSink {
    writer: StoreWriter,
    /// By workload.
    waiting: BTreeMap<String, AppendBatch>,
    waiting_bytes: usize,
}

/// The outcome of storing a batch of records.
#[derive(Debug)]
pub(super) enum Stored {
    /// The lines of one workload, in the local store.
    Local(String, Appended),
    /// The records of a request to the server of an index.
    Index(BulkOutcome),
}

impl Sink {
    /// Opens a log store.
    pub(super) fn open(store: LogStore<'_>) -> Result<Sink> {
        Ok(match store {
            LogStore::Local(store) => {
                Sink::Local(LocalSink { writer: store.writer(), waiting: BTreeMap::new(), waiting_bytes: 0 })
            }
            LogStore::Elasticsearch(at, credentials) => {
                Sink::Index(BulkWriter::open(at, credentials).with_context(|| format!("cannot open {at}"))?)
            }
        })
    }

    /// Returns name and version of the server of an index.
    pub(super) fn server(&self) -> Option<String> {
        match self {
            Sink::Local(_) => None,
            Sink::Index(bulk) => Some(bulk.server.to_string()),
        }
    }

    /// Returns whether it takes only the five fields of a record.
    pub(super) fn takes_only_five(&self) -> bool {
        matches!(self, Sink::Index(bulk) if bulk.is_strict())
    }

    /// Takes a record and returns what became of earlier ones.
    pub(super) fn push(&mut self, record: FoundRecord<'_>, origin: InputLine) -> Result<Vec<Stored>> {
        match self {
            Sink::Local(local) => local.push(record),
            Sink::Index(bulk) => {
                Ok(bulk.push(record.id, record.line, origin)?.into_iter().map(Stored::Index).collect())
            }
        }
    }

    /// Stores what waits for the local store.
    pub(super) fn flush(&mut self) -> Result<Vec<Stored>> {
        match self {
            Sink::Local(local) => local.flush(),
            Sink::Index(_) => Ok(Vec::new()),
        }
    }

    /// Stores everything that waits.
    pub(super) fn finish(self) -> Result<Vec<Stored>> {
        match self {
            Sink::Local(mut local) => local.flush(),
            Sink::Index(bulk) => Ok(bulk.finish()?.into_iter().map(Stored::Index).collect()),
        }
    }
}

impl LocalSink {
    fn push(&mut self, record: FoundRecord<'_>) -> Result<Vec<Stored>> {
        self.waiting_bytes += record.line.len();
        match self.waiting.get_mut(record.workload) {
            Some(batch) => batch.push(record.id, record.line),
            None => self.waiting.entry(record.workload.to_owned()).or_default().push(record.id, record.line),
        }
        if self.waiting_bytes >= BATCH { self.flush() } else { Ok(Vec::new()) }
    }

    fn flush(&mut self) -> Result<Vec<Stored>> {
        self.waiting_bytes = 0;
        let append = |(workload, batch): (String, AppendBatch)| {
            let appended = self.writer.append(&workload, &batch)?;
            Ok(Stored::Local(workload, appended))
        };
        std::mem::take(&mut self.waiting).into_iter().map(append).collect()
    }
}
