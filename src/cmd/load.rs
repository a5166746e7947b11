//! `dfwfd load`: brings files or standard input into the local log store, or into the configured index.

use std::io::Write;

use crate::cli::{Global, InputFormat, Load};
use crate::config::{self, Need};
use crate::data::forms::table::TableOptions;
use crate::data::options::LogSource;
use crate::data::reject::Reject;
use crate::data::timestamp;
use crate::error::{Exit, Fault};
use crate::report::datasets;
use crate::report::json::SCHEMA;
use crate::report::json::{LoadCounts, LoadReport};
use crate::report::text::counted;
use crate::source::load::{self, FileFormat, LoadProgress, LoadRequest, Loaded};
use crate::source::local::LocalStore;
use crate::ui::Ui;
use crate::ui::read_meter::{ReadMeter, ReadProgress};

/// Loads the files and prints the counts.
pub(super) fn run(global: &Global, args: &Load, ui: &Ui) -> anyhow::Result<Exit> {
    let request = request(args)?;
    let plan = config::load(&super::invocation(global, Need::Store))?;
    let request =
        LoadRequest { fields: plan.data.fields.clone(), accept_truncated: plan.data.accept_truncated, ..request };
    super::trace::start(global.verbose, plan.log_level, ui);
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    super::state_dir::create(&plan.state_dir)?;
    let (store, credentials) = (LocalStore::at(plan.state_dir.join("logs")), super::credentials_of(&plan));
    let target = super::log_store(&plan.data.input, &store, &credentials);
    let mut rejects = super::rejects::create(args.rejects.as_ref(), &args.files)?;
    let mut meter = ReadMeter::new(ui, "load");
    let mut progress = |at: LoadProgress| meter.show(ReadProgress { lines: at.read, bytes: at.bytes, of: at.of });
    let writer = rejects.as_mut().map(|writer| writer as &mut dyn Write);
    let loaded = load::load(&request, target, writer, &mut progress);
    drop(meter);
    let loaded = loaded?;
    let strict = args.strict.then(|| super::rejects::strict_error(loaded.rejects())).flatten();
    let strict = strict.or_else(|| nothing_loaded(&loaded));
    show(&loaded, args, strict.as_ref(), ui);
    if matches!(plan.data.input, LogSource::Files(_)) {
        let dir = store.dir().display();
        ui.note(&format!("loaded into the local log store {dir}; the configuration reads the files of logs.path"));
        ui.hint("--set logs.source=local makes `split` and `run` read the store");
    }
    strict.map_or(Ok(Exit::Done), Err)
}

fn request(args: &Load) -> anyhow::Result<LoadRequest> {
    let stdin = args.files.iter().filter(|path| path.as_os_str() == "-").count();
    if stdin > 1 {
        return Err(Fault::new(Exit::Usage, "`-` (standard input) is given more than once").into());
    }
    let when = |text: &String| {
        timestamp::from_text(text).or_else(|| timestamp::from_json(text)).ok_or_else(|| {
            Fault::new(Exit::Usage, format!("--timestamp: \"{text}\" is not a time"))
                .hint("give a date (2025-06-01), a time (2025-06-01T12:30:00Z) or epoch seconds")
        })
    };
    Ok(LoadRequest {
        files: args.files.clone(),
        format: match args.input {
            InputFormat::Auto if args.delimiter.is_some() || args.no_header => Some(FileFormat::Table(None)),
            InputFormat::Auto => None,
            InputFormat::Jsonl => Some(FileFormat::Jsonl),
            InputFormat::Csv => Some(FileFormat::Table(None)),
            InputFormat::Tsv => Some(FileFormat::Table(Some(b'\t'))),
        },
        table: TableOptions {
            text_column: args.text_column.clone(),
            label_column: args.label_column.clone(),
            system: args.system.clone(),
            prompt: args.prompt.clone(),
            delimiter: args.delimiter,
            has_no_header: args.no_header,
        },
        encoding: args.encoding,
        workload: args.workload.clone(),
        client: args.client.clone(),
        timestamp: args.timestamp.as_ref().map(when).transpose()?,
        ..LoadRequest::default()
    })
}

/// Returns the error of a load that refused every line. Blank lines alone are an empty file.
fn nothing_loaded(loaded: &Loaded) -> Option<anyhow::Error> {
    let is_empty = loaded.rejected.keys().all(|reason| *reason == Reject::EmptyLine);
    let first = loaded.located.first().filter(|_| loaded.added + loaded.present == 0 && !is_empty)?;
    let rejected = counted(loaded.rejects(), "line");
    let fault =
        Fault::new(Exit::Data, format!("cannot load anything: {rejected} rejected, the first as {}", first.reason));
    Some(fault.hint("docs/records.md says of each reason what to do; --rejects FILE lists the lines").into())
}

fn show(loaded: &Loaded, args: &Load, strict: Option<&anyhow::Error>, ui: &Ui) {
    let rejected = loaded.rejected.iter().map(|(reason, n)| (reason.as_str().to_owned(), *n)).collect();
    let counts = LoadCounts {
        read: loaded.read,
        added: loaded.added,
        present: loaded.present,
        rejected,
        trimmed: loaded.trimmed,
        repeated_headers: loaded.repeated_headers,
    };
    ui.result(&datasets::load(&counts, ui.width(), ui.color()));
    ui.json(&LoadReport {
        schema: SCHEMA,
        data: counts,
        exit_code: strict.map(|_| Exit::Data.code()),
        error: strict.map(super::error_object),
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
    if let Some(server) = &loaded.server {
        ui.note(&format!("loaded into {server}"));
    }
    if loaded.trimmed > 0 {
        let records = counted(loaded.trimmed, "record");
        ui.warn(&format!("dropped further keys of {records}: the index takes only the five fields of a record"));
    }
    if let Some(why) = &loaded.refusal {
        ui.warn(&format!("the server refused records; its first reason: {why}"));
    }
    if let Some(first) = loaded.located.first() {
        let rejected = counted(loaded.rejects(), "line");
        let meaning = first.reason.meaning();
        ui.warn(&format!("{rejected} rejected; the first is {}:{}: {meaning}", first.file, first.line));
        if loaded.rejected.contains_key(&Reject::MissingWorkload) {
            ui.hint("--workload NAME sets the workload of rows without one");
        } else if args.encoding.is_none() && loaded.rejected.contains_key(&Reject::InvalidUtf8) {
            ui.hint("--encoding NAME reads another encoding than UTF-8, such as latin1");
        } else if args.rejects.is_none() && strict.is_none() {
            ui.hint("--rejects FILE lists them with their reasons");
        }
    }
}
