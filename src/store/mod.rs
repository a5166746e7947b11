//! The SQLite store of a state directory: runs, facts and the ledger of remote resources. It knows rows, not meaning.
//!
//! Every method is one short transaction; times are integer milliseconds UTC. What a method returns is on disk.

mod facts;
mod ledger;
mod runs;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use ledger::{Class, Kind, NewResource, Resource, State};
pub use runs::{NewRun, RunRow};

/// How long a method waits for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The file name of the database inside the state directory.
pub const FILE: &str = "dfwfd.db";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("{act} in {}", path.display())]
    Sqlite {
        /// What was being done.
        act: &'static str,
        /// The database file.
        path: PathBuf,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
    /// A newer dfwfd wrote this database.
    #[error("{} was written by a newer dfwfd (schema {found}, this one knows {known})", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version that this binary knows.
        known: i64,
    },
    /// A stored value is not what this version writes.
    #[error("reading {what} in {}", path.display())]
    Damaged {
        /// Which value.
        what: String,
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The database is not there and was not to be made.
    #[error("no database at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// The result of every method of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An open store. Shared between the tasks of a run.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Store {
    /// Opens the store of `state_dir`, makes it when there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is no SQLite database, or was written by a newer version.
    pub fn open(state_dir: &Path) -> Result<Store> {
        let path = state_dir.join(FILE);
        let connection = Connection::open(&path).map_err(|source| at("opening the database", &path, source))?;
        Store::prepare(connection, path)
    }

    /// Opens the store of `state_dir` only if there is one.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none; otherwise as [`Store::open`].
    pub fn open_existing(state_dir: &Path) -> Result<Store> {
        let path = state_dir.join(FILE);
        if !path.exists() {
            return Err(StoreError::Missing { path });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&path, flags).map_err(|source| at("opening the database", &path, source))?;
        Store::prepare(connection, path)
    }

    fn prepare(mut connection: Connection, path: PathBuf) -> Result<Store> {
        connection
            .busy_timeout(BUSY_TIMEOUT)
            .and_then(|()| connection.pragma_update(None, "journal_mode", "WAL"))
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .and_then(|()| connection.pragma_update(None, "foreign_keys", true))
            .map_err(|source| at("preparing the database", &path, source))?;
        schema::migrate(&mut connection, &path)?;
        Ok(Store { connection: Mutex::new(connection), path })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere cannot leave the connection half-way: a dropped transaction rolls back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: &'static str, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        work(&mut self.lock()).map_err(|source| at(act, &self.path, source))
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, what: &str, json: &str) -> Result<T> {
        serde_json::from_str(json).map_err(|source| StoreError::Damaged {
            what: what.to_owned(),
            path: self.path.clone(),
            source,
        })
    }
}

fn at(act: &'static str, path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Sqlite { act, path: path.to_path_buf(), source }
}

/// Now, in milliseconds since 1970 UTC.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests;
