//! A configuration as a tree that forgets nothing: the text of every scalar, every key even when it is written twice,
//! and where each came from. Knows neither YAML nor which keys there are.

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub what: What,
    /// Where it was written.
    pub at: At,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A single value: its text as written, and what YAML takes it for.
    Scalar(String, Kind),
    /// A list.
    List(Vec<Node>),
    /// A section, in the order written; a key may occur twice.
    Map(Vec<Entry>),
    /// A value behind a YAML tag such as `!secret`, which means nothing here.
    Tagged(String),
}

/// One key of a section.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub at: At,
    /// Its value.
    pub value: Node,
}

/// What a scalar is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Switch(bool),
    /// A whole number.
    Whole(i128),
    /// Any other number.
    Real(f64),
    /// Text.
    Text,
    /// Text of an override: the key decides what it is.
    Raw,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// In the file: the how-manieth thing of its reading order.
    File(usize),
    /// In `--set` for this key path.
    Set(String),
    /// In this environment variable.
    Variable(String),
    /// Nowhere: the built-in default.
    Default,
}

impl Entry {
    /// Where the value is written, to show: the key when both stand in the file.
    pub(crate) fn place(&self) -> &At {
        if matches!(self.value.at, At::File(_)) { &self.at } else { &self.value.at }
    }
}

impl Node {
    /// An empty section.
    pub(crate) fn empty() -> Node {
        Node { what: What::Map(Vec::new()), at: At::Default }
    }

    /// Text whose key decides what it is.
    pub(crate) fn raw(text: &str, at: At) -> Node {
        Node { what: What::Scalar(text.to_owned(), Kind::Raw), at }
    }

    /// Whether it is nothing, `null` or `~`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.what, What::Scalar(_, Kind::Null))
    }

    /// The value under one step of a key path: a key of a section (the last one written) or an index of a list.
    pub(crate) fn child(&self, step: &str) -> Option<&Node> {
        match &self.what {
            What::Map(entries) => entries.iter().rev().find(|entry| entry.key == step).map(|entry| &entry.value),
            What::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        }
    }

    /// The value under a dotted key path.
    pub(crate) fn find(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, step| node.child(step))
    }

    /// Where the value of a dotted key path is written: its key in the file, or the override that put it there.
    pub(crate) fn place_of(&self, path: &str) -> Option<&At> {
        let (parent, last) = match path.rsplit_once('.') {
            Some((parent, last)) => (self.find(parent)?, last),
            None => (self, path),
        };
        match &parent.what {
            What::Map(entries) => entries.iter().rev().find(|entry| entry.key == last).map(Entry::place),
            _ => parent.child(last).map(|node| &node.at),
        }
    }

    /// The same tree, written somewhere else.
    pub(crate) fn moved_to(mut self, at: &At) -> Node {
        self.at = at.clone();
        self.what = match self.what {
            What::List(items) => What::List(items.into_iter().map(|item| item.moved_to(at)).collect()),
            What::Map(entries) => What::Map(
                entries
                    .into_iter()
                    .map(|entry| Entry { key: entry.key, at: at.clone(), value: entry.value.moved_to(at) })
                    .collect(),
            ),
            other => other,
        };
        self
    }
}
