//! Runs that also evaluate base models with examples in the prompt, for both types of workload.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::control::{Home, Platform, until};
use crate::harness::testdata;

const WITH_EXAMPLES: [&str; 2] = ["--set", "icl_config.max_examples=3"];

/// Returns the rows of a file in the folder of a run.
fn rows(home: &Home, report: &Value, file: &str) -> Vec<Value> {
    let path = home.state.join("runs").join(report["run"].as_str().unwrap()).join(file);
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the questions of the examples in each prompt of the eval set with examples.
fn shown(home: &Home, report: &Value) -> Vec<Vec<String>> {
    let questions = |row: Value| {
        let system = row["request"]["messages"][0]["content"].as_str().unwrap().to_owned();
        system.lines().filter_map(|line| line.strip_prefix("user: ").map(str::to_owned)).collect()
    };
    rows(home, report, "icl/eval_data.jsonl").into_iter().map(questions).collect()
}

/// Checks that every example is a training row, and returns the different questions.
fn of_training_rows(home: &Home, report: &Value) -> BTreeSet<String> {
    let train: BTreeSet<String> = rows(home, report, "train/training/train_data.jsonl")
        .iter()
        .flat_map(|row| row["messages"].as_array().unwrap().clone())
        .filter(|message| message["role"] == "user")
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect();
    let shown: BTreeSet<String> = shown(home, report).into_iter().flatten().collect();
    assert!(shown.is_subset(&train), "{:?}", shown.difference(&train));
    shown
}

fn pairs(report: &Value) -> Vec<(String, String)> {
    let name = |value: &Value| value.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    report["comparisons"].as_array().unwrap().iter().map(|one| (name(&one["a"]), name(&one["b"]))).collect()
}

#[test]
fn a_classification_is_evaluated_with_examples_of_its_training_rows() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let output = platform.dfwfd(&home, &[&["run", "--format", "json"], &WITH_EXAMPLES[..]].concat()).expect(0);
    output.says("examples done").says("evaluate with examples done");
    let report = output.json();
    let evaluations = &report["candidates"][0]["evaluations"];
    let (base, icl) = (&evaluations["base"], &evaluations["icl"]);
    assert_eq!((&icl["rows"], &icl["state"]), (&json!(20), &json!("completed")), "{icl}");
    assert_ne!(base["scores"]["macro_f1"], icl["scores"]["macro_f1"], "the student takes the examples into account");
    // Three classes share three places, and every row shows the same examples.
    let each = shown(&home, &report);
    assert_eq!((each.len(), each[0].len()), (20, 3));
    assert!(each.iter().all(|row| *row == each[0]));
    of_training_rows(&home, &report);
    // What is scored are the rows with examples, and their texts are those of the eval set.
    let plain = rows(&home, &report, "eval/eval_data.jsonl");
    for (with, plain) in rows(&home, &report, "icl/eval_data.jsonl").iter().zip(&plain) {
        assert_eq!(
            (&with["response"], &with["request"]["messages"][1]),
            (&plain["response"], &plain["request"]["messages"][1])
        );
        let (with, plain) = (&with["request"]["messages"][0], &plain["request"]["messages"][0]);
        assert!(with["content"].as_str().unwrap().ends_with(plain["content"].as_str().unwrap()));
    }
    let told = ["base", "base", "icl"].into_iter().zip(["icl", "customized", "customized"]);
    let told: Vec<(String, String)> = told.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert_eq!(pairs(&report)[..3], told);
    assert!(report["verdict"]["sentence"].as_str().unwrap().contains("its base with examples"), "{report:#}");
    let run = report["run"].as_str().unwrap();
    let shown = platform.dfwfd(&home, &["status", run]).expect(0).stdout;
    assert!(shown.contains("with examples"), "{shown}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    platform.dfwfd(&home, &["cleanup", run, "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn tool_calls_are_evaluated_with_examples_whose_arguments_help() {
    let home = Home::new(1, "1");
    std::fs::copy(testdata("tools_logs.jsonl"), home.folder().join("logs.jsonl")).unwrap();
    let platform = Platform::start(&["--gpus", "1"]);
    let settings = ["--set", "icl_config.max_examples=6", "--set", "evaluation_config.workload_type=tool_calling"];
    let report = platform.dfwfd(&home, &[&["run", "--format", "json"], &settings[..]].concat()).expect(0).json();
    let score = |which: &str| {
        let scores = &report["candidates"][0]["evaluations"][which]["scores"];
        scores["name_and_arguments_accuracy"]["value"].as_f64().unwrap()
    };
    assert!(score("base") < score("icl"), "{report:#}");
    // Six functions share six places.
    assert_eq!(of_training_rows(&home, &report).len(), 6);
}

#[test]
fn a_row_without_room_is_evaluated_as_it_is_and_counted() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let tight = ["--set", "icl_config.max_context_length=200", "--set", "icl_config.reserved_tokens=190"];
    let report = platform.dfwfd(&home, &[&["run", "--format", "json"], &tight[..]].concat()).expect(0).json();
    let evaluations = &report["candidates"][0]["evaluations"];
    assert_eq!(evaluations["icl"]["scores"], evaluations["base"]["scores"]);
    assert_eq!(rows(&home, &report, "icl/eval_data.jsonl"), rows(&home, &report, "eval/eval_data.jsonl"));
    let told = "20 of 20 eval rows have room for fewer than 1 examples (icl_config.min_examples)";
    assert!(report["warnings"].to_string().contains(told), "{}", report["warnings"]);
}

#[test]
fn a_killed_run_resumes_with_the_same_examples() {
    let wanted = {
        let home = Home::new(1, "8");
        Platform::start(&[]).dfwfd(&home, &[&["run", "--format", "json"], &WITH_EXAMPLES[..]].concat()).expect(0).json()
    };
    let (home, platform) = (Home::new(1, "8"), Platform::start(&[]));
    // The run dies before the first dataset is registered, and makes the one with examples only later.
    platform.hold_first("POST /nemo/v1/datasets");
    let running = platform.command(&home, &[&["run"], &WITH_EXAMPLES[..]].concat()).spawn();
    until("the first dataset", || platform.calls().1.then_some(()));
    running.kill();
    platform.release();
    let report = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    for which in ["base", "icl", "customized"] {
        let scores = |report: &Value| report["candidates"][0]["evaluations"][which]["scores"].clone();
        assert_eq!(scores(&report), scores(&wanted), "{which}");
    }
    platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn impossible_rules_are_refused() {
    let home = Home::new(1, "8");
    for (set, told) in [
        ("icl_config.reserved_tokens=8192", "less than 8192"),
        ("icl_config.min_examples=4", "at most 3"),
        ("icl_config.example_selection=random", "uniform_distribution"),
    ] {
        home.command(&["run", "--plan", "--set", set]).run().expect(2).says(told);
    }
}
