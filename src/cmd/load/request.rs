//! Turns the flags of `load` into a request.

use crate::cli::{Exporter, InputFormat, Load};
use crate::data::forms::presets::{Layout, Preset};
use crate::data::forms::table::TableOptions;
use crate::data::options::Fields;
use crate::data::timestamp;
use crate::error::{Exit, Fault};
use crate::source::load::{FileFormat, LoadRequest};

/// Returns what the flags ask for.
pub(super) fn of(args: &Load) -> anyhow::Result<LoadRequest> {
    let stdin = args.files.iter().filter(|path| path.as_os_str() == "-").count();
    if stdin > 1 {
        return Err(Fault::new(Exit::Usage, "cannot read standard input more than once").hint("name - once").into());
    }
    let when = |text: &String| {
        timestamp::from_text(text).or_else(|| timestamp::from_json(text)).ok_or_else(|| {
            Fault::new(Exit::Usage, format!("cannot read --timestamp {text}: it is no time"))
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

/// Returns the layout of the lines: as the exporter writes them, else as the configuration says.
pub(super) fn layout(args: &Load, configured: &Fields) -> anyhow::Result<Layout> {
    let Some(exporter) = args.from else { return Ok(Layout::Fields(configured.clone())) };
    if !configured.are_own() {
        let message = "cannot use --from: the configuration has logs.fields, which give the places of the fields too";
        return Err(Fault::new(Exit::Usage, message).hint("leave out one of them").into());
    }
    let name = match exporter {
        Exporter::Langfuse => "langfuse",
        Exporter::Litellm => "litellm",
        Exporter::Helicone => "helicone",
        Exporter::Langsmith => "langsmith",
        Exporter::Openai => "openai",
        Exporter::OpenaiBatch => "openai-batch",
    };
    Ok(Preset::named(name).map(Preset::layout).unwrap_or_default())
}
