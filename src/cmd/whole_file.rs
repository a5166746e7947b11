//! Files that a command writes for the user: an existing file is replaced by a complete one only.

use std::io::{self, Write as _};
use std::path::Path;

/// Writes a file in one step.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Checks that a file can be written at a path, before the work whose result it takes.
pub(super) fn check(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    tempfile::tempfile_in(folder_of(path)).map(drop)
}

/// Returns the folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
