//! The files of a data directory: `platform.db` with JSON documents and small blobs, and the folder `contents` with
//! large blobs.
//!
//! A change is one transaction, committed before its answer is sent, so a killed process leaves a state that a client
//! has seen. The server locks the database while it lives; the kernel frees the lock with the process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde_json::Value;

use crate::embedded::state::blobs::{Blob, BlobStore};

const FILE: &str = "platform.db";

/// The folder of large blobs.
const CONTENTS: &str = "contents";

/// The layout that this version writes; changing it needs a migration.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE documents (
        place INTEGER PRIMARY KEY,
        kind  TEXT NOT NULL,
        key   TEXT NOT NULL,
        body  TEXT NOT NULL,
        UNIQUE (kind, key)
    ) STRICT;
    CREATE TABLE contents (
        sha256 TEXT PRIMARY KEY,
        bytes  BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The reason why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another server uses it.
    #[error("another server uses the data directory {}", path.display())]
    InUse { path: PathBuf },
    /// A newer dfwfd wrote it.
    #[error("{} was written by a newer dfwfd (layout {found}, this one knows {VERSION})", path.display())]
    Newer { path: PathBuf, found: i64 },
    /// The file there is not the database of a platform.
    #[error("{} is not the database of a platform", path.display())]
    Foreign { path: PathBuf },
    /// A part of it cannot be read as it was written.
    #[error("the data directory {} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    /// The folder cannot be created.
    #[error("cannot {act} {}", path.display())]
    Folder { act: &'static str, path: PathBuf, source: std::io::Error },
    /// SQLite reports an error.
    #[error("cannot {act} {}", path.display())]
    Database { act: &'static str, path: PathBuf, source: rusqlite::Error },
}

/// A change to save: the document as it is now, or none if it is gone.
#[derive(Debug)]
pub(crate) struct DocumentChange {
    pub(crate) kind: &'static str,
    pub(crate) key: String,
    pub(crate) document: Option<Value>,
}

/// The documents of one kind by key, in the order in which they were first saved.
pub(crate) type Documents = Vec<(String, Value)>;

/// The open data directory of a platform.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    connection: Option<Connection>,
    /// The hash of each document as saved, so that none is saved twice.
    written: HashMap<(&'static str, String), blake3::Hash>,
    /// The changes that are not saved yet.
    changes: Vec<DocumentChange>,
    fresh: Vec<(Blob, Bytes)>,
    gone: Vec<String>,
    /// The reason why the last save failed.
    failure: Option<String>,
}

impl Journal {
    /// Opens a data directory, creates it if needed, and locks it.
    ///
    /// # Errors
    /// Fails if another server uses it, it cannot be created or read, or it holds something else.
    pub(crate) fn open(folder: &Path) -> Result<Journal, DataDirError> {
        let blobs = folder.join(CONTENTS);
        make_private(&blobs).map_err(|source| DataDirError::Folder {
            act: "create the folder",
            path: blobs.clone(),
            source,
        })?;
        let path = folder.join(FILE);
        let at = |act| {
            let (path, folder) = (path.clone(), folder.to_path_buf());
            move |source: rusqlite::Error| match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DataDirError::InUse { path: folder },
                Some(ErrorCode::NotADatabase) => DataDirError::Foreign { path },
                _ => DataDirError::Database { act, path, source },
            }
        };
        let connection = Connection::open(&path).map_err(at("open"))?;
        lock_and_prepare(&connection).map_err(at("prepare"))?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(at("read"))?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(at("read"))?;
        match (found, tables) {
            (0, 0) => {
                let script = format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;");
                connection.execute_batch(&script).map_err(at("prepare"))?;
            }
            (VERSION, _) => {}
            (0, _) => return Err(DataDirError::Foreign { path }),
            (found, _) => return Err(DataDirError::Newer { path, found }),
        }
        let writer = Writer {
            connection: Some(connection),
            written: HashMap::new(),
            changes: Vec::new(),
            fresh: Vec::new(),
            gone: Vec::new(),
            failure: None,
        };
        Ok(Journal { folder: folder.to_path_buf(), writer: Mutex::new(writer) })
    }

    /// Returns the blob store whose large blobs are in this directory.
    pub(crate) fn blobs(&self) -> BlobStore {
        BlobStore::kept_in(self.folder.join(CONTENTS))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> DataDirError {
        DataDirError::Damaged { path: self.folder.clone(), what: what.into() }
    }

    /// Reads all documents, by kind.
    pub(super) fn read(&self) -> Result<HashMap<String, Documents>, DataDirError> {
        let writer = self.writer();
        let Some(connection) = &writer.connection else { return Ok(HashMap::new()) };
        let broken = |source| DataDirError::Database { act: "read", path: self.folder.join(FILE), source };
        let mut found: HashMap<String, Documents> = HashMap::new();
        let mut query = connection.prepare("SELECT kind, key, body FROM documents ORDER BY place").map_err(broken)?;
        let mut rows = query.query([]).map_err(broken)?;
        while let Some(row) = rows.next().map_err(broken)? {
            let read = || Ok::<(String, String, String), _>((row.get(0)?, row.get(1)?, row.get(2)?));
            let (kind, key, body) = read().map_err(broken)?;
            let document = serde_json::from_str(&body)
                .map_err(|error| self.damaged(format!("the {kind} {key:?} is not valid JSON: {error}")))?;
            found.entry(kind).or_default().push((key, document));
        }
        Ok(found)
    }

    /// Reads a small blob.
    pub(super) fn small(&self, sha256: &str) -> Option<Bytes> {
        let writer = self.writer();
        let query = "SELECT bytes FROM contents WHERE sha256 = ?1";
        let bytes: Option<Vec<u8>> =
            writer.connection.as_ref()?.query_row(query, [sha256], |row| row.get(0)).optional().ok()?;
        bytes.map(Bytes::from)
    }

    /// Removes small blobs that nothing refers to.
    pub(super) fn tidy(&self, blobs: &BlobStore) -> rusqlite::Result<()> {
        let writer = self.writer();
        let Some(connection) = &writer.connection else { return Ok(()) };
        let mut query = connection.prepare("SELECT sha256 FROM contents")?;
        let kept: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for sha256 in kept.iter().filter(|sha256| !blobs.knows(sha256)) {
            connection.execute("DELETE FROM contents WHERE sha256 = ?1", [sha256])?;
        }
        Ok(())
    }

    /// Saves changes in one transaction. Changes that cannot be saved are tried again with the next ones.
    pub(crate) fn write(&self, changes: Vec<DocumentChange>, blobs: &BlobStore) {
        let mut writer = self.writer();
        writer.changes.extend(changes);
        writer.fresh.extend(blobs.take_fresh());
        writer.gone.extend(blobs.sweep());
        if writer.changes.is_empty() && writer.fresh.is_empty() && writer.gone.is_empty() {
            return;
        }
        if writer.connection.is_none() {
            writer.failure = Some("the platform has ended".to_owned());
            return;
        }
        match writer.transact() {
            Ok(()) => writer.failure = None,
            Err(error) => {
                tracing::error!(%error, "writing {}", self.folder.join(FILE).display());
                writer.failure = Some(error.to_string());
            }
        }
    }

    /// Returns why the latest changes are not saved, if they are not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.writer().failure.clone()
    }

    /// Stops saving, and frees the lock.
    pub(crate) fn close(&self) {
        self.writer().connection = None;
    }
}

impl Writer {
    fn transact(&mut self) -> rusqlite::Result<()> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let transaction = connection.transaction()?;
        let mut told = Vec::new();
        {
            let mut keep = transaction.prepare_cached("INSERT OR IGNORE INTO contents VALUES (?1, ?2)")?;
            for (content, bytes) in &self.fresh {
                keep.execute(params![content.sha256(), &bytes[..]])?;
            }
            let mut drop = transaction.prepare_cached("DELETE FROM contents WHERE sha256 = ?1")?;
            for sha256 in &self.gone {
                drop.execute([sha256])?;
            }
            let mut put = transaction.prepare_cached(
                "INSERT INTO documents (kind, key, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
            )?;
            let mut delete = transaction.prepare_cached("DELETE FROM documents WHERE kind = ?1 AND key = ?2")?;
            for DocumentChange { kind, key, document } in &self.changes {
                let Some(document) = document else {
                    delete.execute([*kind, key])?;
                    told.push(((*kind, key.clone()), None));
                    continue;
                };
                let body = document.to_string();
                let hash = blake3::hash(body.as_bytes());
                if self.written.get(&(*kind, key.clone())) != Some(&hash) {
                    put.execute([*kind, key, &body])?;
                    told.push(((*kind, key.clone()), Some(hash)));
                }
            }
        }
        transaction.commit()?;
        for (name, hash) in told {
            match hash {
                Some(hash) => self.written.insert(name, hash),
                None => self.written.remove(&name),
            };
        }
        self.changes.clear();
        self.fresh.clear();
        self.gone.clear();
        Ok(())
    }
}

/// Locks the database for the life of the connection, and sets how it writes.
fn lock_and_prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Safe when the process dies. When the machine dies, the last moments may be lost, but never the order of changes.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")
}

/// Creates a folder that only its owner can read, because clients store secrets.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(key: &str, document: Option<Value>) -> Vec<DocumentChange> {
        vec![DocumentChange { kind: "thing", key: key.to_owned(), document }]
    }

    #[test]
    fn what_could_not_be_written_is_written_with_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let blobs = journal.blobs();
        journal.write(change("a", Some(json!(1))), &blobs);
        assert_eq!(journal.failure(), None);
        let execute = |script: &str| journal.writer().connection.as_ref().unwrap().execute_batch(script).unwrap();
        execute("ALTER TABLE documents RENAME TO away");
        journal.write(change("a", None), &blobs);
        let held = blobs.keep("small".into()).unwrap();
        journal.write(change("b", Some(json!(2))), &blobs);
        assert!(journal.failure().is_some());
        execute("ALTER TABLE away RENAME TO documents");
        journal.write(Vec::new(), &blobs);
        assert_eq!(journal.failure(), None);
        assert_eq!(journal.read().unwrap(), HashMap::from([("thing".into(), vec![("b".into(), json!(2))])]));
        assert_eq!(journal.small(held.sha256()).unwrap(), "small");
    }

    #[test]
    fn documents_come_back_in_the_order_in_which_they_were_made() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let blobs = journal.blobs();
        for (key, document) in
            [("z", Some(1)), ("a", Some(2)), ("z", Some(3)), ("m", Some(4)), ("a", None), ("a", Some(5))]
        {
            journal.write(change(key, document.map(Value::from)), &blobs);
        }
        journal.close();
        let read = Journal::open(folder.path()).unwrap().read().unwrap();
        let expected = [("z", 3), ("m", 4), ("a", 5)].map(|(key, document)| (key.to_owned(), json!(document)));
        assert_eq!(read["thing"], expected);
    }

    #[test]
    fn a_newer_layout_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        journal.writer().connection.as_ref().unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
        drop(journal);
        assert!(matches!(Journal::open(folder.path()), Err(DataDirError::Newer { found, .. }) if found == VERSION + 1));
    }
}
