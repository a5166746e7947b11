//! Documents of another shape: takes the five fields of a record from their paths, as they are written. Checks nothing. A
//! document that cannot be read stays as it is, for the rules to refuse.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::data::forms::presets::{Prepared, Preset};
use crate::data::json::members::Members;
use crate::data::options::Fields;
use crate::data::unusable::Unusable;

/// Turns documents into records, and remembers which fields it has met.
#[derive(Clone, Debug)]
pub(crate) struct Reshaper {
    /// Name of each field, its path, and whether a document has to have it. A field may have several paths.
    fields: Vec<(&'static str, String, bool)>,
    met: Vec<bool>,
    documents: u64,
    export: Option<&'static Preset>,
}

/// The content of a document: fields with their values, and keys that hold no field.
#[derive(Default)]
struct FoundFields<'a> {
    fields: Vec<(usize, &'a RawValue)>,
    others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl Reshaper {
    /// Creates a reshaper for documents with these paths.
    pub(crate) fn new(fields: &Fields) -> Reshaper {
        let place =
            |(name, path): (&'static str, Option<&str>)| (name, path.unwrap_or(name).to_owned(), path.is_some());
        Reshaper::of(fields.all().map(place).into(), None)
    }

    /// Creates a reshaper for the lines of an exporter.
    pub(crate) fn of_export(export: &'static Preset) -> Reshaper {
        let place = |(name, path): (&'static str, &str)| (name, path.to_owned(), true);
        let mut fields: Vec<_> = export.places().into_iter().map(place).collect();
        fields.push(("workload_id", "workload_id".to_owned(), false));
        Reshaper::of(fields, Some(export))
    }

    fn of(fields: Vec<(&'static str, String, bool)>, export: Option<&'static Preset>) -> Reshaper {
        Reshaper { met: vec![false; fields.len()], fields, documents: 0, export }
    }

    /// Appends the record of a document, on one line and without a line end.
    pub(crate) fn write(&mut self, document: &[u8], out: &mut Vec<u8>) {
        let prepared = self.export.map(|export| export.prepared(document));
        let is_call = !matches!(prepared, Some(Prepared::NoCall(_)));
        let document = match &prepared {
            Some(Prepared::Call(line) | Prepared::NoCall(line)) => line,
            Some(Prepared::AsItIs) | None => document,
        };
        let Some(found) = std::str::from_utf8(document).ok().and_then(|text| self.found(text)) else {
            return out.extend_from_slice(document);
        };
        self.documents += u64::from(is_call);
        let mut before = b'{';
        let mut key = |name: &str, out: &mut Vec<u8>| {
            out.push(before);
            before = b',';
            out.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
            out.push(b':');
        };
        for (field, value) in &found.fields {
            self.met[*field] = true;
            let (name, _, _) = &self.fields[*field];
            key(name, out);
            match unpacked(name, value) {
                Some(text) => {
                    out.extend(text.bytes().map(|byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }))
                }
                None => out.extend_from_slice(value.get().as_bytes()),
            }
        }
        for (name, value) in &found.others {
            key(name, out);
            out.extend_from_slice(value.get().as_bytes());
        }
        if found.fields.is_empty() && found.others.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
    }

    /// Returns an error for the first mapped field that no document had so far. The client is no such field, because many
    /// records have none.
    pub(crate) fn unmet(&self) -> Option<Unusable> {
        let is_met = |name| self.fields.iter().zip(&self.met).any(|((other, ..), met)| *other == name && *met);
        let mut all = self.fields.iter().filter(|_| self.documents > 0);
        let (field, path, _) = all.find(|(name, _, mapped)| *mapped && *name != "client_id" && !is_met(*name))?;
        Some(Unusable::NoField { field, path: path.clone(), documents: self.documents })
    }

    fn found<'a>(&self, text: &'a str) -> Option<FoundFields<'a>> {
        let mut found = FoundFields::default();
        let places: Vec<(usize, &str)> = self.fields.iter().map(|(_, path, _)| path.as_str()).enumerate().collect();
        look(text, &places, &mut |step| match step {
            Step::Field(field, value) => found.fields.push((field, value)),
            // Another value under the name of a field would be taken for the field.
            Step::Other(key, value) if self.fields.iter().all(|(name, _, _)| *name != key) => {
                found.others.push((key, value));
            }
            Step::Other(..) => {}
        })?;
        Some(found)
    }
}

/// The content of a key.
enum Step<'a> {
    Field(usize, &'a RawValue),
    Other(Cow<'a, str>, &'a RawValue),
}

/// Calls `tell` for every key of an object and for the fields at these paths. Returns `None` if it is no object.
fn look<'a>(text: &'a str, places: &[(usize, &str)], tell: &mut dyn FnMut(Step<'a>)) -> Option<()> {
    let object: Members<'a> = serde_json::from_str(text).ok()?;
    for (key, value) in object.0 {
        let mut below = Vec::new();
        let mut used = false;
        for (field, place) in places {
            match place.strip_prefix(&*key) {
                Some("") => {
                    tell(Step::Field(*field, value));
                    used = true;
                }
                Some(rest) => below.extend(rest.strip_prefix('.').map(|rest| (*field, rest))),
                None => {}
            }
        }
        if !below.is_empty() {
            let mut inner = |step: Step<'a>| {
                if let Step::Field(..) = step {
                    used = true;
                    tell(step);
                }
            };
            // Only an object can hold fields.
            look(value.get(), &below, &mut inner);
        }
        if !used {
            tell(Step::Other(key, value));
        }
    }
    Some(())
}

/// Returns the JSON of a request or response that is kept as a text.
fn unpacked(name: &str, value: &RawValue) -> Option<String> {
    let text = value.get();
    if !matches!(name, "request" | "response") || !text.starts_with('"') {
        return None;
    }
    let inner: String = serde_json::from_str(text).ok()?;
    let is_object = inner.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(&inner).is_ok();
    is_object.then_some(inner)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields() -> Fields {
        let text = |text: &str| Some(text.to_owned());
        Fields {
            timestamp: text("@timestamp"),
            workload_id: text("labels.app"),
            client_id: None,
            request: text("payload.request"),
            response: text("payload.response"),
        }
    }

    fn record(document: &str) -> String {
        let mut out = Vec::new();
        Reshaper::new(&fields()).write(document.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_taken_from_where_they_stand_as_they_are_written() {
        let document = json!({
            "@timestamp": "2023-11-14T22:13:20Z",
            "labels": {"app": "w", "env": "live"},
            "client_id": "desk",
            "payload": {"request": {"messages": []}, "response": {"choices": []}, "bytes": 7},
            "request": "GET /", "level": "info",
        });
        let wanted = json!({
            "timestamp": "2023-11-14T22:13:20Z", "workload_id": "w", "client_id": "desk",
            "request": {"messages": []}, "response": {"choices": []}, "level": "info",
        });
        assert_eq!(serde_json::from_str::<Value>(&record(&document.to_string())).unwrap(), wanted);
        let dotted = json!({"labels.app": "w", "payload": {"request": 1}, "payload.response": 2});
        let wanted = json!({"workload_id": "w", "request": 1, "response": 2});
        assert_eq!(serde_json::from_str::<Value>(&record(&dotted.to_string())).unwrap(), wanted);
        assert_eq!(
            record(r#"{"@timestamp": 1700000000.50,"payload":3}"#),
            r#"{"timestamp":1700000000.50,"payload":3}"#
        );
        assert_eq!(record("{}"), "{}");
    }

    #[test]
    fn what_cannot_be_read_is_left_and_a_field_that_stands_twice_stays_twice() {
        for text in ["", "[1]", "{\"a\":", "{} x", "null"] {
            assert_eq!(record(text), text);
        }
        assert_eq!(record(r#"{"labels":{"app":"a"},"labels.app":"b"}"#), r#"{"workload_id":"a","workload_id":"b"}"#);
    }

    #[test]
    fn requests_that_are_kept_as_text_are_unpacked() {
        let document = json!({"payload": {"request": "{\n \"messages\": []}", "response": "no"}, "labels.app": "{}"});
        assert_eq!(
            record(&document.to_string()),
            r#"{"request":{  "messages": []},"response":"no","workload_id":"{}"}"#
        );
    }

    #[test]
    fn fields_that_no_document_had_are_named() {
        let mut reshaper = Reshaper::new(&fields());
        let mut out = Vec::new();
        reshaper.write(br#"{"payload":{"request":1}}"#, &mut out);
        assert!(matches!(reshaper.unmet(), Some(Unusable::NoField { field: "timestamp", .. })), "{reshaper:?}");
        reshaper.write(br#"{"@timestamp":1,"labels.app":"w","payload.response":2}"#, &mut out);
        assert!(reshaper.unmet().is_none());
        let mut unread = Reshaper::new(&fields());
        unread.write(b"broken", &mut out);
        assert!(unread.unmet().is_none());
    }
}
