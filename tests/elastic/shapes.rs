//! Documents of another shape: `logs.fields` gives the paths of the five fields.

use serde_json::{Value, json};

use crate::harness::{Folder, files_below, lines, record};
use crate::server::Server;

const FIELDS: &str = "fields: {timestamp: '@timestamp', workload_id: labels.app, client_id: who.desk, \
                      request: payload.request, response: payload.response}";

/// Returns a record in another application's shape.
fn document(workload: &str, number: usize) -> Value {
    let record = record(workload, number);
    let time = number + 20;
    let mut document = json!({
        "@timestamp": format!("2023-11-14T22:{:02}:{:02}.5Z", 13 + time / 60, time % 60),
        "labels": {"app": workload, "env": "live"},
        "payload": {"request": record["request"], "response": record["response"], "padding": "x".repeat(200)},
        "request": "POST /v1/chat/completions",
        "who": {"desk": record["client_id"]},
    });
    match number % 3 {
        // The server does not tell keys with dots from nested objects.
        1 => {
            document["labels.app"] = document["labels"]["app"].take();
            document.as_object_mut().unwrap().remove("labels");
        }
        2 => document["payload"]["request"] = json!(record["request"].to_string()),
        _ => {}
    }
    document
}

fn documents() -> Vec<Value> {
    (0..240).map(|number| document(["a", "b"][number % 2], number)).collect()
}

fn folder(source: &str) -> Folder {
    Folder::with_config(&format!("logs: {{source: {source}, {FIELDS}}}\n"))
}

fn create(server: &Server) {
    server.create(&json!({"dynamic": false, "properties": {
        "@timestamp": {"type": "date"},
        "labels": {"properties": {"app": {"type": "keyword"}}},
        "who": {"properties": {"desk": {"type": "text", "fields": {"raw": {"type": "keyword"}}}}},
        "payload": {"type": "object", "enabled": false},
    }}));
}

/// Returns the datasets without the manifest, which names the source.
fn datasets(folder: &Folder, name: &str) -> Vec<Vec<u8>> {
    let files = files_below(&folder.at(name));
    files.into_iter().filter(|(path, _)| !path.ends_with("manifest.json")).map(|(_, bytes)| bytes).collect()
}

pub(crate) fn documents_of_another_shape_are_read(server: &Server) {
    create(server);
    server.put(&documents());
    let folder = folder("elasticsearch");
    let records: Vec<Value> = (0..240).map(|number| record(["a", "b"][number % 2], number)).collect();
    folder.write("records.jsonl", lines(&records));
    let window = [
        "--workload",
        "a",
        "--client",
        "desk",
        "--since",
        "2023-11-14T22:14:00Z",
        "--set",
        "data_split_config.eval_size=20",
    ];
    let split = |out: &str, more: &[&str]| {
        let base = ["split", "--format", "json", "--out", out];
        base.iter().chain(&window).chain(more).map(|text| (*text).to_owned()).collect::<Vec<String>>()
    };
    let arguments = split("index", &[]);
    let found = server.dfwfd(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).run();
    let found = found.code(0).json()["data"].clone();
    assert_eq!((&found["kept"], &found["other"]), (&json!(100), &json!(0)), "{found}");
    let plain = Folder::with_config("logs: {source: local}\n");
    plain.write("records.jsonl", lines(&records));
    plain.dfwfd(split("file", &["--logs", "records.jsonl"])).run().code(0);
    assert!(datasets(&folder, "index") == datasets(&plain, "file"), "the same datasets from the records themselves");
    assert_eq!(server.contexts(), 0);
    let listed = server.dfwfd(&folder, &["logs", "--format", "json"]).run().code(0).json();
    assert_eq!(listed["workloads"][0]["records"], 120);
    assert_eq!(listed["workloads"][1]["clients"]["desk"], 120);
    assert_eq!(listed["workloads"][0]["first"], "2023-11-14T22:13:20Z");
    // The server cannot count by a field that is not in the mapping, so the documents are read.
    let set = [
        "logs",
        "--format",
        "json",
        "--workload",
        "POST /v1/chat/completions",
        "--set",
        "logs.fields.request=payload.request",
    ];
    let by = server.dfwfd(&folder, &set).args(["--set", "logs.fields.workload_id=request"]).run();
    let row = by.code(0).json()["workloads"][0].clone();
    assert_eq!((&row["records"], &row["labels"]["Earnings"]), (&json!(240), &json!(120)), "{row}");
    let output = server.dfwfd(&folder, &["load", "records.jsonl"]).run();
    output.code(2).says("logs.fields").says("logs.source=local");
}

pub(crate) fn fields_that_queries_do_not_reach_are_looked_at_here(server: &Server) {
    server.create(&json!({"dynamic": false, "properties": {
        "@timestamp": {"type": "date"}, "labels": {"properties": {"app": {"type": "keyword"}}},
        "who": {"type": "nested", "properties": {"desk": {"type": "keyword"}}}}}));
    server.put(&documents());
    let folder = folder("elasticsearch");
    let arguments = ["split", "--workload", "a", "--client", "desk", "--out", "out", "--format", "json"];
    let small = ["--set", "data_split_config.eval_size=20"];
    let output = server.dfwfd(&folder, &[&arguments[..], &small].concat()).run();
    assert_eq!(output.code(0).json()["data"]["kept"], 120);
    let listed = server.dfwfd(&folder, &["logs", "--format", "json"]).run().code(0).json();
    assert_eq!(listed["workloads"][0]["clients"]["desk"], 120);
}

pub(crate) fn a_field_that_is_nowhere_is_said(server: &Server) {
    create(server);
    server.put(&documents());
    let folder = folder("elasticsearch");
    for (field, path) in [("timestamp", "time"), ("response", "payload.reply"), ("client_id", "who.name")] {
        let set = format!("logs.fields.{field}={path}");
        let output = server.dfwfd(&folder, &["split", "--workload", "a", "--out", "out", "--set", &set]).run();
        output.code(2).says(path).says("neither its mapping nor any of 20 documents").hints();
    }
}
