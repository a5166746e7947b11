//! Masks the lines of a log. They stay JSON: values are masked, and the objects in texts, such as the arguments of tool
//! calls, stay objects.

use std::borrow::Cow;

use super::{Redactor, checks};
use crate::data::forms::{self, Forms};
use crate::data::json::canonical::write_string;
use crate::data::json::tape::{JsonKind, JsonValue, Tape};
use crate::data::record::{FieldDefaults, Record};

/// Fields of a record that are no texts of requests and responses.
const KEPT: [&str; 3] = ["timestamp", "workload_id", "client_id"];

/// Levels of JSON in texts of JSON that are read as JSON.
const NESTED: u8 = 4;

impl Redactor {
    /// Masks the line of a log, without its line end. The pieces of a streamed answer are joined first, because a value may
    /// stand in several of them.
    pub(crate) fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let mut tape = std::mem::take(&mut self.tape);
        let start = out.len();
        let masked = forms::read(line, Forms::Logged, |json| {
            let (_, root) = Record::read(json, &FieldDefaults::default(), &mut tape)?;
            self.record(root, out);
            Ok(())
        });
        if masked.is_err() {
            out.truncate(start);
            // It is refused, and shown as it is masked here.
            let text = String::from_utf8_lossy(line);
            match tape.read(&text, 0) {
                Ok(json) if json.root.kind() == JsonKind::Object => self.record(json.root, out),
                _ => out.extend_from_slice(self.text(&text).as_bytes()),
            }
        }
        self.tape = tape;
    }

    /// Masks the values of an object, but not the fields that tell records apart.
    fn record(&mut self, record: JsonValue<'_, '_>, out: &mut Vec<u8>) {
        self.object(record, out, |redactor, name, value, out| {
            if KEPT.contains(&name) {
                out.extend_from_slice(value.raw().as_bytes());
            } else {
                redactor.member(name, value, NESTED, out);
            }
        });
    }

    fn object(
        &mut self,
        object: JsonValue<'_, '_>,
        out: &mut Vec<u8>,
        mut member: impl FnMut(&mut Redactor, &str, JsonValue<'_, '_>, &mut Vec<u8>),
    ) {
        let mut before = b'{';
        for (key, value) in object.members() {
            out.push(before);
            self.string(key, out);
            out.push(b':');
            let name = key.text().map(|name| name.read()).unwrap_or_default();
            member(self, &name, value, out);
            before = b',';
        }
        out.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
    }

    /// Masks the value of a member. Its name may tell that it is a secret.
    fn member(&mut self, name: &str, value: JsonValue<'_, '_>, nested: u8, out: &mut Vec<u8>) {
        if checks::names_secret(name) {
            self.secret_value(value, nested, out);
        } else {
            self.value(value, nested, out);
        }
    }

    /// Masks a secret: a text or a number, or a list of them. An object describes a secret, as in the schema of a tool.
    fn secret_value(&mut self, value: JsonValue<'_, '_>, nested: u8, out: &mut Vec<u8>) {
        let text = match value.kind() {
            JsonKind::List => {
                return self.list(value, out, |redactor, item, out| redactor.secret_value(item, nested, out));
            }
            JsonKind::Plain | JsonKind::Escaped | JsonKind::Encoded => value.text().map(|text| text.read()),
            JsonKind::Integer | JsonKind::Number => Some(value.raw().into()),
            _ => None,
        };
        match text.and_then(|text| self.secret(&text)) {
            Some(masked) => write_string(&masked, out),
            None => self.value(value, nested, out),
        }
    }

    fn list(
        &mut self,
        list: JsonValue<'_, '_>,
        out: &mut Vec<u8>,
        mut item: impl FnMut(&mut Redactor, JsonValue<'_, '_>, &mut Vec<u8>),
    ) {
        let mut before = b'[';
        for value in list.items() {
            out.push(before);
            item(self, value, out);
            before = b',';
        }
        out.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
    }

    fn value(&mut self, value: JsonValue<'_, '_>, nested: u8, out: &mut Vec<u8>) {
        match value.kind() {
            JsonKind::Object => self.object(value, out, |redactor, name, value, out| {
                redactor.member(name, value, nested, out);
            }),
            JsonKind::List => self.list(value, out, |redactor, item, out| redactor.value(item, nested, out)),
            JsonKind::Plain | JsonKind::Escaped | JsonKind::Encoded => {
                if !self.json_in_text(value, nested, out) {
                    self.string(value, out);
                }
            }
            // Other numbers are measures, and their digits are by chance those of a card now and then.
            JsonKind::Integer => match self.text(value.raw()) {
                Cow::Owned(masked) => write_string(&masked, out),
                Cow::Borrowed(number) => out.extend_from_slice(number.as_bytes()),
            },
            _ => out.extend_from_slice(value.raw().as_bytes()),
        }
    }

    fn string(&mut self, string: JsonValue<'_, '_>, out: &mut Vec<u8>) {
        let text = string.text().map(|text| text.read()).unwrap_or_default();
        if text.is_empty() {
            // Empty, or with half of a surrogate pair: its line is refused, and shown as it is masked here.
            return out.extend_from_slice(self.text(string.raw()).as_bytes());
        }
        match self.text(&text) {
            Cow::Owned(masked) => write_string(&masked, out),
            Cow::Borrowed(_) => out.extend_from_slice(string.raw().as_bytes()),
        }
    }

    /// Masks the values of JSON that a string holds. Returns false if it holds none.
    fn json_in_text(&mut self, string: JsonValue<'_, '_>, nested: u8, out: &mut Vec<u8>) -> bool {
        let Some(deeper) = nested.checked_sub(1) else { return false };
        // An escape may stand for the first letter, but hardly anybody writes a brace as one.
        let starts_like_json = |raw: &str| raw.trim_start_matches(['"', ' ']).starts_with(['{', '[', '\\']);
        if !starts_like_json(string.raw()) {
            return false;
        }
        let text = string.text().map(|text| text.read()).unwrap_or_default();
        let mut tape = Tape::default();
        let Ok(json) = tape.read(text.trim(), 0) else { return false };
        if !matches!(json.root.kind(), JsonKind::Object | JsonKind::List) {
            return false;
        }
        let before: u64 = self.counts.values().sum();
        let mut masked = Vec::new();
        self.value(json.root, deeper, &mut masked);
        match String::from_utf8(masked) {
            Ok(masked) if self.counts.values().sum::<u64>() > before => write_string(&masked, out),
            _ => out.extend_from_slice(string.raw().as_bytes()),
        }
        true
    }
}
