//! The id cache of one segment: the ids of its records up to an offset. It is dropped when in doubt.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

const MAGIC: &[u8; 8] = b"dfwfdid1";
const HEADER: u64 = 16;
const ENTRY: usize = 24;
/// Entries that are read at once.
const CHUNK: usize = 8192;

/// Takes ids as their own hashes, because they are hashes.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = id as u64;
    }
}

/// A set of record ids.
pub(super) type IdSet = HashSet<u128, BuildHasherDefault<AsIs>>;

/// The id cache of one segment, as far as it was read.
#[derive(Debug)]
pub(super) struct Ids {
    path: PathBuf,
    /// The ids of all records up to `covered`.
    pub(crate) set: IdSet,
    /// Offset in the segment up to which `set` is complete.
    pub(crate) covered: u64,
    /// Start of the last covered record.
    pub(crate) last_start: u64,
    /// Id of the last covered record.
    pub(crate) last: Option<u128>,
    generation: Option<u64>,
    /// Bytes of the cache file that were read or written.
    known: u64,
}

impl Ids {
    pub(super) fn new(path: PathBuf) -> Ids {
        Ids { path, set: IdSet::default(), covered: 0, last_start: 0, last: None, generation: None, known: 0 }
    }

    /// Forgets what was read from the file.
    pub(super) fn forget(&mut self) {
        *self = Ids::new(std::mem::take(&mut self.path));
    }

    /// Removes the cache from disk and memory.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.forget();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads the ids that other writers have added. Returns false if the cache is missing, damaged or was replaced.
    pub(super) fn refresh(&mut self) -> io::Result<bool> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut header = [0; HEADER as usize];
        if file.read_exact(&mut header).is_err() || header[..8] != MAGIC[..] {
            return Ok(false);
        }
        let generation = u64_of(&header[8..]);
        if self.generation.is_some_and(|known| known != generation) {
            return Ok(false);
        }
        self.generation = Some(generation);
        self.known = self.known.max(HEADER);
        let length = file.metadata()?.len();
        if length < self.known {
            return Ok(false);
        }
        let whole = (length - self.known) / ENTRY as u64;
        self.set.reserve(usize::try_from(whole).unwrap_or(0));
        file.seek(SeekFrom::Start(self.known))?;
        let mut left = usize::try_from(whole).unwrap_or(usize::MAX) * ENTRY;
        let mut chunk = vec![0; ENTRY * CHUNK.min(whole as usize)];
        while left > 0 {
            let part = left.min(chunk.len());
            file.read_exact(&mut chunk[..part])?;
            for entry in chunk[..part].chunks_exact(ENTRY) {
                let end = u64_of(&entry[16..]);
                if end <= self.covered {
                    return Ok(false);
                }
                self.note(u128::from(u64_of(&entry[8..16])) << 64 | u128::from(u64_of(&entry[..8])), end);
            }
            left -= part;
        }
        self.known += whole * ENTRY as u64;
        Ok(true)
    }

    /// Notes a record that ends at `end` in the segment.
    fn note(&mut self, id: u128, end: u64) {
        self.set.insert(id);
        self.last_start = self.covered;
        self.last = Some(id);
        self.covered = end;
    }

    /// Notes records behind `covered`, with their ends in the segment, in memory and on disk.
    pub(super) fn extend(&mut self, records: &[(u128, u64)]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
        let mut bytes = Vec::with_capacity(HEADER as usize + records.len() * ENTRY);
        if self.generation.is_none() {
            let generation = uuid::Uuid::new_v4().as_u64_pair().0;
            self.generation = Some(generation);
            self.known = 0;
            bytes.extend_from_slice(MAGIC);
            bytes.extend_from_slice(&generation.to_le_bytes());
        }
        for (id, end) in records {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&end.to_le_bytes());
            self.note(*id, *end);
        }
        file.set_len(self.known)?;
        file.seek(SeekFrom::Start(self.known))?;
        file.write_all(&bytes)?;
        self.known += bytes.len() as u64;
        Ok(())
    }
}

fn u64_of(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(whole)
}
