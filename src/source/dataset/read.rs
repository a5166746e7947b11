//! Reads the inputs into the intake, so that their lines can be read again when rows are written.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::data::forms::reshape::Reshaper;
use crate::data::intake::{Examiner, ExaminerScratch, Findings, Intake};
use crate::data::redact::Redactor;
use crate::data::reject::Reject;
use crate::source::input::digest::{LineDigest, StreamDigest};
use crate::source::input::redacted::redacted;
use crate::source::input::reshaped::reshaped;
use crate::source::input::{Input, InputError};
use crate::source::lines::{Block, Blocks};
use crate::source::manifest::InputFile;
use crate::source::output::remove_if_there;
use crate::source::personal_sample::Sample;
use crate::source::pipeline;
use crate::source::rejects::Rejects;

/// Beginning of the names of copies, below the dataset folder. The number of the input follows.
pub(super) const SPOOL: &str = ".spool-";

/// An input that has been read.
pub(super) struct ReadInput {
    /// Its entry in the manifest.
    pub(super) file: InputFile,
    /// Where its lines can be read again.
    pub(super) lines: RereadPath,
    identity: (u64, u64),
}

/// Where the lines of an input can be read again: the file itself, or a copy that goes when it is no longer needed.
pub(super) struct RereadPath {
    pub(super) path: PathBuf,
    is_copy: bool,
}

impl Drop for RereadPath {
    fn drop(&mut self) {
        if self.is_copy {
            // The datasets are no worse for a copy that stays.
            let _ = remove_if_there(&self.path);
        }
    }
}

impl ReadInput {
    /// Checks that the lines which were read again are those that were read first. Growing is fine, as live logs do.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let RereadPath { path, is_copy } = &self.lines;
        let (identity, bytes) = identity(path)?;
        if identity != self.identity || (bytes < self.file.bytes && !is_copy) {
            bail!("{} was cut or replaced while it was read", path.display());
        }
        Ok(())
    }
}

/// Returns which file a path leads to (device and inode), and its bytes.
fn identity(path: &Path) -> Result<((u64, u64), u64)> {
    let file = std::fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    Ok(((file.dev(), file.ino()), file.len()))
}

/// Reads inputs one after the other.
pub(super) struct InputReader<'a, 'w> {
    pub(super) intake: Intake,
    pub(super) rejects: Rejects<'w>,
    /// Makes records of documents of another shape.
    pub(super) reshaper: Option<Reshaper>,
    /// Masks personal data.
    pub(super) redactor: Option<Redactor>,
    /// The first lines, which are looked at for personal data.
    pub(super) sample: Option<Sample>,
    /// The dataset folder, for copies.
    pub(super) out: &'a Path,
    pub(super) max_line: usize,
}

impl InputReader<'_, '_> {
    /// Reads an input to its end.
    pub(super) fn read(&mut self, number: u32, input: Input<'_>) -> Result<ReadInput> {
        let (path, has_order, server) = (input.name.clone(), input.has_order, input.server.clone());
        // Records made of documents, or masked, stand nowhere else.
        let is_changed = self.reshaper.is_some() || self.redactor.is_some();
        let is_copy = is_changed || !input.is_reread_in_place();
        let copy = self.out.join(format!("{SPOOL}{number}"));
        let lines = RereadPath { path: if is_copy { copy } else { path.clone() }, is_copy };
        let created = || File::create(&lines.path).with_context(|| format!("cannot create {}", lines.path.display()));
        let copy = is_copy.then(created).transpose()?;
        let digest = StreamDigest::default();
        let open = input.open()?.unpacked(has_order.then_some(&digest), None)?;
        if open.is_packed && !is_copy {
            bail!("{} was replaced while it was read", open.name);
        }
        let mut reshaper = self.reshaper.take();
        let records: Box<dyn Read + '_> = match &mut reshaper {
            Some(reshaper) => Box::new(reshaped(open.bytes, reshaper)),
            None => open.bytes,
        };
        let mut redactor = self.redactor.take();
        let records: Box<dyn Read + '_> = match &mut redactor {
            Some(redactor) => Box::new(redacted(records, redactor)),
            None => records,
        };
        let mut blocks = Blocks::new(Copied { from: records, copy, bytes: 0 }, 0).with_max_line(self.max_line);
        let mut line_digest = (!has_order).then(LineDigest::default);
        let read = self.take(number, &open.name, &mut blocks, &mut line_digest)?;
        let bytes = blocks.into_inner().bytes;
        (self.reshaper, self.redactor) = (reshaper, redactor);
        let digest = line_digest.map_or_else(|| digest.digest(), |lines| lines.digest(bytes));
        let file = InputFile { path, bytes: digest.bytes, lines: read, blake3: digest.blake3, server };
        let (identity, _) = identity(&lines.path)?;
        Ok(ReadInput { file, lines, identity })
    }

    /// Reads the eval set of an earlier run, whose rows are records.
    pub(super) fn read_frozen(&mut self, number: u32, path: &Path) -> Result<ReadInput> {
        let reshaper = self.reshaper.take();
        self.intake.freeze(number);
        let read = self.read(number, Input::file(path))?;
        self.reshaper = reshaper;
        Ok(read)
    }

    /// Absorbs what the lines of an input hold and returns their number.
    fn take(
        &mut self,
        number: u32,
        name: &str,
        blocks: &mut Blocks<impl Read>,
        digest: &mut Option<LineDigest>,
    ) -> Result<u64> {
        let examiner = self.intake.examiner();
        let buffers = RefCell::new(Vec::new());
        let mut sample = self.sample.take();
        let mut lines = 0;
        pipeline::in_order(
            || {
                let buffer = buffers.borrow_mut().pop().unwrap_or_default();
                let block = blocks.next(buffer).map_err(|error| InputError::of_read(name, error))?;
                if let (Some(sample), Some(block)) = (&mut sample, &block) {
                    sample.add(block.lines().map(|line| line.text));
                }
                if let (Some(digest), Some(block)) = (digest.as_mut(), &block) {
                    block.lines().for_each(|line| digest.add(line.raw));
                }
                Ok(block)
            },
            ExaminerScratch::default,
            |scratch: &mut ExaminerScratch, block: Block| (examined(&examiner, number, &block, scratch), block),
            |(mut findings, block): (Findings, Block)| {
                findings.shift_lines(lines);
                lines += findings.read;
                for (at, reason) in self.intake.absorb(findings) {
                    self.rejects.write(name, at.line, reason, block.text(&at))?;
                }
                buffers.borrow_mut().push(block.into_buffer());
                Ok(())
            },
        )?;
        self.sample = sample;
        Ok(lines)
    }
}

/// Examines every line of a block.
pub(in crate::source) fn examined(
    examiner: &Examiner,
    input: u32,
    block: &Block,
    scratch: &mut ExaminerScratch,
) -> Findings {
    let mut findings = Findings::default();
    for line in block.lines() {
        if line.is_too_long {
            findings.reject(line.origin(input), Reject::LineTooLong);
        } else {
            examiner.examine(line.origin(input), line.text, scratch, &mut findings);
        }
    }
    findings
}

/// A stream that is counted, and copied if there is a file for it, while it is read.
struct Copied<R> {
    from: R,
    copy: Option<File>,
    bytes: u64,
}

impl<R: Read> Read for Copied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buffer[..count])?;
        }
        self.bytes += count as u64;
        Ok(count)
    }
}
