//! `--gold`: the production model and the candidates against labels of people.

use serde_json::{Value, json};

use super::run::{LARGE, recorded};
use crate::harness::parse_lines;

/// Labels 80 of the 100 eval rows, half of them by id, and five texts that nobody asked. People agree with the production
/// model, but with every second row that the large student has wrong they agree with the student. Returns the table, the
/// rows on which the two differ, and those of them that the student has right.
fn labels(eval: &str, rows: &[Value]) -> (String, u64, u64) {
    let mut table = "id,text,label\n".to_owned();
    let (mut apart, mut right) = (0, 0);
    for (at, (line, row)) in eval.lines().zip(rows).enumerate().take(80) {
        let (teacher, student) = (row["gold"].as_str().unwrap(), row["predicted"].as_str().unwrap_or("none"));
        let mut label = teacher;
        if student != teacher {
            apart += 1;
            if apart % 2 == 0 {
                right += 1;
                label = student;
            }
        }
        let user: Vec<String> = serde_json::from_str(row["user"].as_str().unwrap()).unwrap();
        let quoted = user.last().unwrap().replace('"', "\"\"");
        let id = row["id"].as_str().unwrap();
        assert_eq!(id, &blake3::hash(line.as_bytes()).to_hex()[..32], "the id of the record");
        table.push_str(&match at % 2 {
            0 => format!(",\"{quoted}\",{label}\n"),
            _ => format!("{id},,{label}\n"),
        });
    }
    table.push_str(",asked twice,Earnings\n,asked twice,Merger\n");
    (0..5).for_each(|at| table.push_str(&format!(",nobody asked {at},Earnings\n")));
    (table, apart, right)
}

#[test]
fn a_recorded_run_is_compared_with_labels_of_people() {
    let (folder, report) = recorded();
    let run = report["run"].as_str().unwrap();
    let rows = parse_lines(&folder.read(&format!(".dfwfd/runs/{run}/rows/ngram-large-customized.jsonl")));
    let (table, apart, right) = labels(&folder.read(&format!(".dfwfd/runs/{run}/eval/eval_data.jsonl")), &rows);
    assert!(right > 0, "the student is wrong somewhere");
    folder.write("labels.csv", table);
    let compared = folder.dfwfd(["report", run, "--format", "json", "--gold", "labels.csv"]).run().code(0).json();
    let gold = &compared["gold"];
    assert_eq!(
        (&gold["labels"], &gold["matched"], &gold["unmatched"]),
        (&json!(87), &json!(80), &json!(5)),
        "{gold:#}"
    );
    assert_eq!((&gold["contradictory"], &gold["warnings"]), (&json!(1), &json!([])), "{gold:#}");
    assert_eq!(gold["teacher"]["accuracy"]["value"], json!((80 - right) as f64 / 80.0));
    let name = format!("{LARGE}:customized");
    let of = |name: &str| gold["models"].as_array().unwrap().iter().find(|one| one["model"] == name).unwrap().clone();
    let model = of(&name);
    assert_eq!(model["disagreements"], json!(apart));
    assert_eq!(model["right"]["value"], json!(right as f64 / apart as f64));
    assert_eq!(model["teacher"]["accuracy"]["value"], json!((80 - apart) as f64 / 80.0));
    assert_eq!(model["human"]["accuracy"]["value"], json!((80 - apart + right) as f64 / 80.0));
    assert!(model["human"]["macro_f1"]["low"].as_f64() < model["human"]["macro_f1"]["value"].as_f64());
    let shown = folder.dfwfd(["report", run, "--gold", "labels.csv"]).run().code(0).stdout.clone();
    assert!(shown.contains("Against labels.csv, on 80 labelled eval rows"), "{shown}");
    assert!(shown.contains("5 of 87 labels belong to no eval row"), "{shown}");
    assert!(shown.contains("1 record or text has more than one label and is left out"), "{shown}");
    let number = |score: &Value| format!("{:.3}", score["value"].as_f64().unwrap());
    let ends = |score: &Value| format!("{:.3}–{:.3}", score["low"].as_f64().unwrap(), score["high"].as_f64().unwrap());
    let of = |measured: &Value| ["macro_f1", "accuracy"].map(|name| [number(&measured[name]), ends(&measured[name])]);
    let wanted = [of(&model["human"]), of(&model["teacher"])].concat().concat();
    let apart = [number(&model["right"]), ends(&model["right"]), apart.to_string()];
    for (form, row) in [("html", "<tr>"), ("markdown", "\n")] {
        let page = folder.dfwfd(["report", run, "--gold", "labels.csv", "--format", form]).run().code(0).stdout.clone();
        let table = page.split("Against labels.csv, on 80 labelled eval rows").nth(1).unwrap_or_default();
        let rows: Vec<&str> = table.split(row).filter(|row| row.contains("ngram-large, customized")).take(3).collect();
        assert!(
            rows.len() == 3 && wanted.iter().all(|cell| rows[..2].concat().contains(cell)),
            "{form}: {wanted:?} in {rows:?}"
        );
        assert!(apart.iter().all(|cell| rows[2].contains(cell)), "{form}: {apart:?} in {rows:?}");
        assert!(table.contains("5 of 87 labels belong to no eval row"), "{table}");
    }
    let plain = folder.dfwfd(["report", run, "--format", "json"]).run().code(0).json();
    assert_eq!(plain["gold"], Value::Null, "only a run keeps them");
}

#[test]
fn labels_that_come_again_are_of_the_same_rows() {
    let (folder, report) = recorded();
    let run = report["run"].as_str().unwrap();
    let eval = folder.read(&format!(".dfwfd/runs/{run}/eval/eval_data.jsonl"));
    let ids: Vec<String> = eval.lines().map(|line| blake3::hash(line.as_bytes()).to_hex()[..32].to_owned()).collect();
    let lines: Vec<String> = ids.iter().take(30).map(|id| json!({"id": id, "label": "Earnings"}).to_string()).collect();
    folder.write("twice.jsonl", [lines.clone(), lines].concat().join("\n"));
    let compared = folder.dfwfd(["report", run, "--format", "json", "--gold", "twice.jsonl"]).run().code(0).json();
    let gold = &compared["gold"];
    let counts = ["labels", "matched", "unmatched", "contradictory"].map(|name| gold[name].as_u64().unwrap());
    assert_eq!(counts, [60, 30, 0, 0], "{gold:#}");
}

#[test]
fn a_label_that_is_no_class_is_named_with_the_class_that_may_be_meant() {
    let (folder, report) = recorded();
    let run = report["run"].as_str().unwrap();
    let rows = parse_lines(&folder.read(&format!(".dfwfd/runs/{run}/rows/ngram-large-customized.jsonl")));
    // As in the replies, except for the two words of one class, which are written as one.
    let label = |row: &Value| match row["gold"].as_str().unwrap() {
        "Credit Rating" => "Credit-Rating".to_owned(),
        gold => format!("[[[{}]]]", gold.to_uppercase()),
    };
    let lines: Vec<String> = rows.iter().map(|row| json!({"id": row["id"], "label": label(row)}).to_string()).collect();
    folder.write("written.jsonl", lines.join("\n"));
    let compared = folder.dfwfd(["report", run, "--format", "json", "--gold", "written.jsonl"]).run().code(0).json();
    crate::schema::check("report", &compared);
    let gold = &compared["gold"];
    let meant = rows.iter().filter(|row| row["gold"] == "Credit Rating").count();
    assert_eq!(gold["unknown"], json!([{"label": "Credit-Rating", "rows": meant, "nearest": "Credit Rating"}]));
    assert_eq!(gold["teacher"]["accuracy"]["value"], json!((100 - meant) as f64 / 100.0));
    let shown = folder.dfwfd(["report", run, "--gold", "written.jsonl"]).run().code(0).stdout.clone();
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Credit-Rating (1 row, is Credit Rating meant?)"), "{words}");
}

#[test]
fn a_model_that_copies_the_errors_of_the_production_model_is_told() {
    let (folder, report) = recorded();
    let run = report["run"].as_str().unwrap();
    let rows = parse_lines(&folder.read(&format!(".dfwfd/runs/{run}/rows/ngram-large-customized.jsonl")));
    let eval = folder.read(&format!(".dfwfd/runs/{run}/eval/eval_data.jsonl"));
    let mut table = "id,label\n".to_owned();
    for (at, (line, row)) in eval.lines().zip(&rows).enumerate() {
        // People call every fifth of the rows otherwise on which both models agree.
        let agree = row["predicted"] == row["gold"];
        let label = if agree && at % 5 == 0 { "Something Else" } else { row["gold"].as_str().unwrap() };
        table.push_str(&format!("{},{label}\n", &blake3::hash(line.as_bytes()).to_hex()[..32]));
    }
    folder.write("copied.csv", table);
    let compared = folder.dfwfd(["report", run, "--format", "json", "--gold", "copied.csv"]).run().code(0).json();
    crate::schema::check("report", &compared);
    let warnings = compared["gold"]["warnings"].as_array().unwrap();
    let told = warnings.iter().find(|one| one.as_str().unwrap().starts_with("dfwfd/ngram-large, customized: "));
    assert!(told.is_some_and(|told| told.as_str().unwrap().contains("counts copied errors")), "{warnings:?}");
    assert!(!warnings.iter().any(|one| one.as_str().unwrap().starts_with("dfwfd/ngram-large, base: ")), "{warnings:?}");
    let html = folder.dfwfd(["report", run, "--gold", "copied.csv", "--format", "html"]).run();
    assert!(html.code(0).stdout.contains("counts copied errors"));
}

#[test]
fn a_file_of_labels_that_cannot_be_used_is_refused_before_anything_is_spent() {
    let (folder, report) = recorded();
    let run = report["run"].as_str().unwrap();
    folder.write("bad.csv", "text,class\na,b\n");
    folder.write("strange.csv", "text,label\nnobody asked,Earnings\n");
    folder.dfwfd(["report", run, "--gold", "bad.csv"]).run().code(2).says("columns label and id or text").hints();
    folder.dfwfd(["report", run, "--gold", "none.csv"]).run().code(2).says("none.csv").hints();
    folder.dfwfd(["report", run, "--gold", "strange.csv"]).run().code(1).says("belongs to a row of the eval set");
    folder.dfwfd(["run", "--gold", "bad.csv"]).run().code(2).says("columns label and id or text").hints();
}
