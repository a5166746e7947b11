//! Reads typed values out of a checked tree and records where each came from. A key that is not written reads as its
//! default. So does a bad value, to let reading go on and find further problems.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::check::CheckResult;
use super::defaults::default_of;
use super::node::{ConfigNode, NodeContent, WrittenAt};
use super::plan::{ValueOrigin, ValueSource};
use super::schema::{self, KeyType, SchemaKey};
use super::time;
use super::values;

/// A typed reader of a checked tree.
pub(crate) struct ConfigReader<'a> {
    root: &'a ConfigNode,
    checked: &'a CheckResult,
    origins: RefCell<BTreeMap<String, ValueOrigin>>,
}

impl<'a> ConfigReader<'a> {
    /// Reads this tree, whose check had that result.
    pub(crate) fn new(root: &'a ConfigNode, checked: &'a CheckResult) -> ConfigReader<'a> {
        ConfigReader { root, checked, origins: RefCell::default() }
    }

    /// Tells whether the value at this path is what the user meant.
    pub(crate) fn is_good(&self, path: &str) -> bool {
        self.checked.is_good(path)
    }

    /// Returns the value written at this path, unless it is `null`.
    pub(crate) fn written(&self, path: &str) -> Option<&'a ConfigNode> {
        self.root.find(path).filter(|node| !node.is_null())
    }

    /// Tells whether `null` is written at this path.
    pub(crate) fn is_null(&self, path: &str) -> bool {
        self.root.find(path).is_some_and(ConfigNode::is_null)
    }

    /// Returns where this value is written, or else the section that would hold it.
    pub(crate) fn place(&self, path: &str) -> &'a WrittenAt {
        let mut path = path;
        loop {
            if let Some(at) = self.root.place_of(path) {
                return at;
            }
            match path.rsplit_once('.') {
                Some((above, _)) => path = above,
                None => return &WrittenAt::Default,
            }
        }
    }

    /// Returns the length of the list at this path.
    pub(crate) fn list_len(&self, path: &str) -> usize {
        match self.written(path).map(|node| &node.content) {
            Some(NodeContent::List(items)) => items.len(),
            _ => 0,
        }
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let read = |node: &ConfigNode, key: &SchemaKey| match key.key_type {
            KeyType::Text(form) => values::text(node, form).ok(),
            KeyType::Choice(words) => values::choice(node, words).ok().map(str::to_owned),
            _ => None,
        };
        self.read(path, read, String::clone)
    }

    pub(crate) fn integer(&self, path: &str) -> Option<u64> {
        let read = |node: &ConfigNode, key: &SchemaKey| match key.key_type {
            KeyType::Integer(min, max) => values::integer(node, min, max).ok(),
            _ => None,
        };
        self.read(path, read, u64::to_string)
    }

    /// Returns an integer whose bounds in the schema fit 32 bits, or 0 where the key has neither value nor default.
    pub(crate) fn integer32(&self, path: &str) -> u32 {
        self.integer(path).and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
    }

    /// Returns an integer as a number of things in memory, or 0 where the key has neither value nor default.
    pub(crate) fn size(&self, path: &str) -> usize {
        self.integer(path).and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
    }

    pub(crate) fn number(&self, path: &str) -> f64 {
        let read = |node: &ConfigNode, key: &SchemaKey| match key.key_type {
            KeyType::Number(bounds) => values::number(node, bounds).ok(),
            _ => None,
        };
        let show = |number: &f64| {
            if *number != 0.0 && number.abs() < 1e-3 { format!("{number:e}") } else { number.to_string() }
        };
        self.read(path, read, show).unwrap_or_default()
    }

    pub(crate) fn boolean(&self, path: &str) -> bool {
        self.read(path, |node, _| values::boolean(node).ok(), bool::to_string).unwrap_or_default()
    }

    /// Returns a duration in milliseconds.
    pub(crate) fn duration_ms(&self, path: &str) -> u64 {
        let read = |node: &ConfigNode, key: &SchemaKey| match key.key_type {
            KeyType::Duration(zero) => values::duration_ms(node, zero).ok(),
            _ => None,
        };
        self.read(path, read, |ms| time::duration_text(*ms)).unwrap_or_default()
    }

    pub(crate) fn texts(&self, path: &str) -> Option<Vec<String>> {
        self.read(path, |node, key| values::texts(node, key.key_type).ok(), |texts| texts.join(", "))
    }

    /// Returns a section whose keys the user chooses. `--plan` does not show its values, which may be secrets.
    pub(crate) fn named_texts(&self, path: &str) -> BTreeMap<String, String> {
        let show = |texts: &Vec<(String, String)>| {
            texts.iter().map(|(name, _)| format!("{name}: ****")).collect::<Vec<_>>().join(", ")
        };
        let texts = self.read(path, |node, _| values::named_texts(node).ok(), show);
        texts.unwrap_or_default().into_iter().collect()
    }

    /// Records the origin of a value that is not read from a key.
    pub(crate) fn note(&self, path: &str, value: String, from: ValueSource) {
        self.origins.borrow_mut().insert(path.to_owned(), ValueOrigin { value, from });
    }

    /// Returns the origin of every value that was read.
    pub(crate) fn origins(self) -> BTreeMap<String, ValueOrigin> {
        self.origins.into_inner()
    }

    fn read<T>(
        &self,
        path: &str,
        read: impl Fn(&ConfigNode, &SchemaKey) -> Option<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let key = schema::find(path)?;
        let written = self.written(path).filter(|_| self.is_good(path));
        let (value, from) = match written.and_then(|node| read(node, key).map(|value| (value, source_of(&node.at)))) {
            Some(found) => found,
            None => (read(&ConfigNode::untyped(default_of(path)?, WrittenAt::Default), key)?, ValueSource::Default),
        };
        self.note(path, show(&value), from);
        Some(value)
    }
}

/// Returns the source of a value that is written there.
pub(crate) fn source_of(at: &WrittenAt) -> ValueSource {
    match at {
        WrittenAt::File(_) => ValueSource::File,
        WrittenAt::Set(_) => ValueSource::Flag,
        WrittenAt::Variable(_) => ValueSource::Environment,
        WrittenAt::Default => ValueSource::Default,
    }
}
