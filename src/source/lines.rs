//! Lines of a stream: their bytes, numbers and offsets. Knows nothing of what they hold.

use std::io::{self, BufRead};

use crate::source::jsonl::MAX_LINE;

/// Reads a stream line by line.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    number: u64,
    offset: u64,
}

/// Where a line stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Offset of its first byte.
    pub start: u64,
    /// Offset behind its line end.
    pub end: u64,
    /// Whether a line end closes it; only the last line may lack one.
    pub ended: bool,
    /// Whether it was longer than [`MAX_LINE`]; the bytes are its beginning then, so that no input fills the memory.
    pub too_long: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines from the present position of a stream, counted from 1 and from offset `start`.
    pub fn new(from: R, start: u64) -> Lines<R> {
        Lines { from, number: 0, offset: start }
    }

    /// Puts the next line, without its line feed, into `bytes`.
    pub fn next(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<Line>> {
        bytes.clear();
        self.append(bytes)
    }

    /// Appends the next line, without its line feed, to `bytes`.
    pub fn append(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<Line>> {
        let (start, before) = (self.offset, bytes.len());
        let mut ended = false;
        let mut too_long = false;
        while !ended {
            let chunk = match self.from.fill_buf() {
                Ok([]) => break,
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let found = memchr::memchr(b'\n', chunk);
            let text = &chunk[..found.unwrap_or(chunk.len())];
            let room = MAX_LINE - (bytes.len() - before);
            too_long |= text.len() > room;
            bytes.extend_from_slice(&text[..text.len().min(room)]);
            let used = text.len() + usize::from(found.is_some());
            ended = found.is_some();
            self.from.consume(used);
            self.offset += used as u64;
        }
        if self.offset == start {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(Line { number: self.number, start, end: self.offset, ended, too_long }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(Vec<u8>, Line)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(3, text), 10);
        let mut bytes = Vec::new();
        let mut all = Vec::new();
        while let Some(line) = lines.next(&mut bytes).unwrap() {
            all.push((bytes.clone(), line));
        }
        all
    }

    #[test]
    fn offsets_and_numbers_cover_every_byte() {
        let found = lines(b"ab\n\nlonger line\nlast");
        let texts: Vec<&[u8]> = found.iter().map(|(bytes, _)| bytes.as_slice()).collect();
        assert_eq!(texts, [b"ab".as_slice(), b"", b"longer line", b"last"]);
        assert_eq!(found[0].1, Line { number: 1, start: 10, end: 13, ended: true, too_long: false });
        assert_eq!(found[3].1, Line { number: 4, start: 26, end: 30, ended: false, too_long: false });
        assert!(lines(b"").is_empty());
        assert_eq!(lines(b"a\n").len(), 1);
    }

    #[test]
    fn a_line_beyond_the_limit_is_cut_and_the_next_is_whole() {
        let mut text = vec![b'x'; MAX_LINE + 1];
        text.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::new(text.as_slice(), 0);
        let mut bytes = Vec::new();
        assert!(lines.next(&mut bytes).unwrap().unwrap().too_long);
        assert_eq!(bytes.len(), MAX_LINE);
        assert!(!lines.next(&mut bytes).unwrap().unwrap().too_long);
        assert_eq!(bytes, b"next");
    }
}
