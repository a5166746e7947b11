//! `--eval-set RUN`: the eval set of an earlier run.

use super::state_dir;
use crate::config::{self, Invocation};
use crate::error::{Exit, Fault};
use crate::source::dataset;

/// Names the file with the eval set of the run.
pub(super) fn resolve(mut invocation: Invocation, run: Option<&str>) -> anyhow::Result<Invocation> {
    let Some(run) = run else { return Ok(invocation) };
    let dir = config::state_dir(&invocation);
    let row = state_dir::named_run(state_dir::existing_store(&dir)?.as_ref(), run, &dir)?;
    let file = dir.join("runs").join(&row.id).join(dataset::EVAL);
    if !file.is_file() {
        let message = format!("cannot use the eval set of run {}: there is no file {}", row.id, file.display());
        return Err(Fault::new(Exit::Usage, message).hint("`dfwfd status` lists the runs").into());
    }
    invocation.eval_set = Some(file);
    Ok(invocation)
}
