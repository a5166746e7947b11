//! The real binary against a real MLflow server, where `DFWFD_TEST_MLFLOW_URL` names one (`scripts/mlflow-server.sh start`
//! prints it). Without it these tests are skipped. MLflow's own client reads back what was sent.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not the helpers of a test file")]

#[path = "../harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::Command;

use harness::{Folder, Output, project};
use serde_json::{Value, json};

/// Returns the URL of the server, or skips the test.
fn server(test: &str) -> Option<String> {
    let url = std::env::var("DFWFD_TEST_MLFLOW_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        harness::skip(test, "mlflow", "DFWFD_TEST_MLFLOW_URL names no server (scripts/mlflow-server.sh start)");
    }
    url
}

/// Returns a folder whose runs are sent to an experiment of its own, and the beginning of its name.
fn folder(url: &str) -> (Folder, String) {
    let folder = Folder::shipped();
    let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    let yaml = folder.read("flywheel.yaml");
    let section = format!("mlflow_config: {{enabled: true, tracking_uri: '{url}', experiment_name_prefix: {name}}}\n");
    folder.write("flywheel.yaml", format!("{yaml}{section}"));
    (folder, name)
}

fn run(folder: &Folder, flags: &[&str]) -> Output {
    folder.dfwfd(["run", "--only", "dfwfd/ngram-small", "--format", "json"]).args(flags).run()
}

/// Returns the runs of an experiment, as MLflow's own client reads them.
fn read_back(url: &str, experiment: &str, folder: &Folder) -> Vec<Value> {
    let version = std::env::var("DFWFD_MLFLOW_VERSION").unwrap_or_else(|_| "3.17.2".to_owned());
    let environment =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(format!("foreign/mlflow-{version}"));
    let mut command = Command::new("python3");
    command.arg(project().join("tests/foreign/venv.py")).arg(environment).arg(format!("mlflow=={version}"));
    command.arg(project().join("tests/mlflow/read_back.py")).args([url, experiment]).arg(folder.path());
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn mlflow_reads_back_what_a_run_has_sent() {
    let Some(url) = server("mlflow_reads_back_what_a_run_has_sent") else { return };
    let (folder, prefix) = folder(&url);
    let report = run(&folder, &[]).code(0).json();
    assert!(!report["warnings"].to_string().contains("MLflow"), "{report:#}");
    folder.dfwfd(["report", "--publish"]).run().code(0);
    let runs = read_back(&url, &format!("{prefix}-news_classifier"), &folder);
    let [found] = &runs[..] else { panic!("{} runs", runs.len()) };
    assert_eq!((&found["name"], &found["status"]), (&report["run"], &json!("FINISHED")));
    assert!((found["seconds"].as_f64().unwrap() - report["seconds"].as_f64().unwrap()).abs() < 1.0, "{found}");
    assert_eq!(found["params"]["data_split_config.eval_size"], "100");
    assert_eq!(found["tags"]["mlflow.note.content"], report["verdict"]["sentence"]);
    let model = &report["candidates"][0];
    let mut scores = 0;
    for which in ["base", "customized"] {
        for (name, score) in model["evaluations"][which]["scores"].as_object().unwrap() {
            let points = &found["history"][format!("dfwfd/ngram-small/{which}/{name}")];
            // Sent twice, there once.
            assert_eq!(points, &json!([[0, score["value"]]]), "{name}");
            scores += 1;
        }
    }
    assert!(scores > 10);
    let losses = model["training"]["loss"].as_array().unwrap().iter();
    let losses: Vec<Value> =
        losses.filter(|point| !point["train"].is_null()).map(|point| json!([point["step"], point["train"]])).collect();
    assert_eq!((&found["history"]["dfwfd/ngram-small/train_loss"], losses.is_empty()), (&Value::Array(losses), false));
    let datasets = found["datasets"].as_array().unwrap();
    assert_eq!(datasets.len(), 3);
    for (context, rows) in [("evaluation", "eval"), ("training", "train"), ("validation", "validation")] {
        let dataset = datasets.iter().find(|one| one["context"] == context).unwrap();
        assert_eq!(dataset["profile"]["num_rows"], report["data"][rows]);
        let path = dataset["path"].as_str().unwrap().strip_prefix("file://").unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count() as u64, report["data"][rows].as_u64().unwrap(), "{path}");
    }
    let file = |name: &str| found["files"][name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
    let sent: Value = serde_json::from_str(&file("report.json")).unwrap();
    assert_eq!((&sent["run"], &sent["candidates"]), (&report["run"], &report["candidates"]));
    assert!(file("report.html").contains(report["run"].as_str().unwrap()));
    let manifest: Value = serde_json::from_str(&file("manifest.json")).unwrap();
    assert_eq!(manifest["files"], report["data"]["files"]);
}

#[test]
fn a_failed_run_is_there_and_an_experiment_of_another_place_gets_all_but_the_files() {
    let Some(url) = server("a_failed_run_is_there_and_an_experiment_of_another_place_gets_all_but_the_files") else {
        return;
    };
    let (folder, prefix) = folder(&url);
    let place =
        ["--set", "mlflow_config.artifact_location=s3://bucket/a", "--set", "data_split_config.eval_size=100000"];
    let report = run(&folder, &place).code(6).json();
    assert!(report["warnings"].to_string().contains("s3://bucket/a"), "{report:#}");
    let experiment =
        report["workload"].as_str().map_or_else(|| prefix.clone(), |workload| format!("{prefix}-{workload}"));
    let runs = read_back(&url, &experiment, &folder);
    let [found] = &runs[..] else { panic!("{} runs", runs.len()) };
    assert_eq!((&found["status"], &found["tags"]["dfwfd.exit_code"]), (&json!("FAILED"), &json!("6")));
    assert_eq!(found["tags"]["mlflow.note.content"], report["error"]["message"]);
}
