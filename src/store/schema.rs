//! The schema of the database: an append-only list of migrations, numbered by `PRAGMA user_version`. A migration that
//! has been released is never edited; testdata/ keeps a database of each version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{Result, StoreError, at};

/// Each entry brings the schema from version `index` to `index + 1`.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE runs (
        id          TEXT PRIMARY KEY,
        workload    TEXT,
        state       TEXT NOT NULL,
        exit_code   INTEGER,
        owner       TEXT NOT NULL,
        platform    TEXT NOT NULL,
        rehearsal   INTEGER NOT NULL,
        plan        TEXT NOT NULL,
        error       TEXT,
        cancel      INTEGER NOT NULL DEFAULT 0,
        started_ms  INTEGER NOT NULL,
        worked_ms   INTEGER NOT NULL DEFAULT 0,
        resumed_ms  INTEGER NOT NULL,
        ended_ms    INTEGER
    ) STRICT;
    CREATE INDEX runs_by_start ON runs (started_ms);
    CREATE TABLE facts (
        run   TEXT NOT NULL REFERENCES runs (id),
        key   TEXT NOT NULL,
        value TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (run, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE resources (
        id          INTEGER PRIMARY KEY,
        run         TEXT NOT NULL REFERENCES runs (id),
        candidate   TEXT,
        kind        TEXT NOT NULL,
        base        TEXT NOT NULL,
        name        TEXT NOT NULL,
        remote_id   TEXT,
        platform    TEXT NOT NULL,
        state       TEXT NOT NULL,
        finished    INTEGER NOT NULL DEFAULT 0,
        looked_ms   INTEGER,
        intended_ms INTEGER NOT NULL,
        live_ms     INTEGER,
        released_ms INTEGER,
        UNIQUE (run, kind, name)
    ) STRICT;
    CREATE INDEX resources_by_run ON resources (run, state);
"];

/// The newest schema version that this binary knows.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Tells whether no migration is missing.
pub(super) fn is_current(connection: &Connection, path: &Path) -> Result<bool> {
    let found = version(connection).map_err(|source| at("read the schema version", path, source))?;
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_path_buf(), found, known: VERSION });
    }
    Ok(found == VERSION)
}

/// Applies the missing migrations in one exclusive transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    if is_current(connection, path)? {
        return Ok(());
    }
    let mut apply = || -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        // Another process may have migrated while this one waited for the lock.
        let found = version(&transaction)?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    };
    apply().map_err(|source| at("bring the schema up to date", path, source))
}
