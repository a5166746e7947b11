//! One segment of the local log store: the JSONL file of a workload and the ids of its records. Callers hold the lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::ids::Ids;
use super::{AppendBatch, Appended};
use crate::data::record::{FieldDefaults, normalise};
use crate::source::lines::Lines;

/// Ids that are noted at once while a segment is read again.
const NOTED_AT_ONCE: usize = 8192;

/// One segment as far as this process knows it.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    ids: Ids,
}

/// Returns the path of the id cache of a segment.
pub(super) fn ids_path(segment: &Path) -> PathBuf {
    let name = segment.file_stem().unwrap_or_default().to_string_lossy();
    segment.with_file_name(format!(".{name}.ids"))
}

impl Segment {
    pub(super) fn new(path: PathBuf) -> Segment {
        let ids = Ids::new(ids_path(&path));
        Segment { path, ids }
    }

    /// Appends the records of a batch that are new.
    pub(super) fn append(&mut self, batch: &AppendBatch) -> io::Result<Appended> {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&self.path)?;
        let (mut end, repaired) = self.catch_up(&mut file)?;
        let begin = end;
        let mut done = Appended { repaired, ..Appended::default() };
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        for (id, line) in batch.iter() {
            if self.ids.set.insert(id) {
                bytes.extend_from_slice(line);
                end += line.len() as u64;
                records.push((id, end));
                done.added += 1;
            } else {
                done.present += 1;
            }
        }
        if records.is_empty() {
            return Ok(done);
        }
        file.seek(SeekFrom::Start(begin))?;
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            for (id, _) in &records {
                self.ids.set.remove(id);
            }
            file.set_len(begin)?;
            return Err(error);
        }
        if self.ids.extend(&records).is_err() {
            // The records are safe, and their ids can be read from the segment.
            self.ids.reset()?;
        }
        Ok(done)
    }

    /// Reads ids up to the end of the segment and cuts off a torn last line. Returns the end and the number of cut lines.
    fn catch_up(&mut self, file: &mut File) -> io::Result<(u64, u64)> {
        let length = file.metadata()?.len();
        if !(self.ids.refresh()? && self.fits(file, length)?) {
            // Another process may have rebuilt the cache.
            self.ids.forget();
            if !(self.ids.refresh()? && self.fits(file, length)?) {
                self.ids.reset()?;
            }
        }
        if self.ids.covered == length {
            return Ok((length, 0));
        }
        file.seek(SeekFrom::Start(self.ids.covered))?;
        let mut lines = Lines::new(&*file, self.ids.covered);
        let mut noted = Vec::new();
        let mut torn = None;
        let mut end = self.ids.covered;
        while let Some(line) = lines.next()? {
            let record = if line.is_too_long { None } else { normalise(line.text, &FieldDefaults::default()).ok() };
            if !line.is_ended && record.is_none() {
                torn = Some(line.start);
                break;
            }
            end = line.end + u64::from(!line.is_ended);
            if let Some(id) = record.map(|record| record.id) {
                noted.push((id, end));
            }
            if !line.is_ended {
                let mut file = &*file;
                file.seek(SeekFrom::End(0))?;
                file.write_all(b"\n")?;
            }
            if noted.len() == NOTED_AT_ONCE {
                self.ids.extend(&noted)?;
                noted.clear();
            }
        }
        drop(lines);
        if let Some(start) = torn {
            file.set_len(start)?;
            file.sync_data()?;
        }
        self.ids.extend(&noted)?;
        Ok((end, u64::from(torn.is_some())))
    }

    /// Returns true if the ids fit the file: its last covered line must be the record of the last id.
    fn fits(&self, file: &mut File, length: u64) -> io::Result<bool> {
        let Some(last) = self.ids.last else { return Ok(self.ids.covered == 0) };
        if self.ids.covered > length {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(self.ids.last_start))?;
        let mut bytes = vec![0; usize::try_from(self.ids.covered - self.ids.last_start).unwrap_or(0)];
        file.read_exact(&mut bytes)?;
        let Some(text) = bytes.strip_suffix(b"\n") else { return Ok(false) };
        // Lines that were written by hand and are no records may stand before it.
        let line = text.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let record = normalise(line, &FieldDefaults::default()).ok();
        Ok(record.map(|record| record.id) == Some(last))
    }
}
