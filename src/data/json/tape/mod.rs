//! Reads JSON text once: checks the grammar and notes the place of each value in one list, the tape. Fields are looked up
//! and values copied without a tree and without reading the text again.

mod grammar;

use std::borrow::Cow;

use crate::data::reject::Reject;
use grammar::Grammar;

/// Deepest nesting that is read. It stays below the limits of the services that read the datasets.
pub(crate) const MAX_DEPTH: usize = 100;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = ONES << 7;

/// Nodes whose memory is kept for the next text: enough for a large record.
const KEPT: usize = 1 << 16;

/// The places of the values of a JSON text. Reuse it for many texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
}

/// A value, or the key of a member. A key stands before its value.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The first eight bytes of a key. They decide nearly all comparisons of keys.
    prefix: u64,
    start: u32,
    end: u32,
    /// Number of the node behind the value and all that it contains.
    next: u32,
    kind: JsonKind,
}

/// A key to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyName {
    text: &'static str,
    prefix: u64,
}

impl KeyName {
    /// Creates a key. It must contain no quote, backslash or control character.
    pub(crate) const fn new(text: &'static str) -> KeyName {
        let (bytes, mut first, mut at) = (text.as_bytes(), [0; 8], 0);
        while at < bytes.len() && at < 8 {
            first[at] = bytes[at];
            at += 1;
        }
        KeyName { text, prefix: u64::from_be_bytes(first) }
    }

    /// Returns the text of the key.
    pub(crate) const fn text(&self) -> &'static str {
        self.text
    }

    pub(crate) const fn prefix(&self) -> u64 {
        self.prefix
    }
}

/// The kind of a value. Texts and numbers are told apart by whether canonical JSON can copy them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonKind {
    /// `{...}`
    Object,
    /// `[...]`
    List,
    /// A text without escapes.
    Plain,
    /// A text whose escapes all have two characters, without `\/`.
    Escaped,
    /// A text with `\/` or `\u`. Python writes every letter beyond ASCII so.
    Encoded,
    /// A number without point and exponent, except -0.
    Integer,
    /// Any other number.
    Number,
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
}

/// A value on a tape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonValue<'t, 'a> {
    text: &'a str,
    nodes: &'t [Node],
    at: u32,
}

/// A text that was read onto a tape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonDocument<'t, 'a> {
    /// The outermost value.
    pub(crate) root: JsonValue<'t, 'a>,
    /// A string in it holds half of a surrogate pair. Such a string is no text.
    pub(crate) has_lone_surrogate: bool,
}

impl Tape {
    /// Reads a text that will stand below `levels` levels of objects and lists.
    ///
    /// # Errors
    ///
    /// [`Reject::InvalidJson`], [`Reject::TrailingData`], [`Reject::TooDeep`], or [`Reject::LineTooLong`] from 4 GiB on.
    pub(crate) fn read<'t, 'a>(&'t mut self, text: &'a str, levels: usize) -> Result<JsonDocument<'t, 'a>, Reject> {
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

    /// Returns its place on the tape.
    #[inline]
    pub(crate) fn place(&self) -> u32 {
        self.at
    }

    /// Returns the value at a place of the tape.
    #[inline]
    pub(crate) fn in_place(&self, at: u32) -> JsonValue<'t, 'a> {
        JsonValue { at, ..*self }
    }

    /// Returns the value behind it. Behind a key stands its value.
    #[inline]
    pub(crate) fn following(&self) -> JsonValue<'t, 'a> {
        JsonValue { at: self.node().next, ..*self }
    }

    /// Returns its kind.
    #[inline]
    pub(crate) fn kind(&self) -> JsonKind {
        self.node().kind
    }

    /// Returns the JSON text as written.
    #[inline]
    pub(crate) fn raw(&self) -> &'a str {
        let Node { start, end, .. } = self.node();
        &self.text[start as usize..end as usize]
    }

    /// Iterates over the keys and values of an object. Other values have none.
    #[inline]
    pub(crate) fn members(&self) -> impl Iterator<Item = (JsonValue<'t, 'a>, JsonValue<'t, 'a>)> + use<'t, 'a> {
        let mut keys = self.inner(JsonKind::Object);
        std::iter::from_fn(move || Some((keys.next()?, keys.next()?)))
    }

    /// Returns the value of a key of an object, as [`JsonValue::values`] does.
    pub(crate) fn get(&self, name: KeyName) -> Option<JsonValue<'t, 'a>> {
        let [value] = self.values([name]);
        value
    }

    /// Returns the values of these keys of an object. A repeated key has its last value. Null counts as absent.
    pub(crate) fn values<const N: usize>(&self, names: [KeyName; N]) -> [Option<JsonValue<'t, 'a>>; N] {
        let mut found = [None; N];
        for (key, value) in self.members() {
            if let Some(at) = names.iter().position(|name| key.is_key(*name)) {
                found[at] = (value.kind() != JsonKind::Null).then_some(value);
            }
        }
        found
    }

    /// Iterates over the items of a list. Other values have none.
    #[inline]
    pub(crate) fn items(&self) -> impl Iterator<Item = JsonValue<'t, 'a>> + use<'t, 'a> {
        self.inner(JsonKind::List)
    }

    #[inline]
    fn inner(&self, kind: JsonKind) -> Inner<'t, 'a> {
        let node = self.node();
        let end = if node.kind == kind { node.next } else { self.at + 1 };
        Inner { next: JsonValue { at: self.at + 1, ..*self }, end }
    }

    /// Returns the text of a string.
    pub(crate) fn text(&self) -> Option<JsonText<'a>> {
        let raw = self.raw();
        match self.kind() {
            JsonKind::Plain => Some(JsonText::Plain(&raw[1..raw.len() - 1])),
            JsonKind::Escaped | JsonKind::Encoded => Some(JsonText::Written(raw)),
            _ => None,
        }
    }

    /// Returns true if it is this key.
    #[inline]
    pub(crate) fn is_key(&self, name: KeyName) -> bool {
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

    /// Returns the first eight bytes of a key as a number. `None` for a key that does not sort as its bytes do.
    #[inline]
    pub(crate) fn sort_prefix(&self) -> Option<u64> {
        let Node { prefix, kind, .. } = self.node();
        (kind == JsonKind::Plain && prefix & TOPS == 0).then_some(prefix)
    }
}

/// The text of a JSON string.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JsonText<'a> {
    /// Without escapes.
    Plain(&'a str),
    /// As written, with quotes and escapes.
    Written(&'a str),
}

impl<'a> JsonText<'a> {
    /// Returns the unescaped text. It is empty if half of a surrogate pair stands in it.
    pub(crate) fn read(&self) -> Cow<'a, str> {
        match self {
            JsonText::Plain(text) => Cow::Borrowed(text),
            JsonText::Written(raw) => serde_json::from_str(raw).map(Cow::Owned).unwrap_or_default(),
        }
    }

    /// Returns true if the text is white space only.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            JsonText::Plain(text) => text.trim().is_empty(),
            // Nearly all texts begin with neither white space nor an escape, and are not unescaped here.
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
