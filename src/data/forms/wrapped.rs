//! Refused lines that hold records in a wrapper, and what takes them out of it. Nothing here reads a record.

use crate::data::json::edit::{EditedObject, items, members};

/// The fields that tell a record from other objects.
const RECORD: [&str; 2] = ["request", "response"];
/// The fields that have a path in the configuration.
const FIELDS: [&str; 5] = ["timestamp", "workload_id", "client_id", "request", "response"];

/// Returns what makes the records of a line readable. `None` if it is no wrapper that is known.
pub(crate) fn way_in(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?;
    if text.trim_end().contains('\r') {
        return Some(
            "the lines end with carriage returns alone: tr '\\r' '\\n' < FILE > NEW makes them lines".to_owned(),
        );
    }
    let object = members(text).ok()?;
    let hits = object.get("hits").and_then(|hits| members(hits).ok()?.get("hits").map(str::to_owned));
    if hits.is_some_and(|hits| is_list(&hits, |hit| of(hit, "_source", is_record))) {
        let taken = "jq -c '.hits.hits[]._source' FILE > NEW.jsonl";
        return Some(format!("{taken} takes the records out of the answer of a search"));
    }
    for key in object.keys() {
        let value = object.get(&key)?;
        if is_record(value) {
            let inner = members(value).ok()?;
            let set = FIELDS.iter().filter(|field| inner.get(field).is_some());
            let set: Vec<String> = set.map(|field| format!("--set logs.fields.{field}={key}.{field}")).collect();
            return Some(format!("the records stand in `{key}`: {} reads them", set.join(" ")));
        }
        if is_list(value, is_record) {
            return Some(format!("jq -c '.{key}[]' FILE > NEW.jsonl takes the records out of the list `{key}`"));
        }
    }
    None
}

fn of(json: &str, key: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    members(json).is_ok_and(|object| object.get(key).is_some_and(is_wanted))
}

fn is_record(json: &str) -> bool {
    let has_all = |object: EditedObject<'_>| RECORD.iter().all(|key| object.get(key).is_some());
    members(json).is_ok_and(has_all)
}

fn is_list(json: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    items(json).is_ok_and(|items| items.first().is_some_and(|first| is_wanted(first.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_is_told_with_what_opens_it() {
        let record = r#"{"request": {}, "response": {}, "timestamp": 1}"#;
        for (line, way) in [
            (format!(r#"{{"hits": {{"total": 1, "hits": [{{"_id": "a", "_source": {record}}}]}}}}"#), "._source'"),
            (format!(r#"{{"_index": "logs", "_source": {record}}}"#), "--set logs.fields.request=_source.request"),
            (format!(r#"{{"_index": "logs", "_source": {record}}}"#), "--set logs.fields.timestamp=_source.timestamp"),
            (format!(r#"{{"items": [{record}]}}"#), "jq -c '.items[]'"),
            ("{\"a\":1}\r{\"b\":2}\r".to_owned(), "tr '\\r'"),
        ] {
            let told = way_in(line.as_bytes()).unwrap_or_default();
            assert!(told.contains(way), "{line}: {told}");
        }
        for line in [record, "{\"a\":1}\r\n", r#"{"data": []}"#, "[1]", "torn", r#"{"hits": {"hits": [{"a": 1}]}}"#] {
            assert_eq!(way_in(line.as_bytes()), None, "{line}");
        }
    }
}
