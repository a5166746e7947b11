//! The contents of files, by SHA-256: small ones in memory, large ones as files of a folder. A blob that nothing refers
//! to is removed.

mod temp_folder;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::body::{Body, Bytes};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use temp_folder::TempFolder;

/// Larger blobs are files, in bytes.
pub(crate) const LARGE: usize = 128 << 10;

/// The size of the reads of a large blob that is being sent.
const PIECE: usize = 256 << 10;

/// The prefix of files that are being written.
const INCOMING: &str = "incoming-";

/// The contents of one file, which never change; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Blob(Arc<StoredBlob>);

#[derive(Debug)]
struct StoredBlob {
    sha256: String,
    size: u64,
    place: BlobPlace,
    shared: Arc<BlobIndex>,
}

#[derive(Debug)]
enum BlobPlace {
    Memory(Bytes),
    File(PathBuf),
}

/// All blobs, and the folder of the large ones.
#[derive(Debug)]
pub(crate) struct BlobStore {
    home: BlobFolder,
    shared: Arc<BlobIndex>,
}

#[derive(Debug)]
enum BlobFolder {
    /// Made when the first large blob comes, removed with the platform.
    Temporary(Mutex<Option<TempFolder>>),
    /// In the data directory.
    Lasting(PathBuf),
}

#[derive(Debug, Default)]
struct BlobIndex {
    known: Mutex<HashMap<String, Weak<StoredBlob>>>,
    /// Small blobs that are not saved yet.
    fresh: Mutex<Vec<Weak<StoredBlob>>>,
    dropped: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for StoredBlob {
    fn drop(&mut self) {
        lock(&self.shared.dropped).push(std::mem::take(&mut self.sha256));
    }
}

impl Blob {
    /// Returns the SHA-256 in hex.
    pub(crate) fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.0.size
    }

    /// Returns the JSON by which documents refer to the blob.
    pub(crate) fn reference(&self) -> Value {
        json!({"sha256": self.0.sha256, "size": self.0.size})
    }

    /// Returns all bytes; blocks while a large blob is read.
    pub(crate) fn bytes(&self) -> io::Result<Bytes> {
        match &self.0.place {
            BlobPlace::Memory(bytes) => Ok(bytes.clone()),
            BlobPlace::File(path) => {
                let mut bytes = Vec::with_capacity(usize::try_from(self.0.size).unwrap_or(0));
                File::open(path)?.read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }

    /// Returns a part as the body of an answer; a large blob is read while it is sent.
    pub(crate) async fn body(&self, part: Range<u64>) -> io::Result<Body> {
        match &self.0.place {
            BlobPlace::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Body::from(bytes.slice(place(part.start)..place(part.end))))
            }
            BlobPlace::File(path) => {
                let mut file = tokio::fs::File::open(path).await?;
                file.seek(io::SeekFrom::Start(part.start)).await?;
                let reader = file.take(part.end.saturating_sub(part.start));
                Ok(Body::from_stream(ReaderStream::with_capacity(reader, PIECE)))
            }
        }
    }
}

/// A blob that is being written and hashed. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct IncomingBlob {
    file: NamedTempFile,
    hasher: Sha256,
    size: u64,
}

/// A blob that is complete and not kept yet. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct CompleteBlob {
    file: NamedTempFile,
    sha256: String,
    size: u64,
}

impl IncomingBlob {
    /// Appends bytes; blocks.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Completes the blob and syncs it to disk, so that it is there before anything refers to it; blocks.
    pub(crate) fn finish(self) -> io::Result<CompleteBlob> {
        self.file.as_file().sync_all()?;
        Ok(CompleteBlob { file: self.file, sha256: hex(&self.hasher.finalize()), size: self.size })
    }
}

impl CompleteBlob {
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl BlobStore {
    /// Returns a store that is removed with the platform.
    pub(crate) fn temporary() -> Self {
        BlobStore { home: BlobFolder::Temporary(Mutex::new(None)), shared: Arc::default() }
    }

    /// Returns a store whose large blobs are files of this folder.
    pub(crate) fn kept_in(folder: PathBuf) -> Self {
        BlobStore { home: BlobFolder::Lasting(folder), shared: Arc::default() }
    }

    fn folder(&self) -> io::Result<PathBuf> {
        match &self.home {
            BlobFolder::Lasting(folder) => Ok(folder.clone()),
            BlobFolder::Temporary(made) => {
                let mut made = lock(made);
                let folder = match made.take() {
                    Some(folder) => folder,
                    None => TempFolder::new()?,
                };
                Ok(made.insert(folder).path().to_path_buf())
            }
        }
    }

    /// Begins a blob.
    pub(crate) fn receive(&self) -> io::Result<IncomingBlob> {
        let file = tempfile::Builder::new().prefix(INCOMING).tempfile_in(self.folder()?)?;
        Ok(IncomingBlob { file, hasher: Sha256::new(), size: 0 })
    }

    /// Keeps bytes as a blob; blocks while a large one is written.
    pub(crate) fn keep(&self, bytes: Bytes) -> io::Result<Blob> {
        if bytes.len() > LARGE {
            let mut file = self.receive()?;
            file.write(&bytes)?;
            return self.adopt(file.finish()?);
        }
        let sha256 = hex(&Sha256::digest(&bytes));
        let mut known = lock(&self.shared.known);
        if let Some(kept) = known.get(&sha256).and_then(Weak::upgrade) {
            return Ok(Blob(kept));
        }
        let content = self.insert(&mut known, sha256, bytes.len() as u64, BlobPlace::Memory(bytes));
        lock(&self.shared.fresh).push(Arc::downgrade(&content.0));
        Ok(content)
    }

    /// Keeps a complete blob.
    pub(crate) fn adopt(&self, arrived: CompleteBlob) -> io::Result<Blob> {
        let mut known = lock(&self.shared.known);
        if let Some(kept) = known.get(&arrived.sha256).and_then(Weak::upgrade) {
            return Ok(Blob(kept));
        }
        if arrived.size <= LARGE as u64 {
            drop(known);
            return self.keep(std::fs::read(arrived.file.path())?.into());
        }
        let path = self.folder()?.join(&arrived.sha256);
        arrived.file.persist(&path).map_err(|error| error.error)?;
        Ok(self.insert(&mut known, arrived.sha256, arrived.size, BlobPlace::File(path)))
    }

    /// Finds a blob that an earlier process kept; `small` loads it if it was small.
    pub(crate) fn find(&self, sha256: &str, size: u64, small: impl FnOnce() -> Option<Bytes>) -> Option<Blob> {
        let mut known = lock(&self.shared.known);
        if let Some(kept) = known.get(sha256).and_then(Weak::upgrade) {
            return Some(Blob(kept));
        }
        let place = if size > LARGE as u64 {
            let path = self.folder().ok()?.join(sha256);
            std::fs::metadata(&path).ok().filter(|file| file.len() == size)?;
            BlobPlace::File(path)
        } else {
            BlobPlace::Memory(small().filter(|bytes| bytes.len() as u64 == size)?)
        };
        Some(self.insert(&mut known, sha256.to_owned(), size, place))
    }

    fn insert(
        &self,
        known: &mut HashMap<String, Weak<StoredBlob>>,
        sha256: String,
        size: u64,
        place: BlobPlace,
    ) -> Blob {
        let kept = Arc::new(StoredBlob { sha256: sha256.clone(), size, place, shared: Arc::clone(&self.shared) });
        known.insert(sha256, Arc::downgrade(&kept));
        Blob(kept)
    }

    /// Takes the small blobs that are new since this was last called.
    pub(crate) fn take_fresh(&self) -> Vec<(Blob, Bytes)> {
        let fresh = std::mem::take(&mut *lock(&self.shared.fresh));
        let content = |kept: Weak<StoredBlob>| {
            let kept = kept.upgrade()?;
            let BlobPlace::Memory(bytes) = &kept.place else { return None };
            Some((Blob(Arc::clone(&kept)), bytes.clone()))
        };
        fresh.into_iter().filter_map(content).collect()
    }

    /// Returns whether something refers to this blob.
    pub(crate) fn knows(&self, sha256: &str) -> bool {
        lock(&self.shared.known).get(sha256).is_some_and(|kept| kept.strong_count() > 0)
    }

    /// Returns whether `take_fresh` or `sweep` has something to do.
    pub(crate) fn has_changes(&self) -> bool {
        !lock(&self.shared.fresh).is_empty() || !lock(&self.shared.dropped).is_empty()
    }

    /// Removes the blobs that nothing refers to any more, and returns their SHA-256.
    pub(crate) fn sweep(&self) -> Vec<String> {
        let mut gone = std::mem::take(&mut *lock(&self.shared.dropped));
        let mut known = lock(&self.shared.known);
        gone.retain(|sha256| {
            // It may have come again in the meantime.
            let dead = known.get(sha256).is_none_or(|kept| kept.strong_count() == 0);
            if dead && known.remove(sha256).is_some() && self.made_folder().is_some_and(|made| forget(&made, sha256)) {
                tracing::debug!(sha256, "contents are gone");
            }
            dead
        });
        gone
    }

    fn made_folder(&self) -> Option<PathBuf> {
        match &self.home {
            BlobFolder::Lasting(folder) => Some(folder.clone()),
            BlobFolder::Temporary(made) => lock(made).as_ref().map(|made| made.path().to_path_buf()),
        }
    }

    /// Removes files of an earlier process that are incomplete or that nothing refers to.
    pub(crate) fn tidy(&self) -> io::Result<()> {
        let Some(folder) = self.made_folder() else { return Ok(()) };
        let known = lock(&self.shared.known);
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let ours = name.starts_with(INCOMING) || (name.len() == 64 && !known.contains_key(&*name));
            if ours {
                forget(&folder, &name);
            }
        }
        Ok(())
    }
}

/// Removes a file and returns whether that worked: it may be in use or gone.
fn forget(folder: &Path, name: &str) -> bool {
    std::fs::remove_file(folder.join(name)).is_ok()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
