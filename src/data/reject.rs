//! The reasons for refusing a line: a closed list with stable names and meanings.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $meaning:literal;)*) => {
        /// The reason for refusing a line. The names are stable: manifests, rejects files and docs/records.md use them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub(crate) enum Reject {
            $($(#[$doc])* #[doc = $meaning] #[serde(rename = $name)] $variant,)*
        }

        impl Reject {
            /// All reasons, in the order in which the rules are tried.
            pub(crate) const ALL: &'static [Reject] = &[$(Reject::$variant,)*];

            /// Returns the stable name.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Reject::$variant => $name,)* }
            }

            /// Returns a sentence that says what is wrong with the line.
            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Reject::$variant => $meaning,)* }
            }
        }
    };
}

reasons! {
    LineTooLong = "line_too_long", "The line is longer than 64 MiB.";
    InvalidUtf8 = "invalid_utf8", "The line is not UTF-8 text.";
    EmptyLine = "empty_line", "The line is blank.";
    InvalidJson = "invalid_json", "The line is not JSON, or was cut off.";
    TrailingData = "trailing_data", "Something follows the record on the same line.";
    NotAnObject = "not_an_object", "The line is JSON but not an object.";
    DuplicateKey = "duplicate_key", "A key that dfwfd reads appears twice in its object.";
    LoneSurrogate = "lone_surrogate", "A string holds half of a UTF-16 surrogate pair.";
    TooDeep = "too_deep", "Objects and lists are nested more than 100 levels deep.";
    BadTimestamp = "bad_timestamp", "`timestamp` is neither a time in the years 1 to 5138 nor null.";
    MissingWorkload = "missing_workload", "`workload_id` is absent, null or blank, and no default was given.";
    BadWorkload = "bad_workload", "`workload_id` is not a string.";
    BadClient = "bad_client", "`client_id` is neither a string nor null.";
    NotACall = "not_a_call", "The line of an export is no call of a chat model.";
    NoRequest = "no_request", "`request` is absent, null or neither an object nor a list of messages.";
    NoMessages = "no_messages", "`request.messages` is absent, null, empty or not a list.";
    BadMessage = "bad_message", "A message is not an object, its role or content has the wrong type, or the system prompt is no text.";
    BadFunctionCall = "bad_function_call", "A `function_call` is malformed, or a `function` message follows no such call.";
    AmbiguousRequest = "ambiguous_request", "Different requests of a batch have the same `custom_id`.";
    NoResponse = "no_response", "`response` is absent or null.";
    BadResponse = "bad_response", "`response` is neither an object, a message nor a list of streamed chunks.";
    MixedStream = "mixed_stream", "The chunks of a streamed response cannot be joined without guessing.";
    UnfinishedStream = "unfinished_stream", "The chunks of a streamed response break off without a finish reason.";
    FailedAnswer = "failed_answer", "The response is an error, or broke off with one.";
    NoChoices = "no_choices", "`response.choices` is absent, null, empty or not a list.";
    FilteredAnswer = "filtered_answer", "A content filter cut the answer off.";
    UnknownEnding = "unknown_ending", "The finish reason is none that is known.";
    NoMessage = "no_message", "`response.choices[0].message` is absent, null or not an object.";
    BadContent = "bad_content", "The content of the response is neither a string, a list of text parts nor null.";
    BadToolCalls = "bad_tool_calls", "`tool_calls` of the response is not a list of calls with a function name.";
    TruncatedAnswer = "truncated_answer", "A limit on tokens cut the answer off.";
    NoContent = "no_content", "The response holds neither content nor tool calls, or nothing but thoughts.";
    BadRow = "bad_row", "The row of the table has more or fewer cells than the header, an open quote, or text behind a closing quote.";
    EmptyText = "empty_text", "The cell of the text column is blank.";
    NoLabel = "no_label", "Classification: the response holds no label.";
    OffTaxonomy = "off_taxonomy", "Classification: the label is not one of `labels`.";
    NoToolCalls = "no_tool_calls", "Tool calling: the response holds no tool calls.";
    BadToolArguments = "bad_tool_arguments", "Tool calling: the arguments of a call are not a JSON object.";
    NotText = "not_text", "Free text: the response calls tools.";
    RefusedByStore = "refused_by_store", "The search server rejected the record.";
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Reject {}
