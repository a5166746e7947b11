//! Reads a stream of documents of another shape as a stream of records, line by line.

use std::io::{self, Read};

use crate::data::forms::reshape::Reshaper;
use crate::source::lines::Lines;

/// Records made of the documents of a stream.
pub(crate) struct Reshaped<'a, R> {
    documents: Lines<R>,
    reshaper: &'a mut Reshaper,
    record: Vec<u8>,
    /// Bytes of the record that were handed out.
    at: usize,
}

impl<'a, R: Read> Reshaped<'a, R> {
    /// Makes records of the documents of `from`.
    pub(crate) fn new(from: R, reshaper: &'a mut Reshaper) -> Reshaped<'a, R> {
        Reshaped { documents: Lines::new(from, 0), reshaper, record: Vec::new(), at: 0 }
    }

    /// Makes the next record; false at the end. Of a document that is too long the beginning is left, to be refused.
    fn next(&mut self) -> io::Result<bool> {
        let Some(line) = self.documents.next()? else { return Ok(false) };
        self.record.clear();
        self.reshaper.write(line.text, &mut self.record);
        if line.is_ended {
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
    fn every_line_stays_a_line() {
        let text = "\u{feff}{\"at\":1}\r\n\nbroken\n{\"at\": 2, \"x\": 3}";
        let mut reshaper = Reshaper::new(&Fields { timestamp: Some("at".to_owned()), ..Fields::default() });
        let mut records = String::new();
        Reshaped::new(text.as_bytes(), &mut reshaper).read_to_string(&mut records).unwrap();
        assert_eq!(records, "{\"timestamp\":1}\n\nbroken\n{\"timestamp\":2,\"x\":3}");
    }
}
