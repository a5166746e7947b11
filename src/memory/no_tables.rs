//! Stands in for `tables` on systems other than Linux, where tables cannot be placed in a file as it does.

use std::path::Path;

/// Refuses a limit.
///
/// # Errors
/// There is one.
pub(crate) fn limit_tables(bytes: Option<u64>, _folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(bytes.is_none(), "cannot limit the memory of tables: --memory needs Linux");
    Ok(())
}

/// Returns false: all tables are in memory.
pub(crate) fn was_exceeded() -> bool {
    false
}
