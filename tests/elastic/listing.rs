//! Checks that `logs` lists the same workloads, clients, counts and dates for an index as for the local store.

use serde_json::{Value, json};

use crate::harness::{Folder, lines, record};
use crate::server::Server;

fn listed(server: &Server, folder: &Folder, flags: &[&str]) -> Vec<Value> {
    let arguments = ["logs", "--format", "json"].into_iter().chain(flags.iter().copied());
    let output = server.dfwfd(folder, &arguments.collect::<Vec<_>>()).run();
    output.code(0).json()["workloads"].as_array().unwrap().clone()
}

/// Removes labels, which only a reader of every record knows.
fn without_labels(mut rows: Vec<Value>) -> Vec<Value> {
    rows.iter_mut().for_each(|row| row["labels"] = json!({}));
    rows
}

pub(crate) fn counts_are_exact_and_those_of_the_local_store(server: &Server) {
    let folder = Folder::new();
    // More groups than one response holds.
    let mut records: Vec<Value> = (0..1100)
        .map(|number| {
            let mut record = record(&format!("workload {}", number % 37), number);
            record["client_id"] = json!(format!("client {}", number % 1050));
            record
        })
        .collect();
    records[5]["client_id"] = Value::Null;
    records[6].as_object_mut().unwrap().remove("timestamp");
    folder.write("logs.jsonl", lines(&records));
    server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0);
    folder.dfwfd(["load", "logs.jsonl"]).run().code(0);
    let local = |flags: &[&str]| {
        let arguments = ["logs", "--format", "json"].into_iter().chain(flags.iter().copied());
        let output = folder.dfwfd(arguments.collect::<Vec<_>>()).run();
        without_labels(output.code(0).json()["workloads"].as_array().unwrap().clone())
    };
    for flags in [&[][..], &["--workload", "workload 6"], &["--since", "2023-11-14T22:20:00Z"]] {
        assert_eq!(listed(server, &folder, flags), local(flags), "{flags:?}");
    }
}

pub(crate) fn names_that_the_index_does_not_hold_are_counted_by_reading(server: &Server) {
    let folder = Folder::new();
    let name = json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 20}}});
    server.create(&json!({"dynamic": false, "properties": {
        "workload_id": name, "client_id": name, "timestamp": {"type": "long"}}}));
    let mut records: Vec<Value> = (0..30).map(|number| record("w", number)).collect();
    server.put(&records);
    assert_eq!(listed(server, &folder, &[])[0]["labels"], json!({}), "counted by the server");
    for record in records.iter_mut().take(10) {
        record["client_id"] = json!("a client with a name of its own");
    }
    records[0]["workload_id"] = json!("   ");
    server.put(&records);
    let rows = listed(server, &folder, &[]);
    assert_eq!(rows[0]["clients"], json!({"desk": 20, "a client with a name of its own": 9}), "{rows:?}");
    assert_eq!((rows.len(), &rows[0]["records"]), (1, &json!(29)));
    // A command would delete too many records, so there is none.
    let output = server.dfwfd(&folder, &["logs", "--delete", "--workload", "a workload with a long name"]).run();
    output.code(2).says("cannot select these records").says("its mapping does not allow it").hints();
}
