//! The local log store: a folder of JSONL segments, one per workload, that holds each record once. Appends, lists and
//! deletes.
//!
//! Beside a segment `NAME.jsonl` stands `.NAME.ids`, a cache of its record ids. It is rebuilt when it does not fit. A
//! writer holds the lock of the folder for one batch, a reader while it reads.

mod delete;
mod ids;
mod list;
mod segment;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;

use segment::Segment;

/// The log store in one folder.
#[derive(Clone, Debug)]
pub(crate) struct LocalStore {
    dir: PathBuf,
}

/// Records of one workload to append together.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppendBatch {
    lines: Vec<u8>,
    records: Vec<(u128, usize)>,
}

/// Counts of an appended batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Appended {
    /// New records.
    pub(crate) added: u64,
    /// Records that were in the store or earlier in the batch.
    pub(crate) present: u64,
    /// Torn last lines of a killed writer that were cut off first.
    pub(crate) repaired: u64,
}

/// Appends to a store. Remembers the ids of the workloads that it writes to, 16 to 40 bytes each.
#[derive(Debug)]
pub(crate) struct StoreWriter {
    dir: PathBuf,
    segments: HashMap<String, Segment>,
}

/// The segments of a store. No writer changes them while this lives.
#[derive(Debug)]
pub(crate) struct StoreReading {
    /// The segment files, by name.
    pub(crate) files: Vec<PathBuf>,
    _lock: Option<File>,
}

impl AppendBatch {
    /// Adds a normalised record.
    pub(crate) fn push(&mut self, id: u128, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        self.records.push((id, self.lines.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (u128, &[u8])> {
        let starts = std::iter::once(0).chain(self.records.iter().map(|(_, end)| *end));
        starts.zip(&self.records).map(|(start, (id, end))| (*id, &self.lines[start..*end]))
    }
}

impl LocalStore {
    /// Returns the store in `dir`. The first append creates the folder.
    pub(crate) fn at(dir: impl Into<PathBuf>) -> LocalStore {
        LocalStore { dir: dir.into() }
    }

    /// Returns the folder of the store.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates a writer.
    pub(crate) fn writer(&self) -> StoreWriter {
        StoreWriter { dir: self.dir.clone(), segments: HashMap::new() }
    }

    /// Locks the store for reading and returns its segments. A new store has none.
    pub(crate) fn read(&self) -> anyhow::Result<StoreReading> {
        let reading = || -> io::Result<StoreReading> {
            let lock = match File::open(lock_path(&self.dir)) {
                Ok(file) => Some(supported(file.lock_shared(), file)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            Ok(StoreReading { files: segments(&self.dir)?, _lock: lock })
        };
        reading().with_context(|| format!("cannot read the log store {}", self.dir.display()))
    }
}

impl StoreWriter {
    /// Appends the new records of a batch, or none of them on an error. Other writers may append between two calls.
    pub(crate) fn append(&mut self, workload: &str, batch: &AppendBatch) -> anyhow::Result<Appended> {
        let mut append = || -> io::Result<Appended> {
            create_private(&self.dir)?;
            let _lock = lock(&self.dir)?;
            let segment = self
                .segments
                .entry(workload.to_owned())
                .or_insert_with(|| Segment::new(self.dir.join(segment_name(workload))));
            segment.append(batch)
        };
        append().with_context(|| format!("cannot append to the log store {}", self.dir.display()))
    }
}

/// Creates a folder that only its owner can read, because it holds prompts and replies. Those above it, too.
fn create_private(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    builder.mode(0o700);
    builder.create(dir)
}

/// Returns the file name of a workload's segment: readable, safe on every file system, and unique.
pub(crate) fn segment_name(workload: &str) -> String {
    let mut slug = String::new();
    for c in workload.chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => slug.push(c),
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(40);
    let hash = blake3::hash(workload.as_bytes()).to_hex();
    match slug.trim_end_matches('-') {
        "" => format!("workload-{}.jsonl", &hash[..12]),
        slug => format!("{slug}-{}.jsonl", &hash[..12]),
    }
}

fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn lock_path(dir: &Path) -> PathBuf {
    dir.join(".lock")
}

/// Locks the folder until the file is dropped.
fn lock(dir: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(lock_path(dir))?;
    supported(file.lock(), file)
}

/// Accepts file systems without locks, such as some network file systems. There only one writer at a time is safe.
fn supported(locked: io::Result<()>, file: File) -> io::Result<File> {
    match locked {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests;
