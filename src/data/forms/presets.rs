//! Exports of other tools whose lines hold a record at places of their own: the places, and how to recognise each tool.

use crate::data::json::edit::members;
use crate::data::options::Fields;

/// An exporter.
#[derive(Debug)]
pub(crate) struct Preset {
    /// The name for `--from`.
    pub(crate) name: &'static str,
    /// Keys that all its lines have, and lines of others do not have together.
    marks: &'static [&'static str],
    timestamp: &'static str,
    client: Option<&'static str>,
    request: &'static str,
    response: &'static str,
}

const PRESETS: [Preset; 4] = [
    // Observations of the public API and of exports (https://js.reference.langfuse.com/interfaces/_langfuse_core.Observation.html).
    Preset {
        name: "langfuse",
        marks: &["traceId", "input", "output"],
        timestamp: "startTime",
        client: None,
        request: "input",
        response: "output",
    },
    // StandardLoggingPayload (https://docs.litellm.ai/docs/proxy/logging_spec).
    Preset {
        name: "litellm",
        marks: &["call_type", "messages", "response"],
        timestamp: "startTime",
        client: Some("end_user"),
        request: "messages",
        response: "response",
    },
    // Rows of `npx @helicone/export --include-body` (https://docs.helicone.ai/tools/export).
    Preset {
        name: "helicone",
        marks: &["request_body", "response_body"],
        timestamp: "request_created_at",
        client: Some("request_user_id"),
        request: "request_body",
        response: "response_body",
    },
    // Runs of type llm (https://docs.langchain.com/langsmith/run-data-format).
    Preset {
        name: "langsmith",
        marks: &["run_type", "inputs", "outputs"],
        timestamp: "start_time",
        client: Some("session_name"),
        request: "inputs",
        response: "outputs",
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
        PRESETS.iter().find(|preset| preset.marks.iter().all(|mark| keys.iter().any(|key| key == mark)))
    }

    /// Returns the places of the fields.
    pub(crate) fn fields(&self) -> Fields {
        let text = |text: &str| Some(text.to_owned());
        Fields {
            timestamp: text(self.timestamp),
            workload_id: None,
            client_id: self.client.map(str::to_owned),
            request: text(self.request),
            response: text(self.response),
        }
    }
}
