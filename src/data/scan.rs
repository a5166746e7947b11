//! The tokens of JSON text, copied in the form of RFC 8785: strings, numbers and words. Knows no objects and no lists.

use crate::data::rules::Reject;

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

/// Strings up to this length are searched byte by byte, which is faster than calling a wide search.
const SHORT: usize = 24;

/// Reads JSON text from its start and copies what it reads.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the start of `text`.
    pub(crate) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn rest(&self) -> &[u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Reject> {
        if self.take(byte) { Ok(()) } else { Err(Reject::InvalidJson) }
    }

    pub(crate) fn word(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
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

    pub(crate) fn number(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
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
    pub(crate) fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
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
