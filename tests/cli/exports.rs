//! Exports of other tools, loaded with `--from`: the fixtures in testdata/exports give the same two records each.

use serde_json::{Value, json};

use crate::harness::{Folder, Output, files_below, parse_lines, testdata};

const TOOLS: [&str; 4] = ["langfuse", "litellm", "helicone", "langsmith"];

fn load(folder: &Folder, tool: &str, flags: &[&str]) -> Output {
    let file = testdata(&format!("exports/{tool}.jsonl"));
    folder.dfwfd(["load", file.to_str().unwrap(), "--workload", "w", "--format", "json"]).args(flags).run()
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
        ("langfuse", "", "no_messages"),
        ("litellm", "desk-7", "no_choices"),
        ("helicone", "desk-7", "failed_answer"),
        ("langsmith", "desk-7", "no_messages"),
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
