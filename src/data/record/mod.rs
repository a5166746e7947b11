//! One log record: a borrowed, typed view of a line of JSON. Checks the rules for every record. The rules of a workload
//! type are in `intake`.

mod answer;
pub(crate) mod id;
mod normalise;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::data::json::canonical::Canonicaliser;
use crate::data::json::tape::{JsonDocument, JsonKind, JsonText, JsonValue, KeyName, Tape};
use crate::data::reject::Reject;
use crate::data::timestamp;
use answer::{CHOICE, REPLY, RESPONSE, reply};
pub(crate) use answer::{is_whole, tells_of_error};
pub(crate) use normalise::{Checked, Ids, Normaliser, normalise};

/// Values for fields that a line lacks. They never replace a field that is there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FieldDefaults<'a> {
    pub(crate) workload: Option<&'a str>,
    pub(crate) client: Option<&'a str>,
    /// Epoch seconds. Without it a missing time is 0.
    pub(crate) timestamp: Option<i64>,
}

/// A valid record.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// Whole epoch seconds.
    pub(crate) timestamp: i64,
    /// Never blank.
    pub(crate) workload: Cow<'a, str>,
    /// Empty if unknown.
    pub(crate) client: Cow<'a, str>,
    /// The messages of the request. Never empty.
    pub(crate) messages: Vec<Message<'a>>,
    /// The tools of the request as they are written. `None` if there are none.
    pub(crate) tools: Option<&'a str>,
    /// The message of the first choice.
    pub(crate) reply: Reply<'a>,
}

/// One message of a request.
#[derive(Debug, Default)]
pub(crate) struct Message<'a> {
    pub(crate) role: Option<Cow<'a, str>>,
    pub(crate) content: Content<'a>,
    /// The tool calls. Malformed ones are left out.
    pub(crate) tool_calls: Vec<ToolCall<'a>>,
    /// The whole message, if it holds more than role and content.
    pub(crate) unusual: Option<&'a str>,
}

/// The content of a message.
#[derive(Debug, Default)]
pub(crate) enum Content<'a> {
    /// Null or absent.
    #[default]
    None,
    /// A text.
    Text(JsonText<'a>),
    /// Parts such as texts and images, each as its JSON text.
    Parts(Vec<&'a str>),
}

/// The answer of the model.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    /// The text, with its thoughts. `None` if there is nothing but thoughts.
    pub(crate) content: Option<JsonText<'a>>,
    /// The tool calls. An error if the field is no list of calls with a function name.
    pub(crate) tool_calls: Result<Vec<ToolCall<'a>>, Malformed>,
    /// A limit on tokens cut the answer off.
    pub(crate) is_truncated: bool,
}

/// Marks tool calls that have not the shape of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One call of a function.
#[derive(Debug)]
pub(crate) struct ToolCall<'a> {
    pub(crate) name: Cow<'a, str>,
    /// The arguments as JSON text: an object, or a string that holds one.
    pub(crate) arguments: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// Reads the record of one line.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Record<'a>, Reject> {
        Record::parse_with(json, &FieldDefaults::default())
    }

    /// Parses a line, and fills in missing fields from `defaults`.
    pub(crate) fn parse_with(json: &'a [u8], defaults: &FieldDefaults<'a>) -> Result<Record<'a>, Reject> {
        Record::read(json, defaults, &mut Tape::default()).map(|(record, _)| record)
    }

    /// Reads the record of one line on a tape that is reused. Also returns the line as it stands on the tape.
    pub(crate) fn read<'t>(
        json: &'a [u8],
        defaults: &FieldDefaults<'a>,
        tape: &'t mut Tape,
    ) -> Result<(Record<'a>, JsonValue<'t, 'a>), Reject> {
        let text = std::str::from_utf8(json).map_err(|_| Reject::InvalidUtf8)?;
        let JsonDocument { root, has_lone_surrogate } =
            tape.read(text, 0).map_err(|reject| why_unreadable(text, reject))?;
        if root.kind() != JsonKind::Object {
            return Err(Reject::NotAnObject);
        }
        match Record::of(root, defaults) {
            Ok(record) if !has_lone_surrogate => Ok((record, root)),
            // The documented order of the rules: repeated keys, then broken texts, then missing fields.
            _ if has_twice(root) => Err(Reject::DuplicateKey),
            _ if has_lone_surrogate => Err(Reject::LoneSurrogate),
            other => other.map(|record| (record, root)),
        }
    }

    fn of(line: JsonValue<'_, 'a>, defaults: &FieldDefaults<'a>) -> Result<Record<'a>, Reject> {
        let [timestamp, workload, client, request, response] = fields(line, LINE)?;
        let timestamp = match timestamp {
            Some(value) => timestamp::from_json(value.raw()).ok_or(Reject::BadTimestamp)?,
            None => defaults.timestamp.unwrap_or(0),
        };
        let workload = optional_text(workload, Reject::BadWorkload)?.filter(|id| !id.is_blank()).map(|id| id.read());
        let workload = workload.or(defaults.workload.map(Cow::Borrowed)).ok_or(Reject::MissingWorkload)?;
        let client = optional_text(client, Reject::BadClient)?.map(|id| id.read()).filter(|id| !id.is_empty());
        let client = client.or(defaults.client.map(Cow::Borrowed)).unwrap_or_default();
        let (messages, tools) = messages(request)?;
        let reply = reply(response)?;
        Ok(Record { timestamp, workload, client, messages, tools, reply })
    }
}

pub(super) const LINE: [KeyName; 5] = [
    KeyName::new("timestamp"),
    KeyName::new("workload_id"),
    KeyName::new("client_id"),
    KeyName::new("request"),
    KeyName::new("response"),
];
const REQUEST: [KeyName; 4] =
    [KeyName::new("messages"), KeyName::new("tools"), KeyName::new("functions"), KeyName::new("system")];
const PART_TYPE: KeyName = KeyName::new("type");
const MESSAGE: [KeyName; 4] =
    [KeyName::new("role"), KeyName::new("content"), KeyName::new("tool_calls"), KeyName::new("function_call")];
const CALL: [KeyName; 1] = [KeyName::new("function")];
const FUNCTION: [KeyName; 2] = [KeyName::new("name"), KeyName::new("arguments")];

/// Returns the values of these keys of an object. Null counts as absent.
fn fields<'t, 'a, const N: usize>(
    object: JsonValue<'t, 'a>,
    names: [KeyName; N],
) -> Result<[Option<JsonValue<'t, 'a>>; N], Reject> {
    let mut found = [None; N];
    for (key, value) in object.members() {
        if let Some(at) = names.iter().position(|name| key.is_key(*name))
            && found[at].replace(value).is_some()
        {
            return Err(Reject::DuplicateKey);
        }
    }
    for value in &mut found {
        *value = value.filter(|value| value.kind() != JsonKind::Null);
    }
    Ok(found)
}

/// Returns true if any key that is read stands twice in its object.
#[cold]
fn has_twice(line: JsonValue<'_, '_>) -> bool {
    fn below<'t, 'a, const N: usize>(
        object: Option<JsonValue<'t, 'a>>,
        names: [KeyName; N],
        twice: &mut bool,
    ) -> [Option<JsonValue<'t, 'a>>; N] {
        let none = [None; N];
        object.map_or(none, |object| {
            fields(object, names).unwrap_or_else(|_| {
                *twice = true;
                none
            })
        })
    }
    let mut twice = false;
    let [_, _, _, request, response] = below(Some(line), LINE, &mut twice);
    let [messages, ..] = below(request, REQUEST, &mut twice);
    let [choices, _] = below(response, RESPONSE, &mut twice);
    let [reply, ..] = below(choices.and_then(|choices| choices.items().next()), CHOICE, &mut twice);
    let [_, calls, _] = below(reply, REPLY, &mut twice);
    let mut all_calls = Vec::from_iter(calls);
    for message in messages.iter().flat_map(JsonValue::items) {
        let [_, _, calls, _] = below(Some(message), MESSAGE, &mut twice);
        all_calls.extend(calls);
    }
    for call in all_calls.iter().flat_map(JsonValue::items) {
        let [function] = below(Some(call), CALL, &mut twice);
        below(function, FUNCTION, &mut twice);
    }
    twice
}

fn optional_text<'a>(value: Option<JsonValue<'_, 'a>>, wrong: Reject) -> Result<Option<JsonText<'a>>, Reject> {
    value.map(|value| value.text().ok_or(wrong)).transpose()
}

fn is_kind(value: &JsonValue<'_, '_>, kind: JsonKind) -> bool {
    value.kind() == kind
}

/// Returns the messages and the tools of a request.
fn messages<'a>(request: Option<JsonValue<'_, 'a>>) -> Result<(Vec<Message<'a>>, Option<&'a str>), Reject> {
    let request = request.filter(|request| is_kind(request, JsonKind::Object)).ok_or(Reject::NoRequest)?;
    let [messages, tools, functions, system] = fields(request, REQUEST)?;
    let mut items = messages.filter(|messages| is_kind(messages, JsonKind::List)).ok_or(Reject::NoMessages)?.items();
    let first = message(items.next().ok_or(Reject::NoMessages)?)?;
    let mut messages = Vec::with_capacity(4);
    messages.push(first);
    for item in items {
        messages.push(message(item)?);
    }
    let is_filled = |list: &JsonValue<'_, '_>| list.items().next().is_some();
    let tools = tools.filter(is_filled);
    if tools.is_none() && functions.is_some_and(|functions| is_filled(&functions)) {
        return Err(Reject::BadFunctionCall);
    }
    if system.is_some() {
        return Err(Reject::BadMessage);
    }
    Ok((messages, tools.map(|tools| tools.raw())))
}

fn message<'a>(message: JsonValue<'_, 'a>) -> Result<Message<'a>, Reject> {
    if message.kind() != JsonKind::Object {
        return Err(Reject::BadMessage);
    }
    let [role, content, calls, old_call] = fields(message, MESSAGE)?;
    let role = optional_text(role, Reject::BadMessage)?.map(|role| role.read());
    let content = match content {
        None => Content::None,
        Some(list) if list.kind() == JsonKind::List => {
            if list.items().any(is_call_of_anthropic) {
                return Err(Reject::BadMessage);
            }
            Content::Parts(list.items().map(|part| part.raw()).collect())
        }
        Some(other) => Content::Text(other.text().ok_or(Reject::BadMessage)?),
    };
    if old_call.is_some() || role.as_deref() == Some("function") {
        return Err(Reject::BadFunctionCall);
    }
    let tool_calls = tool_calls(calls)?.unwrap_or_default();
    let is_usual = |(key, value): (JsonValue<'_, '_>, JsonValue<'_, '_>)| {
        value.kind() == JsonKind::Null || MESSAGE[..2].iter().any(|name| key.is_key(*name))
    };
    let unusual = (!message.members().all(is_usual)).then(|| message.raw());
    Ok(Message { role, content, tool_calls, unusual })
}

/// Returns true for a part that calls a tool or holds its result. Elsewhere these are a key and a message of their own.
fn is_call_of_anthropic(part: JsonValue<'_, '_>) -> bool {
    let kind = part.get(PART_TYPE).and_then(|kind| kind.text());
    kind.is_some_and(|kind| matches!(&*kind.read(), "tool_use" | "tool_result"))
}

/// Returns the calls of a message, or that they are malformed. Only a key that stands twice is an error.
fn tool_calls<'a>(calls: Option<JsonValue<'_, 'a>>) -> Result<Result<Vec<ToolCall<'a>>, Malformed>, Reject> {
    let Some(calls) = calls else { return Ok(Ok(Vec::new())) };
    if calls.kind() != JsonKind::List {
        return Ok(Err(Malformed));
    }
    let mut found = Ok(Vec::new());
    for call in calls.items() {
        let [function] = fields(call, CALL)?;
        let [name, arguments] = function.map_or(Ok([None, None]), |function| fields(function, FUNCTION))?;
        match (&mut found, name.and_then(|name| Some(name.text()?.read())).filter(|name| !name.is_empty())) {
            (Ok(found), Some(name)) => found.push(ToolCall { name, arguments: arguments.map(|value| value.raw()) }),
            _ => found = Err(Malformed),
        }
    }
    Ok(found)
}

/// Levels from the row down to arguments: row, response, choices, choice, message, tool calls, call, function.
const LEVELS_ABOVE_ARGUMENTS: usize = 8;

/// Returns true if the arguments of a call are an object or a text that holds one. No arguments count as `{}`.
pub(crate) fn arguments_are_object(arguments: Option<&str>) -> bool {
    arguments.is_none_or(|raw| raw.starts_with('{') || text_is_object(raw))
}

/// Returns true if a JSON string holds an object or is blank.
pub(crate) fn text_is_object(raw: &str) -> bool {
    let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw) else { return false };
    let text = text.trim();
    text.is_empty()
        || text.starts_with('{')
            && Canonicaliser::default().write_below(LEVELS_ABOVE_ARGUMENTS, text, &mut Vec::new()).is_ok()
}

/// Returns the reason for a line that cannot be read onto the tape.
#[cold]
fn why_unreadable(text: &str, reject: Reject) -> Reject {
    let is_object = text.trim_start().starts_with('{');
    match reject {
        _ if text.trim().is_empty() => Reject::EmptyLine,
        // Words of a log may begin like JSON. They are no record with something behind it.
        Reject::TrailingData if !is_object => Reject::InvalidJson,
        // The rest of the line was not read, and may be no JSON. This reader skips values without recursion.
        Reject::TooDeep => {
            let mut reader = serde_json::Deserializer::from_str(text);
            match (IgnoredAny::deserialize(&mut reader).is_ok(), reader.end().is_ok()) {
                (true, true) if is_object => Reject::TooDeep,
                (true, true) => Reject::NotAnObject,
                (true, false) if is_object => Reject::TrailingData,
                _ => Reject::InvalidJson,
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
