//! Small files that people wrote and named with a flag. They are read whole.

use std::path::Path;

/// Reads the file.
///
/// # Errors
/// Says why the file cannot be read, without its name.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    if path.is_dir() {
        return Err("it is a folder".to_owned());
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
