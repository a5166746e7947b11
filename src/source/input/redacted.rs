//! Reads a stream of lines with personal data and secrets masked. The key of the placeholders lies in the state directory.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};

use crate::data::options::Redaction;
use crate::data::redact::Redactor;
use crate::source::lines::{Block, Blocks};

/// Masks the lines of a stream.
pub(crate) fn redacted<R: Read>(lines: R, redactor: &mut Redactor) -> impl Read {
    const MOST: usize = 8;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let workers = vec![redactor.clone_without_counts(); threads];
    Redacted { blocks: Blocks::new(lines, 0), redactor, workers, masked: VecDeque::new(), at: 0, fault: None }
}

/// The masked lines of a stream. Some blocks at a time are masked, each on a thread of its own.
struct Redacted<'r, R> {
    blocks: Blocks<R>,
    redactor: &'r mut Redactor,
    workers: Vec<Redactor>,
    /// Masked blocks that were not handed out as a whole.
    masked: VecDeque<Vec<u8>>,
    /// Bytes of the first of them that were handed out.
    at: usize,
    /// Ends the stream, once the lines before it have been handed out.
    fault: Option<io::Error>,
}

impl<R: Read> Redacted<'_, R> {
    /// Masks the next blocks. There are none at the end.
    fn next(&mut self) -> io::Result<()> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut blocks = Vec::new();
        while blocks.len() < self.workers.len() {
            match self.blocks.next(Vec::new()) {
                Ok(Some(block)) => blocks.push(block),
                Ok(None) => break,
                Err(fault) if blocks.is_empty() => return Err(fault),
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        let all: io::Result<VecDeque<Vec<u8>>> = thread::scope(|scope| {
            let masking = self.workers.iter_mut().zip(&blocks);
            let threads: Vec<_> = masking.map(|(worker, block)| scope.spawn(|| masked(worker, block))).collect();
            let ended = |_| io::Error::other("a thread has ended");
            threads.into_iter().map(|thread| thread.join().map_err(ended)).collect()
        });
        self.masked = all?;
        self.workers.iter_mut().for_each(|worker| self.redactor.take_counts(worker));
        Ok(())
    }
}

impl<R: Read> Read for Redacted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.masked.front().is_none_or(|lines| self.at == lines.len()) {
            self.at = 0;
            if self.masked.pop_front().is_none() || self.masked.is_empty() {
                self.next()?;
                if self.masked.is_empty() {
                    return Ok(0);
                }
            }
        }
        let Some(lines) = self.masked.front() else { return Ok(0) };
        let count = buffer.len().min(lines.len() - self.at);
        buffer[..count].copy_from_slice(&lines[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Returns the masked lines of a block. Of a line that is too long the beginning is left, to be refused.
fn masked(redactor: &mut Redactor, block: &Block) -> Vec<u8> {
    let mut out = Vec::new();
    for line in block.lines() {
        redactor.line(line.text, &mut out);
        if line.is_ended {
            out.push(b'\n');
        }
    }
    out
}

/// Makes what masks the records of a request.
pub(crate) fn redactor(redaction: &Redaction) -> Result<Redactor> {
    Redactor::new(&redaction.rules, key(&redaction.key_file)?).context("cannot read redact_patterns")
}

/// Returns the key in a file, which is made when it is first needed.
fn key(file: &Path) -> Result<[u8; 32]> {
    let failed = || format!("cannot use the key of redact in {}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut created) => created.write_all(&rand::random::<[u8; 32]>()).with_context(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(failed),
    }
    let bytes = std::fs::read(file).with_context(failed)?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("it does not hold 32 bytes")).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::options::RedactRules;

    #[test]
    fn every_line_stays_a_line() {
        let rules = RedactRules { kinds: vec!["email".to_owned()], ..RedactRules::default() };
        let mut redactor = Redactor::new(&rules, [0; 32]).unwrap();
        let text = "{\"a\":\"x@b.example\"}\r\n\nbroken y@b.example\n{\"a\":1}";
        let mut masked = String::new();
        redacted(text.as_bytes(), &mut redactor).read_to_string(&mut masked).unwrap();
        let lines: Vec<&str> = masked.split('\n').collect();
        assert!(lines[0].starts_with("{\"a\":\"<email:") && lines[1].is_empty() && lines[3] == "{\"a\":1}", "{masked}");
        assert!(lines[2].starts_with("broken <email:") && lines.len() == 4, "{masked}");
    }

    #[test]
    fn lines_stay_in_order_and_every_value_is_counted() {
        let rules = RedactRules { kinds: vec!["email".to_owned()], ..RedactRules::default() };
        let mut redactor = Redactor::new(&rules, [0; 32]).unwrap();
        let line = |n: usize| format!("{{\"n\":{n},\"to\":\"x{n}@b.example\",\"pad\":\"{}\"}}\n", "p".repeat(2000));
        let text: String = (0..5000).map(line).collect();
        let mut masked = String::new();
        redacted(text.as_bytes(), &mut redactor).read_to_string(&mut masked).unwrap();
        let numbers =
            masked.lines().map(|line| line["{\"n\":".len()..line.find(',').unwrap()].parse::<usize>().unwrap());
        assert!(numbers.eq(0..5000) && !masked.contains("@b.example"));
        assert_eq!(redactor.counts["email"], 5000);
    }

    #[test]
    fn whole_lines_before_an_error_come_first() {
        struct Failing<'t>(&'t [u8]);
        impl Read for Failing<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { self.0.read(buffer) }
            }
        }
        let mut redactor = Redactor::new(&RedactRules::default(), [0; 32]).unwrap();
        let mut read = Vec::new();
        let ended = redacted(Failing(b"one\ntwo\nhalf"), &mut redactor).read_to_end(&mut read);
        assert_eq!((read.as_slice(), ended.unwrap_err().kind()), (&b"one\ntwo\n"[..], io::ErrorKind::InvalidData));
    }

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/redact.key");
        let first = key(&file).unwrap();
        assert_eq!(first, key(&file).unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short").unwrap();
        assert!(key(&file).is_err());
    }
}
