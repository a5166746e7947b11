//! `dfwfd compare`: shows in what two recorded runs differ.

use crate::cli::{Compare, Global};
use crate::error::Exit;
use crate::report::compare::CompareReport;
use crate::run::across::{self, PastRun};
use crate::run::outcome::{DFWFD_VERSION, PLATFORM_VERSION};
use crate::store::Store;
use crate::ui::Ui;
use crate::vocabulary::PlatformVersion;

/// Compares and shows the differences.
pub(super) fn run(global: &Global, args: &Compare, ui: &Ui) -> anyhow::Result<Exit> {
    let state_dir = super::state_dir::named(global)?;
    let (store, earlier) = super::state_dir::stored_run(&state_dir, &args.earlier)?;
    let earlier = earlier.id;
    let later = super::state_dir::named_run(Some(&store), &args.run, &state_dir)?.id;
    let old = PastRun::read(&store, &earlier, &state_dir)?;
    let new = PastRun::read(&store, &later, &state_dir)?;
    // Without datasets there are no scores to compare. The rest can still be told apart.
    let comparisons = if new.manifest.is_some() { across::compare_all(&old, &new)? } else { Vec::new() };
    let code = [code(&store, &earlier)?, code(&store, &later)?];
    let report = CompareReport::new([&old, &new], &code, comparisons)?;
    ui.json(&report);
    ui.result(&report.text(ui.width(), ui.color()));
    Ok(Exit::Done)
}

/// Returns the versions of what worked on a run, by name.
fn code(store: &Store, run: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let dfwfd: Option<String> = store.fact(run, DFWFD_VERSION)?;
    let platform: Option<PlatformVersion> = store.fact(run, PLATFORM_VERSION)?;
    let platform = platform.map(|platform| platform.in_words());
    Ok([("dfwfd", dfwfd), ("platform", platform)].into_iter().filter_map(|(name, text)| Some((name, text?))).collect())
}
