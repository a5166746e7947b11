//! The data directory of a platform that outlives its process: `platform.db`, in which every entity, deployment, job,
//! repository and commit is one document, small contents of files beside them; and `contents/`, the files of large ones.
//!
//! A change is one transaction, made before its answer is sent, so that a process that is killed leaves a state that
//! some client was told of. The database is locked for as long as its server lives; the kernel frees the lock with the
//! process. This file knows documents, `documents` how the state is made of them.

mod documents;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde_json::Value;

use super::contents::{Content, Contents};

/// The database inside a data directory.
const FILE: &str = "platform.db";

/// The folder of large contents inside it.
const CONTENTS: &str = "contents";

/// The layout that this version writes; a change of it is a migration.
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

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another server has it open.
    #[error("another server uses the data directory {}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer dfwfd wrote it.
    #[error("{} was written by a newer dfwfd (layout {found}, this one knows {VERSION})", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// What is there was not written by a server.
    #[error("{} is not the database of a platform", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Something in it is not as it was written.
    #[error("the data directory {} is damaged: {what}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What of it.
        what: String,
    },
    /// The folder cannot be made or read.
    #[error("{act} {}", path.display())]
    Folder {
        /// What was being done.
        act: &'static str,
        /// To which folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite said no.
    #[error("{act} {}", path.display())]
    Database {
        /// What was being done.
        act: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
}

/// One thing that is to be written down: how it is now, or that it is gone.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) kind: &'static str,
    pub(super) key: String,
    pub(super) document: Option<Value>,
}

/// Documents of one kind by their keys, in the order in which they were first written.
pub(super) type Documents = Vec<(String, Value)>;

/// The open data directory of a platform.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    connection: Option<Connection>,
    /// What each document was when it was last written, to write none twice.
    written: HashMap<(&'static str, String), blake3::Hash>,
    /// What could not be written yet.
    changes: Vec<Change>,
    fresh: Vec<(Content, Bytes)>,
    gone: Vec<String>,
    /// Why not.
    failure: Option<String>,
}

impl Journal {
    /// Opens a data directory, made when there is none, and takes its lock.
    ///
    /// # Errors
    /// When another server uses it, it cannot be made or read, or holds something else.
    pub(super) fn open(folder: &Path) -> Result<Journal, DataDirError> {
        let contents = folder.join(CONTENTS);
        make_private(&contents).map_err(|source| DataDirError::Folder {
            act: "making the folder",
            path: contents.clone(),
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
        let connection = Connection::open(&path).map_err(at("opening"))?;
        lock_and_prepare(&connection).map_err(at("preparing"))?;
        let found: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(at("reading"))?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(at("reading"))?;
        match (found, tables) {
            (0, 0) => {
                let script = format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;");
                connection.execute_batch(&script).map_err(at("preparing"))?;
            }
            (VERSION, _) => {}
            (0, _) => return Err(DataDirError::Foreign { path }),
            (found, _) => return Err(DataDirError::Newer { path, found }),
        }
        let desk = Desk {
            connection: Some(connection),
            written: HashMap::new(),
            changes: Vec::new(),
            fresh: Vec::new(),
            gone: Vec::new(),
            failure: None,
        };
        Ok(Journal { folder: folder.to_path_buf(), desk: Mutex::new(desk) })
    }

    /// Contents whose large ones lie in this directory.
    pub(super) fn contents(&self) -> Contents {
        Contents::kept_in(self.folder.join(CONTENTS))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, what: impl Into<String>) -> DataDirError {
        DataDirError::Damaged { path: self.folder.clone(), what: what.into() }
    }

    /// All documents, by kind.
    fn read(&self) -> Result<HashMap<String, Documents>, DataDirError> {
        let desk = self.desk();
        let Some(connection) = &desk.connection else { return Ok(HashMap::new()) };
        let broken = |source| DataDirError::Database { act: "reading", path: self.folder.join(FILE), source };
        let mut found: HashMap<String, Documents> = HashMap::new();
        let mut query = connection.prepare("SELECT kind, key, body FROM documents ORDER BY place").map_err(broken)?;
        let mut rows = query.query([]).map_err(broken)?;
        while let Some(row) = rows.next().map_err(broken)? {
            let read = || Ok::<(String, String, String), _>((row.get(0)?, row.get(1)?, row.get(2)?));
            let (kind, key, body) = read().map_err(broken)?;
            let document = serde_json::from_str(&body)
                .map_err(|error| self.damaged(format!("the {kind} {key:?} is no document: {error}")))?;
            found.entry(kind).or_default().push((key, document));
        }
        Ok(found)
    }

    /// A small content by its SHA-256.
    fn small(&self, sha256: &str) -> Option<Bytes> {
        let desk = self.desk();
        let query = "SELECT bytes FROM contents WHERE sha256 = ?1";
        let bytes: Option<Vec<u8>> =
            desk.connection.as_ref()?.query_row(query, [sha256], |row| row.get(0)).optional().ok()?;
        bytes.map(Bytes::from)
    }

    /// Removes small contents that nothing refers to.
    fn tidy(&self, contents: &Contents) -> rusqlite::Result<()> {
        let desk = self.desk();
        let Some(connection) = &desk.connection else { return Ok(()) };
        let mut query = connection.prepare("SELECT sha256 FROM contents")?;
        let kept: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for sha256 in kept.iter().filter(|sha256| !contents.knows(sha256)) {
            connection.execute("DELETE FROM contents WHERE sha256 = ?1", [sha256])?;
        }
        Ok(())
    }

    /// Writes changes down, all or none; what cannot be written is tried again with the next ones.
    pub(super) fn write(&self, changes: Vec<Change>, contents: &Contents) {
        let mut desk = self.desk();
        desk.changes.extend(changes);
        desk.fresh.extend(contents.fresh());
        desk.gone.extend(contents.sweep());
        if desk.changes.is_empty() && desk.fresh.is_empty() && desk.gone.is_empty() {
            return;
        }
        if desk.connection.is_none() {
            desk.failure = Some("the platform has ended".to_owned());
            return;
        }
        match desk.transact() {
            Ok(()) => desk.failure = None,
            Err(error) => {
                tracing::error!(%error, "writing {}", self.folder.join(FILE).display());
                desk.failure = Some(error.to_string());
            }
        }
    }

    /// Why what happened is not on disk, when it is not.
    pub(super) fn failure(&self) -> Option<String> {
        self.desk().failure.clone()
    }

    /// Ends the writing, and frees the lock.
    pub(super) fn close(&self) {
        self.desk().connection = None;
    }
}

impl Desk {
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
            for Change { kind, key, document } in &self.changes {
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

/// Takes the lock, which lasts as long as the connection, and says how to write.
fn lock_and_prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A process that dies loses nothing; a machine that does may lose its last moments, never the order of things.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")
}

/// Makes a folder that its owner alone can read: what clients store may be secret.
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

    fn change(key: &str, document: Option<Value>) -> Vec<Change> {
        vec![Change { kind: "thing", key: key.to_owned(), document }]
    }

    #[test]
    fn what_could_not_be_written_is_written_with_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let contents = journal.contents();
        journal.write(change("a", Some(json!(1))), &contents);
        assert_eq!(journal.failure(), None);
        let execute = |script: &str| journal.desk().connection.as_ref().unwrap().execute_batch(script).unwrap();
        execute("ALTER TABLE documents RENAME TO away");
        journal.write(change("a", None), &contents);
        let held = contents.keep("small".into()).unwrap();
        journal.write(change("b", Some(json!(2))), &contents);
        assert!(journal.failure().is_some());
        execute("ALTER TABLE away RENAME TO documents");
        journal.write(Vec::new(), &contents);
        assert_eq!(journal.failure(), None);
        assert_eq!(journal.read().unwrap(), HashMap::from([("thing".into(), vec![("b".into(), json!(2))])]));
        assert_eq!(journal.small(held.sha256()).unwrap(), "small");
    }

    #[test]
    fn documents_come_back_in_the_order_in_which_they_were_made() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let contents = journal.contents();
        for (key, document) in
            [("z", Some(1)), ("a", Some(2)), ("z", Some(3)), ("m", Some(4)), ("a", None), ("a", Some(5))]
        {
            journal.write(change(key, document.map(Value::from)), &contents);
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
        journal.desk().connection.as_ref().unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
        drop(journal);
        assert!(matches!(Journal::open(folder.path()), Err(DataDirError::Newer { found, .. }) if found == VERSION + 1));
    }
}
