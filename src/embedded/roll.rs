//! What there is of one kind, in the order of its making, and which of it was touched since that was last written down.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};

use serde_json::Value;

/// A thing that has a name of its own and can be written down.
pub(super) trait Entry {
    /// What tells it from others of its kind; it never changes.
    fn key(&self) -> String;
    /// Everything about it that outlives the process.
    fn document(&self) -> Value;
}

/// Entries of one kind.
#[derive(Debug)]
pub(super) struct Roll<T> {
    entries: Vec<T>,
    touched: BTreeSet<String>,
}

impl<T> Default for Roll<T> {
    fn default() -> Self {
        Roll { entries: Vec::new(), touched: BTreeSet::new() }
    }
}

impl<T: Entry> Roll<T> {
    /// Entries as they were written down.
    pub(super) fn restored(entries: Vec<T>) -> Self {
        Roll { entries, touched: BTreeSet::new() }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.entries.iter()
    }

    /// The first entry of which something holds, to be changed.
    pub(super) fn find_mut(&mut self, holds: impl Fn(&T) -> bool) -> Option<&mut T> {
        let at = self.entries.iter().position(holds)?;
        Some(&mut self[at])
    }

    pub(super) fn push(&mut self, entry: T) {
        self.touched.insert(entry.key());
        self.entries.push(entry);
    }

    pub(super) fn remove(&mut self, at: usize) -> T {
        let entry = self.entries.remove(at);
        self.touched.insert(entry.key());
        entry
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.touched.extend(self.entries.iter().filter(|entry| !stays(entry)).map(T::key));
        self.entries.retain(stays);
    }

    /// What was touched, each with how it is now; none when it is gone.
    pub(super) fn take_touched(&mut self) -> Vec<(String, Option<Value>)> {
        let touched = std::mem::take(&mut self.touched);
        let now = |key: String| {
            let entry = self.entries.iter().find(|entry| entry.key() == key);
            let document = entry.map(T::document);
            (key, document)
        };
        touched.into_iter().map(now).collect()
    }

    /// Whether anything was touched.
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }
}

impl<T> Index<usize> for Roll<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.entries[at]
    }
}

impl<T: Entry> IndexMut<usize> for Roll<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        self.touched.insert(self.entries[at].key());
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
        let mut roll = Roll::restored(vec![Named("a", 1), Named("b", 2), Named("c", 3)]);
        assert!(roll.iter().count() == 3 && roll[1] == Named("b", 2) && roll.take_touched().is_empty());
        roll[0].1 = 10;
        roll.find_mut(|one| one.0 == "b").unwrap().1 = 20;
        assert_eq!(roll.take_touched(), [("a".to_owned(), Some(json!(10))), ("b".to_owned(), Some(json!(20)))]);
        roll.push(Named("d", 4));
        roll.remove(0);
        roll.retain(|one| one.0 != "c");
        let touched = roll.take_touched();
        assert_eq!(touched, [("a".into(), None), ("c".into(), None), ("d".into(), Some(json!(4)))]);
        assert!(roll.find_mut(|one| one.0 == "z").is_none() && !roll.is_touched());
    }
}
