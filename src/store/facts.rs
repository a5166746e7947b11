//! Facts: what a run has found out and need not find out again, by key. A value fact holds for ever.

use rusqlite::{OptionalExtension, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{Result, Store, StoreError, now_ms};

impl Store {
    /// The fact `key` of a run, if it is known.
    ///
    /// # Errors
    /// When the database cannot be read, or the stored value has another shape.
    pub fn fact<T: DeserializeOwned>(&self, run: &str, key: &str) -> Result<Option<T>> {
        let json: Option<String> = self.with("reading a fact", |c| {
            c.query_row("SELECT value FROM facts WHERE run = ?1 AND key = ?2", params![run, key], |row| row.get(0))
                .optional()
        })?;
        json.map(|json| self.parse(&format!("fact {key} of run {run}"), &json)).transpose()
    }

    /// Remembers a fact; a fact of that key is replaced.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remember<T: Serialize>(&self, run: &str, key: &str, value: &T) -> Result<()> {
        let json = serde_json::to_string(value).map_err(|source| StoreError::Damaged {
            what: format!("fact {key} of run {run}"),
            path: self.path.clone(),
            source,
        })?;
        self.with("remembering a fact", |c| {
            c.execute(
                "INSERT INTO facts (run, key, value, at_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (run, key) DO UPDATE SET value = excluded.value, at_ms = excluded.at_ms",
                params![run, key, json, now_ms()],
            )
        })?;
        Ok(())
    }
}
