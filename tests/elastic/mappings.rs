//! Indices that other programs have created: dfwfd reads them, and writes to them or refuses them.

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

fn seconds(number: usize) -> Value {
    json!(1_700_000_000 + number)
}

fn milliseconds(number: usize) -> Value {
    json!((1_700_000_000 + number) * 1000 + 7)
}

fn text(number: usize) -> Value {
    let second = 20 + number % 60;
    json!(format!("2023-11-14T22:{:02}:{:02}.123456Z", 13 + number / 60 + second / 60, second % 60))
}

/// Writes no time in more records than a sample holds, then each way of writing a time in turn.
fn mixed(number: usize) -> Value {
    match number {
        0..15 => json!(0),
        _ => [seconds, milliseconds, text][number % 3](number),
    }
}

/// Creates an index of 160 records of workload w, one per second, with times written by `stamp`.
fn stamped(server: &Server, timestamp: &Value, stamp: impl Fn(usize) -> Value) {
    server.forget();
    server.create(&json!({"dynamic": false, "properties": {"timestamp": timestamp,
        "workload_id": {"type": "keyword"}, "client_id": {"type": "keyword"}}}));
    let documents = (0..160).map(|number| {
        let mut record = record("w", number);
        record["timestamp"] = stamp(number);
        record
    });
    server.put(&documents.collect::<Vec<_>>());
}

type Stamp = fn(usize) -> Value;

/// Checks a window for each case: the mapping of the timestamp, the way of writing it, and the number of records that the
/// server cannot filter out.
fn windows(server: &Server, cases: &[(Value, Stamp, u64)]) {
    let folder = Folder::new();
    for (number, (timestamp, stamp, other)) in cases.iter().enumerate() {
        stamped(server, timestamp, stamp);
        let found = read(server, &folder, &format!("out-{number}"), &WINDOW);
        assert_eq!(found["kept"], 30, "{timestamp} {}: {found}", stamp(20));
        assert_eq!(found["other"], *other, "{timestamp} {}: {found}", stamp(20));
        assert_eq!(found["rejected"], json!({}), "{timestamp}: {found}");
    }
}

pub(crate) fn windows_of_dates_without_a_format(server: &Server) {
    let plain = json!({"type": "date"});
    windows(server, &[(plain.clone(), seconds, 0), (plain.clone(), milliseconds, 0), (plain.clone(), text, 0)]);
    // The range of one unit must not select documents of another.
    windows(server, &[(plain, mixed, 0)]);
}

pub(crate) fn windows_of_dates_with_a_format(server: &Server) {
    let date = |format: &str| json!({"type": "date", "format": format});
    windows(
        server,
        &[
            (date("epoch_second||strict_date_optional_time"), seconds, 0),
            (date("epoch_second||strict_date_optional_time"), text, 0),
            (date("epoch_second||strict_date_optional_time"), mixed, 0),
            (date("epoch_second"), seconds, 0),
            (date("strict_date_optional_time||epoch_millis"), milliseconds, 0),
            (date("strict_date_optional_time"), text, 0),
            (json!({"type": "date_nanos"}), text, 0),
        ],
    );
}

pub(crate) fn windows_of_numbers_and_names(server: &Server) {
    windows(
        server,
        &[
            (json!({"type": "long"}), seconds, 0),
            (json!({"type": "long"}), milliseconds, 0),
            (json!({"type": "integer"}), seconds, 0),
            (json!({"type": "double"}), mixed_numbers, 0),
            // The server rounds these times across the bounds of the window, so it cannot filter.
            (json!({"type": "float"}), seconds, 130),
            (json!({"type": "keyword"}), text, 130),
            // The server cannot filter out times that it has not indexed.
            (json!({"type": "long", "ignore_malformed": true}), half_malformed, 65),
        ],
    );
}

fn mixed_numbers(number: usize) -> Value {
    if number.is_multiple_of(2) { seconds(number) } else { milliseconds(number) }
}

fn half_malformed(number: usize) -> Value {
    if number.is_multiple_of(2) { seconds(number) } else { text(number) }
}

pub(crate) fn times_that_cannot_be_told_are_refused(server: &Server) {
    let folder = Folder::new();
    let days: Stamp = |number| json!(20_231_101 + number % 20);
    let slashes: Stamp = |number| json!(format!("{:02}/11/2023", 1 + number % 20));
    for (format, stamp, said) in [("yyyyMMdd", days, "2023-11-01"), ("dd/MM/yyyy", slashes, "/11/2023")] {
        stamped(server, &json!({"type": "date", "format": format}), stamp);
        for command in [&["split", "--out", "out"][..], &["logs"], &["split", "--since", "7d", "--out", "out"]] {
            let output = server.dfwfd(&folder, command).run();
            output.code(2).says("timestamp").says(said).says("logs.fields").hints();
        }
    }
}

pub(crate) fn the_index_of_the_reference_loader_is_read(server: &Server) {
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
    let listed = server.dfwfd(&folder, &["logs", "--format", "json"]).run().code(0).json();
    let row = &listed["workloads"][1];
    assert_eq!(
        (&row["first"], &row["last"]),
        (&json!("2023-11-14T22:13:21Z"), &json!("2023-11-14T22:14:49Z")),
        "{row}"
    );
    let window = ["--workload", "a", "--since", "2023-11-14T22:13:30Z", "--until", "2023-11-14T22:14:30Z"];
    let found = read(server, &folder, "window", &window);
    assert_eq!((&found["kept"], &found["other"]), (&json!(30), &json!(0)));
    let found = read(server, &folder, "client", &["--workload", "b", "--client", "desk"]);
    assert_eq!(found["kept"], 45);
    folder.write("logs.jsonl", lines(&documents));
    // The index also accepts records. Those of a loader with other ids are not recognised.
    let loaded = server.dfwfd(&folder, &["load", "logs.jsonl", "--format", "json"]).run().code(0).json();
    assert_eq!(loaded["data"]["added"], 90);
    let found = read(server, &folder, "both", &["--workload", "a", "--since", "2023-11-14T22:13:20Z"]);
    assert_eq!((&found["read"], &found["duplicates"]), (&json!(90), &json!(45)));
}

pub(crate) fn a_strict_index_takes_the_five_fields(server: &Server) {
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
    assert_eq!(output.json()["data"]["trimmed"], 1);
}

pub(crate) fn a_mapping_that_does_not_fit_is_refused(server: &Server) {
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

pub(crate) fn a_record_that_the_server_refuses_is_counted(server: &Server) {
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
