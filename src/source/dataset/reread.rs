//! Reads single lines of the inputs again by their place.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;

use anyhow::Context as _;

use super::read::ReadInput;
use crate::data::origin::Origin;

/// Bytes that are read ahead where lines follow each other.
const AHEAD: usize = 256 << 10;

/// Reads single lines of inputs again.
pub(super) struct LineReader<'a> {
    inputs: &'a [ReadInput],
    open: Option<(u32, File)>,
    window: Vec<u8>,
    window_start: u64,
    /// Bytes of the last lines, and all bytes from the first to the last of them.
    used: u64,
    passed: u64,
    /// Place behind the last line.
    last_end: u64,
}

impl<'a> LineReader<'a> {
    /// Creates a reader of these inputs, numbered as in [`Origin`].
    pub(super) fn new(inputs: &'a [ReadInput]) -> LineReader<'a> {
        LineReader { inputs, open: None, window: Vec::new(), window_start: 0, used: 0, passed: 0, last_end: 0 }
    }

    /// Returns the name of the input of a line.
    pub(super) fn name_of(&self, at: &Origin) -> String {
        self.inputs.get(at.input as usize).map(|input| input.file.path.display().to_string()).unwrap_or_default()
    }

    /// Returns what to say of a line that is no longer what it was.
    pub(super) fn failed(&self, at: &Origin) -> String {
        format!("cannot read line {} of {} again", at.line, self.name_of(at))
    }

    /// Reads the line at a place.
    pub(super) fn read(&mut self, at: &Origin) -> anyhow::Result<&[u8]> {
        self.fill_window(at).with_context(|| self.failed(at))?;
        self.note(at);
        let start = (at.offset - self.window_start) as usize;
        let line = self.window.get(start..start + at.length as usize);
        line.ok_or(Error::from(ErrorKind::UnexpectedEof)).with_context(|| self.failed(at))
    }

    /// Notes how much of the file the lines make up.
    fn note(&mut self, at: &Origin) {
        const REMEMBERED: u64 = 4 * AHEAD as u64;
        let length = u64::from(at.length);
        self.used += length;
        self.passed += length + at.offset.saturating_sub(self.last_end).min(REMEMBERED);
        self.last_end = at.offset + length;
        if self.passed > REMEMBERED {
            (self.used, self.passed) = (self.used / 2, self.passed / 2);
        }
    }

    /// Brings the line at a place into the window.
    fn fill_window(&mut self, at: &Origin) -> Result<()> {
        if self.open.as_ref().is_none_or(|(input, _)| *input != at.input) {
            let input = self.inputs.get(at.input as usize).ok_or(ErrorKind::NotFound)?;
            self.open = Some((at.input, File::open(&input.lines.path)?));
            self.window.clear();
            self.window_start = u64::MAX;
        }
        let window_end = self.window_start.saturating_add(self.window.len() as u64);
        if at.offset < self.window_start || at.offset + u64::from(at.length) > window_end {
            let follows = at.offset >= self.window_start && at.offset <= window_end.saturating_add(AHEAD as u64 / 4);
            // Where few lines are read, as for a validation set, reading them one by one is less work.
            let is_dense = self.used * 4 >= self.passed;
            self.load(at.offset, at.length as usize, if follows && is_dense { AHEAD } else { 0 })?;
        }
        Ok(())
    }

    fn load(&mut self, offset: u64, least: usize, most: usize) -> Result<()> {
        let Some((_, file)) = &self.open else { return Err(ErrorKind::NotFound.into()) };
        self.window.resize(least.max(most), 0);
        self.window_start = offset;
        let mut filled = 0;
        while filled < least {
            match file.read_at(&mut self.window[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.window.truncate(filled);
        Ok(())
    }
}
