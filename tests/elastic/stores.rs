//! Loading and reading back: nothing lost, nothing twice, the same datasets as from the file.

use serde_json::{Value, json};

use crate::harness::{Folder, files_below, labelled, lines, log, record, testdata, text, word};
use crate::server::Server;

fn data(output: &Value) -> (u64, u64, u64) {
    let data = &output["data"];
    let rejected = data["rejected"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    (data["added"].as_u64().unwrap(), data["present"].as_u64().unwrap(), rejected)
}

/// The dataset files of a folder, without the manifest, which names the source.
fn datasets(folder: &Folder, name: &str) -> Vec<(String, Vec<u8>)> {
    let root = folder.at(name);
    files_below(&root)
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(&root).unwrap().display().to_string(), bytes))
        .filter(|(path, _)| path != "manifest.json")
        .collect()
}

pub fn the_datasets_are_those_of_the_file(server: &Server) {
    let folder = Folder::new();
    let news = testdata("news_logs.jsonl");
    let news = news.to_str().unwrap();
    let load = |file: &str| data(&server.dfwfd(&folder, &["load", file, "--format", "json"]).run().code(0).json());
    assert_eq!(load(news), (1500, 0, 10));
    assert_eq!(load(news), (0, 1500, 10));
    folder.write("others.jsonl", log("other", 30));
    assert_eq!(load("others.jsonl"), (30, 0, 0));
    for (name, flags) in [("all", &[][..]), ("window", &["--since", "2025-03-01", "--until", "2025-05-01"])] {
        let split = |out: &str, more: &[&str]| {
            let base = ["split", "--workload", "news_classifier", "--format", "json", "--out", out];
            let arguments: Vec<&str> = base.iter().chain(flags).chain(more).copied().collect();
            server.dfwfd(&folder, &arguments).run().code(0).json()
        };
        let (ours, theirs) = (format!("{name}-index"), format!("{name}-file"));
        let from_index = split(&ours, &[]);
        split(&theirs, &["--logs", news]);
        assert_eq!(from_index["data"]["other"], 0, "{from_index}");
        let (ours, theirs) = (datasets(&folder, &ours), datasets(&folder, &theirs));
        assert!(
            ours == theirs && ours.len() >= 3,
            "{name}: {:?}",
            ours.iter().map(|(path, _)| path).collect::<Vec<_>>()
        );
    }
    assert_eq!(server.contexts(), 0);
}

pub fn records_of_one_second_come_once_each(server: &Server) {
    let folder = Folder::new();
    let count = 12_500;
    let records: Vec<Value> = (0..count)
        .map(|number| {
            let mut record = labelled("w", 0, &format!("{} rises", word(number)), "Earnings");
            record["timestamp"] = json!(if number % 5 == 0 { 0 } else { 1_700_000_000 });
            record
        })
        .collect();
    folder.write("logs.jsonl", lines(&records));
    server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0);
    let split = |out: &str, more: &[&str]| {
        let arguments = ["split", "--format", "json", "--out", out].into_iter().chain(more.iter().copied());
        server.dfwfd(&folder, &arguments.collect::<Vec<_>>()).run().code(0).json()["data"].clone()
    };
    let all = split("all", &[]);
    assert_eq!((&all["read"], &all["duplicates"]), (&json!(count), &json!(0)), "{all}");
    assert_eq!(split("old", &["--until", "2000-01-01"])["read"], count / 5);
    let limited = folder.dfwfd(["split", "--logs", "logs.jsonl", "--out", "file"]).run();
    limited.code(0);
    assert!(datasets(&folder, "all") == datasets(&folder, "file"));
    assert_eq!(server.contexts(), 0);
}

pub fn a_killed_load_is_repeated(server: &Server) {
    let folder = Folder::new();
    let count = 9_000;
    folder.write("logs.jsonl", format!("{}broken\n", log("w", count)));
    let load = || server.dfwfd(&folder, &["load", "logs.jsonl", "--format", "json"]);
    for _ in 0..3 {
        let running = load().spawn();
        // Somewhere between its first effect and its end, as the server shows it.
        let before = server.count_if_there();
        while server.count_if_there() == before && before < count as u64 {
            std::thread::yield_now();
        }
        running.kill();
    }
    let (added, present, rejected) = data(&load().run().code(0).json());
    assert_eq!((added + present, rejected), (count as u64, 1));
    assert_eq!(server.count(), count as u64);
}

pub fn a_run_reads_the_index(server: &Server) {
    let folder = Folder::with_config(
        "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small, customization_enabled: true, customizer_configs: {target: dfwfd/ngram-small@1.0}}]\nlogs: {source: elasticsearch}\n",
    );
    folder.write("logs.jsonl", log("w", 200));
    server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0);
    let report = server.dfwfd(&folder, &["run", "--format", "json"]).run().code(0).json();
    assert_eq!((&report["state"], &report["data"]["source"]), (&json!("completed"), &json!("elasticsearch")));
    assert_eq!(report["data"]["read"], 200);
}

pub fn logs_count_what_is_there(server: &Server) {
    let folder = Folder::new();
    let mut records: Vec<Value> = (0..40).map(|number| record("news", number)).collect();
    records.extend((0..7).map(|number| {
        let mut record = labelled("tools", number, &text(number), "Merger");
        record["client_id"] = Value::Null;
        record
    }));
    folder.write("logs.jsonl", lines(&records));
    server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0);
    let logs = |more: &[&str]| {
        let arguments = ["logs", "--format", "json"].into_iter().chain(more.iter().copied());
        server.dfwfd(&folder, &arguments.collect::<Vec<_>>()).run().code(0).json()
    };
    let rows = logs(&[])["workloads"].clone();
    assert_eq!(rows[0]["workload"], "news");
    assert_eq!((&rows[0]["records"], &rows[0]["clients"]["desk"]), (&json!(40), &json!(40)));
    assert_eq!(rows[0]["first"], "2023-11-14T22:13:20Z");
    assert_eq!(rows[0]["last"], "2023-11-14T22:13:59Z");
    assert_eq!((&rows[1]["records"], &rows[1]["clients"][""]), (&json!(7), &json!(7)));
    let some = logs(&["--workload", "news", "--since", "2023-11-14T22:13:30Z"]);
    assert_eq!(some["workloads"][0]["records"], 30);
    let told = logs(&["--delete", "--workload", "tools"]);
    assert!(told["command"].as_str().unwrap().contains("_delete_by_query"), "{told}");
    assert_eq!(server.count(), 47);
}

pub fn what_is_not_there_is_said(server: &Server) {
    let folder = Folder::new();
    let output = server.dfwfd(&folder, &["split", "--out", "out"]).run();
    output.code(6).says(&server.index).hints();
    server.dfwfd(&folder, &["logs"]).run().code(6);
}

pub fn documents_with_line_breaks_are_read(server: &Server) {
    let folder = Folder::new();
    server.create(&json!({"properties": {"workload_id": {"type": "keyword"}}}));
    for number in 0..140 {
        let pretty = serde_json::to_string_pretty(&record("w", number)).unwrap();
        server.put_raw(number, &pretty);
    }
    server.ask("POST", "/_refresh", None);
    folder.write("logs.jsonl", log("w", 140));
    server.dfwfd(&folder, &["split", "--workload", "w", "--out", "index"]).run().code(0);
    folder.dfwfd(["split", "--workload", "w", "--logs", "logs.jsonl", "--out", "file"]).run().code(0);
    assert!(datasets(&folder, "index") == datasets(&folder, "file"));
}
