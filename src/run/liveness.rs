//! Tells which runs a process works on, and which can be resumed.

use std::path::Path;

use super::lock;
use crate::store::RunRow;
use crate::vocabulary::RunState;

/// Returns the state to show: a run that is recorded as running and has no process was interrupted.
pub(crate) fn shown_state(row: &RunRow, state_dir: &Path) -> RunState {
    if row.state == RunState::Running && !is_alive(row, state_dir) { RunState::Interrupted } else { row.state }
}

/// Tells whether a process works on the run right now.
pub(crate) fn is_alive(row: &RunRow, state_dir: &Path) -> bool {
    row.state == RunState::Running && lock::holder(state_dir).is_some_and(|run| run.as_deref() == Some(row.id.as_str()))
}

/// Tells whether the run ended before all was done, so that it can be resumed.
pub(crate) fn can_resume(row: &RunRow) -> bool {
    row.state != RunState::Completed
}
