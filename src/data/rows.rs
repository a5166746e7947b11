//! Renders records as rows of the datasets (docs/records.md). Rows are canonical JSON (RFC 8785): a record gives the same
//! bytes whatever store it comes from.
//!
//! - An eval row is the record: `client_id`, `request`, `response`, `timestamp`, `workload_id`. Arguments of tool calls
//!   are texts in `request.messages` and objects in `response`, where NeMo's evaluator compares them as they are. The
//!   answer stands without its thoughts.
//! - A training row is `{"messages": [..., reply], "tools"?}`. Messages keep role, content, name, tool calls and tool
//!   call id. Nulls are dropped, and a content that is null or absent becomes "". Arguments are objects. The reply has
//!   its thoughts only if that was asked for.

use crate::data::forms::{self, Forms};
use crate::data::json::canonical::{self, CanonicalWriter, Canonicaliser};
use crate::data::json::edit::{edit, edit_items, members};
use crate::data::json::tape::{JsonText, JsonValue, KeyName, Tape};
use crate::data::record::{self, FieldDefaults, Normaliser, Record};
use crate::data::reject::Reject;
use crate::data::thoughts;

/// Renders rows. Holds scratch space, so reuse it.
#[derive(Debug)]
pub(crate) struct RowRenderer {
    records: Normaliser,
    tape: Tape,
    writer: CanonicalWriter,
    canonical: Canonicaliser,
    /// Gives the arguments of tool calls the form that each place needs. Otherwise they stay as logged.
    parse_arguments: bool,
    /// Keeps the thoughts of replies in training rows.
    with_thoughts: bool,
}

/// The form of the arguments of tool calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ArgumentForm {
    Object,
    Text,
    AsLogged,
}

impl RowRenderer {
    /// Creates a renderer. `parse_arguments` is `data_split_config.parse_function_arguments`.
    pub(crate) fn new(parse_arguments: bool) -> RowRenderer {
        RowRenderer {
            records: Normaliser::of_five(),
            tape: Tape::default(),
            writer: CanonicalWriter::default(),
            canonical: Canonicaliser::default(),
            parse_arguments,
            with_thoughts: false,
        }
    }

    /// Keeps the thoughts of replies in training rows, if asked to (`data_split_config.train_on_thoughts`).
    pub(crate) fn with_thoughts(self, with_thoughts: bool) -> RowRenderer {
        RowRenderer { with_thoughts, ..self }
    }

    /// Appends the eval row of a record, without a line end.
    pub(crate) fn eval_row(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        forms::read(json, Forms::Logged, |record| self.whole_eval_row(record, out))
    }

    fn whole_eval_row(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        let start = out.len();
        let record = self.records.write(json, &FieldDefaults::default(), out)?.record;
        let has_calls = record.messages.iter().any(|message| !message.tool_calls.is_empty())
            || record.reply.tool_calls.as_ref().is_ok_and(|calls| !calls.is_empty());
        let has_thoughts = record.reply.content.is_some_and(|content| thoughts::may_stand_in(&content.read()));
        if !(has_calls && self.parse_arguments || has_thoughts) {
            return Ok(());
        }
        let plain = out.split_off(start);
        let plain = std::str::from_utf8(&plain).map_err(|_| Reject::InvalidUtf8)?;
        let row = edit(plain, &mut |key, value| match key {
            "request" => edit(value, &mut |key, value| match key {
                "messages" if self.parse_arguments => {
                    edit_items(value, &mut |_, message| self.with_calls(message, ArgumentForm::Text))
                }
                _ => Ok(value.to_owned()),
            }),
            "response" => edit(value, &mut |key, value| match key {
                "choices" => edit_items(value, &mut |_, choice| {
                    edit(choice, &mut |key, value| match key {
                        "message" => self.eval_reply(value),
                        _ => Ok(value.to_owned()),
                    })
                }),
                _ => Ok(value.to_owned()),
            }),
            _ => Ok(value.to_owned()),
        })?;
        self.canonical.write(&row, out)
    }

    fn eval_reply(&mut self, message: &str) -> Result<String, Reject> {
        let message = edit(message, &mut |key, value| match key {
            "content" if value.starts_with('"') && thoughts::may_stand_in(value) => {
                let text: String = serde_json::from_str(value).map_err(|_| Reject::BadContent)?;
                Ok(json_string(&thoughts::without(&text)))
            }
            _ => Ok(value.to_owned()),
        })?;
        if self.parse_arguments { self.with_calls(&message, ArgumentForm::Object) } else { Ok(message) }
    }

    /// Appends the training row of a record, without a line end.
    pub(crate) fn training_row(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        forms::read(json, Forms::Logged, |record| self.whole_training_row(record, out))
    }

    fn whole_training_row(&mut self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        let mut tape = std::mem::take(&mut self.tape);
        let read = Record::read(json, &FieldDefaults::default(), &mut tape);
        let written = read.and_then(|(_, line)| self.training_line(line, out));
        self.tape = tape;
        written
    }

    fn training_line(&mut self, line: JsonValue<'_, '_>, out: &mut Vec<u8>) -> Result<(), Reject> {
        let request = line.get(REQUEST).ok_or(Reject::NoRequest)?;
        let messages = request.get(MESSAGES).ok_or(Reject::NoMessages)?;
        let response = line.get(RESPONSE).ok_or(Reject::NoResponse)?;
        let first = response.get(CHOICES).and_then(|choices| choices.items().next());
        let reply = first.and_then(|choice| choice.get(MESSAGE)).ok_or(Reject::NoMessage)?;
        out.extend_from_slice(b"{\"messages\":[");
        for message in messages.items() {
            self.training_message(message, false, out)?;
            out.push(b',');
        }
        self.training_message(reply, true, out)?;
        out.push(b']');
        if let Some(tools) = request.get(TOOLS).filter(is_filled_list) {
            out.extend_from_slice(b",\"tools\":");
            self.writer.write(tools, out);
        }
        out.push(b'}');
        Ok(())
    }

    fn training_message(
        &mut self,
        message: JsonValue<'_, '_>,
        is_reply: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Reject> {
        let [content, name, role, call_id, calls] = message.values(KEYS);
        // Written in the order of the keys, so nothing has to be sorted.
        out.extend_from_slice(b"{\"content\":");
        let thoughtful = if is_reply { self.thoughtful(message, content) } else { None };
        match (content, thoughtful) {
            (_, Some(text)) => canonical::write_string(&text, out),
            (Some(content), None) => self.writer.write(content, out),
            (None, None) => out.extend_from_slice(b"\"\""),
        }
        if is_reply {
            out.extend_from_slice(b",\"role\":\"assistant\"");
        } else {
            let others = [(&b",\"name\":"[..], name), (b",\"role\":", role), (b",\"tool_call_id\":", call_id)];
            for (key, value) in others.into_iter().filter_map(|(key, value)| Some((key, value?))) {
                out.extend_from_slice(key);
                self.writer.write(value, out);
            }
        }
        if let Some(calls) = calls.filter(is_filled_list) {
            let form = if self.parse_arguments { ArgumentForm::Object } else { ArgumentForm::AsLogged };
            let calls = self.calls(calls.raw(), form)?;
            out.extend_from_slice(b",\"tool_calls\":");
            self.canonical.write(&calls, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Returns the content of a reply that has thoughts: without them, or with all of them in front of the answer.
    fn thoughtful(&self, reply: JsonValue<'_, '_>, content: Option<JsonValue<'_, '_>>) -> Option<String> {
        let content = content.and_then(|content| content.text());
        let content = content.as_ref().map(JsonText::read).unwrap_or_default();
        let holds_thoughts = thoughts::may_stand_in(&content);
        if !self.with_thoughts {
            return holds_thoughts.then(|| thoughts::without(&content).into_owned());
        }
        let apart = reply.values(THOUGHTS).into_iter().flatten().find_map(|thoughts| thoughts.text());
        let apart = apart.filter(|thoughts| !holds_thoughts && !thoughts.is_blank())?;
        Some(format!("<think>\n{}\n</think>\n\n{content}", apart.read().trim()))
    }

    /// Returns a message with the arguments of its calls in this form.
    fn with_calls(&mut self, message: &str, form: ArgumentForm) -> Result<String, Reject> {
        edit(message, &mut |key, value| match key {
            "tool_calls" if value.starts_with('[') => edit_items(value, &mut |_, call| self.call(call, form)),
            _ => Ok(value.to_owned()),
        })
    }

    /// Returns calls with their arguments in this form and without nulls. What is no call stays as it is.
    fn calls(&mut self, calls: &str, form: ArgumentForm) -> Result<String, Reject> {
        edit_items(calls, &mut |_, call| {
            if !call.starts_with('{') {
                return Ok(call.to_owned());
            }
            let mut call = members(call)?;
            call.remove_nulls();
            self.call(&call.to_json(), form)
        })
    }

    fn call(&mut self, call: &str, form: ArgumentForm) -> Result<String, Reject> {
        edit(call, &mut |key, value| match key {
            "function" if value.starts_with('{') => {
                let mut function = members(value)?;
                let arguments = self.arguments(function.get("arguments"), form)?;
                function.set("arguments", arguments);
                Ok(function.to_json())
            }
            _ => Ok(value.to_owned()),
        })
    }

    fn arguments(&mut self, raw: Option<&str>, form: ArgumentForm) -> Result<String, Reject> {
        match (raw, form) {
            (None, ArgumentForm::Object) => Ok("{}".to_owned()),
            (None, _) => Ok("null".to_owned()),
            // Arguments that are no object stay as they are. Only classification records have such.
            (Some(raw), ArgumentForm::Object) if raw.starts_with('"') && record::text_is_object(raw) => {
                let text: String = serde_json::from_str(raw).map_err(|_| Reject::BadToolArguments)?;
                let text = text.trim();
                Ok(if text.is_empty() { "{}" } else { text }.to_owned())
            }
            (Some(raw), ArgumentForm::Text) if !raw.starts_with('"') => {
                let mut object = Vec::with_capacity(raw.len());
                self.canonical.write(raw, &mut object)?;
                Ok(json_string(&String::from_utf8_lossy(&object)))
            }
            (Some(raw), _) => Ok(raw.to_owned()),
        }
    }
}

const REQUEST: KeyName = KeyName::new("request");
const MESSAGES: KeyName = KeyName::new("messages");
const TOOLS: KeyName = KeyName::new("tools");
const RESPONSE: KeyName = KeyName::new("response");
const CHOICES: KeyName = KeyName::new("choices");
const MESSAGE: KeyName = KeyName::new("message");
/// Keys of a message of a training row.
const KEYS: [KeyName; 5] = [
    KeyName::new("content"),
    KeyName::new("name"),
    KeyName::new("role"),
    KeyName::new("tool_call_id"),
    KeyName::new("tool_calls"),
];

/// Keys under which servers hand out thoughts apart from the answer.
const THOUGHTS: [KeyName; 2] = [KeyName::new("reasoning_content"), KeyName::new("reasoning")];

/// Returns a text as canonical JSON.
fn json_string(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len() + 16);
    canonical::write_string(text, &mut json);
    String::from_utf8_lossy(&json).into_owned()
}

fn is_filled_list(value: &JsonValue<'_, '_>) -> bool {
    value.items().next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: &str = r#"{"timestamp":1700000000500,"workload_id":"w","client_id":"c","request":{"model":"m","messages":[
        {"role":"user","content":"quote ACME","refusal":null},
        {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","index":null,"function":{"name":"find","arguments":{"b":1,"a":12345678901234567890}}}]},
        {"role":"tool","tool_call_id":"1","content":"ACME.N"}],"tools":[{"type":"function","function":{"name":"quote"}}]},
        "response":{"choices":[{"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"2","type":"function","function":{"name":"quote","arguments":"{\"ticker\": \"ACME.N\"}"}}]}},null]}}"#;

    fn row(
        json: &str,
        parse: bool,
        of: impl Fn(&mut RowRenderer, &[u8], &mut Vec<u8>) -> Result<(), Reject>,
    ) -> String {
        let mut out = Vec::new();
        of(&mut RowRenderer::new(parse), json.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_eval_row_is_the_record_with_texts_in_the_history_and_objects_in_the_reply() {
        let row = row(TOOLS, true, RowRenderer::eval_row);
        assert_eq!(
            row,
            r#"{"client_id":"c","request":{"messages":[{"content":"quote ACME","refusal":null,"role":"user"},{"content":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{\"a\":12345678901234567890,\"b\":1}","name":"find"},"id":"1","index":null,"type":"function"}]},{"content":"ACME.N","role":"tool","tool_call_id":"1"}],"model":"m","tools":[{"function":{"name":"quote"},"type":"function"}]},"response":{"choices":[{"message":{"content":null,"refusal":null,"role":"assistant","tool_calls":[{"function":{"arguments":{"ticker":"ACME.N"},"name":"quote"},"id":"2","type":"function"}]}},null]},"timestamp":1700000000,"workload_id":"w"}"#
        );
    }

    #[test]
    fn what_is_no_call_stays_as_it_is() {
        let calls = "[[[0]],null,\"x\",7,{\"function\":[1]},{\"function\":{\"arguments\":[2]}}]";
        let json = format!(
            r#"{{"workload_id":"w","request":{{"messages":[{{"role":"user","content":"u","tool_calls":{calls}}}]}},"response":{{"choices":[{{"message":{{"content":"[[A]]","tool_calls":{calls}}}}}]}}}}"#
        );
        for parse in [true, false] {
            assert_eq!(row(&json, parse, RowRenderer::training_row).matches("[[[0]],null,\"x\",7,").count(), 2);
            assert_eq!(row(&json, parse, RowRenderer::eval_row).matches("[[[0]],null,\"x\",7,").count(), 2);
        }
    }

    #[test]
    fn a_training_row_has_objects_everywhere_and_no_nulls() {
        let row = row(TOOLS, true, RowRenderer::training_row);
        assert_eq!(
            row,
            r#"{"messages":[{"content":"quote ACME","role":"user"},{"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{"a":12345678901234567890,"b":1},"name":"find"},"id":"1","type":"function"}]},{"content":"ACME.N","role":"tool","tool_call_id":"1"},{"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{"ticker":"ACME.N"},"name":"quote"},"id":"2","type":"function"}]}],"tools":[{"function":{"name":"quote"},"type":"function"}]}"#
        );
    }

    #[test]
    fn the_last_value_of_a_key_that_stands_twice_counts_as_in_the_canonical_form() {
        let json = r#"{"workload_id":"w","request":{"messages":[{"role":"user","name":"a","name":null,"content":"x"}]},"response":{"choices":[{"message":{"content":"y"}}]}}"#;
        let canonical =
            String::from_utf8(record::normalise(json.as_bytes(), &FieldDefaults::default()).unwrap().line).unwrap();
        let rows = [json, &canonical].map(|json| row(json, true, RowRenderer::training_row));
        let want = r#"{"messages":[{"content":"x","role":"user"},{"content":"y","role":"assistant"}]}"#;
        assert_eq!(rows, [want; 2]);
    }

    #[test]
    fn a_line_that_has_changed_since_it_was_examined_is_refused() {
        let of = |json: &str| RowRenderer::new(true).training_row(json.as_bytes(), &mut Vec::new());
        let response = r#""response":{"choices":[{"message":{"content":"y"}}]}"#;
        for (request, reason) in [
            (r#""request":7"#, Reject::NoRequest),
            (r#""other":7"#, Reject::NoRequest),
            (r#""request":{"messages":[7]}"#, Reject::BadMessage),
            (r#""request":{"messages":[{"content":"\ud800"}]}"#, Reject::LoneSurrogate),
        ] {
            assert_eq!(of(&format!(r#"{{"workload_id":"w",{request},{response}}}"#)), Err(reason), "{request}");
        }
        let answered =
            |response: &str| of(&format!(r#"{{"workload_id":"w","request":{{"messages":[{{}}]}}{response}}}"#));
        assert_eq!(answered(""), Err(Reject::NoResponse));
        assert_eq!(answered(r#","response":[{"choices":[]}]"#), Err(Reject::BadResponse));
        assert_eq!(answered(r#","response":{"choices":[]}"#), Err(Reject::NoChoices));
    }

    #[test]
    fn thoughts_stand_in_training_rows_only_if_asked_for() {
        let record = |message: &str| {
            format!(
                r#"{{"workload_id":"w","request":{{"messages":[{{"role":"user","content":"u"}}]}},"response":{{"choices":[{{"message":{message}}}]}}}}"#
            )
        };
        let [within, apart] = [
            r#"{"content":"<think>hm</think>\n[[A]]"}"#,
            r#"{"content":"[[A]]","reasoning_content":" hm\n","reasoning":null}"#,
        ]
        .map(record);
        let trained = |reply: &str| {
            format!(r#"{{"messages":[{{"content":"u","role":"user"}},{{"content":"{reply}","role":"assistant"}}]}}"#)
        };
        for (json, with_thoughts) in
            [(&within, r"<think>hm</think>\n[[A]]"), (&apart, r"<think>\nhm\n</think>\n\n[[A]]")]
        {
            assert_eq!(row(json, true, RowRenderer::training_row), trained("[[A]]"));
            let mut out = Vec::new();
            RowRenderer::new(true).with_thoughts(true).training_row(json.as_bytes(), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), trained(with_thoughts));
            for parse in [true, false] {
                assert!(row(json, parse, RowRenderer::eval_row).contains(r#""content":"[[A]]""#));
            }
        }
    }

    #[test]
    fn arguments_stay_as_logged_when_they_are_not_to_be_parsed() {
        let row = row(TOOLS, false, RowRenderer::training_row);
        assert!(row.contains(r#""arguments":"{\"ticker\": \"ACME.N\"}""#), "{row}");
        assert!(row.contains(r#""arguments":{"a":12345678901234567890,"b":1}"#), "{row}");
    }

    #[test]
    fn the_form_does_not_depend_on_how_the_record_was_written() {
        let a = r#"{"workload_id":"w","request":{"messages":[{"role":"user","content":"é/"}]},"response":{"choices":[{"message":{"content":"[[A]]"}}]}}"#;
        let b = r#"{"response":{"choices":[{"message":{"\u0063ontent":"[[A]]"}}]},"metadata":{},"request":{"messages":[{"content":"\u00e9\/","role":"user"}]},"workload_id":"w","timestamp":0,"client_id":null}"#;
        for of in [RowRenderer::eval_row, RowRenderer::training_row] {
            assert_eq!(row(a, true, of), row(b, true, of));
        }
    }
}
