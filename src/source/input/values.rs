//! JSON values that do not stand one to a line: a list of records, or records over several lines. Gives each a line of its
//! own while they are read, and keeps everything else as it is.

use std::io::{self, BufRead, Read};

use serde::de::IgnoredAny;

use super::damage::Damaged;
use crate::source::lines::without_mark;

/// Returns true if a stream that begins with these bytes holds a list with objects, or objects over several lines.
pub(super) fn are_spread(beginning: &[u8]) -> bool {
    match without_mark(beginning).trim_ascii_start() {
        [b'[', rest @ ..] => rest.trim_ascii_start().starts_with(b"]") || have_object(rest),
        // A line of a log that holds nothing but a brace is torn. No key follows it.
        [b'{', rest @ ..] => {
            let key = rest.trim_ascii_start();
            key.first() == Some(&b'"') && rest[..rest.len() - key.len()].contains(&b'\n')
        }
        _ => false,
    }
}

/// Returns true if one of the items that a list begins with is an object.
fn have_object(items: &[u8]) -> bool {
    let mut rest = items.trim_ascii_start();
    while !rest.starts_with(b"{") {
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            return false;
        }
        let Some(behind) = rest[values.byte_offset()..].trim_ascii_start().strip_prefix(b",") else { return false };
        rest = behind.trim_ascii_start();
    }
    true
}

/// The values of a stream, each on a line.
pub(super) struct OnePerLine<R> {
    from: R,
    scan: Scan,
    /// Lines that were made and not yet handed out, from `at` on.
    made: Vec<u8>,
    at: usize,
}

/// The place in the JSON text.
#[derive(Debug, Default)]
struct Scan {
    /// The list around the records is open.
    in_list: bool,
    /// Objects and lists that are open, without that list.
    depth: usize,
    in_string: bool,
    /// The byte before, in a string, was a backslash.
    is_escaped: bool,
    /// The line holds something.
    has_begun: bool,
}

impl<R: BufRead> OnePerLine<R> {
    /// Gives each value of `from` a line.
    pub(super) fn new(from: R) -> OnePerLine<R> {
        OnePerLine { from, scan: Scan::default(), made: Vec::new(), at: 0 }
    }
}

impl<R: BufRead> Read for OnePerLine<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.made.len() {
            (self.at, _) = (0, self.made.clear());
            let read = self.from.fill_buf()?;
            let count = read.len();
            self.scan.put(read, &mut self.made);
            self.from.consume(count);
            if count == 0 && self.scan.has_begun {
                self.scan.end_line(&mut self.made);
            } else if count == 0 && std::mem::take(&mut self.scan.in_list) {
                return Err(Damaged::error("the list of records is not closed"));
            } else if count == 0 {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.made.len() - self.at);
        buffer[..count].copy_from_slice(&self.made[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Scan {
    /// Adds the next bytes of the text to the lines.
    fn put(&mut self, bytes: &[u8], lines: &mut Vec<u8>) {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                at += self.put_string(&bytes[at..], lines);
            } else {
                self.put_outside(bytes[at], lines);
                at += 1;
            }
        }
    }

    /// Adds bytes of a string up to the next one that matters, and returns their number.
    fn put_string(&mut self, bytes: &[u8], lines: &mut Vec<u8>) -> usize {
        if std::mem::take(&mut self.is_escaped) && bytes[0] != b'\n' {
            lines.push(bytes[0]);
            return 1;
        }
        let plain = memchr::memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len());
        lines.extend_from_slice(&bytes[..plain]);
        let Some(&byte) = bytes.get(plain) else { return plain };
        self.in_string = byte != b'"';
        self.is_escaped = byte == b'\\';
        // JSON allows neither in a string. The line stays whole and is refused.
        lines.push(if byte == b'\n' { b'\r' } else { byte });
        plain + 1
    }

    fn put_outside(&mut self, byte: u8, lines: &mut Vec<u8>) {
        let is_between = self.depth == 0;
        match byte {
            b'\n' if is_between && !self.in_list && self.has_begun => return self.end_line(lines),
            b' ' | b'\t' | b'\r' | b'\n' if is_between && !self.has_begun => return,
            b'\n' => return lines.push(b' '),
            b'[' if is_between && !self.in_list && !self.has_begun => {
                self.in_list = true;
                return;
            }
            b',' if is_between && self.in_list => return self.end_line(lines),
            b']' if is_between && self.in_list => {
                self.in_list = false;
                if self.has_begun {
                    self.end_line(lines);
                }
                return;
            }
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            b'"' => self.in_string = true,
            _ => {}
        }
        self.has_begun = true;
        lines.push(byte);
    }

    fn end_line(&mut self, lines: &mut Vec<u8>) {
        lines.push(b'\n');
        (self.has_begun, self.depth, self.in_string) = (false, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines of a text that comes in small pieces, and the error at their end.
    fn lines(text: &str) -> (String, Option<String>) {
        let mut whole = Vec::new();
        let mut from = OnePerLine::new(io::BufReader::with_capacity(3, text.as_bytes()));
        let fault = from.read_to_end(&mut whole).err().map(|error| error.to_string());
        (String::from_utf8(whole).unwrap(), fault)
    }

    #[test]
    fn every_value_of_a_list_has_a_line() {
        for (text, expected) in [
            ("[]", ""),
            (" [ ] \n", ""),
            ("[{\"a\":1},{\"b\":[2,{}]}]", "{\"a\":1}\n{\"b\":[2,{}]}\n"),
            ("\u{feff}[\r\n  {\n\"a\": \"],\\\"[{\"\n},\r\n 7 ]\r\n", "\u{feff}{ \"a\": \"],\\\"[{\" }\n7 \n"),
            ("[{},\n]", "{}\n"),
            ("[{},,{}]", "{}\n\n{}\n"),
            ("[{}]\n[{\"a\":1}]\n", "{}\n{\"a\":1}\n"),
            ("[{}] rest\nmore", "{}\nrest\nmore\n"),
            ("[{\"a\\\\\":\"\\\\\"}]", "{\"a\\\\\":\"\\\\\"}\n"),
        ] {
            let bare = text.trim_start_matches('\u{feff}');
            assert_eq!(lines(bare), (expected.trim_start_matches('\u{feff}').to_owned(), None), "{text}");
        }
    }

    #[test]
    fn objects_over_several_lines_have_one_each() {
        let text = "{\n  \"a\": [\n 1\n]\n}\n{\n\"b\": \"\u{e9}\"}\n\n{\n";
        assert_eq!(lines(text).0, "{   \"a\": [  1 ] }\n{ \"b\": \"\u{e9}\"}\n{ \n");
    }

    #[test]
    fn a_list_that_breaks_off_is_an_error_behind_its_values() {
        for text in ["[{\"a\":1},{\"b\":", "[{\"a\":1},{\"b\":\"x", "[{\"a\":1},{\"b\":[{"] {
            let (lines, fault) = lines(text);
            assert!(lines.starts_with("{\"a\":1}\n{\"b\":") && lines.ends_with('\n'), "{lines}");
            assert_eq!(fault.as_deref(), Some("the list of records is not closed"), "{text}");
        }
        assert_eq!(
            lines("[{\"a\":1}"),
            ("{\"a\":1}\n".to_owned(), Some("the list of records is not closed".to_owned()))
        );
    }

    #[test]
    fn a_line_end_in_a_string_does_not_make_two_lines_of_one() {
        assert_eq!(lines("[{\"a\":\"x\ny\"},{}]").0, "{\"a\":\"x\ry\"}\n{}\n");
    }

    #[test]
    fn lines_of_values_are_left_alone() {
        for (text, expected) in [
            ("[{", true),
            (" \n[\n  {\"a\"", true),
            ("\u{feff}[]", true),
            ("{\n  \"a\"", true),
            ("{\"a\":1}\n", false),
            ("{ \"a\":1}\n", false),
            ("{\n{\"a\":1}\n", false),
            ("[1,null,\"x, {\",[],{\"a\":1}]", true),
            ("[[{\"a\":1}], {", true),
            ("[INFO] started\n", false),
            ("[INFO] {\"a\":1}\n", false),
            ("[1] {\"a\":1}\n", false),
            ("[12:30, {\"a\":1}\n", false),
            ("[\"a\", \"b\"]\n{", false),
            ("[1,2]\n", false),
            ("text,label\n", false),
            ("", false),
        ] {
            assert_eq!(are_spread(text.as_bytes()), expected, "{text}");
        }
    }
}
