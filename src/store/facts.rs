//! Facts: what a run has found out and does not find out again, by key.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{Result, Store, StoreError, at, now_ms};

impl Store {
    /// Returns a fact of a run.
    ///
    /// # Errors
    /// When the database cannot be read, or the stored value cannot be parsed.
    pub(crate) fn fact<T: DeserializeOwned>(&self, run: &str, key: &str) -> Result<Option<T>> {
        let json = self.with("read a fact", |c| stored(c, run, key))?;
        json.map(|json| self.parse(&format!("fact {key} of run {run}"), &json)).transpose()
    }

    /// Records a fact, in place of an earlier one of the same key.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) fn remember<T: Serialize>(&self, run: &str, key: &str, value: &T) -> Result<()> {
        let json = serde_json::to_string(value).map_err(|source| StoreError::Damaged {
            what: format!("fact {key} of run {run}"),
            path: self.path.clone(),
            source,
        })?;
        self.with("record a fact", |c| replace(c, run, key, &json))
    }

    /// Adds an item to a fact that is a list, unless the list has it. Returns whether it was added. Read and write are one
    /// transaction: two tasks that add at the same time both succeed.
    ///
    /// # Errors
    /// When the database cannot be written, or the stored value is not a list of texts.
    pub(crate) fn add_to_list(&self, run: &str, key: &str, item: &str) -> Result<bool> {
        let damaged =
            |source| StoreError::Damaged { what: format!("fact {key} of run {run}"), path: self.path.clone(), source };
        let mut connection = self.lock();
        let failed = |source| at("record a fact", &self.path, source);
        // Immediate: SQLite refuses at once to turn a read into a write while another process writes.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let json = stored(&transaction, run, key).map_err(failed)?;
        let mut list: Vec<String> =
            json.map(|json| serde_json::from_str(&json)).transpose().map_err(damaged)?.unwrap_or_default();
        if list.iter().any(|known| known == item) {
            return Ok(false);
        }
        list.push(item.to_owned());
        let json = serde_json::to_string(&list).map_err(damaged)?;
        replace(&transaction, run, key, &json).and_then(|()| transaction.commit()).map_err(failed)?;
        Ok(true)
    }
}

fn stored(connection: &Connection, run: &str, key: &str) -> rusqlite::Result<Option<String>> {
    let select = "SELECT value FROM facts WHERE run = ?1 AND key = ?2";
    connection.query_row(select, params![run, key], |row| row.get(0)).optional()
}

fn replace(connection: &Connection, run: &str, key: &str, json: &str) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO facts (run, key, value, at_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (run, key) DO UPDATE SET value = excluded.value, at_ms = excluded.at_ms",
        params![run, key, json, now_ms()],
    )?;
    Ok(())
}
