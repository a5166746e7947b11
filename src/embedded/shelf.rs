//! Stored entities of one kind, by namespace and name, in the order of their creation, and which of them were touched
//! since that was last written down.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Entities as JSON objects; each has `namespace` and `name`.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    // An insertion-ordered hash map.
    rows: Map<String, Value>,
    touched: BTreeSet<String>,
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}\n{name}")
}

impl Shelf {
    /// Entities as they were written down, by their keys.
    pub(super) fn restored(rows: impl IntoIterator<Item = (String, Value)>) -> Self {
        Shelf { rows: rows.into_iter().collect(), touched: BTreeSet::new() }
    }

    /// The entity of that name.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.rows.get(&key(namespace, name))
    }

    /// The entity of that name, to be changed.
    pub(super) fn find_mut(&mut self, namespace: &str, name: &str) -> Option<&mut Value> {
        let key = key(namespace, name);
        let found = self.rows.get_mut(&key)?;
        self.touched.insert(key);
        Some(found)
    }

    /// The entity that `ns/name` names.
    pub(super) fn by_urn(&self, urn: &str) -> Option<&Value> {
        let (namespace, name) = urn.split_once('/')?;
        self.find(namespace, name)
    }

    /// Stores an entity, unless its name is taken: then false.
    pub(super) fn add(&mut self, namespace: &str, name: &str, entity: Value) -> bool {
        let key = key(namespace, name);
        if self.rows.contains_key(&key) {
            return false;
        }
        self.touched.insert(key.clone());
        self.rows.insert(key, entity);
        true
    }

    /// Takes an entity away.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Value> {
        let key = key(namespace, name);
        let removed = self.rows.shift_remove(&key)?;
        self.touched.insert(key);
        Some(removed)
    }

    /// Takes all of them away.
    pub(super) fn clear(&mut self) {
        self.touched.extend(std::mem::take(&mut self.rows).into_iter().map(|(key, _)| key));
    }

    /// All entities, oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Value> {
        self.rows.values()
    }

    /// What was touched, each with how it is now; none when it is gone.
    pub(super) fn take_touched(&mut self) -> Vec<(String, Option<Value>)> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|key| (self.rows.get(&key).cloned(), key)).map(|(row, key)| (key, row)).collect()
    }

    /// Whether anything was touched.
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }
}
