//! A temporary folder for large blobs, removed with its process. If the process was killed, the next process that makes
//! such a folder removes it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// The prefix of the folders' names.
const PREFIX: &str = "dfwfd-contents-";
/// The file on which the owner of a folder holds a lock.
const HELD: &str = "held";

/// A folder that no other process removes while this value lives.
#[derive(Debug)]
pub(crate) struct TempFolder {
    // Dropped, and so unlocked, before the folder is removed: some systems do not remove open files.
    _held: File,
    folder: TempDir,
}

impl TempFolder {
    /// Makes a folder in the system's temporary directory, and removes abandoned ones.
    pub(crate) fn new() -> io::Result<TempFolder> {
        TempFolder::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> io::Result<TempFolder> {
        remove_abandoned(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Takes its final name only when it is locked: until then another process would take it for abandoned.
        let early = folder.path().join("early");
        let held = File::create_new(&early)?;
        held.lock()?;
        fs::rename(early, folder.path().join(HELD))?;
        Ok(TempFolder { _held: held, folder })
    }

    /// Returns the path of the folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders that no process holds. Folders that cannot be removed, such as another user's, stay.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let folder = entry.path();
        let Ok(held) = File::options().write(true).open(folder.join(HELD)) else { continue };
        if held.try_lock().is_ok() {
            drop(held);
            match fs::remove_dir_all(&folder) {
                Ok(()) => tracing::info!("removed {}, left by a process that was killed", folder.display()),
                Err(error) => tracing::debug!(%error, "removing {}", folder.display()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(parent: &Path) -> usize {
        fs::read_dir(parent).unwrap().count()
    }

    #[test]
    fn a_folder_goes_with_its_holder() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = TempFolder::below(parent.path()).unwrap();
        fs::write(scratch.path().join("content"), "x").unwrap();
        drop(scratch);
        assert_eq!(folders(parent.path()), 0);
    }

    #[test]
    fn abandoned_folders_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let living = TempFolder::below(parent.path()).unwrap();
        fs::write(living.path().join("content"), "x").unwrap();
        // A killed process leaves the files without the lock.
        let TempFolder { _held, folder } = TempFolder::below(parent.path()).unwrap();
        drop(_held);
        let abandoned = folder.keep();
        fs::write(abandoned.join("content"), "x").unwrap();
        let young = parent.path().join(format!("{PREFIX}young"));
        fs::create_dir(&young).unwrap();
        let foreign = parent.path().join("other");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join(HELD), "").unwrap();

        let another = TempFolder::below(parent.path()).unwrap();
        assert!(!abandoned.exists());
        assert!(living.path().join("content").exists() && young.exists() && foreign.join(HELD).exists());
        drop(another);
        assert_eq!(folders(parent.path()), 3);
    }
}
