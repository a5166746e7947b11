//! Indices that something else has made: read right, written to where that can be, refused where not.

use serde_json::{Value, json};

use crate::harness::{Folder, lines, log, record};
use crate::server::Server;

fn read(server: &Server, folder: &Folder, out: &str, flags: &[&str]) -> Value {
    let base = ["split", "--format", "json", "--set", "data_split_config.min_total_records=1"];
    let more = ["--set", "data_split_config.eval_size=5", "--out", out];
    let arguments: Vec<&str> = base.iter().chain(&more).chain(flags).copied().collect();
    server.dfwfd(folder, &arguments).run().code(0).json()["data"].clone()
}

/// 100 seconds into 1,700,000,000, and 30 seconds long.
const WINDOW: [&str; 4] = ["--since", "2023-11-14T22:15:00Z", "--until", "2023-11-14T22:15:30Z"];

pub fn windows_are_right_on_every_mapping(server: &Server) {
    let folder = Folder::new();
    let seconds = |number: usize| json!(1_700_000_000 + number);
    let milliseconds = |number: usize| json!((1_700_000_000 + number) * 1000 + 7);
    let text = |number: usize| {
        let second = number % 60;
        json!(format!("2023-11-14T22:{:02}:{:02}Z", 13 + (number + 20) / 60, (second + 20) % 60))
    };
    let plain = json!({"type": "date"});
    let own = json!({"type": "date", "format": "epoch_second||strict_date_optional_time"});
    type Stamp<'a> = &'a dyn Fn(usize) -> Value;
    let cases: [(Value, Stamp<'_>); 7] = [
        (plain.clone(), &seconds),
        (plain.clone(), &milliseconds),
        (plain, &text),
        (own.clone(), &seconds),
        (own, &text),
        (json!({"type": "long"}), &seconds),
        (json!({"type": "keyword"}), &text),
    ];
    for (number, (timestamp, stamp)) in cases.into_iter().enumerate() {
        let exact = timestamp["type"] != "keyword";
        server.forget();
        server.create(&json!({"dynamic": false, "properties": {"timestamp": timestamp,
            "workload_id": {"type": "keyword"}, "client_id": {"type": "keyword"}}}));
        let documents = (0..160).map(|number| {
            let mut record = record("w", number);
            record["timestamp"] = stamp(number);
            record
        });
        server.put(&documents.collect::<Vec<_>>());
        let found = read(server, &folder, &format!("out-{number}"), &WINDOW);
        assert_eq!(found["kept"], 30, "{timestamp} {}: {found}", stamp(0));
        assert_eq!(found["other"], if exact { 0 } else { 130 }, "{timestamp}: {found}");
    }
}

pub fn the_index_of_the_reference_loader_is_read(server: &Server) {
    let folder = Folder::new();
    server.create(&json!({"properties": {
        "workload_id": {"type": "keyword"},
        "client_id": {"type": "keyword"},
        "timestamp": {"type": "date"},
        "request": {"type": "object", "dynamic": false},
        "response": {"type": "object", "dynamic": false},
    }}));
    let documents: Vec<Value> = (0..90).map(|number| record(["a", "b"][number % 2], number)).collect();
    server.put(&documents);
    let found = read(server, &folder, "a", &["--workload", "a"]);
    assert_eq!((&found["read"], &found["kept"], &found["other"]), (&json!(45), &json!(45), &json!(0)));
    let found = read(server, &folder, "client", &["--workload", "b", "--client", "desk"]);
    assert_eq!(found["kept"], 45);
    folder.write("logs.jsonl", lines(&documents));
    // It can be written to as well; what a loader without ids of its own has put in is not recognised.
    let loaded = server.dfwfd(&folder, &["load", "logs.jsonl", "--format", "json"]).run().code(0).json();
    assert_eq!(loaded["data"]["added"], 90);
    let found = read(server, &folder, "both", &["--workload", "a", "--since", "2023-11-14T22:13:20Z"]);
    assert_eq!((&found["read"], &found["duplicates"]), (&json!(90), &json!(45)));
}

pub fn a_strict_index_takes_the_five_fields(server: &Server) {
    let folder = Folder::new();
    server.create(&json!({"dynamic": "strict", "properties": {
        "workload_id": {"type": "keyword"},
        "client_id": {"type": "keyword"},
        "timestamp": {"type": "date", "format": "epoch_second"},
        "request": {"type": "object", "enabled": false},
        "response": {"type": "object", "enabled": false},
    }}));
    let mut records: Vec<Value> = (0..20).map(|number| record("w", number)).collect();
    records[3]["latency_ms"] = json!(12);
    folder.write("logs.jsonl", lines(&records));
    let output = server.dfwfd(&folder, &["load", "logs.jsonl", "--format", "json"]).run();
    assert_eq!(output.code(0).json()["data"]["added"], 20);
    output.says("1 record");
}

pub fn a_mapping_that_does_not_fit_is_refused(server: &Server) {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 3));
    let strict = json!({"dynamic": "strict", "properties": {"workload_id": {"type": "keyword"}}});
    let other = json!({"properties": {"request": {"type": "keyword"}}});
    for (mappings, said) in [(strict, "strict"), (other, "request")] {
        server.forget();
        server.create(&mappings);
        server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(2).says(said).hints();
    }
}

pub fn a_record_that_the_server_refuses_is_counted(server: &Server) {
    let folder = Folder::new();
    let mut records: Vec<Value> = (0..3).map(|number| record("w", number)).collect();
    records[1]["workload_id"] = json!("w".repeat(40_000));
    folder.write("logs.jsonl", lines(&records));
    let arguments = ["load", "logs.jsonl", "--format", "json", "--rejects", "rejects.jsonl"];
    let output = server.dfwfd(&folder, &arguments).run();
    let data = output.code(0).json()["data"].clone();
    assert_eq!((&data["added"], &data["rejected"]["refused_by_store"]), (&json!(2), &json!(1)), "{data}");
    let reject: Value = serde_json::from_str(folder.read("rejects.jsonl").trim()).unwrap();
    assert_eq!((&reject["line"], &reject["reason"]), (&json!(2), &json!("refused_by_store")));
}
