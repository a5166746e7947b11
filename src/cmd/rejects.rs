//! `--rejects` and `--strict`: the file of rejected lines, and the error that they cause.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::error::{Exit, Fault};
use crate::report::text::counted;

/// Returns the error of `--strict` when lines were rejected.
pub(super) fn strict_error(rejected: u64) -> Option<anyhow::Error> {
    (rejected > 0).then(|| {
        let rejected = counted(rejected, "rejected line");
        Fault::new(Exit::Data, format!("cannot accept {rejected}: --strict allows none"))
            .hint("--rejects FILE lists them with their reasons")
            .into()
    })
}

/// Creates the file that `--rejects` names, unless it is one of the input files.
pub(super) fn create(path: Option<&PathBuf>, logs: &[PathBuf]) -> anyhow::Result<Option<BufWriter<File>>> {
    let Some(path) = path else { return Ok(None) };
    let real = path.canonicalize().ok();
    if real.is_some() && logs.iter().any(|log| log.canonicalize().ok() == real) {
        let message = format!("cannot write rejects to {}: it is one of the input files", path.display());
        return Err(Fault::new(Exit::Usage, message).hint(format!("--rejects {}.rejects", path.display())).into());
    }
    let file = File::create(path).with_context(|| format!("cannot write rejects to {}", path.display()))?;
    Ok(Some(BufWriter::new(file)))
}
