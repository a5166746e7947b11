//! One log record: a borrowed, typed view of a line of JSON, and the normalised line that the stores keep. Checks what
//! every record needs; what a workload type needs on top is decided in `intake`.

use std::borrow::Cow;
use std::cell::Cell;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::data::json::canonical::{self, CanonicalWriter, Canonicaliser};
use crate::data::json::tape::{JsonDocument, JsonKind, JsonText, JsonValue, KeyName, Tape};
use crate::data::reject::Reject;
use crate::data::timestamp;

/// What fills in a field that a line lacks; it never replaces one that is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldDefaults<'a> {
    /// For `workload_id`.
    pub workload: Option<&'a str>,
    /// For `client_id`.
    pub client: Option<&'a str>,
    /// For `timestamp`, in epoch seconds; 0 without it.
    pub timestamp: Option<i64>,
}

/// A valid record.
#[derive(Debug)]
pub struct Record<'a> {
    /// Whole epoch seconds.
    pub timestamp: i64,
    /// The task that the record belongs to; never blank.
    pub workload: Cow<'a, str>,
    /// Who asked; empty when unknown.
    pub client: Cow<'a, str>,
    /// The messages of the request; never empty.
    pub messages: Vec<Message<'a>>,
    /// The message of the first choice.
    pub reply: Reply<'a>,
}

/// One message of a request.
#[derive(Debug, Default)]
pub struct Message<'a> {
    /// Such as `user`.
    pub role: Option<Cow<'a, str>>,
    /// What it says.
    pub content: Content<'a>,
    /// Its tool calls; those of another shape are left out.
    pub tool_calls: Vec<ToolCall<'a>>,
}

/// What a message says.
#[derive(Debug, Default)]
pub enum Content<'a> {
    /// Nothing: null or absent.
    #[default]
    None,
    /// A text.
    Text(JsonText<'a>),
    /// A list of parts (text, image and so on), each as written.
    Parts(Vec<&'a str>),
}

/// What the model answered.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The text.
    pub content: Option<JsonText<'a>>,
    /// The tool calls; an error when the field holds no list of calls with a function name.
    pub tool_calls: Result<Vec<ToolCall<'a>>, Malformed>,
}

/// Marks messages or tool calls of another shape than the API's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One call of a function.
#[derive(Debug)]
pub struct ToolCall<'a> {
    /// Name of the function.
    pub name: Cow<'a, str>,
    /// Its arguments as written: an object, or a text that holds one.
    pub arguments: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// The record that one line holds.
    pub fn parse(json: &'a [u8]) -> Result<Record<'a>, Reject> {
        Record::parse_with(json, &FieldDefaults::default())
    }

    /// The same with what fills in missing fields.
    pub fn parse_with(json: &'a [u8], defaults: &FieldDefaults<'a>) -> Result<Record<'a>, Reject> {
        Record::read(json, defaults, &mut Tape::default()).map(|(record, _)| record)
    }

    /// The same on a tape that is used again, with the line as it was read.
    pub fn read<'t>(
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
            // The order of the rules: keys before texts before what they mean.
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
        let messages = messages(request)?;
        let reply = reply(response)?;
        Ok(Record { timestamp, workload, client, messages, reply })
    }
}

const LINE: [KeyName; 5] = [
    KeyName::new("timestamp"),
    KeyName::new("workload_id"),
    KeyName::new("client_id"),
    KeyName::new("request"),
    KeyName::new("response"),
];
const REQUEST: [KeyName; 1] = [KeyName::new("messages")];
const MESSAGE: [KeyName; 3] = [KeyName::new("role"), KeyName::new("content"), KeyName::new("tool_calls")];
const RESPONSE: [KeyName; 1] = [KeyName::new("choices")];
const CHOICE: [KeyName; 1] = [KeyName::new("message")];
const REPLY: [KeyName; 2] = [KeyName::new("content"), KeyName::new("tool_calls")];
const CALL: [KeyName; 1] = [KeyName::new("function")];
const FUNCTION: [KeyName; 2] = [KeyName::new("name"), KeyName::new("arguments")];

/// The values of these keys of an object; null is as good as absent.
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
    Ok(found.map(|value| value.filter(|value| value.kind() != JsonKind::Null)))
}

/// Whether a key that is read stands twice in its object, wherever in the line.
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
    let [messages] = below(request, REQUEST, &mut twice);
    let [choices] = below(response, RESPONSE, &mut twice);
    let [reply] = below(choices.and_then(|choices| choices.items().next()), CHOICE, &mut twice);
    let [_, calls] = below(reply, REPLY, &mut twice);
    let mut all_calls = Vec::from_iter(calls);
    for message in messages.iter().flat_map(JsonValue::items) {
        let [_, _, calls] = below(Some(message), MESSAGE, &mut twice);
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

fn messages<'a>(request: Option<JsonValue<'_, 'a>>) -> Result<Vec<Message<'a>>, Reject> {
    let request = request.filter(|request| is_kind(request, JsonKind::Object)).ok_or(Reject::NoRequest)?;
    let [messages] = fields(request, REQUEST)?;
    let mut items = messages.filter(|messages| is_kind(messages, JsonKind::List)).ok_or(Reject::NoMessages)?.items();
    let first = message(items.next().ok_or(Reject::NoMessages)?)?;
    let mut messages = Vec::with_capacity(4);
    messages.push(first);
    for item in items {
        messages.push(message(item)?);
    }
    Ok(messages)
}

fn message<'a>(message: JsonValue<'_, 'a>) -> Result<Message<'a>, Reject> {
    if message.kind() != JsonKind::Object {
        return Err(Reject::BadMessage);
    }
    let [role, content, calls] = fields(message, MESSAGE)?;
    let role = optional_text(role, Reject::BadMessage)?.map(|role| role.read());
    let content = match content {
        None => Content::None,
        Some(list) if list.kind() == JsonKind::List => Content::Parts(list.items().map(|part| part.raw()).collect()),
        Some(other) => Content::Text(other.text().ok_or(Reject::BadMessage)?),
    };
    let tool_calls = tool_calls(calls)?.unwrap_or_default();
    Ok(Message { role, content, tool_calls })
}

fn reply<'a>(response: Option<JsonValue<'_, 'a>>) -> Result<Reply<'a>, Reject> {
    let response = response.ok_or(Reject::NoResponse)?;
    if response.kind() != JsonKind::Object {
        return Err(Reject::BadResponse);
    }
    let [choices] = fields(response, RESPONSE)?;
    let first = choices.and_then(|choices| choices.items().next()).ok_or(Reject::NoChoices)?;
    let [message] = fields(first, CHOICE)?;
    let message = message.filter(|message| is_kind(message, JsonKind::Object)).ok_or(Reject::NoMessage)?;
    let [content, calls] = fields(message, REPLY)?;
    let content = optional_text(content, Reject::BadContent)?.filter(|text| !text.is_blank());
    let tool_calls = tool_calls(calls)?;
    match (&content, &tool_calls) {
        (None, Err(Malformed)) => Err(Reject::BadToolCalls),
        (None, Ok(calls)) if calls.is_empty() => Err(Reject::NoContent),
        _ => Ok(Reply { content, tool_calls }),
    }
}

/// The calls of a message, or that they are malformed; an error only for a key that stands twice.
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

/// From the row down to arguments: row, response, choices, choice, message, tool calls, call, function.
const LEVELS_ABOVE_ARGUMENTS: usize = 8;

/// Whether the arguments of a call are an object, or a text that holds one; none or a blank text count as `{}`.
pub fn arguments_are_object(arguments: Option<&str>) -> bool {
    arguments.is_none_or(|raw| raw.starts_with('{') || text_is_object(raw))
}

/// Whether a JSON text holds an object, or nothing.
pub(crate) fn text_is_object(raw: &str) -> bool {
    let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw) else { return false };
    let text = text.trim();
    text.is_empty()
        || text.starts_with('{')
            && Canonicaliser::default().write_below(LEVELS_ABOVE_ARGUMENTS, text, &mut Vec::new()).is_ok()
}

/// The reason of a line that the tape does not take.
#[cold]
fn why_unreadable(text: &str, reject: Reject) -> Reject {
    let is_object = text.trim_start().starts_with('{');
    match reject {
        _ if text.trim().is_empty() => Reject::EmptyLine,
        // Words of a log that begin like JSON are not a record with something behind it.
        Reject::TrailingData if !is_object => Reject::InvalidJson,
        // The rest of the line has not been read, and what is no record is not one that is too deep. This reader skips
        // values without going down into them.
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

/// A record as the stores keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalised {
    /// Shown as 32 lower-case hex digits.
    pub id: u128,
    /// The task that the record belongs to.
    pub workload: String,
    /// Who asked; empty when unknown.
    pub client: String,
    /// Whole epoch seconds.
    pub timestamp: i64,
    /// One line of canonical JSON without a line end: the five fields normalised, unknown keys kept.
    pub line: Vec<u8>,
}

/// Checks one record and brings its five fields into the form that ids are made of.
pub fn normalise(json: &[u8], defaults: &FieldDefaults<'_>) -> Result<Normalised, Reject> {
    Normaliser::default().normalise(json, defaults)
}

/// The same for many records; holds scratch space.
#[derive(Debug, Default)]
pub struct Normaliser {
    tape: Tape,
    writer: CanonicalWriter,
    ids: Ids,
    only_five: bool,
}

/// What a normaliser has found out about a line that it wrote.
#[derive(Debug)]
pub struct Checked<'a> {
    /// As in [`Normalised`].
    pub id: u128,
    /// The record as it was read.
    pub record: Record<'a>,
    /// Whether it has keys beyond the five.
    pub has_more: bool,
}

impl Normaliser {
    /// One that leaves out every key but the five.
    pub fn of_five() -> Normaliser {
        Normaliser { only_five: true, ..Normaliser::default() }
    }

    /// Checks one record and brings its five fields into the form that ids are made of.
    pub fn normalise(&mut self, json: &[u8], defaults: &FieldDefaults<'_>) -> Result<Normalised, Reject> {
        let mut line = Vec::with_capacity(json.len() + 64);
        let Checked { id, record, .. } = self.write(json, defaults, &mut line)?;
        let Record { timestamp, workload, client, .. } = record;
        Ok(Normalised { id, workload: workload.into_owned(), client: client.into_owned(), timestamp, line })
    }

    /// The same with the line appended to `out`; where it is refused, part of it may stand there.
    pub fn write<'a>(
        &mut self,
        json: &'a [u8],
        defaults: &FieldDefaults<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Checked<'a>, Reject> {
        let (record, root) = Record::read(json, defaults, &mut self.tape)?;
        let (start, more, only_five) = (out.len(), Cell::new(false), self.only_five);
        let keep = |key: JsonValue<'_, '_>| {
            let is_more = !is_one_of_five(key);
            more.set(more.get() || is_more);
            !(is_more && only_five)
        };
        five_fields(&mut self.writer, root, &record, keep, out);
        let has_more = more.get();
        // Few records have other keys; of the rest the line is what the id is made of.
        let id = if has_more && !only_five { self.ids.of(root, &record) } else { canonical::id_of(&out[start..]) };
        Ok(Checked { id, record, has_more })
    }

    /// Returns the id of a record.
    pub fn id(&mut self, json: &[u8]) -> Result<u128, Reject> {
        let (record, root) = Record::read(json, &FieldDefaults::default(), &mut self.tape)?;
        Ok(self.ids.of(root, &record))
    }
}

/// Makes the ids of records that have been read; holds scratch space.
#[derive(Debug, Default)]
pub struct Ids {
    writer: CanonicalWriter,
    five: Vec<u8>,
}

impl Ids {
    /// The id of the record that was read from `line`.
    pub fn of(&mut self, line: JsonValue<'_, '_>, record: &Record<'_>) -> u128 {
        self.five.clear();
        five_fields(&mut self.writer, line, record, is_one_of_five, &mut self.five);
        canonical::id_of(&self.five)
    }
}

fn is_one_of_five(key: JsonValue<'_, '_>) -> bool {
    LINE.iter().any(|name| key.is_key(*name))
}

fn five_fields(
    writer: &mut CanonicalWriter,
    line: JsonValue<'_, '_>,
    record: &Record<'_>,
    keep: impl Fn(JsonValue<'_, '_>) -> bool,
    out: &mut Vec<u8>,
) {
    let mut workload = Vec::with_capacity(record.workload.len() + 2);
    canonical::write_string(&record.workload, &mut workload);
    let mut client = Vec::with_capacity(record.client.len() + 2);
    canonical::write_string(&record.client, &mut client);
    let timestamp = record.timestamp.to_string();
    let given = [(LINE[2], client.as_slice()), (LINE[0], timestamp.as_bytes()), (LINE[1], workload.as_slice())];
    writer.write_object(line, &given, keep, out);
}

#[cfg(test)]
mod tests;
