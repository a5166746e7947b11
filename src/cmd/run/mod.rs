//! `dfwfd run`: the whole flywheel. `prepare` makes the context of a run, `preview` shows its plan instead, `finish` records
//! and shows the end. The flywheel itself is in the crate's `run`.

mod begin;
mod earlier_runs;
mod events;
mod finish;
mod platform_check;
mod prepare;
mod preview;
mod resume;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::cli::{Global, Run};
use crate::cmd;
use crate::error::{Exit, Fault};
use crate::run;
use crate::run::signals::{Interrupted, Stop};
use crate::store::Store;
use crate::ui::Ui;
use crate::vocabulary::RunState;

use begin::Prepared;
use prepare::Start;

/// The state directory and the id of a run that has begun.
type Begun = OnceLock<(PathBuf, String)>;

/// Runs or resumes until the end, or until a second Ctrl-C.
pub(super) async fn run(global: &Global, args: &Run, ui: &Ui) -> anyhow::Result<Exit> {
    let stop = Stop::default();
    let begun = Begun::new();
    let limit = args.max_duration.as_deref().map(|text| cmd::duration("--max-duration", text)).transpose()?;
    tokio::select! {
        exit = start(global, args, ui, &stop, &begun) => return exit,
        () = stop.watch_signals() => {}
        () = stop_after(limit, &stop) => {}
        () = stop.forced() => {}
    }
    let mut cleanup = "dfwfd cleanup".to_owned();
    if let Some((state_dir, id)) = begun.get() {
        cleanup.push_str(&format!(" {id}"));
        let code = Exit::Cancelled.code();
        let recorded = Store::open(state_dir).and_then(|store| store.end_run(id, RunState::Cancelled, code, None));
        if let Err(error) = recorded {
            tracing::warn!(%error, "cannot record the end of the run");
        }
    }
    let forced = "a second Ctrl-C ended the run before it had released everything";
    Err(Fault::new(Exit::Cancelled, forced).hint(cleanup).into())
}

/// Asks the run to stop once the time of `--max-duration` is over. Never resolves: the run ends itself.
async fn stop_after(limit: Option<Duration>, stop: &Stop) {
    if let Some(limit) = limit {
        tokio::time::sleep(limit).await;
        stop.ask("--max-duration");
    }
    std::future::pending().await
}

async fn start(global: &Global, args: &Run, ui: &Ui, stop: &Stop, begun: &Begun) -> anyhow::Result<Exit> {
    finish::check_metrics(args.metrics.as_deref())?;
    // Before anything is spent.
    args.gold.as_deref().map(cmd::gold::read).transpose()?;
    // Nothing remote exists before the run begins, so a request to stop simply ends the command.
    let start = tokio::select! {
        start = prepare::prepare(global, args, ui, stop) => start,
        interrupted = stop.asked() => Err(interrupted.into()),
    };
    match start.map_err(|error| before_it_began(error, args))? {
        Start::Shown => Ok(Exit::Done),
        Start::Run(prepared) => flywheel(*prepared, args, ui, begun).await,
    }
}

/// Adds what to do next to a request to stop that came before the run began.
fn before_it_began(error: anyhow::Error, args: &Run) -> anyhow::Error {
    if !error.is::<Interrupted>() {
        return error;
    }
    let hint = match args.resume.as_deref() {
        None => "nothing was started; the same command begins again".to_owned(),
        Some("") => "`dfwfd run --resume` continues the run".to_owned(),
        Some(id) => format!("`dfwfd run --resume {id}` continues the run"),
    };
    Fault::new(Exit::Cancelled, format!("{error:#}")).hint(hint).into()
}

async fn flywheel(prepared: Prepared, args: &Run, ui: &Ui, begun: &Begun) -> anyhow::Result<Exit> {
    let Prepared { context, resumed, warnings, views, state_dir, platform, lock } = prepared;
    begun.set((state_dir.clone(), context.id.clone())).ok();
    for warning in warnings {
        context.warn(warning)?;
    }
    let end = run::execute(Arc::clone(&context), resumed).await;
    let recorded = finish::record(&context, &end, &state_dir, ui);
    events::close(&views);
    let recorded = recorded?;
    if recorded.is_kept {
        if let Some(path) = &args.gold {
            finish::measure_gold(&context, &state_dir, path)?;
        }
        finish::publish(&context, &recorded, &state_dir, ui).await?;
    }
    finish::show(&context, &end, &recorded, &state_dir, args.metrics.as_deref(), ui)?;
    // The embedded platform and the lock live until here.
    drop((platform, lock));
    Ok(recorded.exit)
}
