//! Contents of files, by their SHA-256: small ones in memory, large ones in files of a folder. Contents that nothing
//! refers to any more go by themselves. Which repository holds what is the Data Store's business, how small ones get to
//! disk that of `persist`.

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

use super::scratch::Scratch;

/// Contents of more bytes than this are kept in files.
pub(super) const LARGE: usize = 128 << 10;

/// How much of a file is read at a time while it is sent.
const PIECE: usize = 256 << 10;

/// How the names of files begin that are being written.
const INCOMING: &str = "incoming-";

/// The contents of one file, which never change; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Content(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    sha256: String,
    size: u64,
    place: Place,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Place {
    Memory(Bytes),
    File(PathBuf),
}

/// All contents, and the folder of the large ones.
#[derive(Debug)]
pub(super) struct Contents {
    home: Home,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Home {
    /// A folder that is made when it is needed and gone with the platform.
    Temporary(Mutex<Option<Scratch>>),
    /// A folder that outlives it.
    Lasting(PathBuf),
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<HashMap<String, Weak<Kept>>>,
    /// Small contents that nobody has written to disk yet.
    fresh: Mutex<Vec<Weak<Kept>>>,
    dropped: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Kept {
    fn drop(&mut self) {
        lock(&self.shared.dropped).push(std::mem::take(&mut self.sha256));
    }
}

impl Content {
    /// The SHA-256 as hex.
    pub(super) fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.0.size
    }

    /// How documents refer to it.
    pub(super) fn reference(&self) -> Value {
        json!({"sha256": self.0.sha256, "size": self.0.size})
    }

    /// All of it, in memory; blocks while a large one is read.
    pub(super) fn bytes(&self) -> io::Result<Bytes> {
        match &self.0.place {
            Place::Memory(bytes) => Ok(bytes.clone()),
            Place::File(path) => {
                let mut bytes = Vec::with_capacity(usize::try_from(self.0.size).unwrap_or(0));
                File::open(path)?.read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }

    /// A part of it as the body of an answer; a large one is read while it is sent.
    pub(super) async fn body(&self, part: Range<u64>) -> io::Result<Body> {
        match &self.0.place {
            Place::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Body::from(bytes.slice(place(part.start)..place(part.end))))
            }
            Place::File(path) => {
                let mut file = tokio::fs::File::open(path).await?;
                file.seek(io::SeekFrom::Start(part.start)).await?;
                let reader = file.take(part.end.saturating_sub(part.start));
                Ok(Body::from_stream(ReaderStream::with_capacity(reader, PIECE)))
            }
        }
    }
}

/// A file that is being written, hashed on the way; nothing is left of one that is dropped.
#[derive(Debug)]
pub(super) struct Incoming {
    file: NamedTempFile,
    hasher: Sha256,
    size: u64,
}

/// A file that was written whole; nothing is left of one that is dropped before it is kept.
#[derive(Debug)]
pub(super) struct Arrived {
    file: NamedTempFile,
    sha256: String,
    size: u64,
}

impl Incoming {
    /// Adds to it; blocks.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// It is complete. What has arrived is on disk before anything refers to it; blocks.
    pub(super) fn finish(self) -> io::Result<Arrived> {
        self.file.as_file().sync_all()?;
        Ok(Arrived { file: self.file, sha256: hex(&self.hasher.finalize()), size: self.size })
    }
}

impl Arrived {
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl Contents {
    /// Contents that are gone with the platform.
    pub(super) fn temporary() -> Self {
        Contents { home: Home::Temporary(Mutex::new(None)), shared: Arc::default() }
    }

    /// Contents whose large ones are files of this folder.
    pub(super) fn kept_in(folder: PathBuf) -> Self {
        Contents { home: Home::Lasting(folder), shared: Arc::default() }
    }

    fn folder(&self) -> io::Result<PathBuf> {
        match &self.home {
            Home::Lasting(folder) => Ok(folder.clone()),
            Home::Temporary(made) => {
                let mut made = lock(made);
                let folder = match made.take() {
                    Some(folder) => folder,
                    None => Scratch::new()?,
                };
                Ok(made.insert(folder).path().to_path_buf())
            }
        }
    }

    /// Begins a file.
    pub(super) fn receive(&self) -> io::Result<Incoming> {
        let file = tempfile::Builder::new().prefix(INCOMING).tempfile_in(self.folder()?)?;
        Ok(Incoming { file, hasher: Sha256::new(), size: 0 })
    }

    /// Keeps these bytes; blocks while many are written.
    pub(super) fn keep(&self, bytes: Bytes) -> io::Result<Content> {
        if bytes.len() > LARGE {
            let mut file = self.receive()?;
            file.write(&bytes)?;
            return self.adopt(file.finish()?);
        }
        let sha256 = hex(&Sha256::digest(&bytes));
        let mut known = lock(&self.shared.known);
        if let Some(kept) = known.get(&sha256).and_then(Weak::upgrade) {
            return Ok(Content(kept));
        }
        let content = self.insert(&mut known, sha256, bytes.len() as u64, Place::Memory(bytes));
        lock(&self.shared.fresh).push(Arc::downgrade(&content.0));
        Ok(content)
    }

    /// Keeps a file that has arrived.
    pub(super) fn adopt(&self, arrived: Arrived) -> io::Result<Content> {
        let mut known = lock(&self.shared.known);
        if let Some(kept) = known.get(&arrived.sha256).and_then(Weak::upgrade) {
            return Ok(Content(kept));
        }
        if arrived.size <= LARGE as u64 {
            drop(known);
            return self.keep(std::fs::read(arrived.file.path())?.into());
        }
        let path = self.folder()?.join(&arrived.sha256);
        arrived.file.persist(&path).map_err(|error| error.error)?;
        Ok(self.insert(&mut known, arrived.sha256, arrived.size, Place::File(path)))
    }

    /// The contents that were kept in an earlier life: `small` finds those that were in memory.
    pub(super) fn find(&self, sha256: &str, size: u64, small: impl FnOnce() -> Option<Bytes>) -> Option<Content> {
        let mut known = lock(&self.shared.known);
        if let Some(kept) = known.get(sha256).and_then(Weak::upgrade) {
            return Some(Content(kept));
        }
        let place = if size > LARGE as u64 {
            let path = self.folder().ok()?.join(sha256);
            std::fs::metadata(&path).ok().filter(|file| file.len() == size)?;
            Place::File(path)
        } else {
            Place::Memory(small().filter(|bytes| bytes.len() as u64 == size)?)
        };
        Some(self.insert(&mut known, sha256.to_owned(), size, place))
    }

    fn insert(&self, known: &mut HashMap<String, Weak<Kept>>, sha256: String, size: u64, place: Place) -> Content {
        let kept = Arc::new(Kept { sha256: sha256.clone(), size, place, shared: Arc::clone(&self.shared) });
        known.insert(sha256, Arc::downgrade(&kept));
        Content(kept)
    }

    /// Small contents that have come since this was last asked.
    pub(super) fn fresh(&self) -> Vec<(Content, Bytes)> {
        let fresh = std::mem::take(&mut *lock(&self.shared.fresh));
        let content = |kept: Weak<Kept>| {
            let kept = kept.upgrade()?;
            let Place::Memory(bytes) = &kept.place else { return None };
            Some((Content(Arc::clone(&kept)), bytes.clone()))
        };
        fresh.into_iter().filter_map(content).collect()
    }

    /// Whether something refers to these contents.
    pub(super) fn knows(&self, sha256: &str) -> bool {
        lock(&self.shared.known).get(sha256).is_some_and(|kept| kept.strong_count() > 0)
    }

    /// Whether there is something for `fresh` or `sweep`.
    pub(super) fn changed(&self) -> bool {
        !lock(&self.shared.fresh).is_empty() || !lock(&self.shared.dropped).is_empty()
    }

    /// Contents that nothing refers to since this was last asked; their files are removed.
    pub(super) fn sweep(&self) -> Vec<String> {
        let mut gone = std::mem::take(&mut *lock(&self.shared.dropped));
        let mut known = lock(&self.shared.known);
        gone.retain(|sha256| {
            // It may have come again meanwhile.
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
            Home::Lasting(folder) => Some(folder.clone()),
            Home::Temporary(made) => lock(made).as_ref().map(|made| made.path().to_path_buf()),
        }
    }

    /// Removes what an earlier life left in the folder: files that were not finished, or that nothing refers to.
    pub(super) fn tidy(&self) -> io::Result<()> {
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

/// Removes a file, which may be in use or gone; whether it did.
fn forget(folder: &Path, name: &str) -> bool {
    std::fs::remove_file(folder.join(name)).is_ok()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(size: usize, seed: u8) -> Bytes {
        (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
    }

    fn files(contents: &Contents) -> usize {
        let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let is_content = |name: &std::ffi::OsString| name != "held";
        contents
            .made_folder()
            .map_or(0, |folder| std::fs::read_dir(folder).unwrap().map(name).filter(is_content).count())
    }

    #[test]
    fn small_contents_need_no_folder_and_large_ones_come_back_from_files() {
        let contents = Contents::temporary();
        for size in [0, 1, LARGE] {
            let kept = contents.keep(bytes(size, 1)).unwrap();
            assert_eq!((kept.bytes().unwrap(), kept.size()), (bytes(size, 1), size as u64));
        }
        assert!(contents.made_folder().is_none());
        let large = contents.keep(bytes(LARGE + 1, 1)).unwrap();
        assert_eq!(large.bytes().unwrap(), bytes(LARGE + 1, 1));
        assert_eq!(large.sha256(), hex(&Sha256::digest(bytes(LARGE + 1, 1))));
        let folder = contents.made_folder().unwrap();
        drop((contents, large));
        assert!(!folder.exists());
    }

    #[test]
    fn equal_contents_are_kept_once_and_go_with_their_last_holder() {
        let contents = Contents::temporary();
        let one = contents.keep(bytes(LARGE + 1, 2)).unwrap();
        let mut incoming = contents.receive().unwrap();
        incoming.write(&bytes(LARGE + 1, 2)[..7]).unwrap();
        incoming.write(&bytes(LARGE + 1, 2)[7..]).unwrap();
        let two = contents.adopt(incoming.finish().unwrap()).unwrap();
        assert!(Arc::ptr_eq(&one.0, &two.0));
        assert_eq!(files(&contents), 1);
        drop(one);
        assert_eq!(contents.sweep(), [""; 0]);
        let sha256 = two.sha256().to_owned();
        drop(two);
        assert_eq!((contents.sweep(), files(&contents)), (vec![sha256], 0));
    }

    #[test]
    fn contents_that_come_again_before_the_sweep_stay() {
        let contents = Contents::temporary();
        drop(contents.keep(bytes(LARGE + 1, 3)).unwrap());
        let again = contents.keep(bytes(LARGE + 1, 3)).unwrap();
        assert_eq!(contents.sweep(), [""; 0]);
        assert_eq!(again.bytes().unwrap(), bytes(LARGE + 1, 3));
    }

    #[test]
    fn what_is_dropped_half_way_leaves_nothing() {
        let contents = Contents::temporary();
        let mut incoming = contents.receive().unwrap();
        incoming.write(b"half").unwrap();
        assert_eq!(files(&contents), 1);
        drop(incoming);
        assert_eq!(files(&contents), 0);
        let mut incoming = contents.receive().unwrap();
        incoming.write(b"whole").unwrap();
        drop(incoming.finish().unwrap());
        assert_eq!(files(&contents), 0);
    }

    #[test]
    fn a_later_life_finds_contents_and_tidies_up_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Contents::kept_in(folder.path().to_path_buf());
        let earlier = open();
        let large = earlier.keep(bytes(LARGE + 1, 4)).unwrap();
        let forgotten = earlier.keep(bytes(LARGE + 2, 5)).unwrap();
        std::fs::write(folder.path().join("incoming-x"), "half").unwrap();
        let (large, forgotten) = (large.sha256().to_owned(), forgotten.sha256().to_owned());
        drop(earlier);

        let later = open();
        let size = LARGE as u64 + 1;
        let found = later.find(&large, size, || None).unwrap();
        assert_eq!(found.bytes().unwrap(), bytes(LARGE + 1, 4));
        assert!(later.find(&large, 3, || None).is_some(), "it is known by now");
        assert!(later.find(&forgotten, size, || None).is_none(), "of another size");
        assert_eq!(later.find("x", 2, || Some(bytes(2, 1))).unwrap().bytes().unwrap(), bytes(2, 1));
        later.tidy().unwrap();
        assert_eq!(files(&later), 1);
    }
}
