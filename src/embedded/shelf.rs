//! Stored entities of one kind, by namespace and name, in the order of their creation.

use serde_json::{Map, Value};

/// Entities as JSON objects; each has `namespace` and `name`.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    // An insertion-ordered hash map.
    rows: Map<String, Value>,
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}\n{name}")
}

impl Shelf {
    /// The entity of that name.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.rows.get(&key(namespace, name))
    }

    /// The entity of that name, to be changed.
    pub(super) fn find_mut(&mut self, namespace: &str, name: &str) -> Option<&mut Value> {
        self.rows.get_mut(&key(namespace, name))
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
        self.rows.insert(key, entity);
        true
    }

    /// Takes an entity away.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Value> {
        self.rows.shift_remove(&key(namespace, name))
    }

    /// All entities, oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Value> {
        self.rows.values()
    }
}
