//! RFC 8785 (JSON Canonicalization Scheme) of JSON text, and the ids of records. Integers are kept digit for digit,
//! because a log's integers may not fit a double; where the RFC refuses (a key that stands twice, a number beyond a
//! double) the last value and the largest double count. Works on text, not on values, so that a line is read once and
//! nothing is allocated per value.

use std::cmp::Ordering;
use std::ops::Range;

use crate::data::rules::Reject;
use crate::data::scan::Reader;
pub use crate::data::scan::write_string;

/// Deepest nesting of objects and lists that is read; under the limits of the JSON readers further down the road.
pub const MAX_DEPTH: usize = 100;

/// A canonicaliser with its scratch space; reuse one for many texts.
#[derive(Debug, Default)]
pub struct Canonical {
    members: Vec<Member>,
    moved: Vec<u8>,
}

/// One member of an object in the output, as written: `"key":value`, without commas.
#[derive(Clone, Copy, Debug)]
struct Member {
    start: usize,
    key_end: usize,
    end: usize,
    /// The first eight bytes of the key, so that most comparisons are of one number; `None` for a key with escapes or
    /// beyond ASCII, whose bytes do not sort as its UTF-16 units do.
    prefix: Option<u64>,
}

impl Member {
    /// The key stands from `start` to `key_end` of `out`, quotes included, the value behind its colon to the end.
    fn new(start: usize, key_end: usize, out: &[u8]) -> Member {
        let key = &out[start + 1..key_end - 1];
        let mut first = [0; 8];
        let length = key.len().min(8);
        first[..length].copy_from_slice(&key[..length]);
        let plain = key.iter().all(|&byte| byte.is_ascii() && byte != b'\\');
        Member { start, key_end, end: out.len(), prefix: plain.then_some(u64::from_be_bytes(first)) }
    }

    fn key(self) -> Range<usize> {
        self.start + 1..self.key_end - 1
    }

    fn compare(&self, other: &Member, out: &[u8]) -> Ordering {
        let (a, b) = (&out[self.key()], &out[other.key()]);
        match (self.prefix, other.prefix) {
            (Some(first), Some(second)) => first.cmp(&second).then_with(|| a.cmp(b)),
            _ => unescaped(a).encode_utf16().cmp(unescaped(b).encode_utf16()),
        }
    }
}

impl Canonical {
    /// Appends the canonical form of one JSON text to `out`. The text has been read by serde_json before: grammar is
    /// checked only as far as copying needs it.
    pub fn write(&mut self, json: &str, out: &mut Vec<u8>) -> Result<(), Reject> {
        self.write_below(0, json, out)
    }

    /// The same of a text that is to stand below this many levels of other objects and lists.
    pub fn write_below(&mut self, levels: usize, json: &str, out: &mut Vec<u8>) -> Result<(), Reject> {
        self.members.clear();
        let mut reader = Reader::new(json);
        self.value(&mut reader, out, levels)?;
        reader.skip_space();
        if reader.at_end() { Ok(()) } else { Err(Reject::TrailingData) }
    }

    /// Appends the canonical form of the JSON object `json`, without the members whose (escaped) key `keep` turns down
    /// and with those of `replace` (keys without escapes, values canonical) in place of its own.
    pub fn rewrite(
        &mut self,
        json: &str,
        replace: &[(&str, &[u8])],
        keep: impl Fn(&[u8]) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        self.members.clear();
        let mut reader = Reader::new(json);
        reader.skip_space();
        reader.expect(b'{')?;
        out.push(b'{');
        reader.skip_space();
        if !reader.take(b'}') {
            loop {
                let member = self.member(&mut reader, out, 1)?;
                let key = &out[member.key()];
                if keep(key) && !replace.iter().any(|(name, _)| name.as_bytes() == key) {
                    self.members.push(member);
                } else {
                    out.truncate(member.start);
                }
                reader.skip_space();
                if reader.take(b'}') {
                    break;
                }
                reader.expect(b',')?;
            }
        }
        for (key, value) in replace {
            self.append(key, value, out);
        }
        self.close_object(0, out);
        Ok(())
    }

    fn append(&mut self, key: &str, value: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.push(b'"');
        let key_end = out.len();
        out.push(b':');
        out.extend_from_slice(value);
        self.members.push(Member::new(start, key_end, out));
    }

    fn value(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Reject> {
        if depth > MAX_DEPTH {
            return Err(Reject::TooDeep);
        }
        reader.skip_space();
        match reader.peek() {
            Some(b'{') => {
                reader.skip(1);
                self.members_of_object(reader, out, depth)
            }
            Some(b'[') => {
                reader.skip(1);
                self.items_of_list(reader, out, depth)
            }
            Some(b'"') => reader.string(out),
            Some(b'-' | b'0'..=b'9') => reader.number(out),
            _ => reader.word(out),
        }
    }

    fn items_of_list(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Reject> {
        out.push(b'[');
        reader.skip_space();
        if !reader.take(b']') {
            loop {
                self.value(reader, out, depth + 1)?;
                reader.skip_space();
                if reader.take(b']') {
                    break;
                }
                reader.expect(b',')?;
                out.push(b',');
            }
        }
        out.push(b']');
        Ok(())
    }

    fn members_of_object(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Reject> {
        let first = self.members.len();
        out.push(b'{');
        reader.skip_space();
        if !reader.take(b'}') {
            loop {
                let member = self.member(reader, out, depth + 1)?;
                self.members.push(member);
                reader.skip_space();
                if reader.take(b'}') {
                    break;
                }
                reader.expect(b',')?;
            }
        }
        self.close_object(first, out);
        Ok(())
    }

    fn member(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<Member, Reject> {
        reader.skip_space();
        let start = out.len();
        if reader.peek() != Some(b'"') {
            return Err(Reject::InvalidJson);
        }
        reader.string(out)?;
        let key_end = out.len();
        reader.skip_space();
        reader.expect(b':')?;
        out.push(b':');
        self.value(reader, out, depth)?;
        Ok(Member::new(start, key_end, out))
    }

    /// Puts the members from `first` on into order, with commas between them, and closes the object. They stand
    /// directly behind each other at the end of `out`.
    fn close_object(&mut self, first: usize, out: &mut Vec<u8>) {
        let members = &mut self.members[first..];
        if let [only] = members {
            // In place already.
            debug_assert_eq!(only.end, out.len());
        } else if let Some(base) = members.first().map(|member| member.start) {
            // Stable, so that of equal keys the last one stands last.
            members.sort_by(|a, b| a.compare(b, out));
            self.moved.clear();
            for (n, member) in members.iter().enumerate() {
                if members.get(n + 1).is_some_and(|next| member.compare(next, out) == Ordering::Equal) {
                    continue;
                }
                self.moved.extend_from_slice(&out[member.start..member.end]);
                self.moved.push(b',');
            }
            self.moved.pop();
            out.truncate(base);
            out.extend_from_slice(&self.moved);
        }
        out.push(b'}');
        self.members.truncate(first);
    }
}

/// A key in its canonical, escaped form as the text it stands for.
fn unescaped(key: &[u8]) -> String {
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_default()
}

/// The id of a record from the canonical form of its five normalised fields: the first 128 bits of BLAKE3.
pub fn id_of(canonical: &[u8]) -> u128 {
    let hash = blake3::hash(canonical);
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(first)
}

/// An id as it is shown: 32 lower-case hex digits.
pub fn hex(id: u128) -> String {
    format!("{id:032x}")
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
