//! What people thought of answers: `--feedback`, and the pairs of answers for training by preference.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Folder, lines, parse_lines, record};

const PAIRS: &str = "train/preference/preference_data.jsonl";

/// Sixty records. Each of the first twenty has an older, other answer. Some of both are rated.
fn rated() -> Vec<Value> {
    let mut records = Vec::new();
    for number in 0..60 {
        let mut newer = record("w", number + 100);
        if number < 20 {
            let mut older = newer.clone();
            older["timestamp"] = json!(1_600_000_000 + number);
            older["response"]["choices"][0]["message"]["content"] = json!("hm, [[[Product?]]]");
            older["feedback"] =
                [json!(false), json!({"rating": "thumbs_down"}), json!(2), json!(0)][number % 4].clone();
            newer["feedback"] = [json!(1), json!("positive"), json!(true), Value::Null][number % 4].clone();
            records.push(older);
        }
        records.push(newer);
    }
    records
}

fn user(messages: &Value) -> String {
    messages[1]["content"].as_str().unwrap().to_owned()
}

#[test]
fn bad_answers_are_left_out_if_asked_and_pairs_are_written_for_rows_that_train() {
    let folder = Folder::new();
    folder.write("logs.jsonl", lines(&rated()));
    let rules = ["--set", "data_split_config.min_total_records=5", "--set", "data_split_config.eval_size=15"];
    let split = |out: &str, flags: &[&str]| {
        let split = folder.dfwfd(["split", "--format", "json", "--logs", "logs.jsonl", "--out", out]);
        split.args(rules).args(flags).run().code(0).json()["data"].clone()
    };
    let all = split("all", &[]);
    assert_eq!((&all["other"], &all["duplicates"], &all["conflicts"]), (&json!(0), &json!(20), &json!(20)));
    let positive = split("positive", &["--feedback", "positive"]);
    // One in four of the older answers has stars, which are no plain rating.
    assert_eq!((&positive["other"], &positive["duplicates"]), (&json!(15), &json!(5)));
    let eval = parse_lines(&folder.read("all/eval/eval_data.jsonl"));
    let measured: BTreeSet<String> = eval.iter().map(|row| user(&row["request"]["messages"])).collect();
    // Rated both ways are those whose older answer is bad and whose newer one is good.
    let both =
        (0..20).filter(|number| number % 4 < 2).map(|number| user(&record("w", number + 100)["request"]["messages"]));
    let wanted: BTreeSet<String> = both.filter(|text| !measured.contains(text)).collect();
    for out in ["all", "positive"] {
        let pairs = parse_lines(&folder.read(&format!("{out}/{PAIRS}")));
        let found: BTreeSet<String> = pairs.iter().map(|pair| user(&pair["prompt"])).collect();
        assert_eq!((found.len(), pairs.len()), (pairs.len(), pairs.len()), "each request once");
        if out == "all" {
            assert!(!wanted.is_empty());
            assert_eq!(found, wanted);
        }
        for pair in &pairs {
            assert_eq!(pair["rejected"], json!([{"role": "assistant", "content": "hm, [[[Product?]]]"}]));
            assert!(pair["chosen"][0]["content"].as_str().unwrap().starts_with("[[["), "{pair}");
            assert_eq!(pair["prompt"].as_array().unwrap().len(), 2);
        }
        let file = split_file(if out == "all" { &all } else { &positive });
        assert_eq!(file["rows"], json!(pairs.len()));
    }
    folder.write("logs.jsonl", lines(&(0..60).map(|number| record("w", number)).collect::<Vec<_>>()));
    assert!(split_file(&split("plain", &[])).is_null() && !folder.at(&format!("plain/{PAIRS}")).exists());
}

fn split_file(data: &Value) -> Value {
    let files = data["files"].as_array().unwrap();
    files.iter().find(|file| file["path"] == PAIRS).cloned().unwrap_or_default()
}
