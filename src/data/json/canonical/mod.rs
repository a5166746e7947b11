//! Writes JSON text in the canonical form of RFC 8785, with three differences. Integers keep their digits, because they
//! may not fit a double. A repeated key has its last value, and a number beyond a double becomes the largest double: the
//! RFC refuses both. Copies from the text, so that nothing is allocated per value.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::data::json::tape::{JsonDocument, JsonKind, JsonValue, KeyName, Tape};
use crate::data::reject::Reject;

/// Reads and writes JSON texts. Holds scratch space, so reuse it.
#[derive(Debug, Default)]
pub(crate) struct Canonicaliser {
    tape: Tape,
    writer: CanonicalWriter,
}

/// Writes values of a tape. Holds scratch space, so reuse it.
#[derive(Debug, Default)]
pub(crate) struct CanonicalWriter {
    /// Members of the objects that are being written, innermost last.
    members: Vec<Member>,
}

/// One member of an object.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// The first eight bytes of the key, which decide most comparisons. `None` for a key with escapes or characters beyond
    /// ASCII: its bytes do not sort as its UTF-16 units.
    prefix: Option<u64>,
    place: MemberOrigin,
}

/// The origin of a member.
#[derive(Clone, Copy, Debug)]
enum MemberOrigin {
    /// Place of its key on the tape.
    Own(u32),
    /// Number of a member that was given.
    Given(u32),
}

/// A key and canonical value that are not in the text.
pub(crate) type GivenMember<'r> = (KeyName, &'r [u8]);

/// The parts of an object that is being written.
#[derive(Clone, Copy)]
struct ObjectParts<'r, 't, 'a> {
    object: JsonValue<'t, 'a>,
    given: &'r [GivenMember<'r>],
}

impl ObjectParts<'_, '_, '_> {
    #[inline]
    fn compare(&self, a: &Member, b: &Member) -> Ordering {
        match (a.prefix, b.prefix) {
            (Some(first), Some(second)) if first != second => first.cmp(&second),
            _ => self.compare_keys(a, b),
        }
    }

    fn compare_keys(&self, a: &Member, b: &Member) -> Ordering {
        let (a, b) = (self.key(a), self.key(b));
        if a.is_ascii() && b.is_ascii() { a.cmp(&b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
    }

    fn key(&self, member: &Member) -> Cow<'_, str> {
        match member.place {
            MemberOrigin::Given(given) => Cow::Borrowed(self.given[given as usize].0.text()),
            MemberOrigin::Own(key) => self.object.in_place(key).text().map(|key| key.read()).unwrap_or_default(),
        }
    }
}

/// Closes an object or a list whose members, each with a comma behind it, begin at `start`.
fn close(out: &mut Vec<u8>, start: usize, with: u8) {
    if out.len() > start {
        out.pop();
    }
    out.push(with);
}

impl Canonicaliser {
    /// Appends the canonical form of one JSON text to `out`.
    pub(crate) fn write(&mut self, json: &str, out: &mut Vec<u8>) -> Result<(), Reject> {
        self.write_below(0, json, out)
    }

    /// Appends the canonical form of a text that will stand below `levels` levels of objects and lists.
    pub(crate) fn write_below(&mut self, levels: usize, json: &str, out: &mut Vec<u8>) -> Result<(), Reject> {
        let JsonDocument { root, has_lone_surrogate } = self.tape.read(json, levels)?;
        if has_lone_surrogate {
            return Err(Reject::LoneSurrogate);
        }
        self.writer.write(root, out);
        Ok(())
    }
}

impl CanonicalWriter {
    /// Appends the canonical form of a value to `out`. No surrogate in it may be lone.
    pub(crate) fn write(&mut self, value: JsonValue<'_, '_>, out: &mut Vec<u8>) {
        out.reserve(value.raw().len());
        self.value(value, out);
    }

    /// Appends the canonical form of an object, without the members whose key `keep` refuses. The members of `given`
    /// replace its own.
    pub(crate) fn write_object(
        &mut self,
        object: JsonValue<'_, '_>,
        given: &[GivenMember<'_>],
        keep: impl Fn(JsonValue<'_, '_>) -> bool,
        out: &mut Vec<u8>,
    ) {
        let first = self.members.len();
        for (key, _) in object.members() {
            if keep(key) && !given.iter().any(|(name, _)| key.is_key(*name)) {
                self.members.push(Member { prefix: key.sort_prefix(), place: MemberOrigin::Own(key.place()) });
            }
        }
        let members = (0..)
            .zip(given)
            .map(|(n, (name, _))| Member { prefix: Some(name.prefix()), place: MemberOrigin::Given(n) });
        self.members.extend(members);
        // Two quotes, a colon and a comma.
        let room: usize = given.iter().map(|(name, value)| name.text().len() + value.len() + 4).sum();
        out.reserve(object.raw().len() + room);
        self.members_from(first, ObjectParts { object, given }, out);
    }

    #[inline(always)]
    fn value(&mut self, value: JsonValue<'_, '_>, out: &mut Vec<u8>) {
        match value.kind() {
            JsonKind::Plain | JsonKind::Escaped | JsonKind::Integer | JsonKind::Null | JsonKind::Bool => {
                out.extend_from_slice(value.raw().as_bytes());
            }
            _ => self.changed(value, out),
        }
    }

    /// Writes a value whose canonical form may differ from its text.
    fn changed(&mut self, value: JsonValue<'_, '_>, out: &mut Vec<u8>) {
        match value.kind() {
            JsonKind::Object => {
                let first = self.members.len();
                for (key, _) in value.members() {
                    self.members.push(Member { prefix: key.sort_prefix(), place: MemberOrigin::Own(key.place()) });
                }
                self.members_from(first, ObjectParts { object: value, given: &[] }, out);
            }
            JsonKind::List => {
                out.push(b'[');
                let start = out.len();
                for item in value.items() {
                    self.value(item, out);
                    out.push(b',');
                }
                close(out, start, b']');
            }
            JsonKind::Number => write_number(value.raw(), out),
            _ => write_encoded(value.raw(), out),
        }
    }

    /// Writes an object of the members from `first` on and removes them from the list.
    fn members_from(&mut self, first: usize, source: ObjectParts<'_, '_, '_>, out: &mut Vec<u8>) {
        let members = &mut self.members[first..];
        let in_order = members.is_sorted_by(|a, b| source.compare(a, b) == Ordering::Less);
        if !in_order {
            // The sort is stable: of equal keys the last one stays last.
            members.sort_by(|a, b| source.compare(a, b));
        }
        out.push(b'{');
        let start = out.len();
        let end = self.members.len();
        for at in first..end {
            let member = self.members[at];
            let is_overruled =
                !in_order && at + 1 < end && source.compare(&member, &self.members[at + 1]) == Ordering::Equal;
            if is_overruled {
                continue;
            }
            match member.place {
                MemberOrigin::Own(key) => {
                    let key = source.object.in_place(key);
                    self.value(key, out);
                    out.push(b':');
                    self.value(key.following(), out);
                }
                MemberOrigin::Given(given) => {
                    let (key, value) = source.given[given as usize];
                    out.push(b'"');
                    out.extend_from_slice(key.text().as_bytes());
                    out.extend_from_slice(b"\":");
                    out.extend_from_slice(value);
                }
            }
            out.push(b',');
        }
        close(out, start, b'}');
        self.members.truncate(first);
    }
}

/// Appends a number that is no plain integer.
fn write_number(raw: &str, out: &mut Vec<u8>) {
    if raw == "-0" {
        out.push(b'0');
        return;
    }
    // Every JSON number is one for the standard library, though it may be infinite.
    let number: f64 = raw.parse().unwrap_or_default();
    out.extend_from_slice(ryu_js::Buffer::new().format_finite(number.clamp(f64::MIN, f64::MAX)).as_bytes());
}

/// Appends a JSON string whose escapes may differ from those of the RFC.
fn write_encoded(raw: &str, out: &mut Vec<u8>) {
    let bytes = raw.as_bytes();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\\', &bytes[from..]).map(|found| from + found) {
        out.extend_from_slice(&bytes[from..at]);
        from = match bytes.get(at + 1) {
            Some(b'u') => {
                let (c, behind) = decoded(raw, at);
                match short_escape(c) {
                    Some(escape) => out.extend_from_slice(escape),
                    None if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
                    None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                behind
            }
            Some(b'/') => {
                out.push(b'/');
                at + 2
            }
            _ => {
                out.extend_from_slice(&bytes[at..at + 2]);
                at + 2
            }
        };
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Returns the character of the `\u`, or of the surrogate pair, at `at`, and its end.
fn decoded(raw: &str, at: usize) -> (char, usize) {
    let unit = |at: usize| raw.get(at + 2..at + 6).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let first = unit(at).unwrap_or_default();
    if let Some(c) = char::from_u32(u32::from(first)) {
        return (c, at + 6);
    }
    // No surrogate is lone here, so the other half follows.
    let pair = char::decode_utf16([first, unit(at + 6).unwrap_or_default()]).next();
    (pair.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER), at + 12)
}

/// Returns the escape of two characters that the RFC asks for, if there is one.
fn short_escape(c: char) -> Option<&'static [u8]> {
    Some(match c {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\u{8}' => b"\\b",
        '\t' => b"\\t",
        '\n' => b"\\n",
        '\u{c}' => b"\\f",
        '\r' => b"\\r",
        _ => return None,
    })
}

/// Appends `text` as a canonical JSON string, quotes included.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match short_escape(char::from(byte)) {
            Some(escape) => escape,
            None if byte < b' ' => &format!("\\u{byte:04x}").into_bytes(),
            None => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..at]);
        out.extend_from_slice(escape);
        from = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests;
