//! Exports of other tools, loaded with `--from`: the fixtures in testdata/exports give the same two records each.

use serde_json::{Value, json};

use crate::harness::{Folder, Output, files_below, parse_lines, testdata};

const TOOLS: [&str; 6] = ["langfuse", "litellm", "helicone", "langsmith", "openai", "openai-batch"];

fn load(folder: &Folder, tool: &str, flags: &[&str]) -> Output {
    let files: &[&str] = if tool == "openai-batch" { &["-input", "-output"] } else { &[""] };
    let files = files.iter().map(|part| testdata(&format!("exports/{tool}{part}.jsonl")));
    folder.dfwfd(["load", "--workload", "w", "--format", "json"]).args(files).args(flags).run()
}

/// Time, client, user message and answer of each record, from the oldest.
fn stored(folder: &Folder) -> Vec<Value> {
    let segments = files_below(&folder.at(".dfwfd/logs")).into_iter();
    let segments = segments.filter(|(path, _)| path.extension().is_some_and(|ending| ending == "jsonl"));
    let mut records: Vec<Value> =
        segments.flat_map(|(_, bytes)| parse_lines(&String::from_utf8(bytes).unwrap())).collect();
    records.sort_by_key(|record| record["timestamp"].as_i64());
    let of = |record: Value| {
        let (asked, answer) = (&record["request"]["messages"], &record["response"]["choices"][0]["message"]);
        json!([record["timestamp"], record["client_id"], asked[0]["role"], asked[1]["content"], answer["content"]])
    };
    records.into_iter().map(of).collect()
}

#[test]
fn every_export_gives_the_records_that_its_documentation_describes() {
    for (tool, client, refused) in [
        ("langfuse", "", "not_a_call"),
        ("litellm", "desk-7", "failed_answer"),
        ("helicone", "desk-7", "failed_answer"),
        ("langsmith", "desk-7", "not_a_call"),
        ("openai", "desk-7", "no_messages"),
        ("openai-batch", "desk-7", "failed_answer"),
    ] {
        let folder = Folder::new();
        let data = load(&folder, tool, &["--from", tool]).code(0).json()["data"].clone();
        assert_eq!(
            (&data["read"], &data["added"], &data["rejected"]),
            (&json!(3), &json!(2), &json!({refused: 1})),
            "{tool}"
        );
        let wanted = [
            json!([1_714_557_600, client, "system", "Acme raises its dividend", "[[[Dividends]]]"]),
            json!([1_714_557_900, "", "system", "Borel buys Corvo", "[[[Mergers]]]"]),
        ];
        assert_eq!(stored(&folder), wanted, "{tool}");
        let split = ["--set", "data_split_config.min_total_records=1", "--set", "data_split_config.eval_size=1"];
        folder.dfwfd(split).args(["split", "--out", "o"]).run().code(0);
    }
}

#[test]
fn a_refused_export_names_its_tool() {
    for tool in TOOLS {
        let folder = Folder::new();
        load(&folder, tool, &[]).code(6).says(&format!("--from {tool}"));
    }
    let folder = Folder::new();
    load(&folder, "litellm", &["--from", "helicone"]).code(2).says("request_created_at").hints();
    let fields = ["--set", "logs.fields.request=input", "--from", "langfuse"];
    load(&folder, "langfuse", &fields).code(2).says("logs.fields").hints();
    load(&folder, "langfuse", &["--from", "postgres"]).code(2).says("helicone");
}

#[test]
fn the_files_of_a_batch_are_joined_in_any_order_and_only_together() {
    let [asked, answered] =
        ["input", "output"].map(|part| testdata(&format!("exports/openai-batch-{part}.jsonl")).display().to_string());
    let load = |folder: &Folder, files: &[&str], flags: &[&str]| {
        let base = ["load", "--from", "openai-batch", "--workload", "w", "--format", "json", "--rejects", "bad.jsonl"];
        folder.dfwfd(base).args(files).args(flags).run()
    };
    let folder = Folder::new();
    load(&folder, &[&asked, &answered], &[]).code(0);
    let records = stored(&folder);
    let turned = Folder::new();
    load(&turned, &[&answered, &asked], &[]).code(0);
    assert_eq!(stored(&turned), records);
    let rejected = parse_lines(&turned.read("bad.jsonl"));
    assert_eq!((&rejected[0]["file"], &rejected[0]["line"]), (&json!(answered), &json!(3)));
    let masked = Folder::new();
    load(&masked, &[&asked, &answered], &["--set", "redact=all"]).code(0);
    assert_eq!(stored(&masked).len(), 2);
    for (file, reasons) in [(&asked, json!({"no_response": 3})), (&answered, json!({"no_request": 3}))] {
        let data = load(&Folder::new(), &[file], &[]).code(6).json()["data"].clone();
        assert_eq!((&data["read"], &data["rejected"]), (&json!(3), &reasons));
    }
    let other = std::fs::read_to_string(&asked).unwrap().replace("Borel buys Corvo", "Borel sells Corvo");
    folder.write("other.jsonl", other.as_bytes());
    let data = load(&Folder::new(), &[&asked, &answered, &folder.at("other.jsonl").display().to_string()], &[]);
    let data = data.code(0).json()["data"].clone();
    assert_eq!(data["rejected"], json!({"ambiguous_request": 1, "failed_answer": 1}));
}

#[test]
fn an_export_as_a_table_gives_the_same_records_and_is_named_where_it_is_not_asked_for() {
    let folder = Folder::new();
    let table = testdata("exports/langfuse.csv").display().to_string();
    let load = |folder: &Folder, file: &str, flags: &[&str]| {
        folder.dfwfd(["load", file, "--workload", "w", "--format", "json"]).args(flags).run()
    };
    let data = load(&folder, &table, &["--from", "langfuse", "--rejects", "bad.jsonl"]).code(0).json()["data"].clone();
    let rejected = json!({"not_a_call": 1, "failed_answer": 1, "bad_row": 1});
    assert_eq!((&data["read"], &data["added"], &data["rejected"]), (&json!(5), &json!(2), &rejected));
    let lines: Vec<Value> = parse_lines(&folder.read("bad.jsonl")).iter().map(|line| line["line"].clone()).collect();
    assert_eq!(lines, [json!(6), json!(7), json!(8)], "a cell may hold several lines");
    let jsonl = Folder::new();
    self::load(&jsonl, "langfuse", &["--from", "langfuse"]).code(0);
    assert_eq!(stored(&folder), stored(&jsonl));
    load(&Folder::new(), &table, &[])
        .code(2)
        .says("the columns look like an export of langfuse")
        .says("--from langfuse");
    let runs = "id;run_type;start_time;inputs;outputs;error\n\
        1;llm;2024-05-01;\"{\"\"messages\"\":[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"u\"\"}]}\";\"{\"\"role\"\":\"\"assistant\"\",\"\"content\"\":\"\"a\"\"}\";\n\
        2;chain;2024-05-01;{};{};\n";
    for (name, text) in
        [("runs.csv", runs.to_owned()), ("runs.tsv", runs.replace(';', "\t")), ("runs", runs.to_owned())]
    {
        folder.write(name, &text);
        let data = load(&Folder::new(), &folder.at(name).display().to_string(), &["--from", "langsmith"]);
        let data = data.code(0).json()["data"].clone();
        assert_eq!((&data["added"], &data["rejected"]), (&json!(1), &json!({"not_a_call": 1})), "{name}");
    }
    load(&folder, "runs.csv", &[]).code(2).says("--from langsmith");
    load(&folder, "runs.csv", &["--from", "helicone"]).code(2).says("request_created_at");
    load(&folder, "runs.csv", &["--from", "openai"]).code(2).says("is no table").hints();
    load(&folder, "runs.csv", &["--from", "langsmith", "--text-column", "inputs"]).code(2).says("--text-column");
    let fields = ["--set", "logs.fields.request=inputs", "--set", "logs.fields.response=outputs"];
    let data =
        load(&Folder::new(), &folder.at("runs.csv").display().to_string(), &fields).code(0).json()["data"].clone();
    assert_eq!((&data["added"], &data["rejected"]), (&json!(1), &json!({"no_messages": 1})), "through logs.fields");
    folder.write("texts.csv", "text,label\na,A\n");
    load(&Folder::new(), &folder.at("texts.csv").display().to_string(), &fields).code(0);
}

#[test]
fn half_a_batch_is_told_what_it_lacks() {
    let folder = Folder::new();
    for half in ["input", "output"] {
        let half = testdata(&format!("exports/openai-batch-{half}.jsonl"));
        let load = |flags: &[&str]| folder.dfwfd(["load", "--workload", "w"]).arg(&half).args(flags).run();
        load(&[]).code(6).says("--from openai-batch reads it, given the input file and the output file");
        load(&["--from", "openai-batch"]).code(6).says("give the input file and the output file of the batch together");
    }
    let body = r#"{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "t"}}"#;
    let both = ["input", "output"].map(|half| testdata(&format!("exports/openai-batch-{half}.jsonl")));
    folder.dfwfd(["load", "--from", "openai-batch"]).args(both).run().code(6).says("--workload NAME sets the workload");
    folder.write("embeddings.jsonl", format!("{body}\n"));
    let load = folder.dfwfd(["load", "--workload", "w", "--from", "openai-batch", "embeddings.jsonl"]).run();
    load.code(6).says("only batches for /v1/chat/completions hold records");
}

#[test]
fn a_wrapper_of_records_is_told_with_what_opens_it() {
    let folder = Folder::new();
    let record = r#"{"workload_id": "w", "timestamp": 1, "request": {"messages": [{"role": "user", "content": "t"}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": "x"}}]}}"#
        .replace('\n', "");
    for (text, way) in [
        (format!(r#"{{"hits": {{"hits": [{{"_source": {record}}}]}}}}"#), "jq -c '.hits.hits[]._source'"),
        (format!("{record}\r{record}\r"), "tr '\\r' '\\n'"),
    ] {
        folder.write("logs.jsonl", &text);
        folder.dfwfd(["load", "logs.jsonl"]).run().code(6).says(way);
    }
    folder.write("dump.jsonl", format!(r#"{{"_index": "i", "_source": {record}}}"#));
    let told = folder.dfwfd(["load", "dump.jsonl"]).run().code(6).stderr.clone();
    let flags: Vec<&str> = told.split_whitespace().skip_while(|word| *word != "--set").collect();
    let flags: Vec<&str> = flags.into_iter().take_while(|word| *word != "reads").collect();
    assert_eq!(flags.len(), 8, "{told}");
    let refused = folder.dfwfd(["load", "dump.jsonl", "--format", "json"]).run();
    let data = refused.code(6).json()["data"].to_string();
    assert!(!data.contains("_source"), "hints are no data: {data}");
    let loaded = folder.dfwfd(["load", "dump.jsonl", "--format", "json"]).args(flags).run();
    assert_eq!(loaded.code(0).json()["data"]["added"], 1);
}
