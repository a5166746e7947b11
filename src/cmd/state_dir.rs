//! The state directory of a command: where it is, its store, and the runs in it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::Global;
use crate::config::{self, Need};
use crate::error::{Exit, Fault};
use crate::store::{RunRow, Store, StoreError};

/// Returns the state directory, which may not exist yet. The rest of the configuration may be broken.
pub(super) fn path(global: &Global) -> PathBuf {
    config::state_dir(&super::invocation(global, Need::Settings))
}

/// Returns the state directory of a command that only looks at one. The default may not exist yet.
///
/// # Errors
/// When a flag or `DFWFD_STATE_DIR` names a folder that does not exist: no run of it would be found, and nothing of it
/// given back.
pub(super) fn named(global: &Global) -> anyhow::Result<PathBuf> {
    let path = path(global);
    let is_named = global.state_dir.as_ref().is_some_and(|named| !named.as_os_str().is_empty());
    if is_named && matches!(path.try_exists(), Ok(false)) {
        let message = format!("cannot find the state directory {}: there is no such folder", path.display());
        return Err(Fault::new(Exit::Usage, message).hint("correct --state-dir or DFWFD_STATE_DIR").into());
    }
    Ok(path)
}

/// Creates the state directory. Only its owner can read it, because it holds prompts and replies.
pub(super) fn create(dir: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).with_context(|| format!("cannot create the state directory {}", dir.display()))
}

/// Opens the store of a state directory, or returns `None` where nothing has run yet.
pub(super) fn existing_store(state_dir: &Path) -> anyhow::Result<Option<Store>> {
    match Store::open_existing(state_dir) {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens the store of a state directory, and finds the run in it that a user names.
pub(super) fn stored_run(state_dir: &Path, name: &str) -> anyhow::Result<(Store, RunRow)> {
    let store = existing_store(state_dir)?.ok_or_else(|| no_run(name, state_dir))?;
    let row = named_run(Some(&store), name, state_dir)?;
    Ok((store, row))
}

fn no_run(name: &str, state_dir: &Path) -> Fault {
    Fault::new(Exit::Usage, format!("cannot find run {name} in {}", state_dir.display()))
        .hint("`dfwfd status` lists the runs; --state-dir DIR looks in another state directory")
}

/// Finds the run that a user names: a unique prefix of its id, or `latest`.
pub(super) fn named_run(store: Option<&Store>, name: &str, state_dir: &Path) -> anyhow::Result<RunRow> {
    let runs = store.map(Store::runs).transpose()?.unwrap_or_default();
    let mut matching: Vec<RunRow> = match name {
        "latest" => runs.into_iter().take(1).collect(),
        prefix => runs.into_iter().filter(|row| row.id.starts_with(prefix)).collect(),
    };
    match (matching.len(), matching.pop()) {
        (1, Some(row)) => Ok(row),
        (0, _) => Err(no_run(name, state_dir).into()),
        (many, _) => Err(Fault::new(Exit::Usage, format!("cannot tell which run {name} means: {many} begin with it"))
            .hint("`dfwfd status` lists their ids")
            .into()),
    }
}
