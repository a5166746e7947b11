//! `logs.fields` on files and standard input: lines of another shape give the datasets of the records that they hold.

use serde_json::{Value, json};

use crate::harness::{Folder, files_below, lines, record};

const CONFIG: &str =
    "logs: {source: local, fields: {timestamp: at, workload_id: labels.app, request: payload.request}}\n";

fn document(number: usize) -> Value {
    let mut document = record("w", number);
    let record = document.as_object_mut().unwrap();
    record.insert("at".into(), record["timestamp"].clone());
    record.insert("labels".into(), json!({"app": "w"}));
    record.insert("payload".into(), json!({"request": record["request"].clone()}));
    for key in ["timestamp", "workload_id", "request"] {
        record.insert(key.into(), json!("something else"));
    }
    document
}

/// The datasets without the manifest, which names the source.
fn datasets(folder: &Folder, name: &str) -> Vec<Vec<u8>> {
    let files = files_below(&folder.at(name));
    files.into_iter().filter(|(path, _)| !path.ends_with("manifest.json")).map(|(_, bytes)| bytes).collect()
}

#[test]
fn lines_of_another_shape_give_the_same_datasets_however_they_come() {
    let folder = Folder::with_config(CONFIG);
    let documents: Vec<Value> = (0..200).map(document).collect();
    let text = format!("{}broken\n", lines(&documents));
    folder.write("documents.jsonl", &text);
    folder.dfwfd(["split", "--logs", "documents.jsonl", "--out", "file"]).run().code(0);
    folder.dfwfd(["split", "--logs", "-", "--out", "stdin"]).input(text.as_str()).run().code(0);
    let loaded = folder.dfwfd(["load", "documents.jsonl", "--format", "json"]).run().code(0).json();
    assert_eq!((&loaded["data"]["added"], &loaded["data"]["rejected"]), (&json!(200), &json!({"invalid_json": 1})));
    let again = folder.dfwfd(["load", "-", "--format", "json"]).input(text.as_str()).run().code(0).json();
    assert_eq!(again["data"]["present"], 200);
    folder.dfwfd(["split", "--out", "store"]).run().code(0);
    let plain = Folder::new();
    plain.write("records.jsonl", lines(&(0..200).map(|number| record("w", number)).collect::<Vec<_>>()));
    plain.dfwfd(["split", "--logs", "records.jsonl", "--out", "own"]).run().code(0);
    let own = datasets(&plain, "own");
    assert!(own.len() >= 3);
    for out in ["file", "stdin", "store"] {
        assert!(datasets(&folder, out) == own, "{out}");
    }
    let manifest: Value = serde_json::from_str(&folder.read("file/manifest.json")).unwrap();
    assert_eq!(manifest["inputs"][0]["bytes"], text.len(), "the input is the file, not what was made of it");
    assert_eq!(files_below(&folder.at("file")).len(), own.len() + 1, "copies are gone");
}

#[test]
fn a_field_that_no_line_has_is_said_and_nothing_is_stored() {
    let folder = Folder::with_config(CONFIG);
    folder.write("documents.jsonl", lines(&(0..200).map(document).collect::<Vec<_>>()));
    for command in [&["load", "documents.jsonl"][..], &["split", "--logs", "documents.jsonl", "--out", "out"]] {
        let output = folder.dfwfd(command).args(["--set", "logs.fields.timestamp=time"]).run();
        output.code(2).says("none of 200 lines has time, the path in logs.fields.timestamp").hints();
    }
    let listed = folder.dfwfd(["logs", "--format", "json"]).run().code(0).json();
    assert_eq!(listed["workloads"], json!([]));
}
