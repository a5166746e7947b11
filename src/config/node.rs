//! The tree of a configuration. It keeps the text of every scalar, every key (even one written twice), and the origin of
//! each. It knows neither YAML nor the schema.

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigNode {
    pub content: NodeContent,
    pub at: WrittenAt,
}

/// The content of a [`ConfigNode`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeContent {
    /// The text as written, and the type that YAML gives it.
    Scalar(String, ScalarType),
    List(Vec<ConfigNode>),
    /// The entries in the order written. A key may occur twice.
    Section(Vec<SectionEntry>),
    /// A value behind a YAML tag such as `!secret`. No key allows one.
    Tagged(String),
}

/// One key of a section with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SectionEntry {
    pub key: String,
    /// The place of the key.
    pub at: WrittenAt,
    pub value: ConfigNode,
}

/// The type of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ScalarType {
    /// Empty, `null` or `~`.
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text,
    /// The text of an override, which the key's type interprets.
    Untyped,
}

/// The place where a key or a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WrittenAt {
    /// On this line of the configuration file, counted from 1.
    File(usize),
    /// In `--set` for this key path.
    Set(String),
    /// In this environment variable.
    Variable(String),
    /// Nowhere: the default applies.
    Default,
}

impl SectionEntry {
    /// Returns the place to show for the value: its key, unless an override replaced the value.
    pub(crate) fn place(&self) -> &WrittenAt {
        if matches!(self.value.at, WrittenAt::File(_)) { &self.at } else { &self.value.at }
    }
}

impl ConfigNode {
    /// Returns an empty section.
    pub(crate) fn empty() -> ConfigNode {
        ConfigNode { content: NodeContent::Section(Vec::new()), at: WrittenAt::Default }
    }

    /// Returns a scalar that its key's type interprets.
    pub(crate) fn untyped(text: &str, at: WrittenAt) -> ConfigNode {
        ConfigNode { content: NodeContent::Scalar(text.to_owned(), ScalarType::Untyped), at }
    }

    /// Tells whether the value is empty, `null` or `~`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.content, NodeContent::Scalar(_, ScalarType::Null))
    }

    /// Returns the value under one step of a key path: a key of a section (the last one written) or an index of a list.
    pub(crate) fn child(&self, step: &str) -> Option<&ConfigNode> {
        match &self.content {
            NodeContent::Section(entries) => {
                entries.iter().rev().find(|entry| entry.key == step).map(|entry| &entry.value)
            }
            NodeContent::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        }
    }

    /// Returns the value at a dotted key path.
    pub(crate) fn find(&self, path: &str) -> Option<&ConfigNode> {
        path.split('.').try_fold(self, |node, step| node.child(step))
    }

    /// Returns where the value at a key path is written: its key in the file, or the override that set it.
    pub(crate) fn place_of(&self, path: &str) -> Option<&WrittenAt> {
        let (parent, last) = match path.rsplit_once('.') {
            Some((parent, last)) => (self.find(parent)?, last),
            None => (self, path),
        };
        match &parent.content {
            NodeContent::Section(entries) => {
                entries.iter().rev().find(|entry| entry.key == last).map(SectionEntry::place)
            }
            _ => parent.child(last).map(|node| &node.at),
        }
    }

    /// Returns the same tree with every part written at `at`.
    pub(crate) fn moved_to(mut self, at: &WrittenAt) -> ConfigNode {
        self.at = at.clone();
        self.content = match self.content {
            NodeContent::List(items) => NodeContent::List(items.into_iter().map(|item| item.moved_to(at)).collect()),
            NodeContent::Section(entries) => NodeContent::Section(
                entries
                    .into_iter()
                    .map(|entry| SectionEntry { key: entry.key, at: at.clone(), value: entry.value.moved_to(at) })
                    .collect(),
            ),
            other => other,
        };
        self
    }

    /// Returns the number of nodes in this tree and its depth.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let add = |(count, depth): (usize, usize), node: &ConfigNode| {
            let (more, deep) = node.extent();
            (count + more, depth.max(deep + 1))
        };
        match &self.content {
            NodeContent::List(items) => items.iter().fold((1, 1), add),
            NodeContent::Section(entries) => entries.iter().map(|entry| &entry.value).fold((1, 1), add),
            NodeContent::Scalar(..) | NodeContent::Tagged(_) => (1, 1),
        }
    }
}
