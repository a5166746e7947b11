//! Refused lines that hold records in a wrapper, and which wrapper. Nothing here reads a record.

use crate::data::json::edit::{EditedObject, items, members};
use crate::data::reject::Reject;

/// The fields that tell a record from other objects.
const RECORD: [&str; 2] = ["request", "response"];
/// The fields that have a path in the configuration.
const FIELDS: [&str; 5] = ["timestamp", "workload_id", "client_id", "request", "response"];

/// The wrapper around records that a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrapper {
    /// Records that end with a carriage return alone, so that they are one line.
    CarriageReturns,
    /// The answer of a search, with records in `hits.hits`.
    Search,
    /// An object whose member of this name is a list of records.
    List(String),
    /// An object whose member of this name is a record with these fields.
    Member { key: String, fields: Vec<&'static str> },
}

impl Wrapper {
    /// Returns the wrapper of a line that was refused for this reason. `None` if it is none that is known.
    pub(crate) fn of(line: &[u8], reason: Reject) -> Option<Wrapper> {
        let text = std::str::from_utf8(line).ok()?;
        match reason {
            Reject::TrailingData => text.trim_end().contains('\r').then_some(Wrapper::CarriageReturns),
            Reject::NoRequest | Reject::MissingWorkload => around(text),
            _ => None,
        }
    }
}

fn around(text: &str) -> Option<Wrapper> {
    let object = members(text).ok()?;
    let hits = object.get("hits").and_then(|hits| members(hits).ok()?.get("hits").map(str::to_owned));
    if hits.is_some_and(|hits| is_list(&hits, |hit| of(hit, "_source", is_record))) {
        return Some(Wrapper::Search);
    }
    object.keys().into_iter().filter(|key| is_plain(key)).find_map(|key| {
        let value = object.get(&key)?;
        if is_list(value, is_record) {
            return Some(Wrapper::List(key));
        }
        let record = members(value).ok().filter(has_all)?;
        let fields = FIELDS.into_iter().filter(|field| record.get(field).is_some()).collect();
        Some(Wrapper::Member { key, fields })
    })
}

/// Reports whether a key means the same in a shell, in jq and in a dotted path.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|one| one.is_ascii_alphanumeric() || one == '_')
}

fn of(json: &str, key: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    members(json).is_ok_and(|object| object.get(key).is_some_and(is_wanted))
}

fn is_record(json: &str) -> bool {
    members(json).is_ok_and(|object| has_all(&object))
}

fn has_all(object: &EditedObject<'_>) -> bool {
    RECORD.iter().all(|key| object.get(key).is_some())
}

fn is_list(json: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    items(json).is_ok_and(|items| items.first().is_some_and(|first| is_wanted(first.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_is_told_from_other_lines() {
        let record = r#"{"request": {}, "response": {}, "timestamp": 1}"#;
        let member = Wrapper::Member { key: "_source".to_owned(), fields: vec!["timestamp", "request", "response"] };
        for (line, reason, wanted) in [
            (
                format!(r#"{{"hits": {{"hits": [{{"_id": "a", "_source": {record}}}]}}}}"#),
                Reject::NoRequest,
                Wrapper::Search,
            ),
            (format!(r#"{{"_index": "logs", "_source": {record}}}"#), Reject::NoRequest, member),
            (format!(r#"{{"items": [{record}]}}"#), Reject::NoRequest, Wrapper::List("items".to_owned())),
            ("{\"a\":1}\r{\"b\":2}\r".to_owned(), Reject::TrailingData, Wrapper::CarriageReturns),
        ] {
            assert_eq!(Wrapper::of(line.as_bytes(), reason), Some(wanted), "{line}");
        }
        for (line, reason) in [
            (record, Reject::NoRequest),
            ("{\"a\":1} {}\r\n", Reject::TrailingData),
            ("a,\"b\rc\",d", Reject::BadRow),
            (r#"{"data": []}"#, Reject::NoRequest),
            (r#"{"a key'": [{"request": {}, "response": {}}]}"#, Reject::NoRequest),
            (r#"{"hits": {"hits": [{"a": 1}]}}"#, Reject::NoRequest),
        ] {
            assert_eq!(Wrapper::of(line.as_bytes(), reason), None, "{line}");
        }
    }
}
