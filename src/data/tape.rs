//! JSON text read once: its grammar checked, and where each of its values stands noted in one list, so that fields are
//! looked up and values copied without reading the text again and without a tree. Knows neither records nor what
//! canonical form is.

use std::borrow::Cow;

use crate::data::rules::Reject;

/// Deepest nesting of objects and lists that is read; under the limits of the JSON readers further down the road.
pub const MAX_DEPTH: usize = 100;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = ONES << 7;

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
    kind: Kind,
}

/// A key that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    text: &'static str,
    prefix: u64,
}

impl Name {
    /// A key without a quote, a backslash and control characters.
    pub const fn new(text: &'static str) -> Name {
        let (bytes, mut first, mut at) = (text.as_bytes(), [0; 8], 0);
        while at < bytes.len() && at < 8 {
            first[at] = bytes[at];
            at += 1;
        }
        Name { text, prefix: u64::from_be_bytes(first) }
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
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    List,
    /// A text without escapes.
    Plain,
    /// A text whose escapes are all of two characters, and not `\/`.
    Escaped,
    /// A text with `\/` or `\u`.
    Rare,
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
pub struct Value<'t, 'a> {
    text: &'a str,
    nodes: &'t [Node],
    at: u32,
}

/// What a text holds.
#[derive(Clone, Copy, Debug)]
pub struct Document<'t, 'a> {
    /// Its only value.
    pub root: Value<'t, 'a>,
    /// Whether a text in it holds half of a surrogate pair, so that it stands for no text.
    pub has_lone_surrogate: bool,
}

impl Tape {
    /// Reads a text that is to stand below `levels` levels of other objects and lists.
    ///
    /// # Errors
    ///
    /// [`Reject::InvalidJson`], [`Reject::TrailingData`], [`Reject::TooDeep`], or [`Reject::LineTooLong`] from 4 GiB on.
    pub fn read<'t, 'a>(&'t mut self, text: &'a str, levels: usize) -> Result<Document<'t, 'a>, Reject> {
        if u32::try_from(text.len()).is_err() {
            return Err(Reject::LineTooLong);
        }
        self.nodes.clear();
        let mut reader = Reader { bytes: text.as_bytes(), nodes: &mut self.nodes, has_lone_surrogate: false };
        let end = reader.value(0, levels)?;
        let (at_end, has_lone_surrogate) = (behind_space(reader.bytes, end) == text.len(), reader.has_lone_surrogate);
        let root = Value { text, nodes: &self.nodes, at: 0 };
        if at_end { Ok(Document { root, has_lone_surrogate }) } else { Err(Reject::TrailingData) }
    }
}

impl<'t, 'a> Value<'t, 'a> {
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
    pub(crate) fn in_place(&self, at: u32) -> Value<'t, 'a> {
        Value { at, ..*self }
    }

    /// The value behind it: that of a key.
    #[inline]
    pub(crate) fn following(&self) -> Value<'t, 'a> {
        Value { at: self.node().next, ..*self }
    }

    /// What it is.
    #[inline]
    pub fn kind(&self) -> Kind {
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
    pub fn members(&self) -> impl Iterator<Item = (Value<'t, 'a>, Value<'t, 'a>)> + use<'t, 'a> {
        let mut keys = self.inner(Kind::Object);
        std::iter::from_fn(move || Some((keys.next()?, keys.next()?)))
    }

    /// The value of a key of an object, the last one where it stands twice; null is as good as absent.
    pub fn get(&self, name: Name) -> Option<Value<'t, 'a>> {
        let of_key = self.members().filter(|(key, _)| key.is_key(name)).last();
        of_key.map(|(_, value)| value).filter(|value| value.kind() != Kind::Null)
    }

    /// The items of a list; none of anything else.
    #[inline]
    pub fn items(&self) -> impl Iterator<Item = Value<'t, 'a>> + use<'t, 'a> {
        self.inner(Kind::List)
    }

    #[inline]
    fn inner(&self, kind: Kind) -> Inner<'t, 'a> {
        let node = self.node();
        let end = if node.kind == kind { node.next } else { self.at + 1 };
        Inner { next: Value { at: self.at + 1, ..*self }, end }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<Text<'a>> {
        let raw = self.raw();
        match self.kind() {
            Kind::Plain => Some(Text::Plain(&raw[1..raw.len() - 1])),
            Kind::Escaped | Kind::Rare => Some(Text::Written(raw)),
            _ => None,
        }
    }

    /// Whether it is this key.
    #[inline]
    pub fn is_key(&self, name: Name) -> bool {
        let Node { prefix, start, end, kind, .. } = self.node();
        if kind != Kind::Plain {
            return self.is_escaped_key(name);
        }
        let (key, wanted) = (start as usize + 1..end as usize - 1, name.text.as_bytes());
        prefix == name.prefix
            && key.len() == wanted.len()
            && (key.len() <= 8 || self.text.as_bytes()[key][8..] == wanted[8..])
    }

    #[cold]
    fn is_escaped_key(&self, name: Name) -> bool {
        self.text().is_some_and(|text| text.read() == name.text)
    }

    /// The first eight bytes of a key as a number; `None` when keys do not sort as their bytes do because of it.
    #[inline]
    pub(crate) fn sort_prefix(&self) -> Option<u64> {
        let Node { prefix, kind, .. } = self.node();
        (kind == Kind::Plain && prefix & TOPS == 0).then_some(prefix)
    }
}

/// A text, without escapes or as it is written.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// What it says.
    Plain(&'a str),
    /// With quotes and escapes.
    Written(&'a str),
}

impl<'a> Text<'a> {
    /// What it says; nothing where half of a surrogate pair stands in it.
    pub fn read(&self) -> Cow<'a, str> {
        match self {
            Text::Plain(text) => Cow::Borrowed(text),
            Text::Written(raw) => serde_json::from_str(raw).map(Cow::Owned).unwrap_or_default(),
        }
    }

    /// Whether it says nothing but white space.
    pub fn is_blank(&self) -> bool {
        match self {
            Text::Plain(text) => text.trim().is_empty(),
            // Nearly all begin with what is neither white space nor an escape.
            Text::Written(raw) => {
                let first = raw[1..].chars().next();
                first.is_none_or(|first| first == '\\' || first.is_whitespace()) && self.read().trim().is_empty()
            }
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Text<'a> {
        Text::Plain(text)
    }
}

struct Inner<'t, 'a> {
    next: Value<'t, 'a>,
    end: u32,
}

impl<'t, 'a> Iterator for Inner<'t, 'a> {
    type Item = Value<'t, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'t, 'a>> {
        if self.next.at >= self.end {
            return None;
        }
        let value = self.next;
        self.next.at = value.node().next;
        Some(value)
    }
}

/// Positions go in and out of its functions, so that they stay in registers.
struct Reader<'a, 't> {
    bytes: &'a [u8],
    nodes: &'t mut Vec<Node>,
    has_lone_surrogate: bool,
}

impl Reader<'_, '_> {
    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[inline(always)]
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { prefix: 0, start: start as u32, end: end as u32, next, kind });
    }

    /// Reads the value at `at`, white space before it included, and says where it ends.
    fn value(&mut self, at: usize, depth: usize) -> Result<usize, Reject> {
        if depth > MAX_DEPTH {
            return Err(Reject::TooDeep);
        }
        let at = behind_space(self.bytes, at);
        match self.byte(at) {
            Some(b'"') => self.string(at),
            Some(b'{') => self.object(at, depth),
            Some(b'[') => self.list(at, depth),
            Some(b'-' | b'0'..=b'9') => self.number(at),
            Some(b'n') => self.word(at, Kind::Null, b"null"),
            Some(b't') => self.word(at, Kind::Bool, b"true"),
            Some(b'f') => self.word(at, Kind::Bool, b"false"),
            _ => Err(Reject::InvalidJson),
        }
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<usize, Reject> {
        let own = self.nodes.len();
        self.push(Kind::Object, start, start);
        let mut at = behind_space(self.bytes, start + 1);
        if self.byte(at) != Some(b'}') {
            loop {
                at = behind_space(self.bytes, self.key(at)?);
                if self.byte(at) != Some(b':') {
                    return Err(Reject::InvalidJson);
                }
                at = behind_space(self.bytes, self.value(at + 1, depth + 1)?);
                match self.byte(at) {
                    Some(b',') => at = behind_space(self.bytes, at + 1),
                    Some(b'}') => break,
                    _ => return Err(Reject::InvalidJson),
                }
            }
        }
        Ok(self.close(own, at + 1))
    }

    fn list(&mut self, start: usize, depth: usize) -> Result<usize, Reject> {
        let own = self.nodes.len();
        self.push(Kind::List, start, start);
        let mut at = behind_space(self.bytes, start + 1);
        if self.byte(at) != Some(b']') {
            loop {
                at = behind_space(self.bytes, self.value(at, depth + 1)?);
                match self.byte(at) {
                    Some(b',') => at += 1,
                    Some(b']') => break,
                    _ => return Err(Reject::InvalidJson),
                }
            }
        }
        Ok(self.close(own, at + 1))
    }

    fn close(&mut self, own: usize, end: usize) -> usize {
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[own];
        (node.end, node.next) = (end as u32, next);
        end
    }

    fn word(&mut self, at: usize, kind: Kind, word: &[u8]) -> Result<usize, Reject> {
        let end = at + word.len();
        if self.bytes.get(at..end) != Some(word) {
            return Err(Reject::InvalidJson);
        }
        self.push(kind, at, end);
        Ok(end)
    }

    fn number(&mut self, start: usize) -> Result<usize, Reject> {
        let negative = self.byte(start) == Some(b'-');
        let mut at = start + usize::from(negative);
        let mut kind = Kind::Integer;
        if self.byte(at) == Some(b'0') {
            at += 1;
            if negative {
                kind = Kind::Number;
            }
        } else {
            at = self.digits(at)?;
        }
        if self.byte(at) == Some(b'.') {
            kind = Kind::Number;
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            kind = Kind::Number;
            at += 1;
            at = self.digits(at + usize::from(matches!(self.byte(at), Some(b'+' | b'-'))))?;
        }
        self.push(kind, start, at);
        Ok(at)
    }

    /// The end of the digits at `at`, of which there has to be one.
    #[inline(always)]
    fn digits(&self, at: usize) -> Result<usize, Reject> {
        let mut end = at;
        while matches!(self.byte(end), Some(b'0'..=b'9')) {
            end += 1;
        }
        if end > at { Ok(end) } else { Err(Reject::InvalidJson) }
    }

    fn key(&mut self, start: usize) -> Result<usize, Reject> {
        if self.byte(start) != Some(b'"') {
            return Err(Reject::InvalidJson);
        }
        let end = self.string(start)?;
        let key = &self.bytes[start + 1..end - 1];
        let mut first = [0; 8];
        let prefix = if let Some(eight) = self.bytes.get(start + 1..start + 9) {
            first.copy_from_slice(eight);
            let behind = u64::MAX.checked_shr(8 * key.len() as u32).unwrap_or(0);
            u64::from_be_bytes(first) & !behind
        } else {
            // At the end of the text.
            first[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(first)
        };
        if let Some(node) = self.nodes.last_mut() {
            node.prefix = prefix;
        }
        Ok(end)
    }

    #[inline(always)]
    fn string(&mut self, start: usize) -> Result<usize, Reject> {
        let at = start + 1 + plain_run(&self.bytes[start + 1..]);
        if self.byte(at) == Some(b'"') {
            self.push(Kind::Plain, start, at + 1);
            return Ok(at + 1);
        }
        self.escaped_string(start, at)
    }

    /// A string whose first special byte is no quote.
    fn escaped_string(&mut self, start: usize, mut at: usize) -> Result<usize, Reject> {
        let mut kind = Kind::Escaped;
        loop {
            match self.byte(at) {
                Some(b'"') => break,
                Some(b'\\') => match self.byte(at + 1) {
                    Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    Some(b'/') => {
                        kind = Kind::Rare;
                        at += 2;
                    }
                    Some(b'u') => {
                        kind = Kind::Rare;
                        at = self.code_point(at)?;
                    }
                    _ => return Err(Reject::InvalidJson),
                },
                // The text ends within it, or a control character stands in it.
                _ => return Err(Reject::InvalidJson),
            }
            at += plain_run(&self.bytes[at..]);
        }
        self.push(kind, start, at + 1);
        Ok(at + 1)
    }

    /// The end of the `\u` at `at`, and of the one behind it that makes a pair with it.
    fn code_point(&mut self, at: usize) -> Result<usize, Reject> {
        let end = at + 6;
        match self.code_unit(at)? {
            0xd800..=0xdbff
                if self.bytes[end..].starts_with(b"\\u") && matches!(self.code_unit(end)?, 0xdc00..=0xdfff) =>
            {
                return Ok(end + 6);
            }
            0xd800..=0xdfff => self.has_lone_surrogate = true,
            _ => {}
        }
        Ok(end)
    }

    fn code_unit(&self, at: usize) -> Result<u32, Reject> {
        let digits = self.bytes.get(at + 2..at + 6).ok_or(Reject::InvalidJson)?;
        digits.iter().try_fold(0, |unit, &digit| {
            let digit = char::from(digit).to_digit(16).ok_or(Reject::InvalidJson)?;
            Ok(unit * 16 + digit)
        })
    }
}

#[inline(always)]
fn behind_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Bytes before the first quote, backslash or control character, eight at a time (SWAR: Mycroft's test for a zero byte,
/// whose lowest hit is exact).
#[inline(always)]
fn plain_run(bytes: &[u8]) -> usize {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut words = bytes.chunks_exact(8);
    let mut run = 0;
    for word in words.by_ref() {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        let word = u64::from_le_bytes(eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c)) | control) & TOPS;
        if found != 0 {
            return run + (found.trailing_zeros() / 8) as usize;
        }
        run += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    run + words.remainder().iter().take_while(is_plain).count()
}

#[cfg(test)]
#[path = "tape_tests.rs"]
mod tests;
