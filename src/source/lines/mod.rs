//! Cuts a stream into lines, each with its place: as blocks of whole lines that other threads take apart, or one line
//! after the other. Strips the byte-order mark and line ends and bounds the length of a line. Knows nothing of records.

use std::io::{self, Read};

use crate::data::origin::Origin;

/// A longer line is refused, so that no input fills the memory.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// Bytes that are kept of a line that is too long, for messages.
pub(crate) const SHOWN_OF_LONG: usize = 1024;

/// Bytes of a block, unless one line has more.
const BLOCK: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the text behind a byte-order mark.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// One line of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'b> {
    /// Counts from 1: in the stream, or in its block if it comes from [`Block::lines`].
    pub(crate) number: u64,
    /// Bytes of the stream before the line.
    pub(crate) start: u64,
    /// Bytes of the stream up to the end of the line, its line end included.
    pub(crate) end: u64,
    /// Bytes of the stream before `text`.
    pub(crate) offset: u64,
    /// The line without byte-order mark and line end; of a line that is too long the beginning.
    pub(crate) text: &'b [u8],
    /// The line as it stands, without the line feed; of a line that is too long the beginning.
    pub(crate) raw: &'b [u8],
    /// A line feed ends it. Only the last line may lack one.
    pub(crate) is_ended: bool,
    /// It is longer than [`MAX_LINE`].
    pub(crate) is_too_long: bool,
}

impl Line<'_> {
    /// Returns where the text stands, for an input with this number.
    pub(crate) fn origin(&self, input: u32) -> Origin {
        let length = if self.is_too_long { self.end - self.offset } else { self.text.len() as u64 };
        Origin { input, offset: self.offset, length: length.try_into().unwrap_or(u32::MAX), line: self.number }
    }
}

/// Consecutive whole lines of a stream.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    filled: usize,
    /// Bytes of the stream before it.
    offset: u64,
    /// Bytes of the stream that it covers.
    covered: u64,
    max_line: usize,
    /// It covers one line that is too long, and holds the beginning of it.
    is_too_long: bool,
    /// A line feed ends the line that is too long.
    is_ended: bool,
}

impl Block {
    /// Returns its lines, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let (mut at, mut number) = (0, 0);
        std::iter::from_fn(move || {
            number += 1;
            let line = self.cut(at, number)?;
            at = line.end - self.offset;
            Some(line)
        })
    }

    /// Returns the text at a place within it.
    pub(crate) fn text(&self, at: &Origin) -> &[u8] {
        let start = at.offset.saturating_sub(self.offset) as usize;
        let end = self.filled.min(start + at.length as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Returns the bytes of the stream up to its end.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.covered
    }

    /// Gives the buffer back for another block.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// Cuts off the line that begins `at` bytes behind the start of the block.
    #[inline]
    fn cut(&self, at: u64, number: u64) -> Option<Line<'_>> {
        if at >= self.covered {
            return None;
        }
        let start = self.offset + at;
        let rest = &self.bytes[at as usize..self.filled];
        let (raw, end, is_ended) = if self.is_too_long {
            (rest, self.end(), self.is_ended)
        } else {
            let feed = memchr::memchr(b'\n', rest);
            let raw = &rest[..feed.unwrap_or(rest.len())];
            (raw, start + raw.len() as u64 + u64::from(feed.is_some()), feed.is_some())
        };
        let text = if start == 0 { without_mark(raw) } else { raw };
        let offset = start + (raw.len() - text.len()) as u64;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let is_too_long = self.is_too_long || text.len() > self.max_line;
        Some(Line { number, start, end, offset, text, raw, is_ended, is_too_long })
    }
}

/// Reads a stream block by block.
#[derive(Debug)]
pub(crate) struct Blocks<R> {
    from: R,
    /// Bytes of the stream before the next block.
    offset: u64,
    /// The unfinished line behind the last block.
    carry: Vec<u8>,
    max_line: usize,
    /// Ends the stream, once the lines before it have been handed out.
    fault: Option<io::Error>,
}

impl<R: Read> Blocks<R> {
    /// Creates a reader of a stream whose first byte stands at `offset`.
    pub(crate) fn new(from: R, offset: u64) -> Blocks<R> {
        Blocks { from, offset, carry: Vec::new(), max_line: MAX_LINE, fault: None }
    }

    /// Sets another length that a line may have.
    pub(crate) fn with_max_line(self, max_line: usize) -> Blocks<R> {
        Blocks { max_line, ..self }
    }

    /// Reads the next block into `buffer`; `None` at the end. Whole lines before an error come first.
    pub(crate) fn next(&mut self, buffer: Vec<u8>) -> io::Result<Option<Block>> {
        let mut bytes = buffer;
        let mut filled = self.carry.len();
        if bytes.len() < filled + BLOCK {
            bytes.resize(filled + BLOCK, 0);
        }
        bytes[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let mut searched = 0;
        loop {
            let is_end = match self.fault.take().map_or_else(|| self.fill(&mut bytes, &mut filled), Err) {
                Ok(is_end) => is_end,
                Err(error) => match memchr::memrchr(b'\n', &bytes[..filled]) {
                    Some(feed) => {
                        self.fault = Some(error);
                        return Ok(Some(self.block(bytes, feed + 1)));
                    }
                    None => return Err(error),
                },
            };
            if is_end {
                return Ok((filled > 0).then(|| self.block(bytes, filled)));
            }
            if let Some(feed) = memchr::memrchr(b'\n', &bytes[searched..filled]).map(|at| searched + at) {
                self.carry.extend_from_slice(&bytes[feed + 1..filled]);
                return Ok(Some(self.block(bytes, feed + 1)));
            }
            if filled > self.max_line {
                return self.skip_line(bytes, filled).map(Some);
            }
            searched = filled;
            bytes.resize(filled + BLOCK.max(filled), 0);
        }
    }

    /// Gives the stream back.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    fn block(&mut self, bytes: Vec<u8>, filled: usize) -> Block {
        let (offset, covered) = (self.offset, filled as u64);
        self.offset += covered;
        Block { bytes, filled, offset, covered, max_line: self.max_line, ..Block::default() }
    }

    /// Reads until the buffer is full; true at the end of the stream.
    fn fill(&mut self, bytes: &mut [u8], filled: &mut usize) -> io::Result<bool> {
        while *filled < bytes.len() {
            match self.from.read(&mut bytes[*filled..]) {
                Ok(0) => return Ok(true),
                Ok(read) => *filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Drops the rest of a line that is too long.
    fn skip_line(&mut self, mut bytes: Vec<u8>, filled: usize) -> io::Result<Block> {
        let shown = bytes[..filled.min(SHOWN_OF_LONG)].to_vec();
        let (mut covered, mut is_ended, mut is_end) = (filled as u64, false, false);
        while !is_ended && !is_end {
            let mut read = 0;
            is_end = self.fill(&mut bytes[..BLOCK], &mut read)?;
            let feed = memchr::memchr(b'\n', &bytes[..read]);
            if let Some(feed) = feed {
                self.carry.extend_from_slice(&bytes[feed + 1..read]);
                is_ended = true;
            }
            covered += feed.map_or(read, |feed| feed + 1) as u64;
        }
        let block = Block { covered, is_too_long: true, is_ended, ..self.block(shown.clone(), shown.len()) };
        self.offset = block.end();
        Ok(block)
    }
}

/// Reads a stream line by line.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    blocks: Blocks<R>,
    block: Block,
    /// Bytes of the block that were handed out.
    at: u64,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// Creates a reader of a stream whose first byte stands at `offset`.
    pub(crate) fn new(from: R, offset: u64) -> Lines<R> {
        Lines { blocks: Blocks::new(from, offset), block: Block::default(), at: 0, number: 0 }
    }

    /// Reads the next line; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.at >= self.block.covered {
            let used = std::mem::take(&mut self.block);
            let Some(block) = self.blocks.next(used.into_buffer())? else { return Ok(None) };
            (self.block, self.at) = (block, 0);
        }
        self.number += 1;
        let line = self.block.cut(self.at, self.number);
        self.at = line.map_or(self.block.covered, |line| line.end - self.block.offset);
        Ok(line)
    }
}

#[cfg(test)]
mod tests;
