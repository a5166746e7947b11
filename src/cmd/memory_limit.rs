//! `--memory` of `load`, `split` and `run`.

use std::path::Path;

use crate::error::{Exit, Fault};
use crate::memory;

/// Limits the memory of tables, as asked. What they need beyond it lies in a file in this folder.
pub(super) fn set(bytes: Option<u64>, folder: &Path) -> anyhow::Result<()> {
    let refused = |error| Fault::new(Exit::Usage, format!("{error:#}"));
    memory::limit_tables(bytes, folder)
        .map_err(|error| refused(error).hint("leave out --memory, or allow more addresses: ulimit -v unlimited").into())
}
