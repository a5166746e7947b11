//! Lists that record which of their entries changed.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};

use serde_json::Value;

/// An entry that the data directory can store.
pub(crate) trait Entry {
    /// Returns the key, which is unique in the list and never changes.
    fn key(&self) -> String;
    /// Returns everything about the entry that outlives the process.
    fn document(&self) -> Value;
}

/// Entries in the order of their creation, and the keys of those that changed.
#[derive(Debug)]
pub(crate) struct TrackedList<T> {
    entries: Vec<T>,
    changed: BTreeSet<String>,
}

impl<T> Default for TrackedList<T> {
    fn default() -> Self {
        TrackedList { entries: Vec::new(), changed: BTreeSet::new() }
    }
}

impl<T: Entry> TrackedList<T> {
    /// Returns a list of stored entries, none of them changed.
    pub(crate) fn restored(entries: Vec<T>) -> Self {
        TrackedList { entries, changed: BTreeSet::new() }
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.entries.iter()
    }

    /// Returns the first entry that satisfies a condition, to change it.
    pub(crate) fn find_mut(&mut self, holds: impl Fn(&T) -> bool) -> Option<&mut T> {
        let at = self.entries.iter().position(holds)?;
        Some(&mut self[at])
    }

    pub(crate) fn push(&mut self, entry: T) {
        self.changed.insert(entry.key());
        self.entries.push(entry);
    }

    pub(crate) fn remove(&mut self, at: usize) -> T {
        let entry = self.entries.remove(at);
        self.changed.insert(entry.key());
        entry
    }

    pub(crate) fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.changed.extend(self.entries.iter().filter(|entry| !stays(entry)).map(T::key));
        self.entries.retain(stays);
    }

    /// Takes the changes since they were last taken: the document of each entry that changed, none if it was removed.
    pub(crate) fn take_changes(&mut self) -> Vec<(String, Option<Value>)> {
        let changed = std::mem::take(&mut self.changed);
        let now = |key: String| {
            let entry = self.entries.iter().find(|entry| entry.key() == key);
            let document = entry.map(T::document);
            (key, document)
        };
        changed.into_iter().map(now).collect()
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

impl<T> Index<usize> for TrackedList<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.entries[at]
    }
}

impl<T: Entry> IndexMut<usize> for TrackedList<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        self.changed.insert(self.entries[at].key());
        &mut self.entries[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Clone, Debug, PartialEq)]
    struct Named(&'static str, u32);

    impl Entry for Named {
        fn key(&self) -> String {
            self.0.to_owned()
        }

        fn document(&self) -> Value {
            json!(self.1)
        }
    }

    #[test]
    fn every_way_to_change_is_noted_and_reading_is_not() {
        let mut list = TrackedList::restored(vec![Named("a", 1), Named("b", 2), Named("c", 3)]);
        assert!(list.iter().count() == 3 && list[1] == Named("b", 2) && list.take_changes().is_empty());
        list[0].1 = 10;
        list.find_mut(|one| one.0 == "b").unwrap().1 = 20;
        assert_eq!(list.take_changes(), [("a".to_owned(), Some(json!(10))), ("b".to_owned(), Some(json!(20)))]);
        list.push(Named("d", 4));
        list.remove(0);
        list.retain(|one| one.0 != "c");
        let changed = list.take_changes();
        assert_eq!(changed, [("a".into(), None), ("c".into(), None), ("d".into(), Some(json!(4)))]);
        assert!(list.find_mut(|one| one.0 == "z").is_none() && !list.has_changes());
    }
}
