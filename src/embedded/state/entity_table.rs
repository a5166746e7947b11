//! Tables of stored entities, which record which of their rows changed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Entities as JSON objects, by namespace and name, in the order of their creation.
#[derive(Debug, Default)]
pub(crate) struct EntityTable {
    // Keeps the order of insertion.
    rows: Map<String, Value>,
    changed: BTreeSet<String>,
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}\n{name}")
}

impl EntityTable {
    /// Returns a table of stored entities, none of them changed.
    pub(crate) fn restored(rows: impl IntoIterator<Item = (String, Value)>) -> Self {
        EntityTable { rows: rows.into_iter().collect(), changed: BTreeSet::new() }
    }

    /// Returns an entity.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.rows.get(&key(namespace, name))
    }

    /// Returns an entity, to change it.
    pub(crate) fn find_mut(&mut self, namespace: &str, name: &str) -> Option<&mut Value> {
        let key = key(namespace, name);
        let found = self.rows.get_mut(&key)?;
        self.changed.insert(key);
        Some(found)
    }

    /// Returns the entity that `ns/name` names.
    pub(crate) fn by_urn(&self, urn: &str) -> Option<&Value> {
        let (namespace, name) = urn.split_once('/')?;
        self.find(namespace, name)
    }

    /// Adds an entity; false if its name is taken.
    pub(crate) fn add(&mut self, namespace: &str, name: &str, entity: Value) -> bool {
        let key = key(namespace, name);
        if self.rows.contains_key(&key) {
            return false;
        }
        self.changed.insert(key.clone());
        self.rows.insert(key, entity);
        true
    }

    /// Removes an entity.
    pub(crate) fn remove(&mut self, namespace: &str, name: &str) -> Option<Value> {
        let key = key(namespace, name);
        let removed = self.rows.shift_remove(&key)?;
        self.changed.insert(key);
        Some(removed)
    }

    /// Removes all entities.
    pub(crate) fn clear(&mut self) {
        self.changed.extend(std::mem::take(&mut self.rows).into_iter().map(|(key, _)| key));
    }

    /// Returns all entities, oldest first.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Value> {
        self.rows.values()
    }

    /// Takes the changes since they were last taken: each entity that changed, none if it was removed.
    pub(crate) fn take_changes(&mut self) -> Vec<(String, Option<Value>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| (self.rows.get(&key).cloned(), key)).map(|(row, key)| (key, row)).collect()
    }

    /// Drops the record of what changed.
    pub(crate) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    /// Returns whether anything changed since the changes were last taken.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }
}
