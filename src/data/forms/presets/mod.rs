//! Exports of other tools whose lines hold a record at places of their own: the places, how to recognise each tool, and
//! which lines are calls of a model. The forms of OpenAI are in files of their own.

use crate::data::forms::bare;
use crate::data::json::edit::{EditedObject, members};
use crate::data::options::Fields;
use crate::data::reject::Reject;

/// The key of a line that is no call of a model, in place of its fields. The rules refuse such a line.
const NO_CALL: &str = "not_a_call";
/// Parameters of a request that belong to it wherever an exporter puts them. The others do not change what is asked.
const OF_REQUEST: [&str; 5] = ["tools", "tool_choice", "functions", "function_call", "response_format"];

/// An exporter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Preset {
    /// The name for `--from`.
    pub(crate) name: &'static str,
    /// Keys that its lines have together, and lines of others do not.
    marks: &'static [&'static [&'static str]],
    places: Places,
}

/// The places of the fields in the lines of an exporter.
#[derive(Debug, PartialEq, Eq)]
enum Places {
    Lines(ExportPlaces),
    StoredCompletions,
    Batches,
}

/// The places in the lines of an exporter that writes a call on each line.
#[derive(Debug, PartialEq, Eq)]
struct ExportPlaces {
    /// Keys of the time, of which a line has one.
    timestamp: &'static [&'static str],
    client: Option<&'static str>,
    request: &'static str,
    response: &'static str,
    /// Where parameters of the request stand, if they are not in it.
    parameters: &'static [&'static str],
    /// The rules of the lines that are calls, each with a complete answer.
    rules: &'static [Rule],
}

/// A rule for a key, which a line may lack.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    key: &'static str,
    /// The values that the key may have, in any case. Without one it has to be empty.
    allowed: &'static [&'static str],
    otherwise: Refused,
}

/// The kind of a line that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    NoCall,
    Failed,
}

/// A line of an exporter, ready for its fields to be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// With its whole request at its place, and an error in place of the response if the call failed.
    Call(Vec<u8>),
    /// No call of a model. Nothing stands at the places of fields, so that the rules refuse it.
    NoCall(Vec<u8>),
    /// No object, or of an exporter whose lines need nothing.
    AsItIs,
}

/// The layout of records in lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A record on each line, its fields at these paths.
    Fields(Fields),
    /// The lines of this exporter, a call on each.
    Export(&'static Preset),
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

const fn call(key: &'static str, allowed: &'static [&'static str]) -> Rule {
    Rule { key, allowed, otherwise: Refused::NoCall }
}

const fn success(key: &'static str, allowed: &'static [&'static str]) -> Rule {
    Rule { key, allowed, otherwise: Refused::Failed }
}

const PRESETS: [Preset; 6] = [
    // Observations of the public API and of exports (https://js.reference.langfuse.com/interfaces/_langfuse_core.Observation.html),
    // and those that are written to blob storage, whose keys are in snake case
    // (https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields).
    Preset {
        name: "langfuse",
        marks: &[&["traceId", "input", "output"], &["trace_id", "type", "input", "output"]],
        places: Places::Lines(ExportPlaces {
            timestamp: &["startTime", "start_time"],
            client: None,
            request: "input",
            response: "output",
            parameters: &[],
            rules: &[call("type", &["GENERATION"]), success("level", &["DEBUG", "DEFAULT", "WARNING"])],
        }),
    },
    // StandardLoggingPayload (https://docs.litellm.ai/docs/proxy/logging_spec). Calls of other forms than OpenAI's keep
    // parts of the request, such as the system prompt, elsewhere.
    Preset {
        name: "litellm",
        marks: &[&["call_type", "messages", "response"]],
        places: Places::Lines(ExportPlaces {
            timestamp: &["startTime"],
            client: Some("end_user"),
            request: "messages",
            response: "response",
            parameters: &["model_parameters"],
            rules: &[
                call("call_type", &["completion", "acompletion"]),
                success("status", &["success"]),
                success("error_str", &[]),
            ],
        }),
    },
    // Rows of `npx @helicone/export --include-body` (https://docs.helicone.ai/tools/export).
    Preset {
        name: "helicone",
        marks: &[&["request_body", "response_body"]],
        places: Places::Lines(ExportPlaces {
            timestamp: &["request_created_at"],
            client: Some("request_user_id"),
            request: "request_body",
            response: "response_body",
            parameters: &[],
            rules: &[success("response_status", &["200"])],
        }),
    },
    // Runs of type llm (https://docs.langchain.com/langsmith/run-data-format).
    Preset {
        name: "langsmith",
        marks: &[&["run_type", "inputs", "outputs"]],
        places: Places::Lines(ExportPlaces {
            timestamp: &["start_time"],
            client: Some("session_name"),
            request: "inputs",
            response: "outputs",
            parameters: &["extra", "invocation_params"],
            rules: &[call("run_type", &["llm"]), success("status", &["success"]), success("error", &[])],
        }),
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
        Preset::of_keys(&members(std::str::from_utf8(line).ok()?).ok()?.keys())
    }

    /// Returns the exporter whose lines, or rows, have these keys.
    pub(crate) fn of_keys(keys: &[String]) -> Option<&'static Preset> {
        let has_all = |marks: &&[&str]| marks.iter().all(|mark| keys.iter().any(|key| key == mark));
        PRESETS.iter().find(|preset| preset.marks.iter().any(has_all))
    }

    /// Returns the layout of its lines.
    pub(crate) fn layout(&'static self) -> Layout {
        match self.places {
            Places::StoredCompletions => Layout::StoredCompletions,
            Places::Batches => Layout::Batches,
            Places::Lines(_) => Layout::Export(self),
        }
    }

    /// Returns the names of fields with their paths in a line. A field may have several.
    pub(crate) fn places(&self) -> Vec<(&'static str, &'static str)> {
        let Places::Lines(places) = &self.places else { return Vec::new() };
        let times = places.timestamp.iter().map(|path| ("timestamp", *path));
        let client = places.client.map(|path| ("client_id", path));
        times.chain(client).chain([("request", places.request), ("response", places.response)]).collect()
    }

    /// Makes a line ready for its fields to be taken.
    pub(crate) fn prepared(&self, line: &[u8]) -> Prepared {
        let Places::Lines(places) = &self.places else { return Prepared::AsItIs };
        let text = std::str::from_utf8(line).unwrap_or_default();
        let Ok(mut object) = members(text) else { return Prepared::AsItIs };
        for rule in places.rules {
            if rule.holds(&object) {
                continue;
            }
            match rule.otherwise {
                Refused::NoCall => return Prepared::NoCall(format!("{{\"{NO_CALL}\":{text}}}").into_bytes()),
                Refused::Failed => {
                    let value = object.get(rule.key).unwrap_or("null");
                    let error = format!("{{\"error\":{{\"{}\":{value}}}}}", rule.key);
                    object.set(places.response, error);
                }
            }
        }
        if let Some(request) = places.whole_request(&object) {
            object.set(places.request, request);
        }
        Prepared::Call(object.to_json().into_bytes())
    }
}

impl Rule {
    fn holds(&self, line: &EditedObject<'_>) -> bool {
        let Some(value) = line.get(self.key) else { return true };
        let text = serde_json::from_str::<String>(value);
        let value = text.as_deref().unwrap_or(value).trim();
        value.is_empty() || self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(value))
    }
}

impl ExportPlaces {
    /// Returns the request with the parameters that stand elsewhere in a line. `None` if it has them all.
    fn whole_request(&self, line: &EditedObject<'_>) -> Option<String> {
        let (first, rest) = self.parameters.split_first()?;
        let mut parameters = bare::unpacked(line.get(first)?).into_owned();
        for key in rest {
            parameters = bare::unpacked(members(&parameters).ok()?.get(key)?).into_owned();
        }
        let parameters = members(&parameters).ok()?;
        let written = bare::unpacked(line.get(self.request)?);
        let request =
            if written.starts_with('[') { format!("{{\"messages\":{written}}}") } else { written.into_owned() };
        let mut request = members(&request).ok()?;
        let lacking = OF_REQUEST.iter().filter(|key| request.get(key).is_none());
        let found: Vec<_> = lacking.filter_map(|key| Some((key, parameters.get(key)?.to_owned()))).collect();
        if found.is_empty() {
            return None;
        }
        found.into_iter().for_each(|(key, value)| request.set(key, value));
        Some(request.to_json())
    }
}

/// Returns the refusal of a line that is no call of a model. `None` for other lines.
pub(crate) fn refused(json: &[u8]) -> Option<Result<Vec<u8>, Reject>> {
    let line = members(std::str::from_utf8(json).ok()?).ok()?;
    (line.keys() == [NO_CALL]).then_some(Err(Reject::NotACall))
}

#[cfg(test)]
mod tests;
