//! `load` and `logs`: every kind of input, exact counts, the store it fills.

use serde_json::{Value, json};

use crate::harness::{self, Folder, Output, labelled, lines, log, parse_lines, record, testdata};

/// read, added, present, rejected of a load in JSON format, checked to add up.
#[track_caller]
pub(crate) fn counts(output: &Output) -> [u64; 4] {
    let object = output.json();
    assert_eq!(object["schema"], 1);
    let data = &object["data"];
    let rejected: u64 = data["rejected"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let number = |key: &str| data[key].as_u64().unwrap();
    let counts = [number("read"), number("added"), number("present"), rejected];
    assert_eq!(counts[0], counts[1] + counts[2] + counts[3], "{output}");
    counts
}

#[track_caller]
fn load(folder: &Folder, arguments: &[&str]) -> [u64; 4] {
    let output = folder.dfwfd(["load", "--format", "json"]).args(arguments).run();
    output.code(0);
    counts(&output)
}

/// The records of the local log store, whatever their segment.
fn stored(folder: &Folder) -> Vec<Value> {
    let files = harness::files_below(&folder.at(".dfwfd/logs"));
    let segments = files.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "jsonl"));
    segments.flat_map(|(_, bytes)| parse_lines(std::str::from_utf8(bytes).unwrap())).collect()
}

#[test]
fn loading_twice_adds_nothing() {
    let folder = Folder::new();
    let news = testdata("news_logs.jsonl");
    let news = news.to_str().unwrap();
    assert_eq!(load(&folder, &[news]), [1510, 1500, 0, 10]);
    assert_eq!(load(&folder, &[news]), [1510, 0, 1500, 10]);
    // Within one call, and with its keys in another order, a record counts once, too.
    let one = record("w", 1);
    let turned: serde_json::Map<String, Value> =
        one.as_object().unwrap().iter().rev().map(|(key, value)| (key.clone(), value.clone())).collect();
    folder.write("one.jsonl", lines([&one, &Value::Object(turned)]));
    assert_eq!(load(&folder, &["one.jsonl", "one.jsonl"]), [4, 1, 3, 0]);
}

#[test]
fn several_files_and_standard_input() {
    let folder = Folder::new();
    folder.write("a.jsonl", log("w", 10));
    folder.write("b.jsonl", log("w", 15));
    assert_eq!(load(&folder, &["a.jsonl", "b.jsonl"]), [25, 15, 10, 0]);
    let piped = folder.dfwfd(["load", "-", "--format", "json"]).input(log("w", 20)).run();
    piped.code(0);
    assert_eq!(counts(&piped), [20, 5, 15, 0]);
    // Twice the same pipe is a mistake.
    folder.dfwfd(["load", "-", "-"]).input("").run().code(2);
}

#[test]
fn the_unknown_is_kept_and_what_a_row_says_is_stronger_than_a_flag() {
    let folder = Folder::new();
    let mut named = record("named", 1);
    named["latency_ms"] = json!(12);
    let mut bare = record("", 2);
    for key in ["workload_id", "client_id", "timestamp"] {
        bare.as_object_mut().unwrap().remove(key);
    }
    folder.write("logs.jsonl", lines([&named, &bare]));
    let flags = ["logs.jsonl", "--workload", "default", "--client", "me", "--timestamp", "2024-02-03"];
    assert_eq!(load(&folder, &flags), [2, 2, 0, 0]);
    let mut records = stored(&folder);
    records.sort_by_key(|record| record["workload_id"].to_string());
    assert_eq!(records[0]["workload_id"], "default");
    assert_eq!(records[0]["client_id"], "me");
    assert_eq!(records[0]["timestamp"], 1_706_918_400);
    assert_eq!(records[1]["workload_id"], "named");
    assert_eq!(records[1]["client_id"], "desk");
    assert_eq!(records[1]["latency_ms"], 12);
}

#[test]
fn a_row_without_a_workload_is_rejected_and_without_a_time_is_at_zero() {
    let folder = Folder::new();
    let mut bare = record("w", 2);
    bare.as_object_mut().unwrap().remove("workload_id");
    let mut timeless = record("w", 3);
    timeless["timestamp"] = Value::Null;
    folder.write("logs.jsonl", lines([&record("w", 1), &bare, &timeless]));
    let output = folder.dfwfd(["load", "logs.jsonl", "--format", "json", "--rejects", "bad.jsonl"]).run();
    output.code(0).says("logs.jsonl:2").says("--workload");
    assert_eq!(counts(&output), [3, 2, 0, 1]);
    assert_eq!(output.json()["data"]["rejected"], json!({"missing_workload": 1}));
    let bad = parse_lines(&folder.read("bad.jsonl"));
    assert_eq!((&bad[0]["line"], &bad[0]["reason"]), (&json!(2), &json!("missing_workload")));
    assert_eq!(serde_json::from_str::<Value>(bad[0]["text"].as_str().unwrap()).unwrap(), bare);
    assert!(stored(&folder).iter().any(|record| record["timestamp"] == 0));
}

#[test]
fn times_become_whole_seconds() {
    let folder = Folder::new();
    let times = [
        (json!(1_700_000_000_999_u64), 1_700_000_000_i64),
        (json!(1_700_000_001.75), 1_700_000_001),
        (json!("2023-11-14T22:13:22Z"), 1_700_000_002),
        (json!("2023-11-14T23:13:23.9+01:00"), 1_700_000_003),
        (json!(-1.5), -2),
    ];
    let records: Vec<Value> = times
        .iter()
        .enumerate()
        .map(|(number, (time, _))| {
            let mut record = record("w", number);
            record["timestamp"] = time.clone();
            record
        })
        .collect();
    folder.write("logs.jsonl", lines(&records));
    assert_eq!(load(&folder, &["logs.jsonl"]), [5, 5, 0, 0]);
    let mut found: Vec<i64> = stored(&folder).iter().map(|record| record["timestamp"].as_i64().unwrap()).collect();
    let mut wanted: Vec<i64> = times.iter().map(|(_, seconds)| *seconds).collect();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn chat_rows() {
    let folder = Folder::new();
    let row = json!({"messages": [
        {"role": "system", "content": "Classify."}, {"role": "user", "content": "Rates rise"},
        {"role": "assistant", "content": "[[[Economy]]]"}]});
    let tools = json!([{"type": "function", "function": {"name": "quote", "parameters": {}}}]);
    let call = json!({"tools": tools, "messages": [{"role": "user", "content": "How is ABC?"},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "quote", "arguments": "{\"ticker\":\"ABC\"}"}}]}]});
    let unanswered = json!({"messages": []});
    folder.write("chat.jsonl", lines([&row, &call, &unanswered]));
    let output = folder.dfwfd(["load", "chat.jsonl", "--workload", "w", "--format", "json"]).run();
    output.code(0);
    assert_eq!(counts(&output), [3, 2, 0, 1]);
    let records = stored(&folder);
    let classified = records.iter().find(|record| record["request"]["tools"].is_null()).unwrap();
    assert_eq!(classified["request"]["messages"].as_array().unwrap().len(), 2);
    assert_eq!(classified["response"]["choices"][0]["message"]["content"], "[[[Economy]]]");
    let called = records.iter().find(|record| record["request"]["tools"] == tools).unwrap();
    assert_eq!(called["response"]["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "quote");
}

#[test]
fn tables_by_their_names_alone() {
    let folder = Folder::new();
    let sample = testdata("headlines_sample.csv");
    assert_eq!(load(&folder, &[sample.to_str().unwrap(), "--workload", "h"]), [100, 100, 0, 0]);
    let records = stored(&folder);
    let system = records[0]["request"]["messages"][0]["content"].as_str().unwrap();
    let reply = |record: &Value| record["response"]["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    for record in &records {
        let reply = reply(record);
        let label = reply.strip_prefix("[[[").and_then(|reply| reply.strip_suffix("]]]")).unwrap();
        assert!(system.lines().any(|line| line == format!("- {label}")), "the prompt lists {label}: {system}");
        assert_eq!(record["request"]["messages"][0]["content"], system, "one prompt for all rows");
    }
    // The same rows once more, from a pipe and with tabs, are the same records.
    let tabs = "headline\tlabel\nProfit doubles, again\tEarnings\nBuyer found\tDeals\n";
    let commas = "headline,label\r\n\"Profit doubles, again\",Earnings\r\nBuyer found,Deals\r\n";
    let other = Folder::new();
    other.write("rows.tsv", tabs);
    other.write("rows.csv", commas);
    other.write("rows.txt", tabs);
    assert_eq!(load(&other, &["rows.tsv", "--workload", "h"]), [2, 2, 0, 0]);
    assert_eq!(load(&other, &["rows.csv", "rows.txt", "--workload", "h"]), [4, 0, 4, 0]);
    let piped = other.dfwfd(["load", "-", "--workload", "h", "--format", "json"]).input(commas).run();
    assert_eq!(counts(piped.code(0)), [2, 0, 2, 0]);
    let forced = other.dfwfd(["load", "-", "--input", "tsv", "--workload", "h", "--format", "json"]).input(tabs).run();
    assert_eq!(counts(forced.code(0)), [2, 0, 2, 0]);
}

#[test]
fn tables_with_columns_and_prompts_of_their_own() {
    let folder = Folder::new();
    folder.write("rows.csv", "id,news,topic,note\n1,Rates rise,Economy,x\n2,Buyer found,Deals,y\n");
    let flags = ["rows.csv", "--workload", "w", "--client", "me", "--text-column", "news", "--label-column", "topic"];
    let prompts = ["--system", "Say the topic.", "--prompt", "News: {text}!"];
    assert_eq!(load(&folder, &[&flags[..], &prompts[..]].concat()), [2, 2, 0, 0]);
    let records = stored(&folder);
    let rising = records.iter().find(|record| record.to_string().contains("Rates rise")).unwrap();
    assert_eq!(
        rising["request"]["messages"],
        json!([
        {"content": "Say the topic.", "role": "system"}, {"content": "News: Rates rise!", "role": "user"}])
    );
    assert_eq!(rising["response"]["choices"][0]["message"]["content"], "[[[Economy]]]");
    assert_eq!(rising["client_id"], "me");
    let wrong = folder.dfwfd(["load", "rows.csv", "--workload", "w", "--text-column", "nowhere"]).run();
    wrong.code(2).says("nowhere").says("id, news, topic, note").hints();
}

#[test]
fn strict_ends_with_6_and_loads_the_good_all_the_same() {
    let folder = Folder::new();
    folder.write("logs.jsonl", format!("{}{{\"cut\n", log("w", 3)));
    let output = folder.dfwfd(["load", "logs.jsonl", "--strict", "--format", "json"]).run();
    output.code(6).says("--rejects").hints();
    assert_eq!(counts(&output), [4, 3, 0, 1]);
    assert!(output.json()["error"]["message"].is_string(), "a command that fails says so in its object: {output}");
    assert_eq!(stored(&folder).len(), 3);
    folder.write("good.jsonl", log("w", 4));
    folder.dfwfd(["load", "good.jsonl", "--strict"]).run().code(0);
}

#[test]
fn a_load_of_nothing_says_so_once() {
    let folder = Folder::shipped();
    folder.write("bad.jsonl", "{\"cut\n");
    folder.write("rows.jsonl", log("w", 2).replace("\"workload_id\"", "\"workload\""));
    for (flags, said) in [
        (&["load", "bad.jsonl"][..], "caused by: bad.jsonl:1 is invalid_json"),
        (&["load", "bad.jsonl", "--strict"], "caused by: bad.jsonl:1 is invalid_json"),
        (&["load", "rows.jsonl"], "hint: --workload NAME sets the workload of rows without one"),
    ] {
        let output = folder.dfwfd(flags).run();
        output.code(6).says("error: cannot load anything: ").says(said).hints();
        for twice in ["warning: ", "loaded into"] {
            assert!(!output.stderr.contains(twice), "{flags:?} says {twice}: {output}");
        }
    }
    let empty = folder.dfwfd(["load", "-"]).run();
    assert!(!empty.code(0).stderr.contains("loaded into"), "{empty}");
}

#[test]
fn with_jsonl_logs_in_the_configuration_the_local_store_is_filled() {
    let folder = Folder::shipped();
    folder.write("more.jsonl", log("w", 3));
    let output = folder.dfwfd(["load", "more.jsonl", "--format", "json"]).run();
    output.code(0).says("loaded into the local log store").says("logs.path").says("--set logs.source=local");
    assert_eq!(counts(&output), [3, 3, 0, 0]);
    // Files that are not there are no obstacle.
    let again = folder.dfwfd(["load", "more.jsonl", "--set", "logs.path=nowhere.jsonl", "--format", "json"]).run();
    assert_eq!(counts(again.code(0)), [3, 0, 3, 0]);
    let told = folder.dfwfd(["load", "more.jsonl", "--set", "logs.source=local"]).run();
    assert!(!told.code(0).stderr.contains("logs.path"), "{told}");
}

#[test]
fn logs_lists_counts_and_deletes() {
    let folder = Folder::new();
    let empty = folder.dfwfd(["logs", "--format", "json"]).run();
    assert_eq!(empty.code(0).json(), json!({"schema": 1, "workloads": []}));
    folder.write("logs.jsonl", log("a", 8) + &log("b", 4));
    load(&folder, &["logs.jsonl"]);
    let listed = folder.dfwfd(["logs", "--format", "json"]).run().code(0).json();
    let rows = listed["workloads"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["workload"], &rows[0]["records"]), (&json!("a"), &json!(8)));
    assert_eq!(rows[0]["clients"], json!({"desk": 8}));
    assert_eq!(rows[0]["labels"], json!({"Earnings": 4, "Merger": 2, "Product": 2}));
    assert_eq!((&rows[0]["first"], &rows[0]["last"]), (&json!("2023-11-14T22:13:20Z"), &json!("2023-11-14T22:13:27Z")));
    let table = folder.dfwfd(["logs"]).run();
    assert!(table.code(0).stdout.contains("Earnings") && table.stderr.is_empty(), "{table}");
    // Without saying what, nothing is deleted.
    folder.dfwfd(["logs", "--delete"]).run().code(2).hints();
    // --until is exclusive.
    let flags = ["--workload", "a", "--until", "2023-11-14T22:13:22Z"];
    let deleted = folder.dfwfd(["logs", "--delete", "--format", "json"]).args(flags).run();
    assert_eq!(deleted.code(0).json(), json!({"schema": 1, "deleted": 2, "kept": 10}));
    // Deleted records can be loaded again.
    assert_eq!(load(&folder, &["logs.jsonl"]), [12, 2, 10, 0]);
}

#[test]
fn a_label_is_the_last_in_brackets() {
    let folder = Folder::new();
    let rows = [
        labelled("w", 1, "one", "Earnings]]] or rather [[[ Merger "),
        labelled("w", 2, "two", "MERGER"),
        labelled("w", 3, "three", "Merger"),
    ];
    folder.write("logs.jsonl", lines(&rows));
    load(&folder, &["logs.jsonl"]);
    let listed = folder.dfwfd(["logs", "--format", "json"]).run().code(0).json();
    assert_eq!(listed["workloads"][0]["labels"], json!({"Merger": 3}));
}

#[test]
fn several_loads_at_once_add_each_record_once() {
    let folder = Folder::new();
    let files: Vec<String> = (0..6)
        .map(|part| {
            let name = format!("part{part}.jsonl");
            // Each shares half of its records with the next.
            let rows: Vec<Value> = (part * 200..part * 200 + 400).map(|number| record("w", number)).collect();
            folder.write(&name, lines(&rows));
            name
        })
        .collect();
    let loading: Vec<_> = files.iter().map(|name| folder.dfwfd(["load", name, "--format", "json"]).spawn()).collect();
    let counted: Vec<[u64; 4]> = loading
        .into_iter()
        .map(|load| {
            let output = load.wait();
            output.code(0);
            counts(&output)
        })
        .collect();
    assert_eq!(counted.iter().map(|counts| counts[1]).sum::<u64>(), 1400, "{counted:?}");
    assert_eq!(stored(&folder).len(), 1400);
    // A run and a split read while others write, and see whole records only.
    let writing = folder.dfwfd(["load", "part0.jsonl", "--workload", "v"]).spawn();
    let rules = ["--set", "data_split_config.eval_size=5", "--workload", "w"];
    let split = folder.dfwfd(["split", "--out", "d", "--format", "json"]).args(rules).run();
    assert_eq!(split.code(0).json()["data"]["rejected"], json!({}));
    writing.wait().code(0);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_load_and_split_with_130_and_says_what_to_do_next() {
    use rustix::process::Signal;

    for (arguments, next) in [
        (&["load", "pipe", "--workload", "w"][..], "load the files again"),
        (&["load", "pipe", "--format", "json"], "load the files again"),
        (&["split", "--logs", "pipe", "--out", "o"], "split again"),
    ] {
        for (signal, word) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "Ctrl-C"), (Signal::HUP, "a closed terminal")] {
            let folder = Folder::new();
            let made = std::process::Command::new("mkfifo").arg(folder.at("pipe")).status();
            if !made.is_ok_and(|status| status.success()) {
                crate::harness::skip("a_signal_ends_load_and_split", "mkfifo", "there is no mkfifo");
                return;
            }
            let running = folder.dfwfd(arguments).spawn();
            // Opens once the program reads, which is after it has begun to catch signals.
            let pipe = std::fs::OpenOptions::new().write(true).open(folder.at("pipe")).unwrap();
            running.signal(signal);
            let output = running.wait();
            output.code(130).says(&format!("cancelled by {word}")).says(next).hints();
            drop(pipe);
        }
    }
}

#[test]
fn a_load_that_ends_within_a_file_tells_its_counts_and_how_far_it_came() {
    let folder = Folder::new();
    folder.write("a.jsonl", lines(&[record("w", 1), record("w", 2)]));
    folder.write("cut.json", format!("[{},{},", record("w", 3), record("w", 4)));
    folder.write("b.jsonl", lines(&[record("w", 5)]));
    folder.write("c.csv", "a,b,c\n1,2,3\n");
    let cut = folder.dfwfd(["load", "--format", "json", "a.jsonl", "cut.json", "b.jsonl", "c.csv"]).run();
    cut.code(6).hints();
    assert_eq!(counts(&cut), [4, 4, 0, 0]);
    let told = cut.json();
    assert_eq!(told["exit_code"], 6);
    let message = told["error"]["message"].as_str().unwrap();
    assert_eq!(message, "cannot load all: read the first 2 lines of cut.json, and nothing of b.jsonl, c.csv");
    let unclear = folder.dfwfd(["load", "--format", "json", "a.jsonl", "c.csv", "b.jsonl"]).run();
    unclear.code(2);
    assert_eq!((counts(&unclear), &unclear.json()["exit_code"]), ([2, 0, 2, 0], &json!(2)));
    let human = folder.dfwfd(["load", "cut.json"]).run();
    human.code(6).says("the list of records is not closed").says("the first 2 lines");
    assert!(human.stdout.contains("present before"), "{human}");
}
