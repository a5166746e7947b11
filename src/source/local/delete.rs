//! Deletes from the local log store by workload, client or time. Writes a new segment beside the old one and renames it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::segment::ids_path;
use super::{LocalStore, lock, segments};
use crate::data::forms::{self, Forms};
use crate::data::options::Filter;
use crate::data::record::Record;
use crate::source::lines::Lines;

/// Counts of a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Deleted {
    /// Deleted records.
    pub(crate) records: u64,
    /// Records and other lines that were kept.
    pub(crate) kept: u64,
}

impl LocalStore {
    /// Deletes the records that `filter` lets pass. An empty filter deletes all.
    pub(crate) fn delete(&self, filter: &Filter) -> anyhow::Result<Deleted> {
        let mut deleted = Deleted::default();
        if !self.dir().is_dir() {
            return Ok(deleted);
        }
        let files = lock(self.dir()).and_then(|lock| Ok((lock, segments(self.dir())?)));
        let (_lock, files) = files.with_context(|| format!("cannot open the log store {}", self.dir().display()))?;
        for path in files {
            let one = rewrite(&path, filter).with_context(|| format!("cannot delete from {}", path.display()))?;
            deleted.records += one.records;
            deleted.kept += one.kept;
        }
        Ok(deleted)
    }
}

fn rewrite(path: &Path, filter: &Filter) -> io::Result<Deleted> {
    let kept = path.with_extension("kept");
    let done = rewrite_beside(path, &kept, filter);
    if done.is_err() {
        // The old segment is whole, and the unfinished new one is of no use.
        let _ = fs::remove_file(&kept);
    }
    done
}

fn rewrite_beside(path: &Path, kept: &Path, filter: &Filter) -> io::Result<Deleted> {
    let mut out = BufWriter::with_capacity(1 << 18, File::create(kept)?);
    let mut lines = Lines::new(File::open(path)?, 0);
    let mut deleted = Deleted::default();
    while let Some(line) = lines.next()? {
        if line.is_too_long {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {} is longer than 64 MiB", line.number),
            ));
        }
        if matches(line.text, filter) {
            deleted.records += 1;
        } else {
            deleted.kept += 1;
            out.write_all(line.raw)?;
            out.write_all(b"\n")?;
        }
    }
    let out = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if deleted.records == 0 {
        fs::remove_file(kept)?;
        return Ok(deleted);
    }
    out.sync_all()?;
    drop(out);
    match fs::remove_file(ids_path(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if deleted.kept == 0 {
        fs::remove_file(path)?;
        fs::remove_file(kept)?;
    } else {
        fs::rename(kept, path)?;
    }
    Ok(deleted)
}

fn matches(line: &[u8], filter: &Filter) -> bool {
    forms::read(line, Forms::Logged, |json| Record::parse(json).map(|record| filter.passes(&record))) == Ok(true)
}
