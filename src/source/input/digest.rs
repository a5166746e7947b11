//! Digests of inputs: of the bytes of a stream in their order, or of lines that come in any order.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

/// Bytes of an input and their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    /// Bytes that were read.
    pub(crate) bytes: u64,
    /// BLAKE3 of all bytes, or the sum of the BLAKE3 of the lines modulo 2^256, as lower-case hex.
    pub(crate) blake3: String,
}

/// Hashes a stream while something else reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamDigest(Rc<RefCell<(blake3::Hasher, u64)>>);

impl StreamDigest {
    /// Wraps a stream in one that is hashed while it is read.
    pub(crate) fn watch<R: Read>(&self, from: R) -> Watched<R> {
        Watched { from, digest: self.clone() }
    }

    /// Returns the digest of what was read so far.
    pub(crate) fn digest(&self) -> Digest {
        let (hasher, bytes) = &*self.0.borrow();
        Digest { bytes: *bytes, blake3: hasher.finalize().to_hex().to_string() }
    }
}

/// A stream that is hashed while it is read.
pub(crate) struct Watched<R> {
    from: R,
    digest: StreamDigest,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        let (hasher, bytes) = &mut *self.digest.0.borrow_mut();
        hasher.update(&buffer[..count]);
        *bytes += count as u64;
        Ok(count)
    }
}

/// The sum of the hashes of lines, lowest digits first. It does not depend on their order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineDigest([u64; 4]);

impl LineDigest {
    /// Adds a line.
    pub(crate) fn add(&mut self, line: &[u8]) {
        let mut carry = false;
        for (digits, bytes) in self.0.iter_mut().zip(blake3::hash(line).as_bytes().as_chunks::<8>().0) {
            let (sum, first) = digits.overflowing_add(u64::from_le_bytes(*bytes));
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*digits, carry) = (sum, first || second);
        }
    }

    /// Returns the digest of lines that have this many bytes.
    pub(crate) fn digest(&self, bytes: u64) -> Digest {
        let [a, b, c, d] = self.0;
        Digest { bytes, blake3: format!("{d:016x}{c:016x}{b:016x}{a:016x}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_lines_does_not_depend_on_their_order() {
        let digest = |lines: &[String]| {
            let mut digest = LineDigest::default();
            lines.iter().for_each(|line| digest.add(line.as_bytes()));
            digest.digest(0).blake3
        };
        let mut lines: Vec<String> = (0..40).map(|n| n.to_string().repeat(30_000)).collect();
        lines.extend([String::new(), "x".to_owned()]);
        let first = digest(&lines);
        assert_eq!(first.len(), 64);
        lines.reverse();
        lines.rotate_left(9);
        assert_eq!(digest(&lines), first);
        lines[3].push('y');
        assert_ne!(digest(&lines), first);
        assert_ne!(digest(&[]), digest(&["a".to_owned(), "a".to_owned()]));
        let bytes: String = blake3::hash(b"a").as_bytes().iter().rev().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest(&["a".to_owned()]), bytes);
    }

    #[test]
    fn a_stream_is_hashed_while_it_is_read() {
        let digest = StreamDigest::default();
        let mut text = String::new();
        digest.watch(&b"some bytes"[..]).read_to_string(&mut text).unwrap();
        let blake3 = blake3::hash(b"some bytes").to_hex().to_string();
        assert_eq!(digest.digest(), Digest { bytes: 10, blake3 });
    }
}
