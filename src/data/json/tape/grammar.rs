//! The grammar of JSON (RFC 8259). Reads a text from start to end and notes its values.

use super::{JsonKind, MAX_DEPTH, Node, ONES, TOPS};
use crate::data::reject::Reject;

/// Reads JSON text. Its functions take and return positions, so that these stay in registers.
pub(super) struct Grammar<'a, 't> {
    bytes: &'a [u8],
    nodes: &'t mut Vec<Node>,
    has_lone_surrogate: bool,
}

impl<'a, 't> Grammar<'a, 't> {
    /// Reads a text that will stand below `levels` levels of objects and lists. Returns true if a string in it holds half
    /// of a surrogate pair.
    pub(super) fn read(bytes: &'a [u8], levels: usize, nodes: &'t mut Vec<Node>) -> Result<bool, Reject> {
        let mut reader = Grammar { bytes, nodes, has_lone_surrogate: false };
        let end = reader.value(0, levels)?;
        if behind_space(bytes, end) < bytes.len() {
            return Err(Reject::TrailingData);
        }
        Ok(reader.has_lone_surrogate)
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[inline(always)]
    fn push(&mut self, kind: JsonKind, start: usize, end: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { prefix: 0, start: start as u32, end: end as u32, next, kind });
    }

    /// Reads the value at `at`, with white space before it, and returns its end.
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
            Some(b'n') => self.word(at, JsonKind::Null, b"null"),
            Some(b't') => self.word(at, JsonKind::Bool, b"true"),
            Some(b'f') => self.word(at, JsonKind::Bool, b"false"),
            _ => Err(Reject::InvalidJson),
        }
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<usize, Reject> {
        let own = self.nodes.len();
        self.push(JsonKind::Object, start, start);
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
        self.push(JsonKind::List, start, start);
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

    fn word(&mut self, at: usize, kind: JsonKind, word: &[u8]) -> Result<usize, Reject> {
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
        let mut kind = JsonKind::Integer;
        if self.byte(at) == Some(b'0') {
            at += 1;
            if negative {
                kind = JsonKind::Number;
            }
        } else {
            at = self.digits(at)?;
        }
        if self.byte(at) == Some(b'.') {
            kind = JsonKind::Number;
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            kind = JsonKind::Number;
            at += 1;
            at = self.digits(at + usize::from(matches!(self.byte(at), Some(b'+' | b'-'))))?;
        }
        self.push(kind, start, at);
        Ok(at)
    }

    /// Returns the end of the digits at `at`. There must be at least one.
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
        let prefix = if let Some(eight) = self.bytes[start + 1..].first_chunk() {
            let behind = u64::MAX.checked_shr(8 * key.len().min(8) as u32).unwrap_or(0);
            u64::from_be_bytes(*eight) & !behind
        } else {
            // Fewer than eight bytes of the text are left.
            let mut first = [0; 8];
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
            self.push(JsonKind::Plain, start, at + 1);
            return Ok(at + 1);
        }
        self.escaped_string(start, at)
    }

    /// Reads a string that has a backslash or a control character at `at`.
    fn escaped_string(&mut self, start: usize, mut at: usize) -> Result<usize, Reject> {
        let mut kind = JsonKind::Escaped;
        loop {
            match self.byte(at) {
                Some(b'"') => break,
                Some(b'\\') => match self.byte(at + 1) {
                    Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                    Some(b'/') => {
                        kind = JsonKind::Encoded;
                        at += 2;
                    }
                    Some(b'u') => {
                        kind = JsonKind::Encoded;
                        at = self.code_point(at)?;
                    }
                    _ => return Err(Reject::InvalidJson),
                },
                // The text ends within the string, or a control character stands in it.
                _ => return Err(Reject::InvalidJson),
            }
            at += plain_run(&self.bytes[at..]);
        }
        self.push(kind, start, at + 1);
        Ok(at + 1)
    }

    /// Returns the end of the `\u` at `at`, or of the surrogate pair that begins with it.
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

/// Counts the bytes before the first quote, backslash or control character, eight at a time. Uses Mycroft's test for a
/// zero byte in a word, whose lowest hit is exact.
#[inline(always)]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks();
    let mut run = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c)) | control) & TOPS;
        if found != 0 {
            return run + (found.trailing_zeros() / 8) as usize;
        }
        run += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    run + rest.iter().take_while(is_plain).count()
}
