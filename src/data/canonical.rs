//! RFC 8785 (JSON Canonicalization Scheme) of JSON text, and the ids of records. Integers are kept digit for digit,
//! because a log's integers may not fit a double; where the RFC refuses (a key that stands twice, a number beyond a
//! double) the last value and the largest double count. Works on text, not on values, so that a line is read once and
//! nothing is allocated per value.

use std::cmp::Ordering;
use std::ops::Range;

use crate::data::rules::Reject;

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
        let mut reader = Reader { text: json, at: 0 };
        self.value(&mut reader, out, levels)?;
        reader.skip_space();
        if reader.at == json.len() { Ok(()) } else { Err(Reject::TrailingData) }
    }

    /// Appends the canonical form of the JSON object `json`, without the members whose (escaped) key `keep` turns down
    /// and with those of `replace` in place of its own.
    pub fn rewrite(
        &mut self,
        json: &str,
        replace: &[(&str, &[u8])],
        keep: impl Fn(&[u8]) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        self.members.clear();
        let mut reader = Reader { text: json, at: 0 };
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
            self.append(key, Part::Done(value), out)?;
        }
        self.close_object(0, out)
    }

    /// Appends an object of `members` (key without characters that need escapes, JSON text), each made canonical, in
    /// canonical order.
    pub fn object(&mut self, members: &[(&str, Part<'_>)], out: &mut Vec<u8>) -> Result<(), Reject> {
        self.members.clear();
        out.push(b'{');
        for (key, part) in members {
            self.append(key, *part, out)?;
        }
        self.close_object(0, out)
    }

    fn append(&mut self, key: &str, part: Part<'_>, out: &mut Vec<u8>) -> Result<(), Reject> {
        if matches!(part, Part::Absent) {
            return Ok(());
        }
        let start = out.len();
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.push(b'"');
        let key_end = out.len();
        out.push(b':');
        match part {
            Part::Json(json) => {
                let mut reader = Reader { text: json, at: 0 };
                self.value(&mut reader, out, 1)?;
            }
            Part::Done(bytes) => out.extend_from_slice(bytes),
            Part::Absent => {}
        }
        self.members.push(Member::new(start, key_end, out));
        Ok(())
    }

    fn value(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Reject> {
        if depth > MAX_DEPTH {
            return Err(Reject::TooDeep);
        }
        reader.skip_space();
        match reader.peek() {
            Some(b'{') => {
                reader.at += 1;
                self.members_of_object(reader, out, depth)
            }
            Some(b'[') => {
                reader.at += 1;
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
        self.close_object(first, out)
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
    fn close_object(&mut self, first: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
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
        Ok(())
    }
}

/// The value of a member given to [`Canonical::object`].
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// JSON text, to be made canonical.
    Json(&'a str),
    /// Canonical already.
    Done(&'a [u8]),
    /// No such member.
    Absent,
}

/// A key in its canonical, escaped form as the text it stands for.
fn unescaped(key: &[u8]) -> String {
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_default()
}

/// Appends `text` as a canonical JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        push_char(c, out);
    }
    out.push(b'"');
}

fn push_char(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        '\r' => out.extend_from_slice(b"\\r"),
        c if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
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

/// Strings up to this length are searched byte by byte, which is faster than calling a wide search.
const SHORT: usize = 24;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Reject> {
        if self.take(byte) { Ok(()) } else { Err(Reject::InvalidJson) }
    }

    fn word(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
        let word = match self.peek() {
            Some(b'n') => "null",
            Some(b't') => "true",
            _ => "false",
        };
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Reject::InvalidJson);
        }
        out.extend_from_slice(word.as_bytes());
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
        let rest = self.rest();
        let is_part = |b: &u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len());
        let digits = &self.text[self.at..self.at + length];
        if digits == "-0" {
            out.push(b'0');
        } else if digits.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            out.extend_from_slice(digits.as_bytes());
        } else {
            let number: f64 = digits.parse().map_err(|_| Reject::InvalidJson)?;
            let number = number.clamp(f64::MIN, f64::MAX);
            out.extend_from_slice(ryu_js::Buffer::new().format_finite(number).as_bytes());
        }
        self.at += length;
        Ok(())
    }

    /// Copies the string that starts here, with its quotes, in the RFC's escapes.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
        let bytes = self.text.as_bytes();
        let mut from = self.at;
        self.at += 1;
        loop {
            let short = bytes.iter().skip(self.at).take(SHORT).position(|&b| b == b'"' || b == b'\\');
            let stop = match short {
                Some(stop) => self.at + stop,
                None => self.at + memchr::memchr2(b'"', b'\\', self.rest()).ok_or(Reject::InvalidJson)?,
            };
            self.at = stop + 1;
            if bytes[stop] == b'"' {
                out.extend_from_slice(&bytes[from..self.at]);
                return Ok(());
            }
            if matches!(bytes.get(self.at), Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')) {
                // The RFC's own form: goes with the run.
                self.at += 1;
                continue;
            }
            out.extend_from_slice(&bytes[from..stop]);
            self.escape(out)?;
            from = self.at;
        }
    }

    /// An escape that the RFC writes in another way; its backslash has been read.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
        let kind = self.peek().ok_or(Reject::InvalidJson)?;
        self.at += 1;
        match kind {
            b'/' => out.push(b'/'),
            b'u' => {
                let unit = self.hex4()?;
                push_char(self.code_point(unit)?, out);
            }
            _ => return Err(Reject::InvalidJson),
        }
        Ok(())
    }

    fn code_point(&mut self, unit: u16) -> Result<char, Reject> {
        if let Some(c) = char::from_u32(u32::from(unit)) {
            return Ok(c);
        }
        if !self.rest().starts_with(b"\\u") {
            return Err(Reject::LoneSurrogate);
        }
        self.at += 2;
        let low = self.hex4()?;
        char::decode_utf16([unit, low]).next().and_then(Result::ok).ok_or(Reject::LoneSurrogate)
    }

    fn hex4(&mut self) -> Result<u16, Reject> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Reject::InvalidJson)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Reject::InvalidJson);
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).map_err(|_| Reject::InvalidJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> Result<String, Reject> {
        let mut out = Vec::new();
        Canonical::default().write(json, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 8785 section 3.2.2, its own example and result, but for the integer that is kept digit for digit.
        let json = r#"{
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"#;
        let want = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                    \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(json).unwrap(), want);
    }

    #[test]
    fn keys_are_sorted_by_utf16_units() {
        // RFC 8785 section 3.2.3.
        let json = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
            "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let text = canonical(json).unwrap();
        let values: Vec<&str> = text.split(['"', ':', ',', '{', '}']).filter(|part| part.len() > 6).collect();
        let order = ["Carriage Return", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign"];
        assert_eq!(values[..4], order);
        assert!(text.find("Grinning").unwrap() < text.find("Hebrew").unwrap());
    }

    #[test]
    fn integers_keep_their_digits_and_other_numbers_are_doubles() {
        assert_eq!(
            canonical("[12345678901234567890123, -7, -0, 1.0, 1e2]").unwrap(),
            "[12345678901234567890123,-7,0,1,100]"
        );
        assert_eq!(canonical("[-1e999]").unwrap(), "[-1.7976931348623157e+308]");
    }

    #[test]
    fn what_no_id_can_be_made_of_is_refused() {
        assert_eq!(canonical(r#""\ud800""#), Err(Reject::LoneSurrogate));
        assert_eq!(canonical(r#""\ud800\u0041""#), Err(Reject::LoneSurrogate));
        assert_eq!(canonical(&"[".repeat(10_000)), Err(Reject::TooDeep));
        assert_eq!(canonical("{} {}"), Err(Reject::TrailingData));
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_value_counts() {
        assert_eq!(canonical(r#"{"b":0,"a":1,"\u0061":2,"a":{"c":3}}"#).unwrap(), r#"{"a":{"c":3},"b":0}"#);
    }

    #[test]
    fn objects_within_objects_and_lists_are_all_sorted() {
        assert_eq!(
            canonical(r#"{"b":[{"z":1,"y":{"d":0,"c":[]}}],"a":{}}"#).unwrap(),
            r#"{"a":{},"b":[{"y":{"c":[],"d":0},"z":1}]}"#
        );
    }
}
