//! Words of `load` about rejected lines, and what to type next.

use crate::cli::{Exporter, Load};
use crate::data::forms::wrapped::Wrapper;
use crate::data::reject::Reject;
use crate::error::{Exit, Fault};
use crate::report::text::counted;
use crate::source::load::Loaded;
use crate::ui::Ui;

/// Returns the error of a load that refused every line.
pub(super) fn nothing_loaded(loaded: &Loaded, args: &Load) -> Option<anyhow::Error> {
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
pub(super) fn warn_of_rejected(loaded: &Loaded, args: &Load, ui: &Ui) {
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
        let both = if name == "openai-batch" { ", given the input file and the output file of the batch" } else { "" };
        return Some(format!("--from {name} reads it{both}: the lines look like an export of that tool"));
    }
    if let Some(wrapper) = &loaded.wrapper {
        return Some(opened(wrapper));
    }
    let has = |reason: Reject| loaded.rejected.contains_key(&reason);
    if args.from == Some(Exporter::OpenaiBatch) {
        let is_unpaired = has(Reject::NoRequest) || has(Reject::NoResponse);
        let both = "give the input file and the output file of the batch together: a record is made of both";
        let chats = "only batches for /v1/chat/completions hold records";
        if let Some(hint) = is_unpaired.then_some(both).or_else(|| has(Reject::NoMessages).then_some(chats)) {
            return Some(hint.to_owned());
        }
    }
    if has(Reject::MissingWorkload) {
        return Some("--workload NAME sets the workload of rows without one".to_owned());
    }
    if args.encoding.is_none() && has(Reject::InvalidUtf8) {
        return Some("--encoding NAME reads another encoding than UTF-8, such as latin1".to_owned());
    }
    let doubled =
        "write quotes within cells doubled, not behind a backslash: in Spark with .option(\"escape\", \"\\\"\")";
    loaded.has_backslash_quotes.then(|| doubled.to_owned())
}

/// Returns the command or the flags that take records out of their wrapper.
fn opened(wrapper: &Wrapper) -> String {
    match wrapper {
        Wrapper::CarriageReturns => {
            "the lines end with carriage returns alone: tr '\\r' '\\n' < FILE > NEW makes them lines".to_owned()
        }
        Wrapper::Search => {
            "jq -c '.hits.hits[]._source' FILE > NEW.jsonl takes the records out of the answer of a search".to_owned()
        }
        Wrapper::List(key) => {
            format!("jq -c '.{key}[]' FILE > NEW.jsonl takes the records out of the list `{key}`")
        }
        Wrapper::Member { key, fields } => {
            let set: Vec<String> =
                fields.iter().map(|field| format!("--set logs.fields.{field}={key}.{field}")).collect();
            format!("the records stand in `{key}`: {} reads them", set.join(" "))
        }
    }
}
