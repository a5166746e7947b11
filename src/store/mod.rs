//! The SQLite store of a state directory: runs, facts and the ledger of remote resources. It knows rows, not their
//! meaning.
//!
//! Every method is one short transaction. Times are integer milliseconds UTC. What a method has written is on disk when
//! it returns.

mod facts;
mod ledger;
mod runs;
mod schema;
mod words;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub(crate) use ledger::{NewResource, Resource, ResourceClass, ResourceKind, ResourceState};
pub(crate) use runs::{NewRun, RunRow};

/// How long a method waits while another process writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The file name of the database inside the state directory.
pub(crate) const FILE: &str = "dfwfd.db";

/// The reason why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite refused.
    #[error("cannot {act} in {}", path.display())]
    Sqlite {
        /// The refused act, such as `read a fact`.
        act: &'static str,
        path: PathBuf,
        source: rusqlite::Error,
    },
    /// A newer dfwfd wrote the database.
    #[error("cannot use {}: a newer dfwfd wrote it (schema {found}, this one knows {known})", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// A stored value cannot be parsed or written.
    #[error("cannot read {what} in {}", path.display())]
    Damaged { what: String, path: PathBuf, source: serde_json::Error },
    /// There is no database, and none was to be created.
    #[error("there is no database at {}", path.display())]
    Missing { path: PathBuf },
    /// It cannot be told if there is a database: this user cannot enter the folder.
    #[error("cannot look for the database {}", path.display())]
    Hidden { path: PathBuf, source: std::io::Error },
}

impl StoreError {
    /// Returns what to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let code = match self {
            StoreError::Newer { .. } => return Some("use the newer dfwfd, or another --state-dir"),
            StoreError::Hidden { .. } => return Some(NOT_ENTERED),
            StoreError::Damaged { .. } | StoreError::Missing { .. } => return None,
            StoreError::Sqlite { source, .. } => source.sqlite_error_code(),
        };
        Some(match code {
            Some(ErrorCode::DiskFull) => {
                "free some space on the disk of the state directory; then `dfwfd status` shows the runs"
            }
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => NOT_ENTERED,
            Some(ErrorCode::ReadOnly) => {
                "the state directory cannot be written to: let this user write there, or use another --state-dir"
            }
            _ => {
                "check that the disk of the state directory works and can be written to; then `dfwfd status` shows the runs"
            }
        })
    }
}

const NOT_ENTERED: &str = "run dfwfd as the user whose folder it is, or use another --state-dir";

/// The result of every method of the store.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// An open store. Shared between the tasks of a run.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Store {
    /// Opens or creates the store of `state_dir`, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is not an SQLite database, or a newer version wrote it.
    pub(crate) fn open(state_dir: &Path) -> Result<Store> {
        let path = state_dir.join(FILE);
        create_private(&path);
        let connection = Connection::open(&path).map_err(|source| at("open the database", &path, source))?;
        Store::prepare(connection, path)
    }

    /// Opens the store of `state_dir`, but does not create it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none; otherwise as [`Store::open`].
    pub(crate) fn open_existing(state_dir: &Path) -> Result<Store> {
        let path = existing(state_dir)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&path, flags).map_err(|source| at("open the database", &path, source));
        match opened.and_then(|connection| Store::prepare(connection, path.clone())) {
            Err(StoreError::Sqlite { act, source, .. }) if is_write_protected(&source) => {
                Store::open_protected(&path).ok_or(StoreError::Sqlite { act, path, source })
            }
            other => other,
        }
    }

    /// Opens the database of a file system that cannot be written to, if it is of this version. SQLite needs to be told
    /// that nobody writes to it, or it looks for a place to keep its locks. What a killed process has left in the log beside
    /// the database would be overlooked then.
    fn open_protected(path: &Path) -> Option<Store> {
        let log = path.with_extension("db-wal");
        let immutable = if log.metadata().map_or(0, |log| log.len()) == 0 { "?immutable=1" } else { "" };
        let name = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(format!("file:{name}{immutable}"), flags).ok()?;
        let is_current = schema::is_current(&connection, path).ok()?;
        is_current.then(|| Store { connection: Mutex::new(connection), path: path.to_path_buf() })
    }

    /// Opens the store of `state_dir` and changes nothing in it. Returns `None` for the database of an older version, which
    /// [`Store::open`] would bring up to date.
    ///
    /// # Errors
    /// As [`Store::open_existing`].
    pub(crate) fn open_to_read(state_dir: &Path) -> Result<Option<Store>> {
        let path = existing(state_dir)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&path, flags).map_err(|source| at("open the database", &path, source))?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|source| at("open the database", &path, source))?;
        let is_current = schema::is_current(&connection, &path)?;
        Ok(is_current.then(|| Store { connection: Mutex::new(connection), path }))
    }

    fn prepare(mut connection: Connection, path: PathBuf) -> Result<Store> {
        connection.busy_timeout(BUSY_TIMEOUT).map_err(|source| at("prepare the database", &path, source))?;
        // Before anything is written: the database of a newer version stays as it is.
        schema::is_current(&connection, &path)?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .and_then(|()| connection.pragma_update(None, "foreign_keys", true))
            .map_err(|source| at("prepare the database", &path, source))?;
        schema::migrate(&mut connection, &path)?;
        Ok(Store { connection: Mutex::new(connection), path })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half transaction: a dropped one rolls back.
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

/// Returns the path of the database of a state directory. A folder that this user cannot enter is not one without a
/// database.
fn existing(state_dir: &Path) -> Result<PathBuf> {
    let path = state_dir.join(FILE);
    match path.try_exists() {
        Ok(true) => Ok(path),
        Ok(false) => Err(StoreError::Missing { path }),
        Err(source) => Err(StoreError::Hidden { path, source }),
    }
}

/// Recognises what SQLite says where nothing can be written.
fn is_write_protected(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
}

/// Creates an empty file that only its owner can read. SQLite gives the files beside it the same rights, and opens an
/// existing one; where this fails, so does SQLite, which says why.
fn create_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    drop(options.open(path));
}

fn at(act: &'static str, path: &Path, source: rusqlite::Error) -> StoreError {
    StoreError::Sqlite { act, path: path.to_path_buf(), source }
}

/// Returns the current time in ms UTC.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests;
