//! Writes refused lines: one JSON object a line with file, line number, reason and text (docs/records.md).

use std::io::Write;

use anyhow::{Context, Result};

use crate::data::reject::Reject;
use crate::source::lines::SHOWN_OF_LONG;

/// Writes refused lines, if anybody wants them.
#[derive(Default)]
pub(crate) struct Rejects<'a> {
    to: Option<&'a mut dyn Write>,
}

impl<'a> Rejects<'a> {
    /// Creates a writer; without `to` nothing is written.
    pub(crate) fn new(to: Option<&'a mut dyn Write>) -> Rejects<'a> {
        Rejects { to }
    }

    /// Writes a refused line. Of a line that is too long the beginning is written.
    pub(crate) fn write(&mut self, file: &str, line: u64, reason: Reject, text: &[u8]) -> Result<()> {
        let Some(to) = &mut self.to else { return Ok(()) };
        let shown = if reason == Reject::LineTooLong { &text[..text.len().min(SHOWN_OF_LONG)] } else { text };
        let text = String::from_utf8_lossy(shown);
        let reject = serde_json::json!({"file": file, "line": line, "reason": reason, "text": text});
        writeln!(to, "{reject}").context("cannot write the rejects file")
    }

    /// Hands everything to the system.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.to.as_mut().map_or(Ok(()), |to| to.flush()).context("cannot write the rejects file")
    }
}
