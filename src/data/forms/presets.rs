//! Exports of other tools whose lines hold a record at places of their own: the places, and how to recognise each tool.
//! The forms of OpenAI are in files of their own.

use crate::data::json::edit::members;
use crate::data::options::Fields;

/// An exporter.
#[derive(Debug)]
pub(crate) struct Preset {
    /// The name for `--from`.
    pub(crate) name: &'static str,
    /// Keys that its lines have together, and lines of others do not.
    marks: &'static [&'static [&'static str]],
    places: Places,
}

/// The places of the fields in the lines of an exporter.
#[derive(Debug)]
enum Places {
    Paths { timestamp: &'static str, client: Option<&'static str>, request: &'static str, response: &'static str },
    StoredCompletions,
    Batches,
}

/// The layout of records in lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A record on each line, its fields at these paths.
    Fields(Fields),
    /// Stored completions of OpenAI, one or a page of them on each line (`stored_completions`).
    StoredCompletions,
    /// Requests and answers of a batch on lines of their own (`batches`).
    Batches,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout::Fields(Fields::default())
    }
}

const PRESETS: [Preset; 6] = [
    // Observations of the public API and of exports (https://js.reference.langfuse.com/interfaces/_langfuse_core.Observation.html).
    Preset {
        name: "langfuse",
        marks: &[&["traceId", "input", "output"]],
        places: Places::Paths { timestamp: "startTime", client: None, request: "input", response: "output" },
    },
    // StandardLoggingPayload (https://docs.litellm.ai/docs/proxy/logging_spec).
    Preset {
        name: "litellm",
        marks: &[&["call_type", "messages", "response"]],
        places: Places::Paths {
            timestamp: "startTime",
            client: Some("end_user"),
            request: "messages",
            response: "response",
        },
    },
    // Rows of `npx @helicone/export --include-body` (https://docs.helicone.ai/tools/export).
    Preset {
        name: "helicone",
        marks: &[&["request_body", "response_body"]],
        places: Places::Paths {
            timestamp: "request_created_at",
            client: Some("request_user_id"),
            request: "request_body",
            response: "response_body",
        },
    },
    // Runs of type llm (https://docs.langchain.com/langsmith/run-data-format).
    Preset {
        name: "langsmith",
        marks: &[&["run_type", "inputs", "outputs"]],
        places: Places::Paths {
            timestamp: "start_time",
            client: Some("session_name"),
            request: "inputs",
            response: "outputs",
        },
    },
    // Stored completions with their messages (https://platform.openai.com/docs/api-reference/chat/list).
    Preset {
        name: "openai",
        marks: &[&["object", "choices", "messages"], &["object", "data", "has_more"]],
        places: Places::StoredCompletions,
    },
    // Input, output and error files (https://platform.openai.com/docs/api-reference/batch/request-input).
    Preset {
        name: "openai-batch",
        marks: &[&["custom_id", "method", "body"], &["custom_id", "response", "error"]],
        places: Places::Batches,
    },
];

impl Preset {
    /// Returns the exporter with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Returns the exporter that has written a line.
    pub(crate) fn of(line: &[u8]) -> Option<&'static Preset> {
        let line = members(std::str::from_utf8(line).ok()?).ok()?;
        let keys = line.keys();
        let has_all = |marks: &&[&str]| marks.iter().all(|mark| keys.iter().any(|key| key == mark));
        PRESETS.iter().find(|preset| preset.marks.iter().any(has_all))
    }

    /// Returns the layout of its lines.
    pub(crate) fn layout(&self) -> Layout {
        match self.places {
            Places::StoredCompletions => Layout::StoredCompletions,
            Places::Batches => Layout::Batches,
            Places::Paths { timestamp, client, request, response } => {
                let text = |text: &str| Some(text.to_owned());
                Layout::Fields(Fields {
                    timestamp: text(timestamp),
                    workload_id: None,
                    client_id: client.map(str::to_owned),
                    request: text(request),
                    response: text(response),
                })
            }
        }
    }
}
