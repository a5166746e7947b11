//! JSON text read once: its grammar checked, and where each of its values stands noted in one list, so that fields are
//! looked up and values copied without reading the text again and without a tree. Knows neither records nor what
//! canonical form is.

mod grammar;

use std::borrow::Cow;

use crate::data::reject::Reject;
use grammar::Grammar;

/// Deepest nesting of objects and lists that is read; under the limits of the JSON readers further down the road.
pub const MAX_DEPTH: usize = 100;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = ONES << 7;

/// Values whose room is kept for the next text: those of a large record. One that is larger still gives it back.
const KEPT: usize = 1 << 16;

/// Where the values of a JSON text stand; reuse one for many texts.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
}

/// One value, or the key of a member, which stands before its value.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Of a key: its first eight bytes. Nearly all comparisons of keys are decided by it.
    prefix: u64,
    start: u32,
    end: u32,
    /// Number of the node behind the value and everything in it.
    next: u32,
    kind: JsonKind,
}

/// A key that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct KeyName {
    text: &'static str,
    prefix: u64,
}

impl KeyName {
    /// A key without a quote, a backslash and control characters.
    pub const fn new(text: &'static str) -> KeyName {
        let (bytes, mut first, mut at) = (text.as_bytes(), [0; 8], 0);
        while at < bytes.len() && at < 8 {
            first[at] = bytes[at];
            at += 1;
        }
        KeyName { text, prefix: u64::from_be_bytes(first) }
    }

    /// The key.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    pub(crate) const fn prefix(&self) -> u64 {
        self.prefix
    }
}

/// What a value is, as far as those who copy it care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `{...}`
    Object,
    /// `[...]`
    List,
    /// A text without escapes.
    Plain,
    /// A text whose escapes are all of two characters, and not `\/`.
    Escaped,
    /// A text with `\/` or `\u`, as Python writes every letter beyond ASCII.
    Encoded,
    /// A number without a point and an exponent, other than -0.
    Integer,
    /// Any other number.
    Number,
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
}

/// A value of a text that has been read.
#[derive(Clone, Copy, Debug)]
pub struct JsonValue<'t, 'a> {
    text: &'a str,
    nodes: &'t [Node],
    at: u32,
}

/// What a text holds.
#[derive(Clone, Copy, Debug)]
pub struct JsonDocument<'t, 'a> {
    /// Its only value.
    pub root: JsonValue<'t, 'a>,
    /// Whether a text in it holds half of a surrogate pair, so that it stands for no text.
    pub has_lone_surrogate: bool,
}

impl Tape {
    /// Reads a text that is to stand below `levels` levels of other objects and lists.
    ///
    /// # Errors
    ///
    /// [`Reject::InvalidJson`], [`Reject::TrailingData`], [`Reject::TooDeep`], or [`Reject::LineTooLong`] from 4 GiB on.
    pub fn read<'t, 'a>(&'t mut self, text: &'a str, levels: usize) -> Result<JsonDocument<'t, 'a>, Reject> {
        if u32::try_from(text.len()).is_err() {
            return Err(Reject::LineTooLong);
        }
        self.nodes.clear();
        self.nodes.shrink_to(KEPT);
        let has_lone_surrogate = Grammar::read(text.as_bytes(), levels, &mut self.nodes)?;
        Ok(JsonDocument { root: JsonValue { text, nodes: &self.nodes, at: 0 }, has_lone_surrogate })
    }
}

impl<'t, 'a> JsonValue<'t, 'a> {
    #[inline]
    fn node(&self) -> Node {
        self.nodes[self.at as usize]
    }

    /// Its place in the tape, by which it is found again.
    #[inline]
    pub(crate) fn place(&self) -> u32 {
        self.at
    }

    /// The value in this place of its tape.
    #[inline]
    pub(crate) fn in_place(&self, at: u32) -> JsonValue<'t, 'a> {
        JsonValue { at, ..*self }
    }

    /// The value behind it: that of a key.
    #[inline]
    pub(crate) fn following(&self) -> JsonValue<'t, 'a> {
        JsonValue { at: self.node().next, ..*self }
    }

    /// What it is.
    #[inline]
    pub fn kind(&self) -> JsonKind {
        self.node().kind
    }

    /// As it is written.
    #[inline]
    pub fn raw(&self) -> &'a str {
        let Node { start, end, .. } = self.node();
        &self.text[start as usize..end as usize]
    }

    /// The whole text, and where it stands in it.
    #[inline]
    pub(crate) fn span(&self) -> (&'a [u8], usize, usize) {
        let Node { start, end, .. } = self.node();
        (self.text.as_bytes(), start as usize, end as usize)
    }

    /// Keys and values of an object, as they come; none of anything else.
    #[inline]
    pub fn members(&self) -> impl Iterator<Item = (JsonValue<'t, 'a>, JsonValue<'t, 'a>)> + use<'t, 'a> {
        let mut keys = self.inner(JsonKind::Object);
        std::iter::from_fn(move || Some((keys.next()?, keys.next()?)))
    }

    /// The value of a key of an object, as of [`JsonValue::values`].
    pub fn get(&self, name: KeyName) -> Option<JsonValue<'t, 'a>> {
        let [value] = self.values([name]);
        value
    }

    /// The values of these keys of an object, of one that stands twice the last; null is as good as absent.
    pub fn values<const N: usize>(&self, names: [KeyName; N]) -> [Option<JsonValue<'t, 'a>>; N] {
        let mut found = [None; N];
        for (key, value) in self.members() {
            if let Some(at) = names.iter().position(|name| key.is_key(*name)) {
                found[at] = Some(value);
            }
        }
        found.map(|value: Option<JsonValue<'_, '_>>| value.filter(|value| value.kind() != JsonKind::Null))
    }

    /// The items of a list; none of anything else.
    #[inline]
    pub fn items(&self) -> impl Iterator<Item = JsonValue<'t, 'a>> + use<'t, 'a> {
        self.inner(JsonKind::List)
    }

    #[inline]
    fn inner(&self, kind: JsonKind) -> Inner<'t, 'a> {
        let node = self.node();
        let end = if node.kind == kind { node.next } else { self.at + 1 };
        Inner { next: JsonValue { at: self.at + 1, ..*self }, end }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<JsonText<'a>> {
        let raw = self.raw();
        match self.kind() {
            JsonKind::Plain => Some(JsonText::Plain(&raw[1..raw.len() - 1])),
            JsonKind::Escaped | JsonKind::Encoded => Some(JsonText::Written(raw)),
            _ => None,
        }
    }

    /// Whether it is this key.
    #[inline]
    pub fn is_key(&self, name: KeyName) -> bool {
        let Node { prefix, start, end, kind, .. } = self.node();
        if kind != JsonKind::Plain {
            return self.is_escaped_key(name);
        }
        let (key, wanted) = (start as usize + 1..end as usize - 1, name.text.as_bytes());
        prefix == name.prefix
            && key.len() == wanted.len()
            && (key.len() <= 8 || self.text.as_bytes()[key][8..] == wanted[8..])
    }

    #[cold]
    fn is_escaped_key(&self, name: KeyName) -> bool {
        self.text().is_some_and(|text| text.read() == name.text)
    }

    /// The first eight bytes of a key as a number; `None` when keys do not sort as their bytes do because of it.
    #[inline]
    pub(crate) fn sort_prefix(&self) -> Option<u64> {
        let Node { prefix, kind, .. } = self.node();
        (kind == JsonKind::Plain && prefix & TOPS == 0).then_some(prefix)
    }
}

/// A text, without escapes or as it is written.
#[derive(Clone, Copy, Debug)]
pub enum JsonText<'a> {
    /// What it says.
    Plain(&'a str),
    /// With quotes and escapes.
    Written(&'a str),
}

impl<'a> JsonText<'a> {
    /// What it says; nothing where half of a surrogate pair stands in it.
    pub fn read(&self) -> Cow<'a, str> {
        match self {
            JsonText::Plain(text) => Cow::Borrowed(text),
            JsonText::Written(raw) => serde_json::from_str(raw).map(Cow::Owned).unwrap_or_default(),
        }
    }

    /// Whether it says nothing but white space.
    pub fn is_blank(&self) -> bool {
        match self {
            JsonText::Plain(text) => text.trim().is_empty(),
            // Nearly all begin with what is neither white space nor an escape.
            JsonText::Written(raw) => {
                let first = raw[1..].chars().next();
                first.is_none_or(|first| first == '\\' || first.is_whitespace()) && self.read().trim().is_empty()
            }
        }
    }
}

impl<'a> From<&'a str> for JsonText<'a> {
    fn from(text: &'a str) -> JsonText<'a> {
        JsonText::Plain(text)
    }
}

struct Inner<'t, 'a> {
    next: JsonValue<'t, 'a>,
    end: u32,
}

impl<'t, 'a> Iterator for Inner<'t, 'a> {
    type Item = JsonValue<'t, 'a>;

    #[inline]
    fn next(&mut self) -> Option<JsonValue<'t, 'a>> {
        if self.next.at >= self.end {
            return None;
        }
        let value = self.next;
        self.next.at = value.node().next;
        Some(value)
    }
}

#[cfg(test)]
mod tests;
