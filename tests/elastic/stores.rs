//! Loads records and reads them back: none is lost, none comes twice, and the datasets are those of the file.

use serde_json::{Value, json};

use crate::harness::{Folder, files_below, labelled, lines, log, record, testdata, text, word};
use crate::server::Server;

pub(crate) fn data(output: &Value) -> (u64, u64, u64) {
    let data = &output["data"];
    let rejected = data["rejected"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    (data["added"].as_u64().unwrap(), data["present"].as_u64().unwrap(), rejected)
}

/// Returns the dataset files of a folder without the manifest, which names the source.
pub(crate) fn datasets(folder: &Folder, name: &str) -> Vec<(String, Vec<u8>)> {
    let root = folder.at(name);
    files_below(&root)
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix(&root).unwrap().display().to_string(), bytes))
        .filter(|(path, _)| path != "manifest.json")
        .collect()
}

pub(crate) fn the_datasets_are_those_of_the_file(server: &Server) {
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

pub(crate) fn records_of_one_second_come_once_each(server: &Server) {
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

pub(crate) fn any_order_gives_the_same_datasets_and_digest(server: &Server) {
    let folder = Folder::new();
    // Repeated texts, in the same second and in others, with the same label and with others.
    let mut records = Vec::new();
    for number in 0..900 {
        let text = format!("{} rises", word(number % 300));
        let mut record = labelled("w", number, &text, ["Earnings", "Merger"][usize::from(number % 7 == 0)]);
        record["timestamp"] = json!(1_700_000_000 + number % 300 % 9);
        record["request"]["seed"] = json!(number % 450);
        records.push(record);
    }
    folder.write("logs.jsonl", lines(&records));
    records.reverse();
    records.rotate_left(333);
    folder.write("turned.jsonl", lines(&records));
    folder.dfwfd(["split", "--workload", "w", "--logs", "logs.jsonl", "--out", "file"]).run().code(0);
    assert!(datasets(&folder, "file").iter().any(|(path, _)| path == "conflicts.jsonl"));
    let mut manifests = Vec::new();
    // Other numbers of shards, and other orders of the records.
    for (out, log, shards) in [("first", "logs.jsonl", 1), ("second", "turned.jsonl", 2), ("third", "logs.jsonl", 3)] {
        server.forget();
        server.ask("PUT", "", Some(&json!({"settings": {"number_of_shards": shards}})));
        server.dfwfd(&folder, &["load", log]).run().code(0);
        server.dfwfd(&folder, &["split", "--workload", "w", "--out", out]).run().code(0);
        assert!(datasets(&folder, out) == datasets(&folder, "file"), "{out}");
        manifests.push(folder.read(&format!("{out}/manifest.json")));
    }
    assert_eq!(manifests[0], manifests[1]);
    assert_eq!(manifests[0], manifests[2]);
}

pub(crate) fn names_of_several_indices_are_read_and_not_written(server: &Server) {
    let folder = Folder::new();
    let named = |index: String| {
        let mut server = server.clone();
        server.index = index;
        server
    };
    let [first, second] = ["a", "b"].map(|end| named(format!("{}-{end}", server.index)));
    let alias = format!("{}-both", server.index);
    for (part, numbers) in [(&first, 0..120), (&second, 120..200)] {
        part.forget();
        folder.write("logs.jsonl", lines(&numbers.map(|number| record("w", number)).collect::<Vec<_>>()));
        part.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0);
        part.ask("PUT", &format!("/_alias/{alias}"), None);
    }
    folder.write("logs.jsonl", log("w", 200));
    folder.dfwfd(["split", "--logs", "logs.jsonl", "--out", "file"]).run().code(0);
    let both = named(alias);
    let read = both.dfwfd(&folder, &["split", "--format", "json", "--out", "out"]).run().code(0).json();
    assert_eq!(read["data"]["read"], 200);
    assert!(datasets(&folder, "out") == datasets(&folder, "file"));
    both.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(2).says("2 indices").hints();
    assert_eq!(first.count() + second.count(), 200);
    first.forget();
    second.forget();
}

pub(crate) fn pages_of_a_few_long_records_hold_ties(server: &Server) {
    let folder = Folder::new();
    let filler = "x".repeat(400_000);
    let texts = |number: usize| format!("{} rises {filler}", word(number));
    let mut records: Vec<Value> = (0..90).map(|number| labelled("w", number, &texts(number), "Earnings")).collect();
    for (number, record) in records.iter_mut().enumerate() {
        record["timestamp"] = json!(if number % 4 == 0 { 0 } else { 1_700_000_000 });
    }
    // A record that fills a request and a page alone.
    records.push(labelled("w", 90, &format!("{} falls {}", word(90), "y".repeat(6 << 20)), "Merger"));
    folder.write("logs.jsonl", lines(&records));
    let loaded = server.dfwfd(&folder, &["load", "logs.jsonl", "--format", "json"]).run().code(0).json();
    assert_eq!(data(&loaded), (91, 0, 0));
    let flags = ["--set", "data_split_config.min_total_records=1", "--set", "data_split_config.eval_size=5"];
    let split = |out: &str, more: &[&str]| {
        let arguments =
            ["split", "--format", "json", "--out", out].into_iter().chain(flags).chain(more.iter().copied());
        server.dfwfd(&folder, &arguments.collect::<Vec<_>>()).run().code(0).json()["data"].clone()
    };
    let read = split("index", &[]);
    assert_eq!((&read["read"], &read["duplicates"]), (&json!(91), &json!(0)), "{read}");
    split("file", &["--logs", "logs.jsonl"]);
    assert!(datasets(&folder, "index") == datasets(&folder, "file"));
    assert_eq!(server.contexts(), 0);
}

pub(crate) fn a_run_reads_the_index(server: &Server) {
    let folder = Folder::with_config(
        "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small, customization_enabled: true, customizer_configs: {target: dfwfd/ngram-small@1.0}}]\nlogs: {source: elasticsearch}\n",
    );
    folder.write("logs.jsonl", log("w", 200));
    server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0);
    let report = server.dfwfd(&folder, &["run", "--format", "json"]).run().code(0).json();
    assert_eq!((&report["state"], &report["data"]["source"]), (&json!("completed"), &json!("elasticsearch")));
    assert_eq!(report["data"]["read"], 200);
}

/// Runs are documents whose numbers can be charted, each there once.
pub(crate) fn runs_are_documents_of_an_index(server: &Server) {
    let folder = Folder::with_config(&format!(
        "nmp_config: {{platform: embedded}}\nnims: [{{model_name: dfwfd/ngram-small}}]\nlogs: {{path: logs.jsonl, elasticsearch: {{runs_index: {}}}}}\n",
        server.index
    ));
    folder.write("logs.jsonl", log("w", 200));
    let run = |flags: &[&str]| {
        let arguments: Vec<&str> = ["run", "--format", "json"].iter().chain(flags).copied().collect();
        folder.dfwfd(arguments).env("ELASTICSEARCH_URL", &server.url).run()
    };
    let report = run(&[]).code(0).json();
    let failed = run(&["--set", "data_split_config.eval_size=5000"]).code(6).json();
    folder.dfwfd(["report", "--publish"]).env("ELASTICSEARCH_URL", &server.url).run().code(0);
    assert_eq!(server.count(), 2);
    let found =
        |run: &Value| server.ask("GET", &format!("/_doc/{}", run["run"].as_str().unwrap()), None).1["_source"].clone();
    assert_eq!(found(&failed)["state"], "failed");
    let value = &report["candidates"][0]["evaluations"]["base"]["scores"]["macro_f1"]["value"];
    assert_eq!((&found(&report)["best"]["macro_f1"], &found(&report)["candidates"][0]["macro_f1"]), (value, value));
    // Every field that the dashboard of examples/ draws, by the kind of its aggregation.
    let fields = ["headline.value", "seconds", "records.kept", "best.macro_f1", "drift.labels_distance", "cost.run"];
    let metrics: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), json!({"max": {"field": field}}))).collect();
    let months = json!({"date_histogram": {"field": "started_at", "calendar_interval": "month"}, "aggs": metrics});
    let search = json!({"size": 0, "query": {"term": {"workload": "w"}}, "aggs": {"months": months}});
    let (status, answer) = server.ask("POST", "/_search", Some(&search));
    assert_eq!(status, 200, "{answer:#}");
    let month = &answer["aggregations"]["months"]["buckets"][0];
    let near = |field: &str, wanted: f64| (month[field]["value"].as_f64().unwrap() - wanted).abs() < 1e-6;
    assert!(
        near("best.macro_f1", value.as_f64().unwrap()) && near("headline.value", value.as_f64().unwrap()),
        "{answer:#}"
    );
    assert!(near("records.kept", report["data"]["kept"].as_f64().unwrap()), "{answer:#}");
}

pub(crate) fn logs_count_what_is_there(server: &Server) {
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

pub(crate) fn what_is_not_there_is_said(server: &Server) {
    let folder = Folder::new();
    let output = server.dfwfd(&folder, &["split", "--out", "out"]).run();
    output.code(6).says(&server.index).hints();
    server.dfwfd(&folder, &["logs"]).run().code(6);
}

pub(crate) fn documents_with_line_breaks_are_read(server: &Server) {
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
