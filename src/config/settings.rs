//! Values of a checked tree, typed, with the default of the schema where nothing is written, and where each came from.
//! Values that the check has complained about read as their default, so that reading goes on and finds what else is
//! wrong.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::check::Checked;
use super::node::{At, Node};
use super::plan::{Origin, Source};
use super::schema::{self, Key, Kind};
use super::time;
use super::values;

/// Typed reading of a checked tree.
pub(crate) struct Settings<'a> {
    root: &'a Node,
    checked: &'a Checked,
    origins: RefCell<BTreeMap<String, Origin>>,
}

impl<'a> Settings<'a> {
    /// Reads this tree, which was checked with that outcome.
    pub(crate) fn new(root: &'a Node, checked: &'a Checked) -> Settings<'a> {
        Settings { root, checked, origins: RefCell::default() }
    }

    /// Whether what is read at this path is what the user meant.
    pub(crate) fn good(&self, path: &str) -> bool {
        self.checked.good(path)
    }

    /// What is written at this path; `null` is nothing.
    pub(crate) fn written(&self, path: &str) -> Option<&'a Node> {
        self.root.find(path).filter(|node| !node.is_null())
    }

    /// Whether `null` is written at this path.
    pub(crate) fn null(&self, path: &str) -> bool {
        self.root.find(path).is_some_and(Node::is_null)
    }

    /// Where the value at this path, or else the section that it would stand in, is written; nowhere for the top.
    pub(crate) fn place(&self, path: &str) -> &'a At {
        let mut path = path;
        loop {
            if let Some(at) = self.root.place_of(path) {
                return at;
            }
            match path.rsplit_once('.') {
                Some((above, _)) => path = above,
                None => return &At::Default,
            }
        }
    }

    /// How many sections the list at this path holds.
    pub(crate) fn count(&self, path: &str) -> usize {
        match self.written(path).map(|node| &node.what) {
            Some(super::node::What::List(items)) => items.len(),
            _ => 0,
        }
    }

    /// Text.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        self.read(path, |node, key| match key.kind {
            Kind::Text(form) => values::text(node, form).ok(),
            Kind::Choice(words) => values::choice(node, words).ok().map(str::to_owned),
            _ => None,
        })
    }

    /// A whole number.
    pub(crate) fn whole(&self, path: &str) -> Option<u64> {
        self.read(path, |node, key| match key.kind {
            Kind::Whole(min, max) => values::whole(node, min, max).ok(),
            _ => None,
        })
    }

    /// A whole number that has a default or is not needed when absent, as 32 bits; the schema keeps it within.
    pub(crate) fn count32(&self, path: &str) -> u32 {
        self.whole(path).and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
    }

    /// The same as the size of something in memory.
    pub(crate) fn size(&self, path: &str) -> usize {
        self.whole(path).and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
    }

    /// A number.
    pub(crate) fn real(&self, path: &str) -> f64 {
        let read = self.read(path, |node, key| match key.kind {
            Kind::Real(range) => values::real(node, range).ok(),
            _ => None,
        });
        read.unwrap_or_default()
    }

    /// A switch.
    pub(crate) fn switch(&self, path: &str) -> bool {
        self.read(path, |node, _| values::switch(node).ok()).unwrap_or_default()
    }

    /// A length of time in milliseconds.
    pub(crate) fn span(&self, path: &str) -> u64 {
        let read = self.read(path, |node, key| match key.kind {
            Kind::Span(zero) => values::span(node, zero).ok().map(Span),
            _ => None,
        });
        read.map(|span| span.0).unwrap_or_default()
    }

    /// A list of text.
    pub(crate) fn texts(&self, path: &str) -> Option<Vec<String>> {
        self.read(path, |node, key| values::texts(node, key.kind).ok().map(List)).map(|list| list.0)
    }

    /// Names and texts of the user's own; the texts, which may be secrets, are not shown.
    pub(crate) fn names(&self, path: &str) -> BTreeMap<String, String> {
        let read = self.read(path, |node, _| values::names(node).ok().map(Masked));
        read.map(|names| names.0.into_iter().collect()).unwrap_or_default()
    }

    /// Notes a value that did not come from a key.
    pub(crate) fn note(&self, path: &str, value: String, from: Source) {
        self.origins.borrow_mut().insert(path.to_owned(), Origin { value, from });
    }

    /// Where every value that was read came from.
    pub(crate) fn origins(self) -> BTreeMap<String, Origin> {
        self.origins.into_inner()
    }

    fn read<T: Shown>(&self, path: &str, read: impl Fn(&Node, &Key) -> Option<T>) -> Option<T> {
        let key = schema::find(path)?;
        let written = self.written(path).filter(|_| self.good(path));
        let (value, from) = match written.and_then(|node| read(node, key).map(|value| (value, source(&node.at)))) {
            Some(found) => found,
            None => (read(&Node::raw(key.default?, At::Default), key)?, Source::Default),
        };
        self.note(path, value.shown(), from);
        Some(value)
    }
}

/// Which kind of place that is.
pub(crate) fn source(at: &At) -> Source {
    match at {
        At::File(_) => Source::File,
        At::Set(_) => Source::Flag,
        At::Variable(_) => Source::Environment,
        At::Default => Source::Default,
    }
}

/// A value as `--plan` shows it.
trait Shown {
    fn shown(&self) -> String;
}

struct Span(u64);
struct List(Vec<String>);
struct Masked(Vec<(String, String)>);

impl Shown for String {
    fn shown(&self) -> String {
        self.clone()
    }
}

impl Shown for u64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for f64 {
    fn shown(&self) -> String {
        if *self != 0.0 && self.abs() < 1e-3 { format!("{self:e}") } else { self.to_string() }
    }
}

impl Shown for bool {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Span {
    fn shown(&self) -> String {
        time::span_text(self.0)
    }
}

impl Shown for List {
    fn shown(&self) -> String {
        self.0.join(", ")
    }
}

impl Shown for Masked {
    fn shown(&self) -> String {
        self.0.iter().map(|(name, _)| format!("{name}: ****")).collect::<Vec<_>>().join(", ")
    }
}
