//! A folder for what is too large for memory, gone with its process. One whose process was killed is removed by the next
//! process that makes one. Knows nothing of what lies in it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// How the names of the folders begin.
const PREFIX: &str = "dfwfd-contents-";
/// The file that the process of a folder holds a lock on as long as it lives.
const HELD: &str = "held";

/// A folder that nobody else removes while this is there.
#[derive(Debug)]
pub(super) struct Scratch {
    // Closed, and so unlocked, before the folder is removed: some systems do not remove open files.
    _held: File,
    folder: TempDir,
}

impl Scratch {
    /// Makes one in the system's temporary directory, and removes those of processes that are gone.
    pub(super) fn new() -> io::Result<Scratch> {
        Scratch::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> io::Result<Scratch> {
        remove_abandoned(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Under its name only once it is locked, or another process would take it for abandoned.
        let early = folder.path().join("early");
        let held = File::create_new(&early)?;
        held.lock()?;
        fs::rename(early, folder.path().join(HELD))?;
        Ok(Scratch { _held: held, folder })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders here that nobody holds. What does not let itself be removed, such as another user's, stays.
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
                Ok(()) => tracing::info!("removed {}, which a process that was killed had left", folder.display()),
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
        let scratch = Scratch::below(parent.path()).unwrap();
        fs::write(scratch.path().join("content"), "x").unwrap();
        drop(scratch);
        assert_eq!(folders(parent.path()), 0);
    }

    #[test]
    fn abandoned_folders_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::below(parent.path()).unwrap();
        fs::write(living.path().join("content"), "x").unwrap();
        // As a process leaves it that is killed: the lock is gone, the files are there.
        let Scratch { _held, folder } = Scratch::below(parent.path()).unwrap();
        drop(_held);
        let abandoned = folder.keep();
        fs::write(abandoned.join("content"), "x").unwrap();
        let young = parent.path().join(format!("{PREFIX}young"));
        fs::create_dir(&young).unwrap();
        let foreign = parent.path().join("other");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join(HELD), "").unwrap();

        let another = Scratch::below(parent.path()).unwrap();
        assert!(!abandoned.exists());
        assert!(living.path().join("content").exists() && young.exists() && foreign.join(HELD).exists());
        drop(another);
        assert_eq!(folders(parent.path()), 3);
    }
}
