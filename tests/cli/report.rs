//! Tests `report` and the gates of `run`: every form against the JSON report, texts, and exit codes.

use serde_json::{Value, json};

use crate::harness::{Folder, log, parse_lines};
use crate::run::{LARGE, SMALL, recorded};

const FLYWHEEL: &str = "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\n";

#[test]
fn the_page_has_the_numbers_of_the_json_and_loads_nothing() {
    let (folder, report) = recorded();
    let again = folder.dfwfd(["report", "--format", "json"]).run().code(0).json();
    assert_eq!(&again, report, "a recorded run has one report");
    let output = folder.dfwfd(["report", "latest", "--format", "html", "--output", "out/r.html"]).run();
    output.code(1).says("cannot write the report to out/r.html");
    let output = folder.dfwfd(["report", "latest", "--format", "html", "--output", "r.html"]).run();
    assert_eq!(output.code(0).stdout, "");
    let html = folder.read("r.html");
    let marked = regex::Regex::new(r#"data-score="([a-z0-9_]+)" data-value="([^"]+)""#).unwrap();
    let mut found: Vec<(String, String)> = marked
        .captures_iter(&html)
        .map(|one| (one[1].to_owned(), one[2].parse::<f64>().unwrap().to_string()))
        .collect();
    let mut wanted: Vec<(String, String)> = Vec::new();
    for candidate in report["candidates"].as_array().unwrap() {
        for evaluation in candidate["evaluations"].as_object().unwrap().values() {
            let scores = evaluation["scores"].as_object().unwrap();
            wanted.extend(
                scores.iter().map(|(name, score)| (name.clone(), score["value"].as_f64().unwrap().to_string())),
            );
        }
    }
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    for outside in ["<script", "http://", "https://", "@import", "<link", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    let verdict = report["verdict"]["sentence"].as_str().unwrap();
    assert!(html.contains(&verdict.replace('/', "&#x2f;")), "{verdict}");
}

#[test]
fn texts_are_left_out_on_request() {
    let (folder, report) = recorded();
    let file = format!(".dfwfd/runs/{}/rows/ngram-small-customized.jsonl", report["run"].as_str().unwrap());
    let rows = parse_lines(&folder.read(&file));
    let wrong = rows.iter().find(|row| row["predicted"] != row["gold"]).unwrap();
    let user: Value = serde_json::from_str(wrong["user"].as_str().unwrap()).unwrap();
    let words: Vec<&str> = user[0].as_str().unwrap().split(|letter: char| !letter.is_ascii_alphabetic()).collect();
    let word = words.iter().max_by_key(|word| word.len()).unwrap();
    for format in ["html", "markdown"] {
        let with = folder.dfwfd(["report", "--format", format]).run();
        let without = folder.dfwfd(["report", "--format", format, "--no-texts"]).run();
        assert!(with.code(0).stdout.contains("got wrong") && with.stdout.contains(word), "{format}: {word}");
        assert!(!without.code(0).stdout.contains("got wrong"), "{format}");
        assert!(without.stdout.contains(SMALL) || without.stdout.contains("dfwfd&#x2f;ngram-small"), "{format}");
    }
}

#[test]
fn a_table_is_the_one_of_status() {
    let (folder, report) = recorded();
    let status = folder.dfwfd(["status", "latest"]).run();
    assert_eq!(folder.dfwfd(["report"]).run().code(0).stdout, status.stdout);
    assert_eq!(folder.dfwfd(["report", "--format", "table"]).run().code(0).stdout, status.stdout);
    assert!(status.stdout.contains(report["run"].as_str().unwrap()));
    folder.dfwfd(["status", "--format", "html"]).run().code(2).says("html");
    folder.dfwfd(["report", "zzzzzzzz"]).run().code(2).says("cannot find run zzzzzzzz");
}

#[test]
fn a_recorded_run_is_judged_by_gates_and_each_is_a_test_case() {
    let (folder, report) = recorded();
    let macro_f1 = |model: &str| {
        let candidate = report["candidates"].as_array().unwrap().iter().find(|one| one["model"] == model).unwrap();
        candidate["evaluations"]["customized"]["scores"]["macro_f1"]["value"].as_f64().unwrap()
    };
    let best = macro_f1(SMALL).max(macro_f1(LARGE));
    let class = &report["candidates"][0]["evaluations"]["customized"]["classes"][0];
    let label = class["label"].as_str().unwrap();
    let gate = |gate: String| folder.dfwfd(["report", "--format", "junit", "--min", &gate]).run();
    for (text, met) in [
        (format!("macro_f1={best}"), true),
        (format!("macro_f1={}", best + 1e-6), false),
        (format!("{SMALL}:macro_f1={}", macro_f1(SMALL)), true),
        (format!("{SMALL}:macro_f1={}", macro_f1(SMALL) + 1e-6), false),
        (format!("{SMALL}:recall[{label}]={}", class["recall"]), true),
        ("recall[no such class]=0".to_owned(), false),
    ] {
        let output = gate(text.clone());
        output.code(if met { 0 } else { 5 });
        assert_eq!(output.stdout.contains("<failure"), !met, "{text}: {output}");
        assert!(output.stdout.contains("classname=\"dfwfd.gates\""), "{output}");
        assert_eq!(output.stderr.contains("gate missed"), !met, "{output}");
    }
    gate("macro-f1=0.5".into()).code(2).says("allowed: accuracy").hints();
    gate("gpt-4:macro_f1=0.5".into()).code(2).says(SMALL);
    // A run is no baseline of itself.
    let only = folder.dfwfd(["report", "--format", "json", "--baseline", "latest"]).run();
    only.code(2).says("there is no earlier completed run of the workload news_classifier").hints();
    let own = folder.dfwfd(["report", "--baseline", report["run"].as_str().unwrap()]).run();
    own.code(2).says("it is the run itself").hints();
}

#[test]
fn a_run_that_misses_a_gate_ends_with_five_and_one_that_meets_them_with_zero() {
    let folder = Folder::with_config(FLYWHEEL);
    folder.write("logs.jsonl", log("w", 200));
    let run = |gates: &[&str]| folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).args(gates).run();
    run(&["--min", "macro_f1=2"]).code(2).says("a number from 0 to 1");
    assert_eq!(folder.dfwfd(["status", "--format", "json"]).run().json()["runs"], json!([]), "nothing has begun");
    let missed = run(&["--min", "kappa=1", "--min", "macro_f1=0"]);
    let report = missed.code(5).says("gate missed: kappa=1").json();
    assert_eq!((&report["exit_code"], &report["state"]), (&json!(5), &json!("completed")));
    let met: Vec<&Value> = report["gates"].as_array().unwrap().iter().map(|gate| &gate["met"]).collect();
    assert_eq!(met, [&json!(false), &json!(true)]);
    let recorded = folder.dfwfd(["report", "--format", "json"]).run().code(0).json();
    assert_eq!(recorded["gates"], report["gates"], "the gates are part of the record");
    assert!(folder.dfwfd(["report"]).run().code(0).stdout.contains("missed"));
    let next = run(&["--baseline", report["run"].as_str().unwrap()]).code(0).json();
    assert_eq!(next["gates"][0]["met"], true, "{}", next["gates"]);
    // Other eval rows: the scores are taken as independent.
    let other = ["--set", "data_split_config.random_seed=7", "--baseline", "latest"];
    let other = run(&other).code(0).json();
    assert_eq!(other["gates"][0]["gate"], format!("baseline {}", next["run"].as_str().unwrap()));
    assert!(other["gates"][0]["explanation"].as_str().unwrap().contains("unpaired"), "{}", other["gates"]);
}

#[test]
fn the_latest_baseline_is_a_completed_run_of_the_workload() {
    let folder = Folder::with_config(FLYWHEEL);
    for workload in ["w", "v"] {
        folder.write(&format!("{workload}.jsonl"), log(workload, 120));
    }
    let run = |workload: &str, extra: &[&str]| {
        let logs = format!("{workload}.jsonl");
        folder.dfwfd(["run", "--format", "json", "--logs", &logs]).args(extra).run()
    };
    run("w", &["--baseline", "latest"]).code(2).says("there is no earlier completed run").hints();
    let id = |report: &Value| report["run"].as_str().unwrap().to_owned();
    let first = id(&run("w", &[]).code(0).json());
    // One of another workload, and one that fails, come between.
    let other = run("v", &["--baseline", "latest"]).code(5).json();
    assert!(other["gates"][0]["explanation"].as_str().unwrap().contains("no earlier completed run"), "{other}");
    run("w", &["--set", "data_split_config.min_total_records=5000"]).code(6);
    let gates = |output: &Value| output["gates"][0]["gate"].clone();
    let wanted = json!(format!("baseline {first}"));
    let third = run("w", &["--baseline", "latest"]).code(0).json();
    assert_eq!(gates(&third), wanted, "the workload is found in the log");
    let told = run("w", &["--workload", "w", "--baseline", &id(&other)]);
    told.code(2).says("it is of the workload v, and this run of w").hints();
    let untold = run("w", &["--baseline", &id(&other)]).code(5).json();
    assert!(untold["gates"][0]["explanation"].as_str().unwrap().contains("of the workload v"), "{untold}");
    let again = folder.dfwfd(["report", "latest", "--format", "json", "--baseline", "latest"]).run();
    assert_eq!(gates(&again.code(0).json()), json!(format!("baseline {}", id(&third))));
    folder.dfwfd(["report", &first, "--baseline", "latest"]).run().code(2).says("no earlier completed run");
    let type_of = |name: &'static str| ["--set".to_owned(), format!("evaluation_config.workload_type={name}")];
    let texts = type_of("text");
    let texts = id(&run("w", &["--workload", "w", &texts[0], &texts[1]]).code(0).json());
    let runs = folder.dfwfd(["status", "--format", "json"]).run().code(0).json()["runs"].clone();
    let labels = type_of("classification");
    let refused = run("w", &["--workload", "w", &labels[0], &labels[1], "--baseline", &texts]);
    refused.code(2).says("was decided by rouge_l, and this run is by macro_f1").hints();
    assert_eq!(folder.dfwfd(["status", "--format", "json"]).run().code(0).json()["runs"], runs, "no run has begun");
    // The latest run that the same score decides is an earlier one.
    let next = run("w", &[&labels[0], &labels[1], "--baseline", "latest"]).code(0).json();
    assert_eq!(gates(&next), json!(format!("baseline {}", id(&untold))));
    let compared = folder.dfwfd(["compare", &first, &texts]).run().code(0).stdout.clone();
    assert!(compared.contains("workload_type"), "{compared}");
    assert!(compared.contains("no model was evaluated by the same score in both runs"), "{compared}");
}

#[test]
fn a_run_that_became_worse_misses_its_baseline() {
    let folder = Folder::shipped();
    let run = |extra: &[&str]| {
        let only = ["run", "--workload", "news_classifier", "--only", SMALL, "--format", "json"];
        folder.dfwfd(only).args(extra).run()
    };
    let good = run(&[]).code(0).json();
    let untrained = ["--set", "nims.0.customization_enabled=false", "--baseline", "latest"];
    let worse = run(&untrained);
    let worse = worse.code(5).says(&format!("gate missed: baseline {}", good["run"].as_str().unwrap())).json();
    let explanation = worse["gates"][0]["explanation"].as_str().unwrap();
    assert!(
        explanation.contains("paired on the same rows") && explanation.contains(", with examples "),
        "{explanation}"
    );
}

#[test]
fn two_runs_are_told_apart_by_what_differs() {
    let folder = Folder::with_config(FLYWHEEL);
    folder.write("logs.jsonl", log("w", 200));
    let run = |extra: &[&str]| {
        let report = folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).args(extra).run().code(0).json();
        report["run"].as_str().unwrap().to_owned()
    };
    let (first, second) = (run(&[]), run(&[]));
    let compare = |pair: [&str; 2]| folder.dfwfd(["compare", "--format", "json"]).args(pair).run().code(0).json();
    let same = compare([&first, "latest"]);
    assert_eq!((&same["earlier"], &same["run"]), (&json!(first), &json!(second)));
    assert_eq!([&same["configuration"], &same["data"], &same["code"]], [&json!([]), &json!([]), &json!([])], "{same}");
    let one = &same["comparisons"][0];
    assert_eq!((&one["difference"]["value"], &one["p"]), (&json!(0.0), &json!(1.0)), "{one}");
    let third = run(&["--set", "data_split_config.random_seed=7", "--set", "data_split_config.eval_size=50"]);
    let other = compare([&first, &third]);
    let keys = |of: &str| -> Vec<String> {
        other[of].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys("configuration"), ["data_split_config.eval_size", "data_split_config.random_seed"]);
    assert!(keys("data").iter().any(|key| key == "eval"), "{other}");
    assert_eq!(other["comparisons"][0]["p"], Value::Null);
    assert!(other["comparisons"][0]["explanation"].as_str().unwrap().contains("unpaired"), "{other}");
    let table = folder.dfwfd(["compare", &first, &third]).run();
    table.code(0);
    assert!(table.stdout.contains("data_split_config.random_seed") && table.stdout.contains(&third), "{table}");
}

#[test]
fn a_run_measures_a_floor_that_learns_as_the_large_student_does() {
    let (folder, report) = recorded();
    let candidates = report["candidates"].as_array().unwrap();
    let large = candidates.iter().find(|one| one["model"] == LARGE).unwrap();
    for part in ["scores", "classes", "confusion"] {
        let mut wanted = large["evaluations"]["customized"][part].clone();
        if part == "scores" {
            wanted.as_object_mut().unwrap().remove("nemo_f1");
        }
        assert_eq!(report["floor"][part], wanted, "{part}");
    }
    let rows = folder.read(&format!(".dfwfd/runs/{}/rows/floor.jsonl", report["run"].as_str().unwrap()));
    assert_eq!(parse_lines(&rows).len(), 100);
    let table = folder.dfwfd(["report"]).run().code(0).stdout.clone();
    assert!(table.contains("floor (n-grams)") && table.contains("of the same kind"), "{table}");
    let page = folder.dfwfd(["report", "--format", "html"]).run().code(0).stdout.clone();
    assert!(page.contains("<h3>Floor</h3>"));
    // Students are not compared with one of their kind.
    assert!(!report["comparisons"].to_string().contains("floor") && !report["warnings"].to_string().contains("floor"));
}

#[test]
fn a_floor_answers_in_the_words_of_the_training_rows_and_can_be_switched_off() {
    let folder = Folder::with_config(FLYWHEEL);
    let records =
        log("w", 200).replace("[[[", "The label: ").replace("]]]", ".").replace("[[", "The label: ").replace("]]", ".");
    folder.write("logs.jsonl", records);
    let pattern = ["--set", "label_pattern=label: ([^.]*)\\."];
    let run = |extra: &[&str]| {
        folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).args(pattern).args(extra).run()
    };
    let report = run(&[]).code(0).json();
    let score = |name: &str| report["floor"]["scores"][name]["value"].as_f64().unwrap();
    assert!(score("accuracy") > 0.5 && score("unparseable") == 0.0, "{}", report["floor"]["scores"]);
    let off = run(&["--set", "verdict.floor=false"]);
    assert_eq!(off.code(0).json()["floor"], Value::Null);
    assert!(!off.stderr.contains("floor"), "{off}");
}

/// Returns records of a teacher that took 1 to 200 ms, with 400 tokens in and 20 out.
fn timed_log() -> String {
    let mut records = parse_lines(&log("w", 200));
    for (at, record) in records.iter_mut().enumerate() {
        record["latency_ms"] = json!(at + 1);
        record["response"]["usage"] = json!({"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420});
    }
    records.iter().map(|record| format!("{record}\n")).collect()
}

#[test]
fn latency_and_tokens_come_from_the_log_and_money_from_prices() {
    let folder = Folder::with_config(FLYWHEEL);
    folder.write("logs.jsonl", timed_log());
    let run = |extra: &[&str]| {
        folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).args(extra).run().code(0).json()
    };
    let unpriced = run(&[]);
    assert_eq!(unpriced["cost"], Value::Null);
    assert!(folder.dfwfd(["report"]).run().stdout.contains("teacher, as logged"));
    let prices = [
        "--set",
        "cost.teacher.input_per_million=5",
        "--set",
        "cost.teacher.output_per_million=15",
        "--set",
        "cost.gpu_hour=2.5",
        "--set",
        "cost.currency=EUR",
    ];
    let report = run(&prices);
    let teacher = &report["data"]["teacher"];
    assert_eq!(teacher, &unpriced["data"]["teacher"]);
    let latencies = log_of_eval(&folder, &report);
    assert_eq!((&teacher["latency_rows"], &teacher["usage_rows"]), (&json!(latencies.len()), &json!(latencies.len())));
    let rank = |share: f64| latencies[(share * latencies.len() as f64).ceil() as usize - 1];
    assert_eq!((&teacher["p50_ms"], &teacher["p95_ms"]), (&json!(rank(0.5)), &json!(rank(0.95))));
    assert_eq!(teacher["prompt_tokens"], 400 * latencies.len());
    let close =
        |found: &Value, wanted: f64| assert!((found.as_f64().unwrap() - wanted).abs() < 1e-9, "{found} {wanted}");
    close(&report["cost"]["teacher_per_1000"], 2.3);
    let candidate = &report["candidates"][0];
    let gpu_hours = report["cost"]["gpu_hours"].as_f64().unwrap();
    // The NIM and the training of a candidate hold a GPU each, neither for longer than the candidate takes.
    let most = 2.0 * candidate["seconds"].as_f64().unwrap() / 3600.0;
    assert!(0.0 < gpu_hours && gpu_hours <= most, "{gpu_hours} {most}");
    close(&report["cost"]["run"], 2.5 * gpu_hours);
    let evaluation = &candidate["evaluations"]["base"];
    let hours = evaluation["seconds"].as_f64().unwrap() / 3600.0;
    let per_1000 = 2.5 * hours / evaluation["rows"].as_f64().unwrap() * 1000.0;
    close(&evaluation["usage"]["cost_per_1000"], per_1000);
    close(&evaluation["usage"]["saving"], 1.0 - per_1000 / 2.3);
    close(&evaluation["usage"]["break_even_per_hour"], 2.5 / 2.3 * 1000.0);
    let table = folder.dfwfd(["report"]).run().stdout;
    assert!(table.contains("2.30 EUR") && table.contains("1,087 per hour"), "{table}");
    assert!(table.contains("this run: "), "{table}");
    let page = folder.dfwfd(["report", "--format", "html"]).run().stdout;
    assert!(page.contains("2.30 EUR") && page.contains("Score against cost"));
    for wrong in ["cost.gpu_hour=0", "cost.teacher.input_per_million=-1", "cost.gpu_hour=cheap"] {
        folder.dfwfd(["run", "--plan", "--set", wrong]).run().code(2).says("cost.");
    }
}

/// Returns the sorted latencies of the records of the eval set: the log gives the n-th record n + 1 ms.
fn log_of_eval(folder: &Folder, report: &Value) -> Vec<f64> {
    let eval = folder.read(&format!(".dfwfd/runs/{}/eval/eval_data.jsonl", report["run"].as_str().unwrap()));
    let place = |row: &Value| (row["timestamp"].as_i64().unwrap() - 1_700_000_000 + 1) as f64;
    let mut latencies: Vec<f64> = parse_lines(&eval).iter().map(place).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

#[test]
fn a_run_writes_its_metrics_for_prometheus() {
    let folder = Folder::with_config(FLYWHEEL);
    folder.write("logs.jsonl", log("w", 200));
    let run = |file: &str| folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json", "--metrics", file]).run();
    run("no/such/run.prom").code(2).says("cannot write metrics to no/such/run.prom").hints();
    let report = run("run.prom").code(0).json();
    let metrics = folder.read("run.prom");
    let value = |sample: &str| -> f64 {
        let line =
            metrics.lines().find(|line| line.starts_with(sample)).unwrap_or_else(|| panic!("{sample}: {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(value("dfwfd_run_exit_code{workload=\"w\"}"), 0.0);
    let scores = &report["candidates"][0]["evaluations"]["base"]["scores"];
    for (metric, part) in [("dfwfd_score", "value"), ("dfwfd_score_low", "low"), ("dfwfd_score_high", "high")] {
        let sample = format!("{metric}{{workload=\"w\",model=\"{SMALL}\",evaluation=\"base\",score=\"macro_f1\"}}");
        assert_eq!(json!(value(&sample)), scores["macro_f1"][part], "{sample}");
    }
    let sample = "dfwfd_score{workload=\"w\",model=\"floor\",evaluation=\"floor\",score=\"macro_f1\"}";
    assert_eq!(json!(value(sample)), report["floor"]["scores"]["macro_f1"]["value"]);
    assert_eq!(json!(value("dfwfd_records{workload=\"w\",part=\"eval\"}") as u64), report["data"]["eval"]);
}
