//! The data directory of a platform that outlives its process. A database holds one JSON document for each entity,
//! deployment, job, repository and commit.

mod documents;
mod journal;
mod repository_documents;

pub use journal::DataDirError;
pub(crate) use journal::Journal;
