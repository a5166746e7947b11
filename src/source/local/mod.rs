//! The local log store: a folder of JSONL segments, one per workload, each record once. Appending, listing and deleting;
//! what a record must hold is decided in `data::record`.
//!
//! Beside a segment `NAME.jsonl` stands `.NAME.ids`, a cache of its record ids that is made again whenever it does not
//! fit. A writer holds the lock of the whole folder for one batch, a reader for as long as it reads.

mod delete;
mod ids;
mod list;
mod segment;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use segment::Segment;

/// The log store below one folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    dir: PathBuf,
}

/// Records of one workload that are appended together.
#[derive(Clone, Debug, Default)]
pub struct AppendBatch {
    lines: Vec<u8>,
    records: Vec<(u128, usize)>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Records that are new.
    pub added: u64,
    /// Records that were there already, in the store or earlier in the batch.
    pub present: u64,
    /// Torn last lines, left by a writer that was killed, that were cut off before.
    pub repaired: u64,
}

/// Appends to a store; remembers the ids of the workloads that it has written to (16 to 40 bytes each).
#[derive(Debug)]
pub struct StoreWriter {
    dir: PathBuf,
    segments: HashMap<String, Segment>,
}

/// The segments of a store, which no writer touches while this lives.
#[derive(Debug)]
pub struct StoreReading {
    /// The segment files, by name.
    pub files: Vec<PathBuf>,
    _lock: Option<File>,
}

impl AppendBatch {
    /// Adds a normalised record: its id and its line without a line end.
    pub fn push(&mut self, id: u128, line: &[u8]) {
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
    /// The store below `dir`, which is made by the first append.
    pub fn at(dir: impl Into<PathBuf>) -> LocalStore {
        LocalStore { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins to append.
    pub fn writer(&self) -> StoreWriter {
        StoreWriter { dir: self.dir.clone(), segments: HashMap::new() }
    }

    /// The segments, safe from writers while the answer lives. A store that was never written to has none.
    pub fn read(&self) -> anyhow::Result<StoreReading> {
        let reading = || -> io::Result<StoreReading> {
            let lock = match File::open(lock_path(&self.dir)) {
                Ok(file) => Some(supported(file.lock_shared(), file)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            Ok(StoreReading { files: segments(&self.dir)?, _lock: lock })
        };
        reading().with_context(|| format!("reading the log store {}", self.dir.display()))
    }
}

impl StoreWriter {
    /// Appends what is new of a batch, all of it or (on an error) none. Other writers may append between two calls.
    pub fn append(&mut self, workload: &str, batch: &AppendBatch) -> anyhow::Result<Appended> {
        let mut append = || -> io::Result<Appended> {
            fs::create_dir_all(&self.dir)?;
            let _lock = lock(&self.dir)?;
            let segment = self
                .segments
                .entry(workload.to_owned())
                .or_insert_with(|| Segment::new(self.dir.join(segment_name(workload))));
            segment.append(batch)
        };
        append().with_context(|| format!("appending to the log store {}", self.dir.display()))
    }
}

/// The file name of a workload's segment: readable, safe on every file system, and different for different workloads.
pub fn segment_name(workload: &str) -> String {
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

/// The lock of the whole folder, held until the file is dropped.
fn lock(dir: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(lock_path(dir))?;
    supported(file.lock(), file)
}

/// Some network file systems have no locks; there the store works for one writer at a time.
fn supported(locked: io::Result<()>, file: File) -> io::Result<File> {
    match locked {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests;
