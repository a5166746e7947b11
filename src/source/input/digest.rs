//! Bytes of a stream counted and hashed on their way to whoever reads it.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::source::jsonl::Digest;

/// What was read of a stream so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Rc<RefCell<(blake3::Hasher, u64)>>);

impl Seen {
    /// Its bytes and their hash.
    pub(crate) fn digest(&self) -> Digest {
        let seen = self.0.borrow();
        Digest { bytes: seen.1, blake3: seen.0.finalize().to_hex().to_string() }
    }

    /// A stream that is hashed while it is read.
    pub(crate) fn watch<R: Read>(&self, from: R) -> Watched<R> {
        Watched { from, seen: self.clone() }
    }
}

/// Hashes what is read.
pub(crate) struct Watched<R> {
    from: R,
    seen: Seen,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        let mut seen = self.seen.0.borrow_mut();
        seen.0.update(&buffer[..count]);
        seen.1 += count as u64;
        Ok(count)
    }
}
