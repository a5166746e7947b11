//! YAML text into a [`Node`] tree, and the line of everything in it: the only importer of `serde_yaml`.
//!
//! `serde_yaml` turns `1.10` into the number 1.1, stops at a key that is written twice, and tells a line only with an
//! error. So the text is read in passes: the first finds the shapes (what YAML takes each scalar for), the second walks
//! along them and reads every scalar as text, numbering what it meets; a line is found by walking once more and failing
//! on purpose at that number. Which keys there are is not known here.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::node::{At, Entry, Kind, Node, What};

/// No more lines than this are looked up in one document.
const MOST_LOOKUPS: u32 = 200;

/// Why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The line, where known.
    pub line: Option<usize>,
    /// What the parser says.
    pub message: String,
}

/// A text that was read, and its tree.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    text: String,
    shape: Option<Shape>,
    looked_up: Cell<u32>,
    /// The tree, with merge keys applied.
    pub root: Node,
}

impl Document {
    /// Reads a text; nothing but comments is an empty section.
    pub(crate) fn read(text: &str) -> Result<Document, Broken> {
        let shape = match Shape::seed(text) {
            Ok(Shape::Scalar(Kind::Null)) | Ok(Shape::Nothing) => None,
            Ok(shape) => Some(shape),
            Err(error) => return Err(broken(&error)),
        };
        let root = match &shape {
            None => Node::empty(),
            Some(shape) => {
                let count = Cell::new(0);
                let walk = Walk { shape, count: &count, stop: None };
                walk.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| broken(&error))?
            }
        };
        Ok(Document { text: text.to_owned(), shape, looked_up: Cell::new(0), root: merged(root) })
    }

    /// The line, from 1, of what [`At::File`] numbers. Each look-up reads the text again, so after many there are no
    /// more: who has that many problems has another.
    pub(crate) fn line(&self, number: usize) -> Option<usize> {
        self.looked_up.set(self.looked_up.get() + 1);
        if self.looked_up.get() > MOST_LOOKUPS {
            return None;
        }
        let count = Cell::new(0);
        let walk = Walk { shape: self.shape.as_ref()?, count: &count, stop: Some(number) };
        let error = walk.deserialize(serde_yaml::Deserializer::from_str(&self.text)).err()?;
        error.location().map(|location| location.line())
    }
}

/// Reads the value of an override (`[a, b]`, `{a: b}`), as if it stood at `at`.
pub(crate) fn value(text: &str, at: &At) -> Result<Node, Broken> {
    Document::read(text).map(|document| document.root.moved_to(at))
}

fn broken(error: &serde_yaml::Error) -> Broken {
    Broken { line: error.location().map(|location| location.line()), message: error.to_string() }
}

/// The shape of a value: what a first pass can tell.
#[derive(Clone, Debug)]
enum Shape {
    Nothing,
    Scalar(Kind),
    List(Vec<Shape>),
    Map(Vec<(Shape, Shape)>),
    Tagged(String),
}

impl Shape {
    fn seed(text: &str) -> Result<Shape, serde_yaml::Error> {
        <Shape as de::Deserialize>::deserialize(serde_yaml::Deserializer::from_str(text))
    }
}

impl<'de> de::Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Switch(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Whole(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Whole(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Whole(value)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar(i128::try_from(value).map_or(Kind::Real(value as f64), Kind::Whole)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Real(value)))
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Text))
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Kind::Null))
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Shape::Map(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Shape, A::Error> {
        let (tag, inner) = data.variant::<String>()?;
        inner.newtype_variant::<IgnoredAny>()?;
        Ok(Shape::Tagged(tag))
    }
}

/// The second pass: along a shape, every scalar as text, everything numbered. Fails at the number `stop`.
#[derive(Clone, Copy)]
struct Walk<'a> {
    shape: &'a Shape,
    count: &'a Cell<usize>,
    stop: Option<usize>,
}

impl<'a> Walk<'a> {
    fn into(self, shape: &'a Shape) -> Walk<'a> {
        Walk { shape, ..self }
    }

    fn number<E: de::Error>(self) -> Result<At, E> {
        let number = self.count.get();
        self.count.set(number + 1);
        if self.stop == Some(number) { Err(E::custom("here")) } else { Ok(At::File(number)) }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        match self.shape {
            Shape::Nothing | Shape::Tagged(_) => deserializer.deserialize_ignored_any(self),
            Shape::Scalar(_) => deserializer.deserialize_str(self),
            Shape::List(_) => deserializer.deserialize_seq(self),
            Shape::Map(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same value as before")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        let at = self.number()?;
        Ok(match self.shape {
            Shape::Tagged(tag) => Node { what: What::Tagged(tag.clone()), at },
            _ => Node { what: What::Scalar(String::new(), Kind::Null), at },
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        let at = self.number()?;
        let kind = match self.shape {
            Shape::Scalar(kind) => *kind,
            _ => Kind::Text,
        };
        Ok(Node { what: What::Scalar(text.to_owned(), kind), at })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let at = self.number()?;
        let shapes: &[Shape] = if let Shape::List(shapes) = self.shape { shapes } else { &[] };
        let mut list = Vec::with_capacity(shapes.len());
        for shape in shapes {
            list.extend(items.next_element_seed(self.into(shape))?);
        }
        Ok(Node { what: What::List(list), at })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let at = self.number()?;
        let shapes: &[(Shape, Shape)] = if let Shape::Map(shapes) = self.shape { shapes } else { &[] };
        let mut entries = Vec::with_capacity(shapes.len());
        for (key, value) in shapes {
            let Some(key) = map.next_key_seed(self.into(key))? else { break };
            let value = map.next_value_seed(self.into(value))?;
            let text = match key.what {
                What::Scalar(text, _) => text,
                What::Tagged(tag) => format!("!{tag}"),
                What::List(_) | What::Map(_) => "? (a key that is not text)".to_owned(),
            };
            entries.push(Entry { key: text, at: key.at, value });
        }
        Ok(Node { what: What::Map(entries), at })
    }
}

/// Applies merge keys (`<<: *defaults`, or a list of them): what a section says itself is stronger, then the first.
fn merged(node: Node) -> Node {
    let what = match node.what {
        What::List(items) => What::List(items.into_iter().map(merged).collect()),
        What::Map(entries) => {
            let (merges, own): (Vec<Entry>, Vec<Entry>) =
                entries.into_iter().partition(|entry| entry.key == "<<" && mergeable(&entry.value));
            let mut all: Vec<Entry> =
                own.into_iter().map(|entry| Entry { value: merged(entry.value), ..entry }).collect();
            for merge in merges {
                for added in sections(merged(merge.value)) {
                    if !all.iter().any(|entry| entry.key == added.key) {
                        all.push(added);
                    }
                }
            }
            What::Map(all)
        }
        other => other,
    };
    Node { what, at: node.at }
}

fn mergeable(node: &Node) -> bool {
    match &node.what {
        What::Map(_) => true,
        What::List(items) => items.iter().all(|item| matches!(item.what, What::Map(_))),
        _ => false,
    }
}

fn sections(node: Node) -> Vec<Entry> {
    match node.what {
        What::Map(entries) => entries,
        What::List(items) => items.into_iter().flat_map(sections).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scalar(document: &Document, path: &str) -> (String, Kind) {
        match &document.root.find(path).unwrap().what {
            What::Scalar(text, kind) => (text.clone(), *kind),
            other => panic!("{path} is {other:?}"),
        }
    }

    fn line(document: &Document, path: &str) -> Option<usize> {
        match document.root.place_of(path)? {
            At::File(number) => document.line(*number),
            _ => None,
        }
    }

    #[test]
    fn scalars_keep_their_text_and_their_kind() {
        let document = Document::read("a: 1.10\nb: '1.10'\nc: true\nd: ~\ne:\nf: 0x10\ng: text # note\n").unwrap();
        assert_eq!(scalar(&document, "a"), ("1.10".into(), Kind::Real(1.1)));
        assert_eq!(scalar(&document, "b"), ("1.10".into(), Kind::Text));
        assert_eq!(scalar(&document, "c"), ("true".into(), Kind::Switch(true)));
        assert_eq!(scalar(&document, "d"), ("~".into(), Kind::Null));
        assert_eq!(scalar(&document, "e"), (String::new(), Kind::Null));
        assert_eq!(scalar(&document, "f"), ("0x10".into(), Kind::Whole(16)));
        assert_eq!(scalar(&document, "g"), ("text".into(), Kind::Text));
    }

    #[test]
    fn every_key_and_item_knows_its_line() {
        let document =
            Document::read("# top\na:\n  b: 1\n\n  c: [x,\n      y]\nlist:\n  - one: 1\n    two: 2\n  -\n    one: 3\n")
                .unwrap();
        let lines: Vec<_> = ["a", "a.b", "a.c", "a.c.1", "list", "list.0", "list.0.two", "list.1", "list.1.one"]
            .map(|path| line(&document, path))
            .into();
        assert_eq!(lines, [2, 3, 5, 6, 7, 8, 9, 11, 11].map(Some));
    }

    #[test]
    fn a_key_written_twice_is_kept_twice() {
        let document = Document::read("a: 1\nb: 2\na: 3\n").unwrap();
        let What::Map(entries) = &document.root.what else { panic!() };
        let lines: Vec<_> = entries
            .iter()
            .map(|entry| match entry.at {
                At::File(number) => (entry.key.as_str(), document.line(number)),
                _ => panic!(),
            })
            .collect();
        assert_eq!(lines, [("a", Some(1)), ("b", Some(2)), ("a", Some(3))]);
    }

    #[test]
    fn anchors_and_merge_keys_are_followed() {
        let document = Document::read(
            "base: &base\n  tag: 1.10\n  gpus: 1\nmore: &more {gpus: 7, tag: x, pvc: 5}\none:\n  <<: *base\n  gpus: 2\ntwo:\n  <<: [*base, *more]\nthree: *base\n",
        )
        .unwrap();
        assert_eq!(scalar(&document, "one.tag").0, "1.10");
        assert_eq!(scalar(&document, "one.gpus").0, "2");
        assert_eq!(scalar(&document, "two.gpus").0, "1");
        assert_eq!(scalar(&document, "two.pvc").0, "5");
        assert_eq!(scalar(&document, "three.tag").0, "1.10");
        assert_eq!(line(&document, "one.tag"), Some(2));
        assert_eq!(line(&document, "one.gpus"), Some(7));
        assert_eq!(line(&document, "three"), Some(10));
    }

    #[test]
    fn tags_and_odd_keys_are_kept_as_what_they_are() {
        let document = Document::read("a: !secret {b: 1}\n1: x\n[1, 2]: y\nc: !!str 1.10\n").unwrap();
        assert_eq!(document.root.find("a").unwrap().what, What::Tagged("secret".into()));
        assert_eq!(scalar(&document, "1").0, "x");
        assert_eq!(scalar(&document, "c"), ("1.10".into(), Kind::Text));
        assert_eq!(line(&document, "c"), Some(4));
    }

    #[test]
    fn nothing_is_an_empty_section() {
        for text in ["", "\n", "# only a comment\n", "---\n", "~"] {
            assert_eq!(Document::read(text).unwrap().root, Node::empty(), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_yaml_says_its_line() {
        let broken = Document::read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert_eq!(broken.line, Some(3));
        assert!(Document::read("a: 1\n---\nb: 2\n").is_err());
        assert!(Document::read(&"[".repeat(1000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c:?&*!<>|'\"{}\\[\\], \n\t#%@0-9.~]{0,80}") {
            if let Ok(document) = Document::read(&text) {
                for number in 0..20 {
                    document.line(number);
                }
            }
        }
    }
}
