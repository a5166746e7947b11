//! A stream of documents of another shape, read as a stream of records: line by line, while what was read is counted and
//! hashed.

use std::io::{self, BufReader, Read};

use crate::data::forms::reshape::Reshaper;
use crate::source::input::digest::{Seen, Watched};
use crate::source::lines::Lines;

/// Of a line that is too long, this much is left: enough to be refused.
const LEFT_OF_LONG: usize = 1024;

/// Records made of the documents of a stream.
pub(crate) struct Reshaped<'a, R> {
    lines: Lines<BufReader<Watched<R>>>,
    reshaper: &'a mut Reshaper,
    document: Vec<u8>,
    record: Vec<u8>,
    /// Bytes of the record that were handed out.
    at: usize,
}

impl<'a, R: Read> Reshaped<'a, R> {
    /// The documents of `from`, which `seen` counts.
    pub(crate) fn new(from: R, reshaper: &'a mut Reshaper, seen: &Seen) -> Reshaped<'a, R> {
        let lines = Lines::new(BufReader::with_capacity(1 << 18, seen.watch(from)), 0);
        Reshaped { lines, reshaper, document: Vec::new(), record: Vec::new(), at: 0 }
    }

    /// Makes the next record; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let Some(line) = self.lines.next(&mut self.document)? else { return Ok(false) };
        let text = if line.too_long { &self.document[..LEFT_OF_LONG] } else { &self.document[..] };
        let text = if line.number == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text) } else { text };
        self.record.clear();
        self.reshaper.write(text.strip_suffix(b"\r").unwrap_or(text), &mut self.record);
        if line.ended {
            self.record.push(b'\n');
        }
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Reshaped<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.record.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.record.len() - self.at);
        buffer[..count].copy_from_slice(&self.record[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::options::Fields;

    #[test]
    fn every_line_stays_a_line_and_the_digest_is_that_of_the_documents() {
        let text = "\u{feff}{\"at\":1}\r\n\nbroken\n{\"at\": 2, \"x\": 3}";
        let mut reshaper = Reshaper::new(&Fields { timestamp: Some("at".to_owned()), ..Fields::default() });
        let seen = Seen::default();
        let mut records = String::new();
        Reshaped::new(text.as_bytes(), &mut reshaper, &seen).read_to_string(&mut records).unwrap();
        assert_eq!(records, "{\"timestamp\":1}\n\nbroken\n{\"timestamp\":2,\"x\":3}");
        assert_eq!(seen.digest().bytes, text.len() as u64);
        assert_eq!(seen.digest().blake3, blake3::hash(text.as_bytes()).to_hex().to_string());
    }
}
