//! `--gold` of `run` and `report`: labels that people gave.

use std::path::Path;

use anyhow::Context as _;

use crate::data::gold::{self, GoldRow};
use crate::error::{Exit, Fault};
use crate::run::across::PastRun;
use crate::run::gold::GoldFact;
use crate::run::gold::compare;
use crate::source::given_file;
use crate::store::Store;

/// Reads the file.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<GoldRow>> {
    let refused = |why: String| {
        let fault = Fault::new(Exit::Usage, format!("cannot read labels from {}: {why}", path.display()));
        fault.hint("write a CSV file with the columns text and label, or JSON lines with these keys (docs/reports.md)")
    };
    let bytes = given_file::read(path).map_err(refused)?;
    Ok(gold::read(&bytes).map_err(refused)?)
}

/// Compares the models of a run with the labels of a file.
pub(super) fn measure(store: &Store, run: &str, state_dir: &Path, path: &Path) -> anyhow::Result<GoldFact> {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let past = PastRun::read(store, run, state_dir)?;
    let compared = compare(&past, &state_dir.join("runs").join(run), &name, &read(path)?);
    compared.with_context(|| format!("cannot compare run {run} with the labels of {}", path.display()))
}
