//! Datasets built from generated logs: nothing is lost, nothing depends on order or store, nothing leaks.

mod generated;
mod inputs;
mod sums;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::read::{SPOOL, examined};
use super::write::CONFLICTS;
use super::*;
use crate::data::intake::{ExaminerScratch, Findings};
use crate::data::options::{Fields, Filter, LabelRules, SplitRules, TypeChoice};
use crate::data::origin::Origin;
use crate::data::record;
use crate::data::reject::Reject;
use crate::data::rows::RowRenderer;
use crate::data::workload_type::WorkloadType;
use crate::source::input::InputError;
use crate::source::input::packed::tests::{gzip, zstandard};
use crate::source::lines::Blocks;
use crate::source::manifest::DatasetFile;

/// Builds from what needs no credentials.
fn build(request: &DatasetRequest, out: &Path, rejects: Option<&mut dyn Write>) -> Result<Manifest> {
    super::build(request, &Credentials::None, out, rejects, None, &CancellationToken::new())
}

fn request(paths: Vec<PathBuf>) -> DatasetRequest {
    DatasetRequest {
        input: LogSource::Files(paths),
        fields: Fields::default(),
        filter: Filter { workload: Some("news".into()), ..Filter::default() },
        workload_type: TypeChoice::Auto,
        labels: LabelRules::default(),
        accept_truncated: false,
        split: SplitRules { val_ratio: 0.2, min_total_records: 20, ..SplitRules::for_tests(10) },
        redact: None,
        eval_set: None,
        corrections: None,
    }
}

fn line(workload: &str, timestamp: i64, text: &str, reply: &str) -> String {
    json!({
        "timestamp": timestamp, "workload_id": workload, "client_id": "desk",
        "request": {"messages": [{"role": "system", "content": "Classify."}, {"role": "user", "content": text}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": reply}}]},
    })
    .to_string()
}

fn words(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    format!("story {}{}{}", letter(n), letter(n / 26), letter(n / 676))
}

/// Sixty records of three labels, each with a text of its own.
fn sixty() -> Vec<String> {
    (0..60).map(|n| line("news", n as i64, &words(n), ["[[A]]", "[[B]]", "[[C]]"][n % 3])).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, lines: &[String]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, lines.join("\n")).unwrap();
        path
    }

    fn out(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn unusable(result: Result<Manifest>) -> Unusable {
    result.unwrap_err().downcast_ref::<Unusable>().unwrap().clone()
}

fn dataset(out: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join(name)).unwrap_or_default();
    assert!(!text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn eval_texts(out: &Path) -> Vec<String> {
    let user = |row: &Value| row["request"]["messages"][1]["content"].as_str().unwrap().to_owned();
    dataset(out, EVAL).iter().map(user).collect()
}

fn training_texts(out: &Path, name: &str) -> Vec<String> {
    dataset(out, name).iter().map(|row| row["messages"][1]["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_line_is_somewhere() {
    let folder = Folder::new();
    let mut lines = sixty();
    lines.push(line("other", 1, "x", "[[A]]"));
    lines.push("{".into());
    lines.push(line("news", 5, "unlabelled", "no label"));
    lines.push(line("news", 99, &words(0), "[[B]]"));
    let mut refused = Vec::new();
    let logs = folder.file("logs.jsonl", &lines);
    let out = folder.out("out");
    let manifest = build(&request(vec![logs.clone()]), &out, Some(&mut refused)).unwrap();
    assert_eq!((manifest.read, manifest.other, manifest.duplicates, manifest.kept), (64, 1, 1, 60));
    assert_eq!(manifest.rejected, BTreeMap::from([(Reject::InvalidJson, 1), (Reject::NoLabel, 1)]));
    assert_eq!((manifest.eval, manifest.validation, manifest.train, manifest.held_back), (10, 10, 40, 0));
    assert_eq!((manifest.conflicts, manifest.workload_type), (1, WorkloadType::Classification));
    let refused: Vec<Value> =
        String::from_utf8(refused).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(refused[0], json!({"file": logs, "line": 62, "reason": "invalid_json", "text": "{"}));
    assert_eq!((&refused[1]["line"], &refused[1]["reason"]), (&json!(63), &json!("no_label")));
    assert_eq!(dataset(&out, CONFLICTS)[0]["labels"], json!({"A": 1, "B": 1}));
    assert_eq!(dataset(&out, CONFLICTS)[0]["kept"], "B");
    let written = std::fs::read(out.join(MANIFEST)).unwrap();
    assert_eq!(serde_json::from_slice::<Manifest>(&written).unwrap(), manifest);
    for file in &manifest.files {
        let bytes = std::fs::read(out.join(&file.path)).unwrap();
        assert_eq!(bytes.split(|&b| b == b'\n').count() as u64, file.rows);
    }
    assert_eq!(manifest.inputs[0].blake3, blake3::hash(&std::fs::read(logs).unwrap()).to_hex().to_string());
}

#[test]
fn labels_are_shown_as_written_most_often() {
    let folder = Folder::new();
    let mut lines = sixty();
    lines.extend((60..90).map(|n| line("news", n as i64, &words(n), "maybe [[x]], no: [[ a ]]")));
    let manifest = build(&request(vec![folder.file("logs.jsonl", &lines)]), &folder.out("out"), None).unwrap();
    // Written "a" 30 times and "A" 20 times.
    assert_eq!(manifest.classes.keys().collect::<Vec<_>>(), ["B", "C", "a"]);
    let rows: u64 = manifest.classes["a"].eval + manifest.classes["a"].train + manifest.classes["a"].validation;
    assert_eq!(rows, 50);
}

#[test]
fn the_newest_of_a_text_wins_and_within_a_second_the_greater_id() {
    let folder = Folder::new();
    let same_second: Vec<String> = (0..4).map(|n| line("news", 500, "the same text", &format!("[[S{n}]]"))).collect();
    let id = |line: &String| record::normalise(line.as_bytes(), &record::FieldDefaults::default()).unwrap().id;
    let winner = (0..4).max_by_key(|&n| id(&same_second[n])).unwrap();
    let mut lines = sixty();
    lines.push(line("news", 499, "the same text", "[[Older]]"));
    for turn in 0..4 {
        lines.push(same_second[turn].clone());
        let mut turned = lines.clone();
        turned.extend((1..4).map(|more| same_second[(turn + more) % 4].clone()));
        let out = folder.out("out");
        let manifest = build(&request(vec![folder.file("logs.jsonl", &turned)]), &out, None).unwrap();
        assert_eq!((manifest.kept, manifest.duplicates, manifest.conflicts), (61, 4, 1), "turn {turn}");
        assert_eq!(dataset(&out, CONFLICTS)[0]["kept"], format!("S{winner}"));
        lines.pop();
    }
}

#[test]
fn a_second_build_leaves_nothing_of_the_first() {
    let folder = Folder::new();
    let mut lines = sixty();
    lines.push(line("news", 99, &words(0), "[[B]]"));
    let out = folder.out("out");
    let mut wanted = request(vec![folder.file("logs.jsonl", &lines)]);
    build(&wanted, &out, None).unwrap();
    assert!(out.join(CONFLICTS).exists() && out.join(VALIDATION).exists());
    folder.file("logs.jsonl", &sixty());
    wanted.split.val_ratio = 0.0;
    let manifest = build(&wanted, &out, None).unwrap();
    assert_eq!((manifest.files.len(), manifest.validation), (2, 0));
    assert!(!out.join(CONFLICTS).exists() && !out.join(VALIDATION).exists());
    wanted.split.eval_size = 60;
    assert!(build(&wanted, &out, None).is_err());
    assert!(!out.join(MANIFEST).exists());
}

#[test]
fn what_cannot_be_used_says_why() {
    let folder = Folder::new();
    let logs = folder.file("logs.jsonl", &sixty());
    let mut wanted = request(vec![logs.clone()]);
    wanted.split.eval_size = 60;
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert!(matches!(problem, Unusable::EvalTooLarge { eval_size: 60, kept: 60, .. }), "{problem}");
    assert!(problem.hint().contains("eval_size=30"));

    let mut wanted = request(vec![logs.clone()]);
    wanted.split.limit = Some(19);
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert!(matches!(problem, Unusable::TooFew { kept: 19, needed: 20, over_limit: 41, .. }), "{problem}");

    let mut wanted = request(vec![logs.clone()]);
    wanted.filter.workload = Some("nwes".into());
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert_eq!(problem.to_string(), "cannot make datasets: no record of workload nwes among 60 lines");
    assert_eq!(problem.causes(), ["the logs hold 60 records of news"]);
    assert!(!problem.is_usage());

    let two = folder.file("two.jsonl", &[line("b", 1, "x", "[[A]]")]);
    let mut wanted = request(vec![logs.clone(), two]);
    wanted.filter.workload = None;
    let problem = unusable(build(&wanted, &folder.out("out"), None));
    assert_eq!(problem, Unusable::Ambiguous { workloads: vec![("b".into(), 1), ("news".into(), 60)] });
    assert!(problem.is_usage());

    wanted.input = LogSource::Files(vec![logs]);
    assert_eq!(build(&wanted, &folder.out("out"), None).unwrap().workload, "news");

    wanted.input = LogSource::Local(folder.out("nowhere"));
    assert!(matches!(unusable(build(&wanted, &folder.out("out"), None)), Unusable::NoRecords { .. }));
}

#[test]
fn tool_calls_are_found_and_not_taken_for_classification() {
    let folder = Folder::new();
    let call = |n: usize| {
        json!({
            "workload_id": "news", "request": {"messages": [{"role": "user", "content": words(n)}], "tools": [{}]},
            "response": {"choices": [{"message": {"content": null, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": (["buy", "sell"][n % 2]), "arguments": "{\"n\": 1}"}}]}}]},
        })
        .to_string()
    };
    let lines: Vec<String> = (0..40).map(call).collect();
    let mut wanted = request(vec![folder.file("logs.jsonl", &lines)]);
    let out = folder.out("out");
    let manifest = build(&wanted, &out, None).unwrap();
    assert_eq!(manifest.workload_type, WorkloadType::ToolCalling);
    assert_eq!((manifest.types.tool_calls, manifest.types.labels, manifest.types.records), (40, 0, 40));
    assert_eq!(manifest.classes.keys().collect::<Vec<_>>(), ["buy", "sell"]);
    let row = &dataset(&out, TRAIN)[0];
    assert_eq!(row["messages"][1]["content"], "");
    assert_eq!(row["messages"][1]["tool_calls"][0]["function"]["arguments"], json!({"n": 1}));

    wanted.workload_type = TypeChoice::Classification;
    let problem = unusable(build(&wanted, &out, None));
    assert_eq!(problem.to_string(), "cannot make classification datasets: 40 of 40 records hold tool calls");
    assert_eq!(problem.causes(), Vec::<String>::new());
    assert!(problem.hint().contains("tool_calling"));
    wanted.workload_type = TypeChoice::Auto;
    wanted.input = LogSource::Files(vec![
        folder.file("text.jsonl", &(0..40).map(|n| line("news", 0, &words(n), "prose")).collect::<Vec<_>>()),
    ]);
    let manifest = build(&wanted, &out, None).unwrap();
    assert_eq!((manifest.workload_type, manifest.classes.len()), (WorkloadType::Text, 0));
    assert_eq!(manifest.warnings, Vec::<String>::new());
}

#[test]
fn clients_and_times_select() {
    let folder = Folder::new();
    let lines = sixty();
    let mut wanted = request(vec![folder.file("logs.jsonl", &lines)]);
    wanted.filter.since = Some(10);
    wanted.filter.until = Some(50);
    let manifest = build(&wanted, &folder.out("out"), None).unwrap();
    assert_eq!((manifest.kept, manifest.other), (40, 20));
    wanted.filter.clients = vec!["desk".into(), "else".into()];
    assert_eq!(build(&wanted, &folder.out("out"), None).unwrap().kept, 40);
    wanted.filter.clients = vec!["else".into()];
    assert!(matches!(unusable(build(&wanted, &folder.out("out"), None)), Unusable::NoneSelected { .. }));
}
