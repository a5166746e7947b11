//! Tests the data in testdata/: it keeps the promises of its README, and its generator writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Folder, parse_lines, python, testdata};

#[test]
fn the_generator_writes_what_is_shipped() {
    let Some(python) = python("the_generator_writes_what_is_shipped") else { return };
    let folder = Folder::new();
    let made = Command::new(python)
        .arg(testdata("generate.py"))
        .arg(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for name in ["news_logs.jsonl", "tools_logs.jsonl", "notes_logs.jsonl", "headlines_sample.csv"] {
        assert!(folder.bytes(name) == std::fs::read(testdata(name)).unwrap(), "{name} is another one");
    }
}

#[test]
fn the_news_log_is_as_described() {
    let text = std::fs::read_to_string(testdata("news_logs.jsonl")).unwrap();
    let broken = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert_eq!((text.lines().count(), broken), (1510, 3));
    let folder = Folder::shipped();
    let data = folder.dfwfd(["split", "--out", "d", "--format", "json"]).run().code(0).json()["data"].clone();
    let classes: BTreeMap<String, u64> = data["classes"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, sets)| (name.clone(), sets.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()))
        .collect();
    assert_eq!(classes.len(), 13);
    let kept = data["kept"].as_f64().unwrap();
    let shares: Vec<f64> = classes.values().map(|rows| *rows as f64 / kept).collect();
    let largest = shares.iter().copied().fold(0.0, f64::max);
    assert!((0.18..0.20).contains(&largest) && shares.iter().any(|share| *share < 0.01), "{classes:?}");
    // The system prompt lists every class, as the embedded base reads them.
    let first = text.lines().find_map(|line| serde_json::from_str::<Value>(line).ok()).unwrap();
    let prompt = first["request"]["messages"][0]["content"].as_str().unwrap();
    for class in classes.keys() {
        assert!(prompt.contains(&format!("\n- {class}: ")), "{class}: {prompt}");
    }
}

#[test]
fn no_eval_headline_is_a_training_headline_with_other_names() {
    // Names are capitalised words of a headline; without them and without digits, few wordings may come twice.
    let folder = Folder::shipped();
    folder.dfwfd(["split", "--out", "d"]).run().code(0);
    let wording = |text: &str| -> String {
        let words = text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
        let plain = words.filter(|word| word.chars().next().is_some_and(char::is_lowercase));
        plain.collect::<Vec<_>>().join(" ")
    };
    let user = |messages: &Value| messages.as_array().unwrap().iter().find(|m| m["role"] == "user").unwrap().clone();
    let of = |name: &str, pointer: &str| -> Vec<String> {
        let rows = parse_lines(&folder.read(&format!("d/{name}")));
        rows.iter().map(|row| wording(user(row.pointer(pointer).unwrap())["content"].as_str().unwrap())).collect()
    };
    let learnt: BTreeSet<String> = of("train/training/train_data.jsonl", "/messages").into_iter().collect();
    let eval = of("eval/eval_data.jsonl", "/request/messages");
    // Headlines written in capitals throughout have no wording left to compare.
    let comparable: Vec<&String> = eval.iter().filter(|wording| wording.split(' ').count() >= 4).collect();
    assert!(comparable.len() > 40, "{}", comparable.len());
    let known = comparable.iter().filter(|wording| learnt.contains(**wording)).count();
    assert!(known * 10 <= comparable.len(), "{known} of {} eval wordings stand in training", comparable.len());
}
