//! The log store that a command works on: the local one or an index.

use tokio_util::sync::CancellationToken;

use crate::data::label::LabelReader;
use crate::data::options::{Filter, IndexAt};
use crate::source::credentials::Credentials;
pub(crate) use crate::source::elastic::run_document::write as write_run;
use crate::source::elastic::{count, delete};
use crate::source::listing::StoreListing;
use crate::source::local::LocalStore;

/// A log store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogStore<'a> {
    /// The local one.
    Local(&'a LocalStore),
    /// An index, and the credentials for its server.
    Elasticsearch(&'a IndexAt, &'a Credentials),
}

impl<'a> From<&'a LocalStore> for LogStore<'a> {
    fn from(store: &'a LocalStore) -> LogStore<'a> {
        LogStore::Local(store)
    }
}

impl LogStore<'_> {
    /// Counts the records that `filter` lets pass. `cancel` ends the reading of an index that cannot count by itself.
    pub(crate) fn list(
        self,
        labels: &LabelReader,
        filter: &Filter,
        cancel: &CancellationToken,
    ) -> anyhow::Result<StoreListing> {
        match self {
            LogStore::Local(store) => store.list(labels, filter),
            LogStore::Elasticsearch(at, credentials) => count::count_records(at, credentials, labels, filter, cancel),
        }
    }

    /// Returns the shell line that deletes these records from an index. `None` where the server cannot tell them from
    /// others, and for the local store, which deletes by itself.
    pub(crate) fn deletion(self, filter: &Filter) -> anyhow::Result<Option<String>> {
        match self {
            LogStore::Local(_) => Ok(None),
            LogStore::Elasticsearch(at, credentials) => delete::delete_command(at, credentials, filter),
        }
    }
}
