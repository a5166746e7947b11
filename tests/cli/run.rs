//! Tests `run` on the shipped data: report, scores recomputed from the rows, folder, log, `status`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::harness::{Folder, Output, files_below, lines, log, parse_lines, project, record, testdata, text};

pub(crate) const SMALL: &str = "dfwfd/ngram-small";
pub(crate) const LARGE: &str = "dfwfd/ngram-large";
const SECRETS: [(&str, &str); 3] =
    [("HF_TOKEN", "s3cr3t-xyz-hf"), ("NVIDIA_API_KEY", "s3cr3t-xyz-nv"), ("DESK_TOKEN", "s3cr3t-xyz-desk")];

/// A run of the shipped configuration that several tests share.
struct Shipped {
    folder: Folder,
    output: Output,
    report: Value,
}

/// It has secrets in its environment, every call in its log, and its events in a file.
fn shipped() -> &'static Shipped {
    static RUN: OnceLock<Shipped> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = Folder::shipped();
        let arguments = ["-vv", "run", "--workload", "news_classifier", "--format", "json", "--events", "events.jsonl"];
        let mut command = folder.dfwfd(arguments).args(["--set", "nmp_config.api_key_env=DESK_TOKEN"]);
        for (name, secret) in SECRETS {
            command = command.env(name, secret);
        }
        let output = command.run();
        output.code(0);
        let report = output.json();
        Shipped { folder, output, report }
    })
}

/// Returns the folder and the report of that run, for tests of what is made of it.
pub(crate) fn recorded() -> (&'static Folder, &'static Value) {
    let Shipped { folder, report, .. } = shipped();
    (folder, report)
}

fn id(report: &Value) -> &str {
    report["run"].as_str().unwrap()
}

fn candidate<'a>(report: &'a Value, model: &str) -> &'a Value {
    report["candidates"].as_array().unwrap().iter().find(|candidate| candidate["model"] == model).unwrap()
}

fn score(report: &Value, model: &str, which: &str, name: &str) -> f64 {
    let evaluation = &candidate(report, model)["evaluations"][which];
    evaluation["scores"][name]["value"].as_f64().unwrap_or_else(|| panic!("{name} of {model}, {which}: {evaluation}"))
}

/// Returns gold and predicted label of each row of an evaluation, from the folder of the run.
fn rows(folder: &Folder, report: &Value, model: &str, which: &str) -> Vec<(String, Option<String>)> {
    let slug = model.rsplit('/').next().unwrap();
    let text = folder.read(&format!(".dfwfd/runs/{}/rows/{slug}-{which}.jsonl", id(report)));
    let rows: Vec<(String, Option<String>)> = parse_lines(&text)
        .iter()
        .enumerate()
        .map(|(number, row)| {
            assert_eq!(row["row"], number, "in the order of the eval set");
            let predicted = row["predicted"].as_str().map(str::to_owned);
            if let Some(label) = &predicted {
                let reply = row["reply"].as_str().unwrap();
                assert!(reply.to_lowercase().contains(&label.to_lowercase()), "{row}");
            }
            (row["gold"].as_str().unwrap().to_owned(), predicted)
        })
        .collect();
    assert_eq!(rows.len(), 100);
    rows
}

fn correct(rows: &[(String, Option<String>)]) -> Vec<bool> {
    rows.iter().map(|(gold, predicted)| predicted.as_ref() == Some(gold)).collect()
}

fn share(marks: &[bool]) -> f64 {
    marks.iter().filter(|mark| **mark).count() as f64 / marks.len() as f64
}

/// Returns the mean F1 of the classes that occur. A wrong or unreadable answer is a miss of its class.
fn macro_f1(rows: &[(String, Option<String>)]) -> f64 {
    let classes: BTreeSet<&String> = rows.iter().map(|(gold, _)| gold).collect();
    let f1 = |class: &&String| {
        let right = rows.iter().filter(|(gold, said)| gold == *class && said.as_ref() == Some(*class)).count();
        let support = rows.iter().filter(|(gold, _)| gold == *class).count();
        let said = rows.iter().filter(|(_, said)| said.as_ref() == Some(*class)).count();
        2.0 * right as f64 / (support + said) as f64
    };
    classes.iter().map(f1).sum::<f64>() / classes.len() as f64
}

/// Returns the p-value of the exact two-sided McNemar test.
fn mcnemar(one: &[bool], other: &[bool]) -> f64 {
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    let (first, second) = (only(one, other), only(other, one));
    let n = first + second;
    // P(X <= k) of a binomial with p = 1/2, summed term by term.
    let mut term = 0.5_f64.powi(i32::try_from(n).unwrap());
    let mut tail = 0.0;
    for k in 0..=first.min(second) {
        tail += term;
        term *= (n - k) as f64 / (k + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

#[test]
fn mcnemar_is_the_textbooks() {
    // 8 against 2 discordant: 2 (1 + 10 + 45) / 1024.
    let one: Vec<bool> = (0..10).map(|n| n < 8).collect();
    let other: Vec<bool> = one.iter().map(|mark| !mark).collect();
    assert!((mcnemar(&one, &other) - 112.0 / 1024.0).abs() < 1e-12);
    assert!((mcnemar(&one, &one) - 1.0).abs() < 1e-12);
}

#[test]
fn the_report_is_one_line_of_the_documented_shape() {
    let Shipped { report, output, .. } = shipped();
    crate::schema::check("report", report);
    assert_eq!(report["state"], "completed");
    assert_eq!((&report["exit_code"], &report["platform"]), (&json!(0), &json!("embedded")));
    assert_eq!((&report["rehearsal"], &report["error"]), (&json!(false), &Value::Null));
    assert_eq!(report["held"], json!([]));
    let comparisons = report["comparisons"].as_array().unwrap();
    let pairs: Vec<(&str, &str)> =
        comparisons.iter().map(|one| (one["a"].as_str().unwrap(), one["b"].as_str().unwrap())).collect();
    let of = |model: &str, which: &str| format!("{model}:{which}");
    for model in [SMALL, LARGE] {
        for (a, b) in [("base", "icl"), ("base", "customized"), ("icl", "customized")] {
            assert!(pairs.contains(&(of(model, a).as_str(), of(model, b).as_str())), "{pairs:?}");
        }
    }
    assert!(pairs.contains(&(of(LARGE, "customized").as_str(), of(SMALL, "customized").as_str())), "{pairs:?}");
    for one in comparisons {
        let score = |side: &str| {
            let (model, which) = one[side].as_str().unwrap().rsplit_once(':').unwrap();
            candidate(report, model)["evaluations"][which]["scores"]["macro_f1"]["value"].as_f64().unwrap()
        };
        let difference = &one["difference"];
        let number = |end: &str| difference[end].as_f64().unwrap();
        assert!((number("value") - (score("b") - score("a"))).abs() < 1e-9, "{one}");
        assert!(number("low") <= number("value") && number("value") <= number("high"), "{one}");
        let model = |side: &str| one[side].as_str().unwrap().rsplit_once(':').unwrap().0.to_owned();
        let own = model("a") == model("b");
        // Examples and training are leaps on this data; the two sizes are as close as 100 rows cannot tell apart.
        assert_eq!(one["verdict"], if own { "better" } else { "cannot tell" }, "{one}");
        assert_eq!(one["p"].as_f64().unwrap() < 0.001, own, "{one}");
        assert_eq!(one["explanation"].as_str().unwrap().contains("more eval rows"), !own, "{one}");
    }
    assert_eq!(report["verdict"]["model"], LARGE);
    assert!(report["verdict"]["sentence"].as_str().unwrap().contains(LARGE), "{}", report["verdict"]);
    assert_eq!(report["data"]["files"].as_array().unwrap().len(), 3);
    assert!(report["seconds"].as_f64().unwrap() > 0.0, "{output}");
    for model in [SMALL, LARGE] {
        let candidate = candidate(report, model);
        assert_eq!((&candidate["state"], &candidate["error"]), (&json!("completed"), &Value::Null));
        let training = &candidate["training"];
        assert!(training["adapter"].as_str().unwrap().contains(id(report)), "{training}");
        let losses: Vec<f64> =
            training["loss"].as_array().unwrap().iter().filter_map(|point| point["train"].as_f64()).collect();
        // The loss of a model that knows nothing is 1; one in ten steps is logged.
        assert!(losses.last().is_some_and(|loss| *loss < 0.5), "training learns: {losses:?}");
    }
}

#[test]
fn the_base_parses_and_the_customized_students_learn() {
    let Shipped { folder, report, .. } = shipped();
    for model in [SMALL, LARGE] {
        let base = rows(folder, report, model, "base");
        let customized = rows(folder, report, model, "customized");
        assert!(base.iter().zip(&customized).all(|(one, other)| one.0 == other.0), "the same rows in the same order");
        let unparseable = base.iter().filter(|(_, predicted)| predicted.is_none()).count();
        assert!(unparseable <= 10, "{unparseable} of 100 base replies cannot be read");

        let mut support: BTreeMap<&String, usize> = BTreeMap::new();
        base.iter().for_each(|(gold, _)| *support.entry(gold).or_default() += 1);
        let (majority, _) = support.iter().max_by_key(|(_, rows)| **rows).unwrap();
        let baseline: Vec<_> = base.iter().map(|(gold, _)| (gold.clone(), Some((*majority).clone()))).collect();
        let (low, f1) = (macro_f1(&baseline), macro_f1(&base));
        assert!(low < f1 && f1 < 0.60, "{model}: base macro F1 {f1}, always the largest class {low}");
        let f1 = macro_f1(&customized);
        assert!((0.75..=0.95).contains(&f1), "{model}: customized macro F1 {f1}");

        let p = mcnemar(&correct(&base), &correct(&customized));
        assert!(p < 0.001, "{model}: p = {p}");
        assert!(share(&correct(&customized)) > share(&correct(&base)));
    }
    let (small, large) = (rows(folder, report, SMALL, "customized"), rows(folder, report, LARGE, "customized"));
    let different = small.iter().zip(&large).filter(|(small, large)| small.1 != large.1).count();
    assert!(different >= 5, "the two students differ on {different} of 100 rows");
}

#[test]
fn the_scores_are_those_of_the_rows() {
    let Shipped { folder, report, .. } = shipped();
    for (model, which) in [(SMALL, "base"), (SMALL, "customized"), (LARGE, "base"), (LARGE, "customized")] {
        let rows = rows(folder, report, model, which);
        let near = |name: &str, value: f64| {
            let reported = score(report, model, which, name);
            assert!((reported - value).abs() < 1e-12, "{name} of {model}, {which}: {reported}, from its rows {value}");
        };
        near("accuracy", share(&correct(&rows)));
        near("macro_f1", macro_f1(&rows));
        near("unparseable", rows.iter().filter(|(_, said)| said.is_none()).count() as f64 / 100.0);

        let evaluation = &candidate(report, model)["evaluations"][which];
        assert_eq!(evaluation["rows"], 100);
        for (name, score) in evaluation["scores"].as_object().unwrap() {
            let number = |key: &str| score[key].as_f64();
            if let (Some(low), Some(value), Some(high)) = (number("low"), number("value"), number("high")) {
                assert!(low <= value && value <= high, "{name}: {score}");
            }
        }
        for name in ["accuracy", "macro_f1", "weighted_f1", "micro_f1", "unparseable"] {
            assert!(evaluation["scores"][name]["low"].is_number(), "{name} has an interval");
        }
        // Per class and confusion, from the rows again.
        for class in evaluation["classes"].as_array().unwrap() {
            let label = class["label"].as_str().unwrap();
            assert_eq!(class["support"], rows.iter().filter(|(gold, _)| gold == label).count(), "{label}");
            let predicted = rows.iter().filter(|(_, said)| said.as_deref() == Some(label)).count();
            assert_eq!(class["predicted"], predicted, "{label}");
        }
        let confusion = &evaluation["confusion"];
        let (labels, columns) = (confusion["labels"].as_array().unwrap(), confusion["columns"].as_array().unwrap());
        let mut total = 0;
        for (at, gold) in labels.iter().enumerate() {
            for (to, said) in columns.iter().enumerate() {
                let count = confusion["counts"][at][to].as_u64().unwrap();
                total += count;
                if let Some(said) = said.as_str().filter(|said| !said.starts_with('(')) {
                    let found = rows.iter().filter(|row| row.0 == *gold && row.1.as_deref() == Some(said)).count();
                    assert_eq!(count, found as u64, "{gold} said as {said}");
                }
            }
        }
        assert_eq!(total, 100);
    }
}

#[test]
fn nemos_own_f1_stands_beside_and_is_another() {
    let Shipped { folder, report, .. } = shipped();
    let nemo = score(report, SMALL, "customized", "nemo_f1");
    assert!((0.0..=1.0).contains(&nemo));
    // It is the mean over the rows of what the evaluator gave each.
    let text = folder.read(&format!(".dfwfd/runs/{}/rows/ngram-small-customized.jsonl", id(report)));
    let rows = parse_lines(&text);
    let sum: f64 = rows.iter().map(|row| row["scores"]["f1"]["f1_score"].as_f64().unwrap()).sum();
    assert!((nemo - sum / 100.0).abs() < 1e-9, "{nemo}");
    let table = folder.dfwfd(["status", id(report)]).run();
    assert!(table.code(0).stdout.contains("NeMo"), "named as NeMo's: {table}");
}

#[test]
fn the_same_seed_gives_the_same_scores_and_another_does_not() {
    let Shipped { report, .. } = shipped();
    let folder = Folder::shipped();
    let again = |flags: &[&str]| folder.dfwfd(["run", "--format", "json"]).args(flags).run().code(0).json();
    let second = again(&[]);
    assert_ne!(id(&second), id(report));
    let scores = |report: &Value| -> Vec<Value> {
        let evaluations = |model| &candidate(report, model)["evaluations"];
        let of = |model, which: &str| evaluations(model)[which]["scores"].clone();
        vec![of(SMALL, "base"), of(SMALL, "customized"), of(LARGE, "base"), of(LARGE, "customized")]
    };
    assert_eq!(scores(&second), scores(report));
    assert_eq!(second["data"]["files"], report["data"]["files"]);
    let other = again(&["--set", "data_split_config.random_seed=7", "--only", LARGE]);
    assert_ne!(candidate(&other, LARGE)["evaluations"], candidate(report, LARGE)["evaluations"]);
    assert_ne!(other["data"]["files"][0]["sha256"], report["data"]["files"][0]["sha256"]);
    assert_eq!(other["candidates"].as_array().unwrap().len(), 1);
}

#[test]
fn status_shows_it_again() {
    let Shipped { folder, report, .. } = shipped();
    let list = folder.dfwfd(["status", "--format", "json"]).run();
    let runs = list.code(0).json()["runs"].clone();
    assert_eq!(runs.as_array().unwrap().len(), 1);
    assert_eq!((&runs[0]["run"], &runs[0]["state"]), (&report["run"], &json!("completed")));
    assert_eq!(runs[0]["headline"]["metric"], "macro_f1");
    let best =
        [SMALL, LARGE].map(|model| score(report, model, "customized", "macro_f1")).into_iter().fold(0.0, f64::max);
    assert_eq!(runs[0]["headline"]["value"].as_f64(), Some(best));
    for name in ["latest", id(report), &id(report)[..3]] {
        let one = folder.dfwfd(["status", name, "--format", "json"]).run().code(0).json();
        // Only the seconds are of the process that ran.
        let without = |report: &Value| {
            let mut report = report.clone();
            report["seconds"] = Value::Null;
            report
        };
        assert_eq!(without(&one), without(report), "status {name}");
    }
    let table = folder.dfwfd(["status", "latest"]).run();
    // The page wraps its sentences.
    let page = table.code(0).stdout.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let compared = ["Verdict", "Comparisons on the same rows", "cannot tell, need about"];
    for text in [id(report), SMALL, LARGE, "Earnings", "news_classifier", "macro F1"].into_iter().chain(compared) {
        assert!(page.contains(&text.to_lowercase()), "{text}: {table}");
    }
    let listed = folder.dfwfd(["status"]).run();
    assert!(listed.code(0).stdout.contains(id(report)), "{listed}");
    let unknown = folder.dfwfd(["status", "zzzzzzzz", "--format", "json"]).run();
    unknown.code(2).says("zzzzzzzz").hints();
    assert!(unknown.json()["error"]["hint"].is_string());
    // In detail from anywhere, with the configuration named.
    let elsewhere = Folder::new();
    let config = folder.at("flywheel.yaml");
    elsewhere.dfwfd(["status", "latest", "--config"]).arg(&config).run().code(0);
}

#[test]
fn the_events_are_documented_and_tell_the_whole_run() {
    let Shipped { folder, report, .. } = shipped();
    let docs = std::fs::read_to_string(project().join("docs/json.md")).unwrap();
    let events = parse_lines(&folder.read("events.jsonl"));
    let mut at = String::new();
    for event in &events {
        assert_eq!(event["run"], report["run"]);
        let name = event["event"].as_str().unwrap();
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in docs/json.md"));
        for key in event.as_object().unwrap().keys().filter(|key| !["at", "run", "event"].contains(&key.as_str())) {
            assert!(row.contains(&format!("`{key}`")), "{key} of {name} is not in docs/json.md");
        }
        if let Some(step) = event["step"].as_str() {
            assert!(docs.contains(&format!("`{step}`")), "{step}");
        }
        let time = event["at"].as_str().unwrap().to_owned();
        assert!(time >= at && time.ends_with('Z') && time.len() == 24, "in order, to the millisecond: {time}");
        at = time;
    }
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"run_started"), Some(&"run_done")));
    assert_eq!(names.iter().filter(|name| **name == "candidate_done").count(), 2);
    // Every step that began has ended.
    let steps = |kind: &str| -> Vec<(String, String)> {
        let of_kind = events.iter().filter(|event| event["event"] == kind);
        let mut steps: Vec<_> =
            of_kind.map(|event| (event["candidate"].to_string(), event["step"].to_string())).collect();
        steps.sort();
        steps
    };
    assert_eq!(steps("step_started"), steps("step_done"));
    // Every deployment that was created was released.
    let things = |kind: &str| -> BTreeSet<String> {
        let of_kind = events.iter().filter(|event| event["event"] == kind && event["kind"] == "deployment");
        of_kind.map(|event| event["name"].to_string()).collect()
    };
    assert_eq!(things("resource_live").len(), 3, "two candidates and the embedding model");
    assert_eq!(things("resource_live"), things("resource_released"));
}

#[test]
fn the_log_holds_every_call_and_no_secret() {
    let Shipped { folder, report, output } = shipped();
    let log = folder.read(&format!(".dfwfd/runs/{}/log.jsonl", id(report)));
    let lines = parse_lines(&log);
    let said = |text: &str| lines.iter().filter(|line| line.to_string().contains(text)).count();
    assert!(said("/v1/customization/jobs") > 2 && said("\"run_done\"") == 1, "calls and events");
    assert!(output.stderr.contains("/v1/customization/jobs"), "-vv says every call");
    for (path, bytes) in files_below(folder.path()) {
        let found = bytes.windows(10).any(|window| window == b"s3cr3t-xyz");
        assert!(!found, "a secret is in {}", path.display());
    }
    assert!(!format!("{output}").contains("s3cr3t-xyz"));
}

#[test]
fn the_folder_of_a_run_is_whole() {
    let Shipped { folder, report, .. } = shipped();
    let run = |name: &str| folder.at(&format!(".dfwfd/runs/{}/{name}", id(report)));
    let manifest: Value = serde_json::from_slice(&std::fs::read(run("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["files"], report["data"]["files"]);
    // The datasets are those that split makes.
    folder.dfwfd(["split", "--out", "split"]).run().code(0);
    for file in report["data"]["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        assert!(std::fs::read(run(path)).unwrap() == folder.bytes(&format!("split/{path}")), "{path}");
    }
}

#[test]
fn tool_calls_are_learnt_and_measured() {
    let logs = testdata("tools_logs.jsonl");
    for kind in ["tool_calling", "auto"] {
        let folder = Folder::shipped();
        let kind = format!("evaluation_config.workload_type={kind}");
        let run = |extra: &str| folder.dfwfd(["run", extra, "--format", "json", "--set", &kind]);
        run("--plan").arg("--logs").arg(&logs).run().code(0);
        let output = run("--workload=desk_assistant").arg("--logs").arg(&logs).run();
        output.code(0).says("name and arguments");
        let report = output.json();
        assert_eq!(report["data"]["workload_type"], "tool_calling");
        let score = |candidate: &Value, which: &str, name: &str| {
            candidate["evaluations"][which]["scores"][name]["value"].as_f64().unwrap()
        };
        for candidate in report["candidates"].as_array().unwrap() {
            for (name, least) in [("function_name_accuracy", 0.85), ("name_and_arguments_accuracy", 0.4)] {
                let (base, customized) = (score(candidate, "base", name), score(candidate, "customized", name));
                assert!(base < customized && customized >= least, "{name}: {base} {customized}");
            }
            let customized = &candidate["evaluations"]["customized"];
            assert!(customized["scores"]["name_and_arguments_accuracy"]["low"].is_f64(), "{customized}");
            assert_eq!((&customized["rows"], &customized["confusion"]), (&json!(100), &Value::Null));
        }
        // The floor learns what the large student learns over the platform.
        for name in ["function_name_accuracy", "name_and_arguments_accuracy"] {
            let floor = report["floor"]["scores"][name]["value"].as_f64().unwrap();
            assert_eq!(floor, score(candidate(&report, LARGE), "customized", name), "{name}");
        }
        let file = format!(".dfwfd/runs/{}/rows/ngram-small-customized.jsonl", id(&report));
        let rows = parse_lines(&folder.read(&file));
        let right = rows.iter().filter(|row| row["predicted"] == row["gold"]).count();
        assert!(rows.len() == 100 && right >= 85, "{right}");
        let listed = folder.dfwfd(["status", "--format", "json"]).run().code(0).json();
        assert_eq!(listed["runs"][0]["headline"]["metric"], "name_and_arguments_accuracy");
    }
}

#[test]
fn one_gpu_is_enough() {
    let folder = Folder::shipped();
    let small = ["--set", "gpus=1", "--set", "data_split_config.limit=300"];
    let plan = folder.dfwfd(["run", "--plan", "--format", "json"]).args(small).run().code(0).json();
    crate::schema::check("plan", &plan);
    assert!(plan["candidates"].as_array().unwrap().iter().all(|row| row["mode"] == "in turn"), "{plan}");
    let report = folder.dfwfd(["run", "--format", "json"]).args(small).run().code(0).json();
    assert_eq!(report["state"], "completed");
    assert!(report["candidates"].as_array().unwrap().iter().all(|row| row["gpus"] == 1), "{report}");
    // The next plan tells how long it takes, from this run: one thing after the other.
    assert_eq!((&plan["seconds"], &plan["candidates"][0]["training"]), (&Value::Null, &Value::Null));
    let plan = folder.dfwfd(["run", "--plan", "--format", "json"]).args(small).run().code(0).json();
    let mut spans: Vec<(f64, f64)> = Vec::new();
    crate::schema::check("plan", &plan);
    for candidate in plan["candidates"].as_array().unwrap() {
        for span in [&candidate["training"], &candidate["serving"]] {
            spans.push((span[0].as_f64().unwrap(), span[1].as_f64().unwrap()));
        }
    }
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
    assert_eq!(plan["seconds"].as_f64(), spans.last().map(|(_, end)| *end));
    // More than the budget is a mistake of the configuration.
    let large = ["--set", "gpus=1", "--set", "nims.0.gpus=2"];
    folder.dfwfd(["run", "--plan"]).args(large).run().code(2).says("gpus");
    folder.dfwfd(["run", "--plan", "--set", "gpus=0"]).run().code(2).says("gpus");
}

#[test]
fn a_candidate_that_is_not_trained_is_measured_as_it_comes() {
    let folder = Folder::with_config("nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\n");
    folder.write("logs.jsonl", log("w", 200));
    let report = folder.dfwfd(["run", "--format", "json", "--logs", "logs.jsonl"]).run().code(0).json();
    let candidate = &report["candidates"][0];
    assert_eq!((&candidate["state"], &candidate["training"]), (&json!("completed"), &Value::Null));
    let evaluations: Vec<&String> = candidate["evaluations"].as_object().unwrap().keys().collect();
    assert_eq!(evaluations, ["base"]);
}

#[test]
fn a_stranger_on_the_embedded_platform_needs_a_rehearsal() {
    let yaml = "nmp_config: {platform: embedded}\nnims: [{model_name: meta/llama-3.2-1b-instruct}]\n";
    let folder = Folder::with_config(yaml);
    folder.write("logs.jsonl", log("w", 200));
    let run = |flags: &[&str]| folder.dfwfd(["run", "--format", "json", "--logs", "logs.jsonl"]).args(flags).run();
    run(&[]).code(2).says("meta/llama-3.2-1b-instruct").says("--rehearse");
    assert_eq!(run(&["--rehearse"]).code(0).json()["rehearsal"], true);
}

#[test]
fn rows_without_a_user_are_told_apart_by_all_their_messages() {
    let yaml = "nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\n";
    let folder = Folder::with_config(yaml);
    let records: Vec<Value> = (0..200)
        .map(|number| {
            let mut record = record("w", number);
            let text = format!("Choose:\n- Earnings\n- Merger\n- Product\n{}", text(number));
            record["request"]["messages"] = json!([{"role": "system", "content": text}]);
            record
        })
        .collect();
    folder.write("logs.jsonl", lines(&records));
    let report = folder.dfwfd(["run", "--format", "json", "--logs", "logs.jsonl"]).run().code(0).json();
    let file = format!(".dfwfd/runs/{}/rows/ngram-small-base.jsonl", id(&report));
    let answered = parse_lines(&folder.read(&file)).iter().filter(|row| row["reply"].is_string()).count();
    assert_eq!(answered, 100, "every row finds its reply: {report}");
}

#[test]
fn runs_are_listed_newest_first_and_watching_ends_with_them() {
    let folder = Folder::with_config("nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\n");
    folder.write("logs.jsonl", log("w", 150));
    let run = || {
        let run = folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).run();
        run.code(0).json()["run"].as_str().unwrap().to_owned()
    };
    let (first, second) = (run(), run());
    let list = folder.dfwfd(["status", "--format", "json"]).run().code(0).json();
    let listed: Vec<&str> = list["runs"].as_array().unwrap().iter().map(|row| row["run"].as_str().unwrap()).collect();
    assert_eq!(listed, [&second, &first]);
    let latest = folder.dfwfd(["status", "latest", "--watch", "--format", "json"]).run();
    assert_eq!(latest.code(0).json()["run"], second);
    folder.dfwfd(["status", "--watch"]).run().code(0);
}
