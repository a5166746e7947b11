//! One log record: a borrowed, typed view of a line of JSON, and the normalised line that the stores keep. Checks what
//! every record needs; what a workload type needs on top is decided in `intake`.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess};
use serde_json::value::RawValue;

use crate::data::canonical::{self, Canonical, MAX_DEPTH};
use crate::data::rules::Reject;
use crate::data::shape::{Object, Shape, Slot};
use crate::data::timestamp;

/// What fills in a field that a line lacks; it never replaces one that is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults<'a> {
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
    Text(Cow<'a, str>),
    /// A list of parts (text, image and so on), each as written.
    Parts(Vec<&'a RawValue>),
}

/// What the model answered.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The text.
    pub content: Option<Cow<'a, str>>,
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
    pub arguments: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawLine<'a> {
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    workload_id: Slot<Cow<'a, str>>,
    #[serde(borrow)]
    client_id: Slot<Cow<'a, str>>,
    #[serde(borrow)]
    request: Slot<Object<RawRequest<'a>>>,
    #[serde(borrow)]
    response: Slot<Object<RawResponse<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRequest<'a> {
    #[serde(borrow)]
    messages: Slot<Messages<'a>>,
}

/// The messages of a request; an error when one of them is malformed.
struct Messages<'a>(Result<Vec<Message<'a>>, Malformed>);

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawMessage<'a> {
    #[serde(borrow)]
    role: Slot<Cow<'a, str>>,
    #[serde(borrow)]
    content: Slot<Content<'a>>,
    #[serde(borrow)]
    tool_calls: Slot<Vec<Slot<Object<RawCall<'a>>>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawResponse<'a> {
    #[serde(borrow)]
    choices: Slot<First<Object<RawChoice<'a>>>>,
}

/// The first item of a list; the others are not looked at.
struct First<T>(Option<Slot<T>>);

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawChoice<'a> {
    #[serde(borrow)]
    message: Slot<Object<RawReply<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawReply<'a> {
    #[serde(borrow)]
    content: Slot<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Slot<Vec<Slot<Object<RawCall<'a>>>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawCall<'a> {
    #[serde(borrow)]
    function: Slot<Object<RawFunction<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawFunction<'a> {
    #[serde(borrow)]
    name: Slot<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Shape<'de> for Content<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Content::Text(text))
    }

    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element::<&'de RawValue>()? {
            parts.push(part);
        }
        Ok(Some(Content::Parts(parts)))
    }
}

impl<'a> Record<'a> {
    /// The record that one line holds.
    pub fn parse(json: &'a [u8]) -> Result<Record<'a>, Reject> {
        Record::parse_with(json, &Defaults::default())
    }

    /// The same with what fills in missing fields.
    pub fn parse_with(json: &'a [u8], defaults: &Defaults<'a>) -> Result<Record<'a>, Reject> {
        let text = std::str::from_utf8(json).map_err(|_| Reject::InvalidUtf8)?;
        // Through a slot, because serde's own structs would take a list of values as well.
        let line: Slot<Object<RawLine<'a>>> = serde_json::from_str(text).map_err(|e| why_unreadable(text, &e))?;
        let Slot::Is(Object(line)) = line else { return Err(Reject::NotAnObject) };
        let timestamp = match line.timestamp {
            Some(raw) => timestamp::from_json(raw.get()).ok_or(Reject::BadTimestamp)?,
            None => defaults.timestamp.unwrap_or(0),
        };
        let workload = line.workload_id.optional(Reject::BadWorkload)?.filter(|id| !id.trim().is_empty());
        let workload = workload.or(defaults.workload.map(Cow::Borrowed)).ok_or(Reject::MissingWorkload)?;
        let client = line.client_id.optional(Reject::BadClient)?.filter(|id| !id.is_empty());
        let client = client.or(defaults.client.map(Cow::Borrowed)).unwrap_or_default();
        check_unseen(text)?;
        let messages = messages(line.request)?;
        let reply = reply(line.response)?;
        Ok(Record { timestamp, workload, client, messages, reply })
    }
}

impl<'de: 'a, 'a> Shape<'de> for Messages<'a> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut messages = Ok(Vec::with_capacity(4));
        while let Some(raw) = seq.next_element::<Slot<Object<RawMessage<'a>>>>()? {
            match (&mut messages, message(raw)) {
                (Ok(messages), Ok(message)) => messages.push(message),
                (_, Err(malformed)) => messages = Err(malformed),
                (Err(Malformed), Ok(_)) => {}
            }
        }
        Ok(Some(Messages(messages)))
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for First<T> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let first = seq.next_element()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(First(first)))
    }
}

fn message<'a>(raw: Slot<Object<RawMessage<'a>>>) -> Result<Message<'a>, Malformed> {
    let Slot::Is(Object(raw)) = raw else { return Err(Malformed) };
    let role = raw.role.optional(Malformed)?;
    let content = raw.content.optional(Malformed)?.unwrap_or_default();
    let tool_calls = tool_calls(raw.tool_calls).unwrap_or_default();
    Ok(Message { role, content, tool_calls })
}

fn messages<'a>(request: Slot<Object<RawRequest<'a>>>) -> Result<Vec<Message<'a>>, Reject> {
    let Slot::Is(Object(request)) = request else { return Err(Reject::NoRequest) };
    let Slot::Is(Messages(messages)) = request.messages else { return Err(Reject::NoMessages) };
    let messages = messages.map_err(|Malformed| Reject::BadMessage)?;
    if messages.is_empty() { Err(Reject::NoMessages) } else { Ok(messages) }
}

fn reply<'a>(response: Slot<Object<RawResponse<'a>>>) -> Result<Reply<'a>, Reject> {
    let Object(response) = response.optional(Reject::BadResponse)?.ok_or(Reject::NoResponse)?;
    let Slot::Is(First(Some(first))) = response.choices else { return Err(Reject::NoChoices) };
    let Slot::Is(Object(RawChoice { message: Slot::Is(Object(message)) })) = first else {
        return Err(Reject::NoMessage);
    };
    let content = message.content.optional(Reject::BadContent)?.filter(|text| !text.trim().is_empty());
    let tool_calls = tool_calls(message.tool_calls);
    match (&content, &tool_calls) {
        (None, Err(Malformed)) => Err(Reject::BadToolCalls),
        (None, Ok(calls)) if calls.is_empty() => Err(Reject::NoContent),
        _ => Ok(Reply { content, tool_calls }),
    }
}

fn tool_calls<'a>(calls: Slot<Vec<Slot<Object<RawCall<'a>>>>>) -> Result<Vec<ToolCall<'a>>, Malformed> {
    let calls = calls.optional(Malformed)?.unwrap_or_default();
    calls
        .into_iter()
        .map(|call| match call {
            Slot::Is(Object(RawCall {
                function: Slot::Is(Object(RawFunction { name: Slot::Is(name), arguments })),
            })) if !name.is_empty() => Ok(ToolCall { name, arguments }),
            _ => Err(Malformed),
        })
        .collect()
}

/// From the row down to arguments: row, response, choices, choice, message, tool calls, call, function.
const LEVELS_ABOVE_ARGUMENTS: usize = 8;

/// Whether the arguments of a call are an object, or a text that holds one; none or a blank text count as `{}`.
pub fn arguments_are_object(arguments: Option<&RawValue>) -> bool {
    arguments.map(RawValue::get).is_none_or(|raw| raw.starts_with('{') || text_is_object(raw))
}

/// Whether a JSON text holds an object, or nothing.
pub(crate) fn text_is_object(raw: &str) -> bool {
    let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw) else { return false };
    let text = text.trim();
    text.is_empty()
        || text.starts_with('{')
            && serde_json::from_str::<IgnoredAny>(text).is_ok()
            && Canonical::default().write_below(LEVELS_ABOVE_ARGUMENTS, text, &mut Vec::new()).is_ok()
}

/// The reason of a line that the typed reader refused; reads it again, step by step.
#[cold]
fn why_unreadable(text: &str, error: &serde_json::Error) -> Reject {
    if text.trim().is_empty() {
        return Reject::EmptyLine;
    }
    let is_object = text.trim_start().starts_with('{');
    let mut reader = serde_json::Deserializer::from_str(text);
    if IgnoredAny::deserialize(&mut reader).is_err() {
        return Reject::InvalidJson;
    }
    match (is_object, reader.end().is_ok()) {
        (false, _) => Reject::InvalidJson,
        (true, false) => Reject::TrailingData,
        // The slots take any type, so what is wrong with the data can only be a key that stands twice.
        (true, true) => check(text).err().unwrap_or(match error.is_data() {
            true => Reject::DuplicateKey,
            false => Reject::InvalidJson,
        }),
    }
}

/// Refuses what the typed reader does not see but nobody could write a row of.
pub fn check_unseen(json: &str) -> Result<(), Reject> {
    // Both signs are rare in real logs, and looking for them costs a tenth of looking properly.
    static HALVES: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [Finder::new(b"\\ud"), Finder::new(b"\\uD")]);
    let bytes = json.as_bytes();
    if HALVES.iter().any(|half| half.find(bytes).is_some())
        || memchr::memchr2_iter(b'{', b'[', bytes).nth(MAX_DEPTH).is_some()
    {
        return check(json);
    }
    Ok(())
}

fn check(json: &str) -> Result<(), Reject> {
    Canonical::default().write(json, &mut Vec::new())
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
pub fn normalise(json: &[u8], defaults: &Defaults<'_>) -> Result<Normalised, Reject> {
    Normaliser::default().normalise(json, defaults)
}

/// The same for many records; holds scratch space.
#[derive(Debug, Default)]
pub struct Normaliser {
    canonical: Canonical,
    five: Vec<u8>,
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
    pub fn normalise(&mut self, json: &[u8], defaults: &Defaults<'_>) -> Result<Normalised, Reject> {
        let mut line = Vec::with_capacity(json.len() + 64);
        let Checked { id, record, .. } = self.write(json, defaults, &mut line)?;
        let Record { timestamp, workload, client, .. } = record;
        Ok(Normalised { id, workload: workload.into_owned(), client: client.into_owned(), timestamp, line })
    }

    /// The same with the line appended to `out`; where it is refused, part of it may stand there.
    pub fn write<'a>(
        &mut self,
        json: &'a [u8],
        defaults: &Defaults<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Checked<'a>, Reject> {
        let record = Record::parse_with(json, defaults)?;
        let text = std::str::from_utf8(json).map_err(|_| Reject::InvalidUtf8)?;
        let (start, more, only_five) = (out.len(), Cell::new(false), self.only_five);
        let keep = |key: &[u8]| {
            let is_more = !is_one_of_five(key);
            more.set(more.get() || is_more);
            !(is_more && only_five)
        };
        five_fields(&mut self.canonical, text, &record, keep, out)?;
        let has_more = more.get();
        // Few records have other keys; of the rest the line is what the id is made of.
        let id = if has_more && !only_five {
            self.five.clear();
            write_canonical(&mut self.canonical, text, &record, &mut self.five)?;
            canonical::id_of(&self.five)
        } else {
            canonical::id_of(&out[start..])
        };
        Ok(Checked { id, record, has_more })
    }
}

/// Makes ids; holds scratch space, so reuse one for many records.
#[derive(Debug, Default)]
pub struct Identifier {
    canonical: Canonical,
    text: Vec<u8>,
}

impl Identifier {
    /// The id of a record.
    pub fn id(&mut self, json: &[u8]) -> Result<u128, Reject> {
        let record = Record::parse(json)?;
        let text = std::str::from_utf8(json).map_err(|_| Reject::InvalidUtf8)?;
        self.text.clear();
        write_canonical(&mut self.canonical, text, &record, &mut self.text)?;
        Ok(canonical::id_of(&self.text))
    }
}

/// Appends the canonical JSON of the five normalised fields: what an id is made of, and what an eval row looks like.
pub fn write_canonical(
    canonical: &mut Canonical,
    json: &str,
    record: &Record<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Reject> {
    five_fields(canonical, json, record, is_one_of_five, out)
}

fn is_one_of_five(key: &[u8]) -> bool {
    matches!(key, b"client_id" | b"request" | b"response" | b"timestamp" | b"workload_id")
}

fn five_fields(
    canonical: &mut Canonical,
    json: &str,
    record: &Record<'_>,
    keep: impl Fn(&[u8]) -> bool,
    out: &mut Vec<u8>,
) -> Result<(), Reject> {
    let mut workload = Vec::with_capacity(record.workload.len() + 2);
    canonical::write_string(&record.workload, &mut workload);
    let mut client = Vec::with_capacity(record.client.len() + 2);
    canonical::write_string(&record.client, &mut client);
    let timestamp = record.timestamp.to_string();
    let replace =
        [("client_id", client.as_slice()), ("timestamp", timestamp.as_bytes()), ("workload_id", workload.as_slice())];
    canonical.rewrite(json, &replace, keep, out)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
