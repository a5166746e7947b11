//! `dfwfd cancel`: asks the run of another process to stop and to release what it holds.

use crate::cli::{Cancel, Global};
use crate::error::{Exit, Fault};
use crate::run::{liveness, lock};
use crate::ui::Ui;

/// Asks the run to stop.
pub(super) async fn run(global: &Global, args: &Cancel, ui: &Ui) -> anyhow::Result<Exit> {
    let state_dir = super::state_dir::named(global)?;
    let store = super::state_dir::existing_store(&state_dir)?;
    let name = match &args.run {
        Some(name) => Some(name.clone()),
        None => lock::holder(&state_dir).flatten(),
    };
    let nothing = || Fault::new(Exit::Usage, format!("cannot cancel: no run is running in {}", state_dir.display()));
    let row = super::state_dir::named_run(store.as_ref(), &name.ok_or_else(nothing)?, &state_dir)?;
    let Some(store) = store.filter(|_| liveness::is_alive(&row, &state_dir)) else {
        let state = liveness::shown_state(&row, &state_dir);
        return Err(Fault::new(Exit::Usage, format!("cannot cancel run {}: it is {}", row.id, state.as_str()))
            .hint(format!("`dfwfd cleanup {}` releases what it may still hold", row.id))
            .into());
    };
    store.ask_to_cancel(&row.id)?;
    ui.json(&serde_json::json!({"schema": 1, "run": row.id, "asked": true}));
    ui.result(&format!("run {} was asked to stop; `dfwfd status {}` shows how it goes", row.id, row.id));
    Ok(Exit::Done)
}
