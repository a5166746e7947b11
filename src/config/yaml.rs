//! Reads YAML text into a tree of [`ConfigNode`]s. Does not know which keys there are.
//!
//! `serde_yaml` decides what is valid and which type a scalar has. It cannot keep `1.10` as written, accept a key that is
//! written twice, or tell where a value stands, so `saphyr_parser` delivers texts and lines. Both parsers are used here only.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde::de::{Deserializer, IgnoredAny, Visitor};

use super::node::{ConfigNode, NodeContent, ScalarType, SectionEntry, WrittenAt};

/// Deeper nesting is refused. `serde_yaml` has the same limit.
const DEEPEST: usize = 128;

/// More values than this, counting those that aliases repeat, are refused.
const MOST_NODES: usize = 200_000;

/// Why a text is not a YAML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    pub line: Option<usize>,
    pub message: String,
}

/// Reads a document and applies its merge keys. A document without a value is an empty section.
pub(crate) fn read(text: &str) -> Result<ConfigNode, YamlError> {
    // Editors of Windows begin a file with a byte-order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_yaml::from_str::<IgnoredAny>(text).map_err(|error| YamlError {
        line: error.location().map(|location| location.line()),
        message: error.to_string(),
    })?;
    let mut tree = TreeBuilder::default();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| YamlError::at(error.marker().line(), error.info()))?;
        let line = span.start.line();
        tree.add(event, line).map_err(|message| YamlError::at(line, message))?;
    }
    Ok(match tree.root {
        Some(root) if !root.is_null() => merged(root),
        _ => ConfigNode::empty(),
    })
}

/// Reads the value of an override such as `[a, b]` as if it were written at `at`.
pub(crate) fn value(text: &str, at: &WrittenAt) -> Result<ConfigNode, YamlError> {
    read(text).map(|root| root.moved_to(at))
}

impl YamlError {
    fn at(line: usize, message: &str) -> YamlError {
        YamlError { line: Some(line), message: message.to_owned() }
    }
}

/// Builds the tree out of the parser's events.
#[derive(Default)]
struct TreeBuilder {
    root: Option<ConfigNode>,
    open: Vec<OpenNode>,
    anchors: HashMap<usize, ConfigNode>,
    nodes: usize,
}

/// A list or section whose end has not been read yet.
struct OpenNode {
    content: OpenContent,
    line: usize,
    anchor: usize,
    tag: Option<String>,
}

enum OpenContent {
    List(Vec<ConfigNode>),
    /// The entries so far, and the key whose value comes next.
    Section(Vec<SectionEntry>, Option<(String, WrittenAt)>),
}

impl TreeBuilder {
    fn add(&mut self, event: Event<'_>, line: usize) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = match tag.as_deref().and_then(local_tag) {
                    Some(tag) => NodeContent::Tagged(tag),
                    None => scalar(&text, style, tag.as_deref()),
                };
                self.close(ConfigNode { content, at: WrittenAt::File(line) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.open(OpenContent::List(Vec::new()), line, anchor, tag.as_deref()),
            Event::MappingStart(anchor, tag) => {
                self.open(OpenContent::Section(Vec::new(), None), line, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(OpenNode { content, line, anchor, tag }) = self.open.pop() else { return Ok(()) };
                let content = match (tag, content) {
                    (Some(tag), _) => NodeContent::Tagged(tag),
                    (None, OpenContent::List(items)) => NodeContent::List(items),
                    (None, OpenContent::Section(entries, _)) => NodeContent::Section(entries),
                };
                self.close(ConfigNode { content, at: WrittenAt::File(line) }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err("an alias inside its own anchor");
                };
                let (count, depth) = node.extent();
                self.nodes += count;
                if self.open.len() + depth > DEEPEST {
                    return Err("nested too deeply");
                }
                self.close(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        content: OpenContent,
        line: usize,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), &'static str> {
        if self.open.len() >= DEEPEST {
            return Err("nested too deeply");
        }
        self.open.push(OpenNode { content, line, anchor, tag: tag.and_then(local_tag) });
        Ok(())
    }

    /// Puts a complete node into the list or section around it.
    fn close(&mut self, node: ConfigNode, anchor: usize) -> Result<(), &'static str> {
        self.nodes += 1;
        if anchor > 0 {
            self.nodes += node.extent().0;
            self.anchors.insert(anchor, node.clone());
        }
        if self.nodes > MOST_NODES {
            return Err("too many values");
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(OpenContent::List(items)) => items.push(node),
            Some(OpenContent::Section(entries, key)) => match key.take() {
                Some((key, at)) => entries.push(SectionEntry { key, at, value: node }),
                None => *key = Some((key_text(node.content), node.at)),
            },
        }
        Ok(())
    }
}

fn key_text(content: NodeContent) -> String {
    match content {
        NodeContent::Scalar(text, _) => text,
        NodeContent::Tagged(tag) => format!("!{tag}"),
        NodeContent::List(_) | NodeContent::Section(_) => "? (a key that is not text)".to_owned(),
    }
}

/// Returns the name of a tag such as `!secret`. Tags of YAML itself, such as `!!str`, have none.
fn local_tag(tag: &Tag) -> Option<String> {
    tag.handle.starts_with('!').then(|| format!("{}{}", &tag.handle[1..], tag.suffix))
}

/// Returns a scalar with the type that `serde_yaml` gives it.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> NodeContent {
    let source = match tag.filter(|tag| tag.is_yaml_core_schema()) {
        Some(tag) => format!("!!{} {text:?}", tag.suffix),
        None if style != ScalarStyle::Plain || text.contains('\n') => {
            return NodeContent::Scalar(text.to_owned(), ScalarType::Text);
        }
        // At the start of a line `---` and `%` would mean something else.
        None => format!(" {text}"),
    };
    let scalar_type = serde_yaml::Deserializer::from_str(&source).deserialize_any(TypeVisitor);
    NodeContent::Scalar(text.to_owned(), scalar_type.unwrap_or(ScalarType::Text))
}

struct TypeVisitor;

impl Visitor<'_> for TypeVisitor {
    type Value = ScalarType;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_bool<E>(self, value: bool) -> Result<ScalarType, E> {
        Ok(ScalarType::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<ScalarType, E> {
        Ok(ScalarType::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<ScalarType, E> {
        Ok(ScalarType::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<ScalarType, E> {
        Ok(ScalarType::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<ScalarType, E> {
        Ok(i128::try_from(value).map_or(ScalarType::Float(value as f64), ScalarType::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<ScalarType, E> {
        Ok(ScalarType::Float(value))
    }

    fn visit_str<E>(self, _: &str) -> Result<ScalarType, E> {
        Ok(ScalarType::Text)
    }

    fn visit_unit<E>(self) -> Result<ScalarType, E> {
        Ok(ScalarType::Null)
    }

    fn visit_none<E>(self) -> Result<ScalarType, E> {
        Ok(ScalarType::Null)
    }
}

/// Applies merge keys (`<<: *defaults`, or a list of them). A section's own keys win, then those of the first merge.
fn merged(node: ConfigNode) -> ConfigNode {
    let content = match node.content {
        NodeContent::List(items) => NodeContent::List(items.into_iter().map(merged).collect()),
        NodeContent::Section(entries) => {
            let (merges, own): (Vec<SectionEntry>, Vec<SectionEntry>) =
                entries.into_iter().partition(|entry| entry.key == "<<" && is_mergeable(&entry.value));
            let mut all: Vec<SectionEntry> =
                own.into_iter().map(|entry| SectionEntry { value: merged(entry.value), ..entry }).collect();
            for merge in merges {
                for added in entries_of(merged(merge.value)) {
                    if !all.iter().any(|entry| entry.key == added.key) {
                        all.push(added);
                    }
                }
            }
            NodeContent::Section(all)
        }
        other => other,
    };
    ConfigNode { content, at: node.at }
}

fn is_mergeable(node: &ConfigNode) -> bool {
    match &node.content {
        NodeContent::Section(_) => true,
        NodeContent::List(items) => items.iter().all(|item| matches!(item.content, NodeContent::Section(_))),
        _ => false,
    }
}

fn entries_of(node: ConfigNode) -> Vec<SectionEntry> {
    match node.content {
        NodeContent::Section(entries) => entries,
        NodeContent::List(items) => items.into_iter().flat_map(entries_of).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scalar(root: &ConfigNode, path: &str) -> (String, ScalarType) {
        match &root.find(path).unwrap().content {
            NodeContent::Scalar(text, scalar_type) => (text.clone(), *scalar_type),
            other => panic!("{path} is {other:?}"),
        }
    }

    fn line(root: &ConfigNode, path: &str) -> Option<usize> {
        match root.place_of(path)? {
            WrittenAt::File(line) => Some(*line),
            _ => None,
        }
    }

    #[test]
    fn scalars_keep_their_text_and_their_type() {
        let root = read("a: 1.10\nb: '1.10'\nc: true\nd: ~\ne:\nf: 0x10\ng: text # note\nh: --- x\ni: ---\nj: |\n  5\nk: 12345678901234567890123\n").unwrap();
        assert_eq!(scalar(&root, "a"), ("1.10".into(), ScalarType::Float(1.1)));
        assert_eq!(scalar(&root, "b"), ("1.10".into(), ScalarType::Text));
        assert_eq!(scalar(&root, "c"), ("true".into(), ScalarType::Boolean(true)));
        assert_eq!(scalar(&root, "d"), ("~".into(), ScalarType::Null));
        assert_eq!(scalar(&root, "e"), (String::new(), ScalarType::Null));
        assert_eq!(scalar(&root, "f"), ("0x10".into(), ScalarType::Integer(16)));
        assert_eq!(scalar(&root, "g"), ("text".into(), ScalarType::Text));
        assert_eq!(scalar(&root, "h"), ("--- x".into(), ScalarType::Text));
        assert_eq!(scalar(&root, "i"), ("---".into(), ScalarType::Text));
        assert_eq!(scalar(&root, "j"), ("5\n".into(), ScalarType::Text));
        assert_eq!(scalar(&root, "k").1, ScalarType::Integer(12_345_678_901_234_567_890_123));
    }

    #[test]
    fn every_key_and_item_knows_its_line() {
        let root = read(
            "# top\na:\n  b: 1\n\n  c: [x,\n      y]\nlist:\n  - one: 1\n    two: 2\n  -\n    one: 3\ntext: |\n  a\n  b\nlast: 1\n",
        )
        .unwrap();
        let lines: Vec<_> =
            ["a", "a.b", "a.c", "a.c.1", "list", "list.0", "list.0.two", "list.1", "list.1.one", "text", "last"]
                .map(|path| line(&root, path))
                .into();
        assert_eq!(lines, [2, 3, 5, 6, 7, 8, 9, 11, 11, 12, 15].map(Some));
    }

    #[test]
    fn a_key_written_twice_is_kept_twice() {
        let root = read("a: 1\nb: 2\na: 3\n").unwrap();
        let NodeContent::Section(entries) = &root.content else { panic!() };
        let lines: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.at.clone())).collect();
        assert_eq!(lines, [("a", WrittenAt::File(1)), ("b", WrittenAt::File(2)), ("a", WrittenAt::File(3))]);
    }

    #[test]
    fn anchors_and_merge_keys_are_followed() {
        let root = read(
            "base: &base\n  tag: 1.10\n  gpus: 1\nmore: &more {gpus: 7, tag: x, pvc: 5}\none:\n  <<: *base\n  gpus: 2\ntwo:\n  <<: [*base, *more]\nthree: *base\n",
        )
        .unwrap();
        assert_eq!(scalar(&root, "one.tag").0, "1.10");
        assert_eq!(scalar(&root, "one.gpus").0, "2");
        assert_eq!(scalar(&root, "two.gpus").0, "1");
        assert_eq!(scalar(&root, "two.pvc").0, "5");
        assert_eq!(scalar(&root, "three.tag").0, "1.10");
        assert_eq!(line(&root, "one.tag"), Some(2));
        assert_eq!(line(&root, "one.gpus"), Some(7));
        assert_eq!(line(&root, "three"), Some(10));
    }

    #[test]
    fn tags_and_odd_keys_are_kept_as_what_they_are() {
        let root = read("a: !secret {b: 1}\n1: x\n[1, 2]: y\nc: !!str 1.10\nd: !!int \"7\"\ne: !env X\n").unwrap();
        assert_eq!(root.find("a").unwrap().content, NodeContent::Tagged("secret".into()));
        assert_eq!(root.find("e").unwrap().content, NodeContent::Tagged("env".into()));
        assert_eq!(scalar(&root, "1").0, "x");
        assert_eq!(scalar(&root, "c"), ("1.10".into(), ScalarType::Text));
        assert_eq!(scalar(&root, "d"), ("7".into(), ScalarType::Integer(7)));
        assert_eq!(line(&root, "c"), Some(4));
    }

    #[test]
    fn nothing_is_an_empty_section() {
        for text in ["", "\n", "# only a comment\n", "---\n", "~"] {
            assert_eq!(read(text).unwrap(), ConfigNode::empty(), "{text:?}");
        }
    }

    #[test]
    fn invalid_yaml_is_refused_with_its_line() {
        assert_eq!(read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err().line, Some(3));
        assert!(read("a: 1\n---\nb: 2\n").is_err());
        assert!(read("a: &a [*a]\n").is_err());
        assert!(read(&"[".repeat(1000)).is_err());
        let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert!(read(&nested).is_err());
    }

    #[test]
    fn aliases_cannot_make_a_small_file_large_or_deep() {
        let wide: String = (1..20).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
            format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "))
        });
        assert!(read(&wide).is_err());
        let deep: String =
            (1..200).fold("a0: &a0 [x]\n".to_owned(), |text, n| format!("{text}a{n}: &a{n} [*a{}]\n", n - 1));
        assert!(read(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c:?&*!<>|'\"{}\\[\\], \n\t#%@0-9.~]{0,80}") {
            let _ = read(&text);
        }
    }
}
