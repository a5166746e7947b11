//! Reads a stream of lines as a stream of other lines, one for each.

use std::io::{self, Read};

use crate::source::lines::Lines;

/// The rewritten lines of a stream.
pub(crate) struct Rewritten<R, F> {
    lines: Lines<R>,
    /// Appends what a line becomes, without its end.
    rewrite: F,
    line: Vec<u8>,
    /// Bytes of the line that were handed out.
    at: usize,
}

impl<R: Read, F: FnMut(&[u8], &mut Vec<u8>)> Rewritten<R, F> {
    /// Rewrites the lines of `from`.
    pub(crate) fn new(from: R, rewrite: F) -> Rewritten<R, F> {
        Rewritten { lines: Lines::new(from, 0), rewrite, line: Vec::new(), at: 0 }
    }

    /// Makes the next line; false at the end. Of a line that is too long the beginning is left, to be refused.
    fn next(&mut self) -> io::Result<bool> {
        let Some(line) = self.lines.next()? else { return Ok(false) };
        self.line.clear();
        (self.rewrite)(line.text, &mut self.line);
        if line.is_ended {
            self.line.push(b'\n');
        }
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read, F: FnMut(&[u8], &mut Vec<u8>)> Read for Rewritten<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.line.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.line.len() - self.at);
        buffer[..count].copy_from_slice(&self.line[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
