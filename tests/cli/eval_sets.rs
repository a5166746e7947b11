//! Eval sets that are not drawn: the newest rows, and those of an earlier run.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Folder, Output, labelled, lines, log, parse_lines, record};

const FLYWHEEL: &str = "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\n";

/// Splits `logs.jsonl` by these settings of `data_split_config`.
fn split(folder: &Folder, out: &str, settings: &[&str], flags: &[&str]) -> Output {
    let set = settings.iter().flat_map(|setting| ["--set".to_owned(), format!("data_split_config.{setting}")]);
    let command = folder.dfwfd(["split", "--format", "json", "--logs", "logs.jsonl", "--out", out]);
    command.args(set.collect::<Vec<_>>()).args(flags).run()
}

fn texts(folder: &Folder, file: &str) -> BTreeSet<String> {
    let users = parse_lines(&folder.read(file)).into_iter().map(|row| {
        let messages = row.get("messages").unwrap_or_else(|| &row["request"]["messages"]).as_array().unwrap().clone();
        let user = messages.into_iter().find(|message| message["role"] == "user").unwrap();
        user["content"].as_str().unwrap().to_lowercase()
    });
    users.collect()
}

#[test]
fn a_split_by_time_trains_on_nothing_that_is_as_new_as_an_eval_row() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 200));
    let settings = ["split=temporal", "embargo=30s", "eval_size=20", "max_per_class=40"];
    let data = split(&folder, "out", &settings, &[]).code(0).json()["data"].clone();
    let count = |key: &str| data[key].as_u64().unwrap();
    assert_eq!((count("kept"), count("eval")), (200, 20), "{data}");
    assert_eq!(count("kept"), count("eval") + count("train") + count("validation") + count("held_back"), "{data}");
    assert!(count("held_back") >= 30 && count("train") <= 3 * 40, "{data}");
    let time = |row: &Value| row["timestamp"].as_u64().unwrap();
    let eval = parse_lines(&folder.read("out/eval/eval_data.jsonl"));
    assert_eq!(eval.iter().map(time).collect::<Vec<_>>(), (1_700_000_180..1_700_000_200).collect::<Vec<_>>());
    let newest: BTreeSet<String> = (150..200)
        .map(|n| record("w", n)["request"]["messages"][1]["content"].as_str().unwrap().to_lowercase())
        .collect();
    assert!(texts(&folder, "out/train/training/train_data.jsonl").is_disjoint(&newest));
    split(&folder, "none", &["split=temporal", "embargo=1h"], &[]).code(6).says("embargo").hints();
    let one_time: Vec<Value> = (0..200)
        .map(|n| {
            let mut record = record("w", n);
            record["timestamp"] = json!(7);
            record
        })
        .collect();
    folder.write("logs.jsonl", lines(&one_time));
    split(&folder, "same", &["split=temporal"], &[]).code(6).says("have the same time").hints();
    split(&folder, "bad", &["split=newest"], &[]).code(2).says("random, temporal");
}

#[test]
fn a_split_by_time_leaves_out_what_has_no_time_and_says_so() {
    let folder = Folder::new();
    let records: Vec<Value> = (0..200)
        .map(|n| {
            let mut record = record("w", n);
            if n % 2 == 0 {
                record.as_object_mut().unwrap().remove("timestamp");
            }
            record
        })
        .collect();
    folder.write("logs.jsonl", lines(&records));
    let output = split(&folder, "out", &["split=temporal", "eval_size=20"], &[]);
    let data = output.code(0).says("100 of 200 records have no time").json()["data"].clone();
    assert_eq!((&data["kept"], &data["held_back"]), (&json!(200), &json!(100)), "{data}");
    let eval = parse_lines(&folder.read("out/eval/eval_data.jsonl"));
    assert!(eval.iter().all(|row| row["timestamp"].as_u64().unwrap() > 1_700_000_000), "{data}");
    let output = split(&folder, "few", &["split=temporal", "eval_size=150"], &[]);
    output.code(6).says("100 have no time").says("hint: log the time of each request as timestamp");
    let random = split(&folder, "random", &["embargo=1h", "eval_size=20"], &[]);
    random.code(0).says("data_split_config.embargo has no effect unless data_split_config.split is temporal");
    assert_eq!(random.json()["data"]["held_back"], json!(0));
}

#[test]
fn an_eval_set_is_frozen_and_its_twins_are_trained_on_by_no_later_run() {
    let folder = Folder::with_config(FLYWHEEL);
    folder.write("logs.jsonl", log("w", 200));
    let run = |flags: &[&str]| {
        folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).args(flags).run().code(0).json()
    };
    let first = run(&["--set", "data_split_config.eval_size=30"]);
    let first_run = first["run"].as_str().unwrap();
    let frozen = format!(".dfwfd/runs/{first_run}/eval/eval_data.jsonl");
    // A later log has the old requests once more, their texts in capitals under another time, and new ones.
    let twins = parse_lines(&folder.read(&frozen)).into_iter().enumerate().map(|(n, row)| {
        let text = row["request"]["messages"][1]["content"].as_str().unwrap().to_uppercase();
        let label =
            row["response"]["choices"][0]["message"]["content"].as_str().unwrap().trim_matches(['[', ']']).to_owned();
        labelled("w", 1000 + n, &text, &label)
    });
    let later: Vec<Value> = (0..260).map(|n| record("w", n)).chain(twins).collect();
    folder.write("logs.jsonl", lines(&later));
    let data = split(&folder, "out", &[], &["--eval-set", first_run]).code(0).json()["data"].clone();
    let count = |key: &str| data[key].as_u64().unwrap();
    assert_eq!((count("read"), count("duplicates"), count("eval")), (260 + 30 + 30, 0, 30), "{data}");
    assert!(count("held_back") >= 60, "{data}");
    assert_eq!(count("kept"), count("eval") + count("train") + count("validation") + count("held_back"), "{data}");
    assert_eq!(folder.bytes("out/eval/eval_data.jsonl"), folder.bytes(&frozen));
    let eval = texts(&folder, &frozen);
    for set in ["out/train/training/train_data.jsonl", "out/train/validation/val_data.jsonl"] {
        assert!(texts(&folder, set).is_disjoint(&eval), "{set}");
    }
    let since = split(&folder, "since", &[], &["--eval-set", "latest", "--since", "2023-11-14T22:13:30Z"]);
    assert_eq!(since.code(0).json()["data"]["eval"], 30, "times select from the log, not from the eval set");
    let second = run(&["--eval-set", first_run]);
    assert_eq!(second["data"]["eval"], 30);
    let compared = folder.dfwfd(["compare", "--format", "json", first_run, "latest"]).run().code(0).json();
    assert!(compared["comparisons"][0]["p"].is_number(), "paired, because the eval rows are the same: {compared}");
    split(&folder, "no", &[], &["--eval-set", "nosuchrun"]).code(2).says("cannot find run nosuchrun").hints();
    split(&folder, "off", &[], &["--eval-set", first_run, "--set", "labels=[Nothing]"]).code(6).hints();
}

#[test]
fn near_copies_are_kept_together_once_a_threshold_is_set() {
    let folder = Folder::new();
    let word = |n: usize| {
        let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
        format!("{}{}{}", letter(n), letter(n / 26), letter(7 * n))
    };
    // Every story was published twice, once with a word replaced near its end.
    let story = |n: usize, last: &str| {
        let words: Vec<String> = (0..20).map(|at| word(31 * n + at * at)).collect();
        format!("{} {last} today", words.join(" "))
    };
    let records = (0..100).flat_map(|n| [story(n, "says"), story(n, "tells")].map(|text| (n, text)));
    let records: Vec<Value> =
        records.enumerate().map(|(at, (n, text))| labelled("w", at, &text, ["A", "B"][n % 2])).collect();
    folder.write("logs.jsonl", lines(&records));
    let crossing = |out: &str| {
        let stories = |file: &str| -> BTreeSet<String> {
            let texts = texts(&folder, &format!("{out}/{file}"));
            texts.iter().map(|text| text.rsplitn(3, ' ').last().unwrap().to_owned()).collect()
        };
        let eval = stories("eval/eval_data.jsonl");
        ["train/training/train_data.jsonl", "train/validation/val_data.jsonl"]
            .iter()
            .map(|file| stories(file).intersection(&eval).count())
            .sum::<usize>()
    };
    let plain = split(&folder, "plain", &["eval_size=28"], &[]).code(0).json()["data"].clone();
    assert!(crossing("plain") > 10 && plain.get("near_copies").is_none(), "{plain}");
    let near =
        split(&folder, "near", &["eval_size=28", "near_duplicate_threshold=0.7"], &[]).code(0).json()["data"].clone();
    assert_eq!(
        (crossing("near"), &near["near_copies"]),
        (0, &json!({"grouped": 200, "leaks_prevented": 14})),
        "{near}"
    );
    split(&folder, "bad", &["near_duplicate_threshold=1.5"], &[]).code(2);
}
