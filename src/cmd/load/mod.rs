//! `dfwfd load`: brings files or standard input into the local log store, or into the configured index.

mod rejected;
mod request;

use std::io::Write;

use super::interruptible::AtSignal;
use crate::cli::{Global, Load};
use crate::config::{self, Need};
use crate::data::options::LogSource;
use crate::error::{Exit, classify};
use crate::report::datasets;
use crate::report::json::SCHEMA;
use crate::report::json::{LoadCounts, LoadReport};
use crate::report::text::counted;
use crate::source::load::{self, LoadProgress, LoadRequest, Loaded, StoppedLoad};
use crate::source::local::LocalStore;
use crate::ui::Ui;
use crate::ui::read_meter::{ReadMeter, ReadProgress};

/// Loads the files and prints the counts.
pub(super) async fn run(global: &Global, args: &Load, ui: &Ui) -> anyhow::Result<Exit> {
    let request = request::of(args)?;
    let plan = config::load(&super::invocation(global, Need::Store))?;
    let request = LoadRequest {
        layout: request::layout(args, &plan.data.fields)?,
        accept_truncated: plan.data.accept_truncated,
        redact: plan.data.redact.clone(),
        ..request
    };
    super::trace::start(global.verbose, plan.log_level, ui);
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    super::state_dir::create(&plan.state_dir)?;
    super::memory_limit::set(args.memory, &plan.state_dir)?;
    let store = LocalStore::at(plan.state_dir.join("logs"));
    let (there, credentials, input) = (store.clone(), super::credentials_of(&plan), plan.data.input.clone());
    let mut rejects = super::rejects::create(args.rejects.as_ref(), &args.files)?;
    let meter = ReadMeter::new(ui, "load");
    let again = "load the files again: what is in the store is not added twice";
    let loaded = super::interruptible::run(AtSignal::Ends, again, move |_| {
        let mut meter = meter;
        let mut progress = |at: LoadProgress| meter.show(ReadProgress { lines: at.read, bytes: at.bytes, of: at.of });
        let writer = rejects.as_mut().map(|writer| writer as &mut dyn Write);
        load::load(&request, crate::cmd::log_store(&input, &there, &credentials), writer, &mut progress)
    });
    let loaded = match loaded.await {
        Ok(loaded) => loaded,
        Err(error) => {
            if let Some(StoppedLoad { loaded, .. }) = error.downcast_ref() {
                show(loaded, Some(&error), ui);
                rejected::warn_of_rejected(loaded, args, ui);
            }
            return Err(error);
        }
    };
    let nothing = rejected::nothing_loaded(&loaded, args);
    let is_nothing = nothing.is_some();
    let strict = || args.strict.then(|| super::rejects::strict_error(loaded.rejects())).flatten();
    let error = nothing.or_else(strict);
    show(&loaded, error.as_ref(), ui);
    if !is_nothing {
        rejected::warn_of_rejected(&loaded, args, ui);
    }
    if matches!(plan.data.input, LogSource::Files(_)) && loaded.added + loaded.present > 0 {
        let dir = store.dir().display();
        ui.note(&format!("loaded into the local log store {dir}; the configuration reads the files of logs.path"));
        ui.hint("--set logs.source=local makes `split` and `run` read the store");
    }
    error.map_or(Ok(Exit::Done), Err)
}

fn show(loaded: &Loaded, error: Option<&anyhow::Error>, ui: &Ui) {
    let rejected = loaded.rejected.iter().map(|(reason, n)| (reason.as_str().to_owned(), *n)).collect();
    let counts = LoadCounts {
        read: loaded.read,
        added: loaded.added,
        present: loaded.present,
        rejected,
        trimmed: loaded.trimmed,
        repeated_headers: loaded.repeated_headers,
        redacted: loaded.redacted.clone(),
    };
    ui.result(&datasets::load(&counts, ui.width(), ui.color()));
    ui.json(&LoadReport {
        schema: SCHEMA,
        data: counts,
        exit_code: error.map(|error| classify(error).0.code()),
        error: error.map(super::error_object),
    });
    for [file, text, label] in &loaded.columns {
        ui.note(&format!("{file}: the text is column {text}, the label column {label}"));
    }
    if loaded.repeated_headers > 0 {
        ui.warn(&format!("skipped {} below the first row", counted(loaded.repeated_headers, "repeated header")));
    }
    if loaded.repaired > 0 {
        let lines = counted(loaded.repaired, "torn line");
        ui.warn(&format!("removed {lines} that an interrupted load left behind; load that file again"));
    }
    if let Some(server) = loaded.server.as_ref().filter(|_| loaded.added + loaded.present > 0) {
        ui.note(&format!("loaded into {server}"));
    }
    if loaded.trimmed > 0 {
        let records = counted(loaded.trimmed, "record");
        ui.warn(&format!("dropped further keys of {records}: the index takes only the five fields of a record"));
    }
    if let Some(why) = &loaded.refusal {
        ui.warn(&format!("the server refused records; its first reason: {why}"));
    }
}
