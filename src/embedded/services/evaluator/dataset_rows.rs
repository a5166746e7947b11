//! The rows of a task: read from dataset files or given in the request, with keys that templates can name.

use axum::body::Bytes;
use serde_json::{Map, Value};

use crate::embedded::backend::Backend;
use crate::embedded::state::blobs::Blob;

/// The source of the rows of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RowSource {
    /// Files of a repository, by URL.
    Files(String),
    /// In the request.
    Given(Vec<Map<String, Value>>),
}

impl RowSource {
    /// Returns the first rows.
    pub(crate) async fn rows(&self, backend: &Backend, limit: usize) -> Result<Vec<Value>, String> {
        match self {
            RowSource::Files(url) => {
                let files = backend.state().repositories.dataset_files(url);
                let files = files.ok_or_else(|| format!("Dataset {url} is not present on datastore"))?;
                let named = url.clone();
                let all = tokio::task::spawn_blocking(move || all(&named, &files, limit)).await;
                all.unwrap_or_else(|crash| Err(crash.to_string()))
            }
            RowSource::Given(given) => Ok(given.iter().take(limit).cloned().map(with_plain_keys).collect()),
        }
    }
}

/// Reads the first rows of some files; blocks.
fn all(url: &str, files: &[(String, Blob)], limit: usize) -> Result<Vec<Value>, String> {
    let mut rows = Vec::new();
    for (path, content) in files {
        let read = content.bytes().map_err(|error| error.to_string()).and_then(|bytes| read(path, &bytes, &mut rows));
        read.map_err(|why| format!("{path} of {url}: {why}"))?;
    }
    if rows.is_empty() {
        return Err(format!("{url} holds no rows"));
    }
    rows.truncate(limit);
    Ok(rows)
}

/// Reads a file of rows: a JSON array, or one row on each line.
fn read(path: &str, bytes: &Bytes, rows: &mut Vec<Value>) -> Result<(), String> {
    if path.ends_with(".json") {
        let all: Vec<Map<String, Value>> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        rows.extend(all.into_iter().map(with_plain_keys));
    } else if path.ends_with(".jsonl") {
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace)) {
            let row = serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", at + 1))?;
            rows.push(with_plain_keys(row));
        }
    }
    Ok(())
}

/// Renames the keys of a row so that templates can name them: lower case, and `_` for all but letters and digits.
fn with_plain_keys(row: Map<String, Value>) -> Value {
    let mut plain = Map::new();
    for (key, value) in row {
        let named: String = key.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
        let named = named.to_lowercase();
        let mut key = named.clone();
        let mut clash = 0;
        while plain.contains_key(&key) {
            clash += 1;
            key = format!("{named}_{clash}");
        }
        plain.insert(key, value);
    }
    Value::Object(plain)
}

/// Returns the item and the sample of a row that already holds the answer: its members of these names if it has both,
/// as rows of earlier results do, otherwise the row itself and the answer in it.
pub(crate) fn answered(row: Value) -> (Value, Value) {
    if row["item"].is_object() && row["sample"].is_object() {
        return (row["item"].clone(), row["sample"].clone());
    }
    let sample = if row["sample"].is_object() {
        row["sample"].clone()
    } else {
        let mut sample = Map::new();
        if let Some(text) = row.get("output_text") {
            sample.insert("output_text".into(), text.clone());
            sample.extend(row.get("response").map(|response| ("response".to_owned(), response.clone())));
        }
        Value::Object(sample)
    };
    (row, sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_become_names_that_templates_can_say() {
        let row = json!({"Request-Id": 1, "request_id": 2, "request.id": 3, "Über": 4});
        let Value::Object(row) = row else { return };
        assert_eq!(with_plain_keys(row), json!({"request_id": 1, "request_id_1": 2, "request_id_2": 3, "über": 4}));
    }

    #[test]
    fn rows_come_from_lines_and_arrays() {
        let mut rows = Vec::new();
        read("a.jsonl", &Bytes::from("{\"a\":1}\n\n{\"a\":2}"), &mut rows).unwrap();
        read("b.json", &Bytes::from("[{\"a\":3}]"), &mut rows).unwrap();
        read("README.md", &Bytes::from("no rows"), &mut rows).unwrap();
        assert_eq!(rows, [json!({"a": 1}), json!({"a": 2}), json!({"a": 3})]);
        let problem = read("a.jsonl", &Bytes::from("{\"a\":1}\n[1]"), &mut Vec::new()).unwrap_err();
        assert!(problem.starts_with("line 2"), "{problem}");
    }

    #[test]
    fn a_row_may_carry_its_answer() {
        let sample = json!({"output_text": "x"});
        let both = json!({"item": {"a": 1}, "sample": sample, "metrics": {}});
        assert_eq!(answered(both), (json!({"a": 1}), sample.clone()));
        let beside = json!({"a": 1, "output_text": "x"});
        assert_eq!(answered(beside.clone()), (beside, sample.clone()));
        let inside = json!({"a": 1, "sample": sample});
        assert_eq!(answered(inside.clone()), (inside, sample));
        let log = json!({"response": {"choices": []}});
        assert_eq!(answered(log.clone()), (log, json!({})));
    }
}
