//! JSONL read as a stream of blocks of whole lines, hashed on the way, and single lines read again by their place. Does
//! not know what a line holds.

use std::fs::File;
use std::io::{Read, Result, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::data::intake::{Examiner, ExaminerScratch, Findings, Origin};
use crate::data::reject::Reject;

/// Longer lines are refused, so that memory stays bounded whatever is read.
pub const MAX_LINE: usize = 64 << 20;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;

/// Some consecutive whole lines.
#[derive(Debug)]
pub struct Block {
    source: u32,
    offset: u64,
    bytes: Vec<u8>,
    filled: usize,
    too_long: Option<u64>,
    max_line: usize,
}

impl Block {
    /// The bytes of one of its lines.
    pub fn line(&self, at: &Origin) -> &[u8] {
        let start = at.offset.saturating_sub(self.offset) as usize;
        self.bytes[..self.filled].get(start..start + at.length as usize).unwrap_or_default()
    }

    /// Gives the buffer back for the next block.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Examines every line; lines are numbered from the start of the block.
    pub fn examine(&self, examiner: &Examiner, scratch: &mut ExaminerScratch) -> Findings {
        let mut batch = Findings::default();
        let mut at = Origin { source: self.source, offset: self.offset, length: 0, line: 1 };
        if let Some(length) = self.too_long {
            batch.reject(Origin { length: length.try_into().unwrap_or(u32::MAX), ..at }, Reject::LineTooLong);
            return batch;
        }
        let bytes = &self.bytes[..self.filled];
        let mut start = if self.offset == 0 && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            let line = &bytes[start..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            at.offset = self.offset + start as u64;
            at.length = line.len() as u32;
            if line.len() > self.max_line {
                batch.reject(at, Reject::LineTooLong);
            } else {
                examiner.examine(at, line, scratch, &mut batch);
            }
            at.line += 1;
            start = end + 1;
        }
        batch
    }
}

/// What was read of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Bytes.
    pub bytes: u64,
    /// BLAKE3 of all bytes, or the sum of those of the lines modulo 2^256; lower-case hex.
    pub blake3: String,
}

/// What is hashed.
#[derive(Debug)]
enum Hash {
    Bytes(Box<blake3::Hasher>),
    /// The sum of the hashes of the lines, its lowest digits first, which is the same for the same lines in any order.
    Lines([u64; 4]),
}

impl Hash {
    fn line(&mut self, line: &[u8]) {
        let Hash::Lines(sum) = self else { return };
        let mut carry = false;
        for (digits, bytes) in sum.iter_mut().zip(blake3::hash(line).as_bytes().as_chunks::<8>().0) {
            let (more, first) = digits.overflowing_add(u64::from_le_bytes(*bytes));
            let (more, second) = more.overflowing_add(u64::from(carry));
            (*digits, carry) = (more, first || second);
        }
    }

    fn shown(&self) -> String {
        match self {
            Hash::Bytes(hasher) => hasher.finalize().to_hex().to_string(),
            Hash::Lines([a, b, c, d]) => format!("{d:016x}{c:016x}{b:016x}{a:016x}"),
        }
    }
}

/// Reads one source block by block.
pub struct Blocks<R> {
    reader: R,
    source: u32,
    /// Bytes before the next block.
    offset: u64,
    /// The unfinished line behind the last block.
    carry: Vec<u8>,
    hash: Hash,
    read: u64,
    copy: Option<File>,
    max_line: usize,
}

impl<R: Read> Blocks<R> {
    /// A reader of the source with this number; what is read is also written to `copy`.
    pub fn new(reader: R, source: u32, copy: Option<File>, max_line: usize) -> Blocks<R> {
        let hash = Hash::Bytes(Box::default());
        Blocks { reader, source, offset: 0, carry: Vec::new(), hash, read: 0, copy, max_line }
    }

    /// The same for a source whose lines come in any order: its digest does not depend on it.
    pub fn unordered(self) -> Blocks<R> {
        Blocks { hash: Hash::Lines([0; 4]), ..self }
    }

    /// The next block, in `buffer` if it is large enough; `None` at the end.
    pub fn next(&mut self, buffer: Vec<u8>) -> Result<Option<Block>> {
        let mut bytes = buffer;
        let mut filled = self.carry.len();
        if bytes.len() < filled + BLOCK {
            bytes.resize(filled + BLOCK, 0);
        }
        bytes[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let mut searched = 0;
        loop {
            let ended = self.fill(&mut bytes, &mut filled)?;
            let newline = memchr::memrchr(b'\n', &bytes[searched..filled]).map(|at| searched + at);
            if let (Some(newline), false) = (newline, ended) {
                self.carry.extend_from_slice(&bytes[newline + 1..filled]);
                return Ok(Some(self.whole(bytes, newline + 1)));
            }
            if ended {
                return Ok(if filled == 0 { None } else { Some(self.whole(bytes, filled)) });
            }
            if filled > self.max_line {
                return self.skip_line(bytes, filled).map(Some);
            }
            searched = filled;
            bytes.resize(filled + BLOCK.max(filled), 0);
        }
    }

    /// What was read so far.
    pub fn digest(&self) -> Digest {
        Digest { bytes: self.read, blake3: self.hash.shown() }
    }

    /// A block of whole lines.
    fn whole(&mut self, bytes: Vec<u8>, filled: usize) -> Block {
        if matches!(self.hash, Hash::Lines(_)) {
            let text = bytes[..filled].strip_suffix(b"\n").unwrap_or(&bytes[..filled]);
            let mut start = 0;
            for end in memchr::memchr_iter(b'\n', text).chain([text.len()]) {
                self.hash.line(&text[start..end]);
                start = end + 1;
            }
        }
        self.block(bytes, filled)
    }

    fn block(&mut self, bytes: Vec<u8>, filled: usize) -> Block {
        let offset = self.offset;
        self.offset += filled as u64;
        Block { source: self.source, offset, bytes, filled, too_long: None, max_line: self.max_line }
    }

    /// Reads until the buffer is full; true at the end of the source.
    fn fill(&mut self, bytes: &mut [u8], filled: &mut usize) -> Result<bool> {
        while *filled < bytes.len() {
            let got = match self.reader.read(&mut bytes[*filled..]) {
                Ok(0) => return Ok(true),
                Ok(got) => got,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let new = &bytes[*filled..*filled + got];
            if let Hash::Bytes(hasher) = &mut self.hash {
                hasher.update(new);
            }
            if let Some(copy) = &mut self.copy {
                copy.write_all(new)?;
            }
            self.read += got as u64;
            *filled += got;
        }
        Ok(false)
    }

    /// Drops the rest of a line that is too long; only its place and length remain.
    fn skip_line(&mut self, mut bytes: Vec<u8>, filled: usize) -> Result<Block> {
        let mut length = filled as u64;
        self.hash.line(&bytes[..self.max_line.min(filled)]);
        let line_end = loop {
            let mut got = 0;
            let ended = self.fill(&mut bytes[..BLOCK], &mut got)?;
            if let Some(newline) = memchr::memchr(b'\n', &bytes[..got]) {
                self.carry.extend_from_slice(&bytes[newline + 1..got]);
                length += newline as u64;
                break 1;
            }
            length += got as u64;
            if ended {
                break 0;
            }
        };
        let mut block = self.block(Vec::new(), 0);
        block.too_long = Some(length);
        self.offset += length + line_end;
        Ok(block)
    }
}

/// Reads single lines again by their place. Reads ahead when places follow each other.
#[derive(Debug)]
pub struct Lines<'a> {
    paths: &'a [PathBuf],
    open: Option<(u32, File)>,
    window: Vec<u8>,
    window_start: u64,
}

/// How far ahead is read.
const AHEAD: usize = 256 << 10;

impl<'a> Lines<'a> {
    /// A reader of these sources, numbered as in [`Origin`].
    pub fn new(paths: &'a [PathBuf]) -> Lines<'a> {
        Lines { paths, open: None, window: Vec::new(), window_start: 0 }
    }

    /// The bytes at this place.
    pub fn read(&mut self, at: &Origin) -> Result<&[u8]> {
        let length = at.length as usize;
        if self.open.as_ref().is_none_or(|(source, _)| *source != at.source) {
            let path = self.paths.get(at.source as usize).ok_or(std::io::ErrorKind::NotFound)?;
            self.open = Some((at.source, File::open(path)?));
            self.window.clear();
            self.window_start = u64::MAX;
        }
        let window_end = self.window_start.saturating_add(self.window.len() as u64);
        if at.offset < self.window_start || at.offset + at.length as u64 > window_end {
            let follows = at.offset >= self.window_start && at.offset <= window_end.saturating_add(AHEAD as u64 / 4);
            self.load(at.offset, length, if follows { AHEAD } else { 0 })?;
        }
        let start = (at.offset - self.window_start) as usize;
        self.window.get(start..start + length).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    fn load(&mut self, offset: u64, least: usize, most: usize) -> Result<()> {
        let Some((_, file)) = &self.open else { return Err(std::io::ErrorKind::NotFound.into()) };
        self.window.resize(least.max(most), 0);
        self.window_start = offset;
        let mut filled = 0;
        while filled < least {
            match file.read_at(&mut self.window[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.window.truncate(filled);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a byte or a few at a time, as a pipe may.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            let count = 7.min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn blocks(text: &[u8], max_line: usize) -> Vec<(u64, String, Option<u64>)> {
        let mut blocks = Blocks::new(Trickle(text), 0, None, max_line);
        let mut all = Vec::new();
        while let Some(block) = blocks.next(Vec::new()).unwrap() {
            let text = String::from_utf8_lossy(&block.bytes[..block.filled]).into_owned();
            all.push((block.offset, text, block.too_long));
        }
        assert_eq!(blocks.digest().bytes, text.len() as u64);
        assert_eq!(blocks.digest().blake3, blake3::hash(text).to_hex().to_string());
        all
    }

    #[test]
    fn blocks_hold_whole_lines_and_their_offsets() {
        let line = "x".repeat(300_000) + "\n";
        let text = line.repeat(9) + "end";
        let all = blocks(text.as_bytes(), MAX_LINE);
        assert!(all.len() > 1 && all[..all.len() - 1].iter().all(|(_, text, _)| text.ends_with('\n')));
        let mut offset = 0;
        for (at, text, _) in &all {
            assert_eq!(*at, offset);
            offset += text.len() as u64;
        }
        assert_eq!(all.into_iter().map(|(_, text, _)| text).collect::<String>(), text);
        assert!(blocks(b"", MAX_LINE).is_empty());
    }

    #[test]
    fn the_digest_of_an_unordered_source_is_that_of_its_lines_in_any_order() {
        let digest = |lines: &[String]| {
            let text = lines.join("\n") + "\n";
            let mut blocks = Blocks::new(Trickle(text.as_bytes()), 0, None, 900_000).unordered();
            while blocks.next(Vec::new()).unwrap().is_some() {}
            blocks.digest()
        };
        let mut lines: Vec<String> = (0..40).map(|n| n.to_string().repeat(30_000)).collect();
        lines.extend(["x".repeat(2 << 20), String::new(), "x".to_owned()]);
        let first = digest(&lines);
        assert_eq!(first.blake3.len(), 64);
        lines.reverse();
        lines.rotate_left(9);
        assert_eq!(digest(&lines), first);
        lines[3].push('y');
        assert_ne!(digest(&lines).blake3, first.blake3);
        assert_ne!(digest(&[]).blake3, digest(&["a".to_owned(), "a".to_owned()]).blake3);
        let one = digest(&["a".to_owned()]).blake3;
        let bytes: String = blake3::hash(b"a").as_bytes().iter().rev().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(one, bytes);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_not() {
        let text = format!("first\n{}\nlast\n", "y".repeat(5 << 20));
        let all = blocks(text.as_bytes(), 2 << 20);
        assert_eq!(all[0], (0, "first\n".to_owned(), None));
        assert_eq!(all[1], (6, String::new(), Some(5 << 20)));
        assert_eq!(all[2], (6 + (5 << 20) + 1, "last\n".to_owned(), None));
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn lines_are_read_again_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let text: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        let mut origins = Vec::new();
        let mut offset = 0;
        for line in text.lines() {
            origins.push(Origin { source: 0, offset, length: line.len() as u32, line: 0 });
            offset += line.len() as u64 + 1;
        }
        let paths = [path];
        let mut lines = Lines::new(&paths);
        for n in (0..50_000).chain([49_999, 0, 25_000, 24_999, 25_001]) {
            assert_eq!(lines.read(&origins[n]).unwrap(), format!("line {n}").as_bytes());
        }
        assert!(lines.read(&Origin { offset, length: 1, ..Origin::default() }).is_err());
    }
}
