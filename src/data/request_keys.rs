//! Keys by which requests are the same, and by which records belong together: hashes of the messages and tools of a
//! request. The hash is XXH3. Its specification fixes the results, and groups are drawn in the order of their keys.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::data::groups::{GroupKeys, Prefix};
use crate::data::json::canonical::CanonicalWriter;
use crate::data::json::tape::{JsonKind, JsonText, JsonValue, KeyName, Tape};
use crate::data::normal_form::mask;
use crate::data::record::{Content, Message, ToolCall, id};

/// Makes keys. Holds scratch space, so reuse it.
#[derive(Debug, Default)]
pub(crate) struct RequestKeyMaker {
    exact: Vec<u8>,
    masked: Vec<u8>,
    tape: Tape,
    writer: CanonicalWriter,
    /// The first message of the record before, which most records share.
    first: (Vec<u8>, MessageKeys),
    /// The tools of the record before.
    tools: (Vec<u8>, u128),
    /// The beginnings of the conversation of the last request.
    prefixes: Vec<Prefix>,
}

const TEXT: KeyName = KeyName::new("text");

/// The keys of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestKeys {
    /// Equal if messages and tools are the same.
    pub(crate) request: u128,
    /// Which records it belongs to.
    pub(crate) group: GroupKeys,
}

/// The keys of one message.
#[derive(Clone, Copy, Debug, Default)]
struct MessageKeys {
    exact: u128,
    /// Equal for near-copies.
    masked: u64,
}

impl RequestKeyMaker {
    /// Makes the keys of a request.
    pub(crate) fn of(&mut self, messages: &[Message<'_>], tools: Option<&str>) -> RequestKeys {
        let mut group = GroupKeys::default();
        self.prefixes.clear();
        let (mut so_far, mut talk, mut user_text) = (0, 0, None);
        for (n, message) in messages.iter().enumerate() {
            // The messages before the first question are the same in most logs and begin no conversation.
            if n > 0 && (user_text.is_some() || message.role.as_deref() == Some("assistant")) {
                self.prefixes.push((talk as u64, std::mem::replace(&mut group.parent, talk as u64)));
            }
            let role = message.role.as_deref();
            let is_user = user_text.is_none() && role == Some("user");
            let is_prompt = matches!(role, Some("system" | "developer"));
            let keys = if n == 0 { self.first_message(message) } else { self.message(message) };
            so_far = chained(so_far, keys.exact);
            talk = chained(talk, if is_prompt { keys.masked.into() } else { keys.exact });
            group.whole = chained(group.whole.into(), keys.masked.into()) as u64;
            if is_user {
                user_text = Some(keys.masked);
                group.opening = group.whole;
            }
        }
        group.conversation = talk as u64;
        group.user_text = user_text.unwrap_or(group.whole);
        let tools = tools.map_or(0, |tools| self.tools(tools));
        RequestKeys { request: chained(so_far, tools), group }
    }

    /// Returns the beginnings of the conversation of the last request, the shortest first.
    pub(crate) fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }

    /// Appends the masked text that near-copies are looked for in: of all messages if `is_whole`, else of the first user
    /// message.
    pub(crate) fn add_varying(&mut self, messages: &[Message<'_>], is_whole: bool, out: &mut Vec<u8>) {
        let is_user = |message: &&Message<'_>| message.role.as_deref() == Some("user");
        let first = messages.iter().find(is_user).filter(|_| !is_whole).map(std::slice::from_ref);
        for message in first.unwrap_or(messages) {
            self.message(message);
            out.extend_from_slice(&self.masked);
            out.push(b' ');
        }
    }

    /// Makes the key of the calls of an answer: equal if functions and arguments are the same.
    pub(crate) fn calls(&mut self, calls: &[ToolCall<'_>]) -> u64 {
        self.exact.clear();
        for call in calls {
            self.exact.extend_from_slice(call.name.as_bytes());
            self.exact.push(0);
            let Some(arguments) = call.arguments else { continue };
            let text = self.tape.read(arguments, 0).ok().and_then(|json| json.root.text());
            let text = text.as_ref().map_or(arguments.into(), JsonText::read);
            match self.tape.read(text.trim(), 0) {
                Ok(json) if json.root.members().next().is_some() => self.writer.write(json.root, &mut self.exact),
                // No arguments at all are an empty object.
                Ok(json) if json.root.kind() == JsonKind::Object => {}
                _ => self.exact.extend_from_slice(text.trim().as_bytes()),
            }
            self.exact.push(0);
        }
        xxh3_64(&self.exact)
    }

    /// Reads the first message only if it is not that of the record before.
    fn first_message(&mut self, message: &Message<'_>) -> MessageKeys {
        let Message { role: Some(role), content: Content::Text(text), unusual: None, .. } = message else {
            return self.message(message);
        };
        let (JsonText::Plain(written) | JsonText::Written(written)) = text;
        let (known, keys) = &self.first;
        if known.strip_prefix(role.as_bytes()) == Some(written.as_bytes()) {
            return *keys;
        }
        let keys = self.message(message);
        self.first.0.clear();
        self.first.0.extend_from_slice(role.as_bytes());
        self.first.0.extend_from_slice(written.as_bytes());
        self.first.1 = keys;
        keys
    }

    fn message(&mut self, message: &Message<'_>) -> MessageKeys {
        self.exact.clear();
        self.masked.clear();
        self.exact.extend_from_slice(message.role.as_deref().unwrap_or_default().as_bytes());
        self.exact.push(0);
        match &message.content {
            Content::None => {}
            Content::Text(text) => self.add_text(*text),
            Content::Parts(parts) => parts.iter().for_each(|part| self.add_part(part)),
        }
        if let Some(unusual) = message.unusual {
            self.exact.push(0);
            self.add_filled_members(unusual);
        }
        let exact = xxh3_128(&self.exact);
        // The mask leaves nothing of texts without letters. They would all be one group.
        let has_letters = self.masked.iter().any(|byte| *byte != b' ');
        let masked = if has_letters && message.tool_calls.is_empty() { xxh3_64(&self.masked) } else { exact as u64 };
        MessageKeys { exact, masked }
    }

    fn add_text(&mut self, text: JsonText<'_>) {
        let text = text.read();
        self.exact.extend_from_slice(text.as_bytes());
        mask(&text, &mut self.masked);
    }

    fn add_part(&mut self, json: &str) {
        let part = self.tape.read(json, 0).ok();
        match part.and_then(|part| part.root.get(TEXT)?.text()) {
            Some(text) => self.add_text(text),
            None => {
                let start = self.exact.len();
                match part.filter(|part| !part.has_lone_surrogate) {
                    Some(part) => self.writer.write(part.root, &mut self.exact),
                    None => self.exact.extend_from_slice(json.as_bytes()),
                }
                // An image or a file has no text to mask. It equals only itself.
                let key = id::id_of(&self.exact[start..]);
                self.masked.extend_from_slice(&id::hex_digits(key));
            }
        }
    }

    /// Adds what a message holds beside role and content, without nulls.
    fn add_filled_members(&mut self, message: &str) {
        match self.tape.read(message, 0) {
            Ok(json) => {
                let is_filled = |key: JsonValue<'_, '_>| {
                    let key_text = key.text().map(|text| text.read().into_owned()).unwrap_or_default();
                    !matches!(key_text.as_str(), "role" | "content") && key.following().kind() != JsonKind::Null
                };
                self.writer.write_object(json.root, &[], is_filled, &mut self.exact);
            }
            Err(_) => self.exact.extend_from_slice(message.as_bytes()),
        }
    }

    fn tools(&mut self, tools: &str) -> u128 {
        if self.tools.0 != tools.as_bytes() {
            self.exact.clear();
            match self.tape.read(tools, 0) {
                Ok(json) => self.writer.write(json.root, &mut self.exact),
                Err(_) => self.exact.extend_from_slice(tools.as_bytes()),
            }
            self.tools = (tools.as_bytes().to_vec(), xxh3_128(&self.exact));
        }
        self.tools.1
    }
}

/// Returns the key of a list that is one item longer.
fn chained(so_far: u128, item: u128) -> u128 {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&so_far.to_le_bytes());
    both[16..].copy_from_slice(&item.to_le_bytes());
    xxh3_128(&both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<'a>(role: &'a str, text: &'a str) -> Message<'a> {
        Message { role: Some(role.into()), content: Content::Text(text.into()), ..Message::default() }
    }

    fn user(text: &str) -> Message<'_> {
        said("user", text)
    }

    fn of(messages: &[Message<'_>]) -> RequestKeys {
        RequestKeyMaker::default().of(messages, None)
    }

    #[test]
    fn a_request_is_all_its_messages_and_tools() {
        let asked = of(&[said("system", "s"), user("up 5%")]);
        assert_eq!(asked, of(&[said("system", "s"), user("up 5%")]));
        for other in [
            of(&[user("up 5%")]),
            of(&[said("system", "t"), user("up 5%")]),
            of(&[said("system", "s"), user("up 6%")]),
            of(&[said("system", "s"), user("up 5%"), said("assistant", "a"), user("why?")]),
            RequestKeyMaker::default().of(&[said("system", "s"), user("up 5%")], Some("[1]")),
        ] {
            assert_ne!(asked.request, other.request);
            assert_eq!(asked.group.user_text, other.group.user_text, "near-copies");
        }
        assert_ne!(of(&[user("ab"), user("c")]).request, of(&[user("a"), user("bc")]).request);
        let mut maker = RequestKeyMaker::default();
        let tools = ["[{\"b\":1,\"a\":2}]", "[ {\"a\":2, \"b\":1} ]", "[{\"a\":2}]"]
            .map(|tools| maker.of(&[user("u")], Some(tools)));
        assert_eq!(tools[0], tools[1]);
        assert_ne!(tools[0].request, tools[2].request);
    }

    #[test]
    fn the_first_message_is_remembered_only_while_it_is_the_same() {
        let mut maker = RequestKeyMaker::default();
        for messages in [
            [said("system", "a"), user("x")],
            [said("system", "a"), user("y")],
            [said("system", "b"), user("y")],
            [said("developer", "b"), user("y")],
        ] {
            assert_eq!(maker.of(&messages, None), of(&messages));
        }
    }

    #[test]
    fn what_a_message_holds_beside_its_text_counts_but_nulls_do_not() {
        let with = |json: &'static str| Message { unusual: Some(json), ..user("u") };
        let named = of(&[with(r#"{"role":"user","content":"u","name":"a"}"#)]);
        assert_eq!(named, of(&[with(r#"{"name":"a","refusal":null,"content":"u","role":"user"}"#)]));
        assert_ne!(named.request, of(&[with(r#"{"role":"user","content":"u","name":"b"}"#)]).request);
        assert_ne!(named.request, of(&[user("u")]).request);
    }

    #[test]
    fn a_turn_knows_all_beginnings_of_its_conversation() {
        let turns = [
            said("system", "s"),
            user("one"),
            said("assistant", "1"),
            user("two"),
            said("assistant", "2"),
            user("three"),
        ];
        let mut maker = RequestKeyMaker::default();
        let all: Vec<GroupKeys> = (0..=turns.len()).map(|length| maker.of(&turns[..length], None).group).collect();
        let prefixes = maker.prefixes();
        let conversation = |length: usize| all[length].conversation;
        let [first, second, third] = [2, 4, 6].map(|length| all[length]);
        assert_eq!((first.parent, second.parent, third.parent), (0, conversation(3), conversation(5)));
        let beginnings = [(conversation(2), 0), (conversation(3), conversation(2)), (conversation(4), conversation(3))];
        assert_eq!(prefixes[..3], beginnings);
        assert_eq!(prefixes[3..], [(third.parent, conversation(4))]);
        assert_eq!((first.user_text, first.opening), (third.user_text, third.opening));
        assert_ne!(first.whole, second.whole);
    }

    #[test]
    fn the_time_in_a_system_prompt_makes_no_other_conversation() {
        let mut maker = RequestKeyMaker::default();
        let mut turn = |prompt: &str, length: usize| {
            let all = [
                said("system", prompt),
                user("hi"),
                said("assistant", "hello"),
                user("one"),
                said("assistant", "1"),
                user("two"),
            ];
            let keys = maker.of(&all[..length], None);
            (keys.request, keys.group.conversation, maker.prefixes().to_vec())
        };
        let (request, conversation, _) = turn("It is 10:05.", 4);
        let (other_request, same, _) = turn("It is 10:06.", 4);
        assert!(conversation == same && request != other_request);
        let (_, _, prefixes) = turn("It is 10:09.", 6);
        assert!(prefixes.iter().any(|(key, _)| *key == conversation));
        assert_ne!(turn("Be brief. It is 10:05.", 4).1, conversation, "another prompt");
    }

    #[test]
    fn near_copies_are_looked_for_in_the_first_user_message_or_in_all() {
        let messages = [said("system", "Be brief."), user("Up 5%!"), said("assistant", "Yes"), user("why?")];
        let text = |messages: &[Message<'_>], is_whole| {
            let mut out = Vec::new();
            RequestKeyMaker::default().add_varying(messages, is_whole, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!((text(&messages, false).as_str(), text(&messages, true).as_str()), ("up ", "be brief up yes why "));
        assert_eq!(text(&messages[..1], false), "be brief ", "without a user message");
    }

    #[test]
    fn texts_without_letters_are_not_one_group() {
        assert_ne!(of(&[user("1 + 1")]).group.user_text, of(&[user("2 + 2")]).group.user_text);
    }

    #[test]
    fn parts_of_text_equal_the_text_and_images_differ() {
        let of_parts = |json: &str| {
            let parts: Vec<&serde_json::value::RawValue> = serde_json::from_str(json).unwrap();
            let parts = parts.iter().map(|part| part.get()).collect();
            of(&[Message { role: Some("user".into()), content: Content::Parts(parts), ..Message::default() }])
        };
        let text = of_parts(r#"[{"type":"text","text":"hi"}]"#);
        let one = of_parts(r#"[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"a"}}]"#);
        let two = of_parts(r#"[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"b"}}]"#);
        assert_ne!(one.request, two.request);
        assert_ne!(one.group.user_text, two.group.user_text);
        assert_eq!(text, of(&[user("hi")]));
        assert_eq!(of_parts(r#"[{"text":"no","text":"hi"}]"#), text, "the last value counts, as in the canonical form");
    }

    #[test]
    fn calls_are_the_same_if_functions_and_arguments_are() {
        let mut maker = RequestKeyMaker::default();
        let mut calls = |name: &'static str, arguments: Option<&'static str>| {
            maker.calls(&[ToolCall { name: name.into(), arguments }])
        };
        let one = calls("f", Some(r#"{"a":1,"b":2}"#));
        assert_eq!(one, calls("f", Some(r#""{\"b\": 2, \"a\": 1}""#)));
        assert_ne!(one, calls("g", Some(r#"{"a":1,"b":2}"#)));
        assert_ne!(one, calls("f", Some(r#"{"a":1,"b":3}"#)));
        assert_eq!(calls("f", Some("\"\"")), calls("f", Some("{}")));
    }
}
