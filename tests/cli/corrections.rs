//! `run --corrections`: a review file as a person gives it back, from the file to the report and the training rows, and
//! files that cannot be used.

use serde_json::{Value, json};

use crate::harness::{Folder, Output, lines, parse_lines, record};

const FLYWHEEL: &str = "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\nlabels: [Earnings, Merger, Product]\n\
    data_split_config: {eval_size: 20, min_total_records: 50}\n";
const TRAINING: &str = "train/training/train_data.jsonl";

/// A log of which every 30th record has a wrong label, and an older answer that is not allowed.
fn folder() -> Folder {
    let folder = Folder::with_config(FLYWHEEL);
    let mut records: Vec<Value> = (0..300).map(|number| record("w", number)).collect();
    for number in (7..300).step_by(30) {
        let answer = &mut records[number]["response"]["choices"][0]["message"]["content"];
        *answer = json!(if *answer == "[[[Merger]]]" { "[[[Product]]]" } else { "[[[Merger]]]" });
        let mut older = records[number].clone();
        older["timestamp"] = json!(1_600_000_000 + number);
        older["response"]["choices"][0]["message"]["content"] = json!("[[[Mergers]]]");
        records.push(older);
    }
    folder.write("logs.jsonl", lines(&records));
    folder
}

/// Fills in a review file as a spreadsheet does: with a mark, semicolons and line ends of its own, in another order. Returns
/// the texts and labels that were given.
fn fill_in(folder: &Folder) -> Vec<(String, String)> {
    let right = |text: &str| {
        let record =
            (0..300).map(|number| record("w", number)).find(|one| one["request"]["messages"][1]["content"] == text);
        let answer = record.unwrap()["response"]["choices"][0]["message"]["content"].clone();
        answer.as_str().unwrap().trim_matches(['[', ']']).to_owned()
    };
    let review = folder.read("review.csv");
    let mut reader = csv::Reader::from_reader(review.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let mut writer =
        csv::WriterBuilder::new().delimiter(b';').terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(["who", "correct", "request", "text"]).unwrap();
    let mut given = Vec::new();
    for row in reader.records() {
        let row = row.unwrap();
        let (request, text) = (&row[at("request")], &row[at("text")]);
        // A person leaves some rows for later.
        let label = if given.len() < 8 { right(text) } else { String::new() };
        writer.write_record(["ann", &format!(" {label} "), request, text]).unwrap();
        if !label.is_empty() {
            given.push((text.to_owned(), label));
        }
    }
    let rows = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    folder.write("checked.csv", format!("\u{feff}{rows}"));
    given
}

fn run(folder: &Folder) -> Output {
    let arguments =
        ["run", "--workload", "w", "--logs", "logs.jsonl", "--corrections", "checked.csv", "--format", "json"];
    folder.dfwfd(arguments).run()
}

#[test]
fn a_run_trains_and_measures_on_the_labels_of_people_and_reports_them() {
    let folder = folder();
    let split = ["split", "--logs", "logs.jsonl", "--out", "first", "--review", "review.csv"];
    folder.dfwfd(split).run().code(0);
    let given = fill_in(&folder);
    assert_eq!(given.len(), 8, "{}", folder.read("review.csv"));
    let report = run(&folder).code(0).json();
    let told = &report["data"]["corrections"];
    let wanted = (json!(8), json!(16), json!(0), json!(folder.at("checked.csv")));
    assert_eq!(
        (&told["given"], &told["records"], &told["unused"], &told["path"]),
        (&wanted.0, &wanted.1, &wanted.2, &wanted.3)
    );
    assert_eq!(report["data"]["rejected"], json!({"off_taxonomy": 2}), "those of two requests that nobody corrected");
    let run = report["run"].as_str().unwrap();
    let datasets = format!(".dfwfd/runs/{run}");
    let manifest: Value = serde_json::from_str(&folder.read(&format!("{datasets}/manifest.json"))).unwrap();
    assert_eq!(manifest["corrections"], *told);
    let answers: Vec<(String, String)> = [TRAINING, "train/validation/val_data.jsonl", "eval/eval_data.jsonl"]
        .iter()
        .flat_map(|set| parse_lines(&folder.read(&format!("{datasets}/{set}"))))
        .map(|row| {
            let trained = row["messages"].as_array().map(|all| (all[1].clone(), all[2]["content"].clone()));
            let measured =
                || (row["request"]["messages"][1].clone(), row["response"]["choices"][0]["message"]["content"].clone());
            let (asked, answer) = trained.unwrap_or_else(measured);
            (asked["content"].as_str().unwrap().to_owned(), answer.as_str().unwrap().to_owned())
        })
        .collect();
    for (text, label) in &given {
        let found: Vec<&str> =
            answers.iter().filter(|(asked, _)| asked == text).map(|(_, answer)| answer.as_str()).collect();
        assert_eq!(found, [format!("[[[{label}]]]")], "{text}");
    }
    let trained = parse_lines(&folder.read(&format!("{datasets}/{TRAINING}")));
    let is_given = |row: &&Value| given.iter().any(|(text, _)| row["messages"][1]["content"] == text.as_str());
    assert!(trained.iter().filter(is_given).count() > 0, "some corrected rows are trained on");
}

#[test]
fn no_run_begins_with_a_file_that_cannot_be_used() {
    let folder = folder();
    let request = format!("req-{:032x}", 1);
    for (file, told) in [
        (format!("request,correct\n{request},Profits\n"), "line 2: Profits is not one of labels"),
        (format!("request,correct\n{request},Merger\n{request},Product\n"), "line 3: the request is corrected twice"),
        ("request,correct\nsoon,Merger\n".to_owned(), "line 2: \"soon\" names no request of a review file"),
        (format!("request,correct\n{request},Merger,x\n"), "line: 2"),
        (format!("{{\"request\":\"{request}\",\"correct\":\"Merger\"}}\n{{\"request\":"), "line 2: "),
        (String::new(), "it needs the columns request and correct"),
    ] {
        folder.write("checked.csv", &file);
        let output = run(&folder);
        output.code(2).says("checked.csv").says(told).says("--review").hints();
        assert!(!folder.at(".dfwfd/runs").exists(), "{file}: {output}");
    }
    for (flag, told) in [("nowhere.csv", "cannot read corrections from"), (".", "it is a folder")] {
        let run = folder.dfwfd(["run", "--workload", "w", "--logs", "logs.jsonl", "--corrections", flag]).run();
        run.code(2).says(told).hints();
    }
    assert!(!folder.at(".dfwfd/runs").exists());
}

#[test]
fn a_typing_error_is_no_new_class_where_no_labels_are_listed() {
    let folder = folder();
    folder.write("flywheel.yaml", FLYWHEEL.replace("labels: [Earnings, Merger, Product]\n", ""));
    let split =
        |out: &str, flags: &[&str]| folder.dfwfd(["split", "--logs", "logs.jsonl", "--out", out]).args(flags).run();
    split("first", &["--review", "review.csv"]).code(0);
    fill_in(&folder);
    let right = folder.read("checked.csv");
    let corrected = |label: &str| {
        folder.write("typed.csv", right.replacen(" Product ", label, 1));
        folder.dfwfd(["split", "--logs", "logs.jsonl", "--out", "typed", "--corrections", "typed.csv"]).run()
    };
    for (label, told) in [("Prodcut", "has the label Prodcut (is Product meant?)"), ("Sport", "has the label Sport;")] {
        corrected(label).code(2).says("typed.csv: line ").says(told).says("one of labels").hints();
    }
    // Letter case and white space make no other label, and a label that only corrected answers have is one.
    corrected(" pRODUCT").code(0);
    folder.write("flywheel.yaml", FLYWHEEL.replace("Product]", "Product, Sport, Mergers]"));
    let listed = ["split", "--logs", "logs.jsonl", "--out", "listed", "--corrections", "typed.csv"];
    folder.write("typed.csv", right.replacen(" Product ", "Sport", 1));
    folder.dfwfd(listed).run().code(0);
}

#[test]
fn a_resumed_run_without_datasets_reads_the_file_again() {
    let folder = folder();
    let all = folder.read("logs.jsonl");
    folder.write("logs.jsonl", lines(&[record("w", 0)]));
    folder.write("checked.csv", format!("request,correct\nreq-{:032x},Merger\n", 1));
    let failed = run(&folder).code(6).json();
    folder.write("logs.jsonl", all);
    let resume = || folder.dfwfd(["run", "--resume", failed["run"].as_str().unwrap(), "--format", "json"]).run();
    folder.write("checked.csv", "request,correct\nsoon,Merger\n");
    resume().code(2).says("names no request of a review file");
    // No record has this request.
    folder.write("checked.csv", format!("request,correct\nreq-{:032x},Merger\n", 1));
    let report = resume().code(0).json();
    let told = &report["data"]["corrections"];
    assert_eq!((&told["given"], &told["unused"], &told["records"]), (&json!(1), &json!(1), &json!(0)));
    let warnings: Vec<&str> = report["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let is_told =
        |warning: &&str| warning.starts_with("1 of 1 corrections in ") && warning.ends_with(" match no record");
    assert!(warnings.iter().any(is_told), "{warnings:?}");
}

#[test]
fn a_review_file_is_read_as_spreadsheets_save_it_or_refused_with_a_way_out() {
    let folder = folder();
    let split =
        |out: &str, flags: &[&str]| folder.dfwfd(["split", "--logs", "logs.jsonl", "--out", out]).args(flags).run();
    split("first", &["--review", "review.csv"]).code(0);
    let given = fill_in(&folder).len() as u64;
    let rows = folder.read("checked.csv");
    let rows = rows.trim_start_matches('\u{feff}');
    let wide = |text: &str, order: fn(u16) -> [u8; 2]| {
        format!("\u{feff}{text}").encode_utf16().flat_map(order).collect::<Vec<u8>>()
    };
    folder.write("little.csv", wide(rows, u16::to_le_bytes));
    folder.write("big.csv", wide(rows, u16::to_be_bytes));
    folder.write("tabs.txt", wide(&rows.replace(';', "\t"), u16::to_le_bytes));
    for name in ["checked.csv", "little.csv", "big.csv", "tabs.txt"] {
        split(&format!("{name}.out"), &["--corrections", name]).code(0);
        let manifest: Value = serde_json::from_str(&folder.read(&format!("{name}.out/manifest.json"))).unwrap();
        assert_eq!(manifest["corrections"]["given"], given, "{name}: {}", manifest["corrections"]);
    }
    folder.write("latin1.csv", b"request,correct\nreq-0,Caf\xe9\n");
    split("refused", &["--corrections", "latin1.csv"]).code(2).says("CSV UTF-8").says("iconv").hints();
    folder.write("cut.csv", &wide(rows, u16::to_le_bytes)[..101]);
    split("cut", &["--corrections", "cut.csv"]).code(2).hints();
}
