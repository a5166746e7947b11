//! What a log store holds, whichever it is.

use crate::data::label::LabelReader;
use crate::data::options::Filter;
use crate::source::elastic::halt::Halt;
use crate::source::elastic::list;
use crate::source::load::Target;
pub use crate::source::local::{Contents, Listing};

/// Counts the records that `filter` lets pass. Where an index has to be read for it, `halt` ends the reading.
pub fn of(store: Target<'_>, labels: &LabelReader, filter: &Filter, halt: &Halt) -> anyhow::Result<Contents> {
    match store {
        Target::Local(store) => store.list(labels, filter),
        Target::Elasticsearch(at, credentials) => list::list(at, credentials, labels, filter, halt),
    }
}

/// The shell line that deletes these records from an index; `None` where its server cannot tell them from others, and
/// for the local store, which deletes by itself.
pub fn deletion(store: Target<'_>, filter: &Filter) -> anyhow::Result<Option<String>> {
    match store {
        Target::Local(_) => Ok(None),
        Target::Elasticsearch(at, credentials) => list::deletion(at, credentials, filter),
    }
}
