//! `dfwfd load`: brings files or standard input into the local log store, or into the configured index.

mod request;

use std::io::Write;

use super::interruptible::AtSignal;
use crate::cli::{Global, Load};
use crate::config::{self, Need};
use crate::data::options::LogSource;
use crate::data::reject::Reject;
use crate::error::{Exit, Fault, classify};
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
                warn_of_rejected(loaded, args, ui);
            }
            return Err(error);
        }
    };
    let nothing = nothing_loaded(&loaded, args);
    let is_nothing = nothing.is_some();
    let strict = || args.strict.then(|| super::rejects::strict_error(loaded.rejects())).flatten();
    let error = nothing.or_else(strict);
    show(&loaded, error.as_ref(), ui);
    if !is_nothing {
        warn_of_rejected(&loaded, args, ui);
    }
    if matches!(plan.data.input, LogSource::Files(_)) && loaded.added + loaded.present > 0 {
        let dir = store.dir().display();
        ui.note(&format!("loaded into the local log store {dir}; the configuration reads the files of logs.path"));
        ui.hint("--set logs.source=local makes `split` and `run` read the store");
    }
    error.map_or(Ok(Exit::Done), Err)
}

/// Returns the error of a load that refused every line.
fn nothing_loaded(loaded: &Loaded, args: &Load) -> Option<anyhow::Error> {
    let first = loaded.located.first().filter(|_| loaded.added + loaded.present == 0)?;
    let rejected = counted(loaded.rejects(), "line");
    let general = || "docs/records.md says of each reason what to do; --rejects FILE lists the lines".to_owned();
    let fault = Fault::new(Exit::Data, format!("cannot load anything: {rejected} rejected"))
        .hint(way_out(loaded, args).unwrap_or_else(general));
    Some(
        anyhow::anyhow!("{}:{} is {}: {}", first.file, first.line, first.reason, first.reason.meaning()).context(fault),
    )
}

/// Warns about rejected lines, with what to type next.
fn warn_of_rejected(loaded: &Loaded, args: &Load, ui: &Ui) {
    let Some(first) = loaded.located.first() else { return };
    let rejected = counted(loaded.rejects(), "line");
    let meaning = first.reason.meaning();
    ui.warn(&format!("{rejected} rejected; the first is {}:{}: {meaning}", first.file, first.line));
    if let Some(hint) = way_out(loaded, args) {
        ui.hint(&hint);
    } else if args.rejects.is_none() && !args.strict {
        ui.hint("--rejects FILE lists them with their reasons");
    }
}

/// Returns the flag that would have such lines accepted.
fn way_out(loaded: &Loaded, args: &Load) -> Option<String> {
    if let Some(name) = loaded.looks_like.filter(|_| args.from.is_none()) {
        return Some(format!("--from {name} reads it: the lines look like an export of that tool"));
    }
    let has = |reason: Reject| loaded.rejected.contains_key(&reason);
    if has(Reject::MissingWorkload) {
        return Some("--workload NAME sets the workload of rows without one".to_owned());
    }
    if args.encoding.is_none() && has(Reject::InvalidUtf8) {
        return Some("--encoding NAME reads another encoding than UTF-8, such as latin1".to_owned());
    }
    let doubled = "write quotes within cells doubled, not behind a backslash: in Spark with .option(\"escape\", \"\\\"\")";
    loaded.has_backslash_quotes.then(|| doubled.to_owned())
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
