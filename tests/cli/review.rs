//! Labels that people check: `split --review` finds doubtful ones, and `--corrections` takes the right ones.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Folder, labelled, lines, log, parse_lines, record, testdata};

const SMALL: [&str; 4] = ["--set", "data_split_config.min_total_records=5", "--set", "data_split_config.eval_size=20"];

/// The rows of a CSV file by column.
fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

/// Fills in the column `correct` of a review file.
fn fill_in(text: &str, right: impl Fn(&BTreeMap<String, String>) -> Option<String>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["request", "note", "correct"]).unwrap();
    for row in table(text) {
        let correct = right(&row).unwrap_or_default();
        writer.write_record([row["request"].as_str(), "checked", &correct]).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

fn split(folder: &Folder, out: &str, flags: &[&str]) -> crate::harness::Output {
    folder.dfwfd(["split", "--format", "json", "--out", out]).args(SMALL).args(flags).run()
}

fn datasets(folder: &Folder, out: &str) -> Vec<Vec<u8>> {
    let sets = ["eval/eval_data.jsonl", "train/training/train_data.jsonl", "train/validation/val_data.jsonl"];
    sets.iter().map(|set| folder.bytes(&format!("{out}/{set}"))).collect()
}

#[test]
fn a_review_file_that_cannot_be_written_stops_the_split_before_anything_is_made() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 60));
    for path in ["nowhere/review.csv", "."] {
        let output = split(&folder, "out", &["--logs", "logs.jsonl", "--review", path]);
        output.code(1).says("cannot write the review file");
        assert!(!folder.at("out").exists(), "{path}");
    }
    split(&folder, "out", &["--logs", "logs.jsonl", "--review", "out/review.csv"]).code(0);
}

#[test]
fn wrong_labels_are_found_and_their_corrections_give_the_datasets_of_right_ones() {
    let folder = Folder::new();
    folder.write("right.jsonl", log("w", 300));
    let is_wrong = |number: usize| number % 30 == 7;
    let wrong: Vec<Value> = (0..300)
        .map(|number| {
            let mut record = record("w", number);
            if is_wrong(number) {
                let answer = &mut record["response"]["choices"][0]["message"]["content"];
                *answer = json!(if *answer == "[[[Merger]]]" { "[[[Product]]]" } else { "[[[Merger]]]" });
            }
            record
        })
        .collect();
    folder.write("wrong.jsonl", lines(&wrong));
    split(&folder, "right", &["--logs", "right.jsonl"]).code(0);
    let output = split(&folder, "first", &["--logs", "wrong.jsonl", "--review", "review.csv"]);
    let found = table(&folder.read("review.csv"));
    assert_eq!(output.code(0).json()["review"], json!({"likely_wrong": found.len()}));
    output.says("--corrections review.csv");
    let rights: BTreeMap<String, String> = (0..300)
        .map(|number| {
            let record = record("w", number);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let label = text(&record["response"]["choices"][0]["message"]["content"]);
            (text(&record["request"]["messages"][1]["content"]), label.trim_matches(['[', ']']).to_owned())
        })
        .collect();
    let is_planted = |row: &&BTreeMap<String, String>| rights[&row["text"]] != row["label"];
    let planted = found.iter().filter(is_planted).count();
    assert_eq!((planted, found.len()), (10, 10), "{found:?}");
    assert!(found.iter().all(|row| row["suggested"] == rights[&row["text"]]), "{found:?}");

    folder.write("checked.csv", fill_in(&folder.read("review.csv"), |row| Some(rights[&row["text"]].clone())));
    let given = ["--logs", "wrong.jsonl", "--corrections", "checked.csv"];
    let manifest = split(&folder, "corrected", &given).code(0).json()["data"].clone();
    let hash = blake3::hash(&folder.bytes("checked.csv")).to_hex().to_string();
    let told = &manifest["corrections"];
    assert_eq!(
        (&told["given"], &told["records"], &told["unused"], &told["blake3"]),
        (&json!(10), &json!(10), &json!(0), &json!(hash))
    );
    assert_eq!(datasets(&folder, "corrected"), datasets(&folder, "right"));
    let pairs = parse_lines(&folder.read("corrected/train/preference/preference_data.jsonl"));
    assert!(!pairs.is_empty() && pairs.len() <= 10, "{pairs:?}");
    for pair in &pairs {
        let right = &rights[pair["prompt"][1]["content"].as_str().unwrap()];
        assert_eq!(pair["chosen"][0]["content"], format!("[[[{right}]]]"));
        assert_ne!(pair["rejected"][0]["content"], pair["chosen"][0]["content"]);
    }
    let again = split(&folder, "again", &[&given[..], &["--review", "second.jsonl"]].concat());
    assert_eq!((again.code(0).json()["review"].clone(), folder.read("second.jsonl")), (json!({}), String::new()));
}

#[test]
fn conflicts_and_labels_that_are_not_allowed_are_listed_with_a_suggestion() {
    let folder = Folder::with_config("labels: [Earnings, Merger, Product]\n");
    let mut records: Vec<Value> = (0..60).map(|number| record("w", number)).collect();
    records.push(labelled("w", 100, "Acme Corp is sold", "Product"));
    records.extend([101, 102].map(|number| labelled("w", number, "Acme Corp is sold", "Merger")));
    records.push(labelled("w", 103, "Acme Corp is sold", "Product "));
    records.push(labelled("w", 104, "Acme Corp is sold", "Merger"));
    records.push(labelled("w", 105, "Acme Corp is sold", "Product"));
    records.extend([106, 107].map(|number| labelled("w", number, "Zeta Corp buys a rival", "Mergers")));
    folder.write("logs.jsonl", lines(&records));
    let logs = ["--logs", "logs.jsonl"];
    let first = split(&folder, "first", &[&logs[..], &["--review", "r.jsonl"]].concat()).code(0).json();
    assert_eq!(first["review"], json!({"conflict": 1, "off_taxonomy": 1}));
    let rows = parse_lines(&folder.read("r.jsonl"));
    let of = |row: &Value| json!([row["reason"], row["label"], row["suggested"], row["text"], row["correct"]]);
    assert_eq!(of(&rows[0]), json!(["conflict", "Product", "", "Acme Corp is sold", ""]));
    assert_eq!(rows[0]["evidence"], "its records have different labels: Merger 3, Product 3");
    assert_eq!(of(&rows[1]), json!(["off_taxonomy", "Mergers", "Merger", "Zeta Corp buys a rival", ""]));
    let mut checked = rows.clone();
    checked.iter_mut().for_each(|row| row["correct"] = json!("Merger"));
    checked.push(json!({"request": format!("req-{:032x}", 1), "correct": "Product"}));
    folder.write("checked.jsonl", lines(&checked));
    let output = split(&folder, "second", &[&logs[..], &["--corrections", "checked.jsonl"]].concat());
    let second = output.code(0).json()["data"].clone();
    let before = &first["data"];
    assert_eq!((&before["conflicts"], &before["rejected"]), (&json!(1), &json!({"off_taxonomy": 2})));
    assert_eq!((&second["conflicts"], &second["rejected"]), (&json!(0), &json!({})));
    assert_eq!((&second["corrections"]["records"], &second["corrections"]["unused"]), (&json!(5), &json!(1)));
    output.says("1 of 3 corrections");
    let rows: Vec<u8> = datasets(&folder, "second").concat();
    let text = String::from_utf8(rows).unwrap();
    let answer = |row: &str| row.contains("[[[Merger]]]");
    for subject in ["Acme Corp is sold", "Zeta Corp buys a rival"] {
        let rows: Vec<&str> = text.split("}\n").filter(|row| row.contains(subject)).collect();
        assert!(!rows.is_empty() && rows.iter().all(|row| answer(row)), "{rows:?}");
    }
}

#[test]
fn a_review_is_written_although_too_few_records_are_left() {
    let folder = Folder::with_config("labels: [Profits]\n");
    folder.write("logs.jsonl", log("w", 40));
    split(&folder, "out", &["--logs", "logs.jsonl", "--review", "review.csv"]).code(6);
    assert!(folder.read("review.csv").contains("off_taxonomy,Merger,Profits,"), "{}", folder.read("review.csv"));
}

#[test]
fn corrections_that_cannot_be_used_say_why() {
    let folder = Folder::with_config("labels: [Earnings, Merger, Product]\n");
    folder.write("logs.jsonl", log("w", 40));
    let request = format!("req-{:032x}", 1);
    for (file, told) in [
        (format!("request,correct\n{request},Profits\n"), "Profits is not one of labels"),
        ("id,label\n1,A\n".to_owned(), "it needs the columns request and correct"),
    ] {
        folder.write("checked.csv", file);
        let output = split(&folder, "out", &["--logs", "logs.jsonl", "--corrections", "checked.csv"]);
        output.code(2).says("checked.csv").says(told).says("--review").hints();
    }
    split(&folder, "out", &["--logs", "logs.jsonl", "--corrections", "none.csv"]).code(2).says("none.csv").hints();
}

/// The shipped log, with another label in every 25th record. Returns the texts of these records.
fn planted(folder: &Folder) -> Vec<String> {
    let mut planted = Vec::new();
    let text = std::fs::read_to_string(testdata("news_logs.jsonl")).unwrap();
    let changed = text.lines().enumerate().map(|(number, line)| {
        let record = serde_json::from_str::<Value>(line).ok().filter(|_| number % 25 == 3);
        let answer =
            |record: &Value| record["response"]["choices"][0]["message"]["content"].as_str().map(str::to_owned);
        let Some((mut record, old)) = record.and_then(|record| Some((record.clone(), answer(&record)?))) else {
            return line.to_owned();
        };
        let messages = record["request"]["messages"].as_array().unwrap();
        planted.push(messages.last().unwrap()["content"].as_str().unwrap().to_owned());
        let new = if old == "[[[Legal]]]" { "[[[Earnings]]]" } else { "[[[Legal]]]" };
        record["response"]["choices"][0]["message"]["content"] = json!(new);
        record.to_string()
    });
    let changed: Vec<String> = changed.collect();
    folder.write("logs.jsonl", changed.join("\n"));
    planted
}

#[test]
fn half_of_the_labels_that_are_planted_in_the_shipped_log_are_found_among_few_doubts() {
    let folder = Folder::new();
    let planted = planted(&folder);
    let flags = ["--workload", "news_classifier", "--logs", "logs.jsonl", "--review", "review.csv"];
    split(&folder, "out", &flags).code(0);
    let rows = table(&folder.read("review.csv"));
    let found = rows.iter().filter(|row| planted.contains(&row["text"])).count();
    // The shipped log has wrong labels of its own.
    assert!(planted.len() >= 55 && found * 2 >= planted.len() && rows.len() <= 120, "{found} of {}", planted.len());
}
