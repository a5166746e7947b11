//! Files of a dataset folder: written under a temporary name, hashed on the way, and put in place whole.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::source::manifest::DatasetFile;

/// A file that appears under its name only when it is complete.
#[derive(Debug)]
pub(crate) struct Output {
    file: NamedTempFile,
    path: PathBuf,
    name: String,
    hash: Sha256,
    rows: u64,
}

impl Output {
    /// A file `name` (with `/`) below `dir`, whose folders are made.
    pub(crate) fn new(dir: &Path, name: &str) -> Result<Output> {
        let path = dir.join(name);
        let folder = path.parent().unwrap_or(dir);
        let file = std::fs::create_dir_all(folder).and_then(|()| {
            // The umask still applies: the same rights as of any file that the user makes.
            let rights = std::fs::Permissions::from_mode(0o666);
            tempfile::Builder::new().prefix(".dataset-").permissions(rights).tempfile_in(folder)
        });
        let file = file.with_context(|| format!("creating {}", path.display()))?;
        Ok(Output { file, path, name: name.to_owned(), hash: Sha256::new(), rows: 0 })
    }

    /// Appends rows that are joined with line ends and have none at their end.
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
        self.file.write_all(bytes).with_context(|| format!("writing {}", self.path.display()))
    }

    /// Puts the file in place.
    pub(crate) fn finish(self) -> Result<DatasetFile> {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.file
            .persist(&self.path)
            .map_err(|e| e.error)
            .with_context(|| format!("writing {}", self.path.display()))?;
        Ok(DatasetFile { path: self.name, rows: self.rows, sha256 })
    }
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
