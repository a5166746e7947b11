//! What holds of every load and split, whatever the lines are.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Dfwfd, Folder, Output, parse_lines};

/// A command hangs if it takes this long.
const HANG: Duration = Duration::from_secs(900);

const SETS: [(&str, &str); 3] = [
    ("eval", "eval/eval_data.jsonl"),
    ("train", "train/training/train_data.jsonl"),
    ("validation", "train/validation/val_data.jsonl"),
];

/// Runs a command, and kills it if it hangs. It must end with code 0 or 6, or with 2 where that is allowed, and say why
/// unless all went well.
pub(super) fn within(command: Dfwfd, may_be_unclear: bool) -> Output {
    let running = command.spawn();
    let id = Pid::from_child(&running.child);
    let (ended, ends) = mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if ends.recv_timeout(HANG) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(id, Signal::KILL);
        }
    });
    let output = running.wait();
    drop(ended);
    guard.join().unwrap();
    assert!(!output.stderr.contains("panicked"), "{output}");
    match output.code {
        Some(0) => assert!(output.json()["error"].is_null(), "{output}"),
        Some(6) => assert!(output.hints().json()["error"]["message"].is_string(), "{output}"),
        // A table or an export must be one whose columns or fields are known. If it begins with damage, a person has to say.
        Some(2) => {
            let unclear = ["cannot read the table", "lines has"].iter().any(|text| output.stderr.contains(text));
            assert!(may_be_unclear && unclear, "{output}");
            output.hints();
        }
        _ => panic!("neither read nor refused: {output}"),
    }
    output
}

fn count(data: &Value, key: &str) -> u64 {
    data[key].as_u64().unwrap_or_else(|| panic!("{key}: {data}"))
}

fn rejected(data: &Value) -> BTreeMap<String, u64> {
    let rejected = data["rejected"].as_object().unwrap().iter();
    rejected.map(|(reason, lines)| (reason.clone(), lines.as_u64().unwrap())).collect()
}

/// Checks that a file lists the rejected lines, as many of each reason as were counted.
fn check_rejects(folder: &Folder, name: &str, data: &Value) {
    let mut listed = BTreeMap::<String, u64>::new();
    for reject in parse_lines(&folder.read(name)) {
        *listed.entry(reject["reason"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(listed, rejected(data), "{name}");
}

/// Checks what a load has counted. Returns the counts of rejected lines, and of added ones.
pub(super) fn load(folder: &Folder, output: &Output, lines: Option<u64>) -> BTreeMap<String, u64> {
    let data = &output.json()["data"];
    if data.is_null() {
        return BTreeMap::new();
    }
    let mut counts = rejected(data);
    let (read, added) = (count(data, "read"), count(data, "added"));
    assert_eq!(read, added + count(data, "present") + counts.values().sum::<u64>(), "{output}");
    assert_eq!(read, lines.unwrap_or(read), "{output}");
    assert_eq!(added, stored(folder), "{output}");
    check_rejects(folder, "load.rejects", data);
    counts.insert("added".to_owned(), added);
    counts
}

/// Returns the number of records in the log store.
pub(super) fn stored(folder: &Folder) -> u64 {
    let listed = folder.dfwfd(["logs", "--format", "json"]).run().code(0).json();
    listed["workloads"].as_array().unwrap().iter().map(|one| count(one, "records")).sum()
}

/// Checks what a split has counted and written. Returns the counts, unless there were no datasets.
pub(super) fn split(folder: &Folder, out: &str, output: &Output, lines: Option<u64>) -> Option<Value> {
    let data = output.json()["data"].clone();
    if data.is_null() {
        let left = std::fs::read_dir(folder.at(out)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "half-written datasets: {output}");
        return None;
    }
    let (read, kept) = (count(&data, "read"), count(&data, "kept"));
    let dropped = ["other", "duplicates", "over_limit"].map(|key| count(&data, key)).iter().sum::<u64>();
    assert_eq!(read, rejected(&data).values().sum::<u64>() + dropped + kept, "{output}");
    assert_eq!(
        kept,
        ["eval", "train", "validation", "held_back"].map(|key| count(&data, key)).iter().sum::<u64>(),
        "{output}"
    );
    assert_eq!(read, lines.unwrap_or(read), "{output}");
    for (set, name) in SETS {
        let name = format!("{out}/{name}");
        let rows = if folder.at(&name).exists() { parse_lines(&folder.read(&name)) } else { Vec::new() };
        assert_eq!(rows.len() as u64, count(&data, set), "{set}: {output}");
        assert!(rows.iter().all(Value::is_object), "{set}: {output}");
    }
    check_rejects(folder, &format!("{out}.rejects"), &data);
    Some(data)
}
