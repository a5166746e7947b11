//! Writes the files of a dataset folder under temporary names, hashes them, and puts them in place when they are complete.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::source::manifest::DatasetFile;

/// A file that gets its name only when it is complete.
#[derive(Debug)]
pub(crate) struct Output {
    file: NamedTempFile,
    path: PathBuf,
    name: String,
    hash: Sha256,
    rows: u64,
}

impl Output {
    /// Creates a file `name` below `dir`, with the folders above it.
    pub(crate) fn new(dir: &Path, name: &str) -> Result<Output> {
        let path = dir.join(name);
        let folder = path.parent().unwrap_or(dir);
        let file = std::fs::create_dir_all(folder).and_then(|()| {
            // The umask applies, so the file gets the rights of any file of the user.
            let rights = std::fs::Permissions::from_mode(0o666);
            tempfile::Builder::new().prefix(".dataset-").permissions(rights).tempfile_in(folder)
        });
        let file = file.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Output { file, path, name: name.to_owned(), hash: Sha256::new(), rows: 0 })
    }

    /// Appends rows that are joined with line feeds, without one at the end.
    pub(crate) fn rows(&mut self, bytes: &[u8], rows: u64) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        if self.rows > 0 {
            self.write(b"\n")?;
        }
        self.write(bytes)?;
        self.rows += rows;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Puts the file in place.
    pub(crate) fn finish(self) -> Result<DatasetFile> {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.file
            .persist(&self.path)
            .map_err(|e| e.error)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(DatasetFile { path: self.name, rows: self.rows, sha256 })
    }
}

/// A folder that goes again if nothing is written to it.
#[derive(Debug)]
pub(crate) struct NewFolder {
    /// The outermost folder that was made.
    made: Option<PathBuf>,
}

impl NewFolder {
    /// Creates a folder with the folders above it.
    pub(crate) fn create(path: &Path) -> std::io::Result<NewFolder> {
        let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = missing.last().map(Path::to_owned);
        std::fs::create_dir_all(path)?;
        Ok(NewFolder { made })
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if let Some(made) = &self.made {
            remove_if_empty(made);
        }
    }
}

/// Removes a folder that holds no file, only folders.
fn remove_if_empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_if_empty(&entry.path());
        }
    }
    // Fails where something is left.
    let _ = std::fs::remove_dir(folder);
}

/// Removes a file, if there is one.
pub(crate) fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_stays_only_with_a_file_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        drop(NewFolder::create(&out).unwrap());
        assert!(dir.path().exists() && !dir.path().join("a").exists());
        let folder = NewFolder::create(&out).unwrap();
        std::fs::create_dir(out.join("empty")).unwrap();
        std::fs::write(out.join("file"), "x").unwrap();
        drop(folder);
        assert!(out.join("file").exists() && !out.join("empty").exists());
        std::fs::remove_file(out.join("file")).unwrap();
        drop(NewFolder::create(&out).unwrap());
        assert!(out.exists(), "it was there before");
    }
}
