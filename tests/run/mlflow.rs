//! Runs that are sent to MLflow, to a server that answers as MLflow does and keeps what it gets. `tests/mlflow` has the real one.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::control::{Home, Platform};
use super::faults::{TRAININGS, failing};
use crate::harness::{Dfwfd, Output};
use crate::recorder::{Recorded, Recorder};

/// A server with one experiment and, once it is created, one run whose artefacts belong to this place.
fn server(place: &'static str) -> Recorder {
    let created = Mutex::new(false);
    Recorder::start(move |request| {
        let mut created = created.lock().unwrap();
        let info = json!({"run_id": "r1", "artifact_uri": place});
        let (_, path) = request.line.split_once("/api/2.0/").unwrap();
        let found = match path.split('?').next().unwrap() {
            "mlflow/experiments/get-by-name" if !*created => {
                return Some((404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"})));
            }
            "mlflow/experiments/get-by-name" => {
                json!({"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}})
            }
            "mlflow/experiments/create" => json!({"experiment_id": "7"}),
            "mlflow/runs/search" if *created => json!({"runs": [{"info": info}]}),
            "mlflow/runs/create" => {
                *created = true;
                json!({"run": {"info": info}})
            }
            _ => json!({}),
        };
        Some((200, found))
    })
}

const PROXIED: &str = "mlflow-artifacts:/7/r1/artifacts";

fn command(platform: &Platform, home: &Home, url: &str, arguments: &[&str]) -> Dfwfd {
    let set = ["mlflow_config.enabled=true".to_owned(), format!("mlflow_config.tracking_uri={url}")];
    let command = platform.command(home, arguments).args(["--format", "json"]);
    command.args(set.iter().flat_map(|set| ["--set", set]))
}

/// A run that ends at once, because its records do not suffice.
fn small(platform: &Platform, home: &Home, url: &str) -> Dfwfd {
    command(platform, home, url, &["run", "--set", "data_split_config.eval_size=90"])
}

fn warnings(output: &Output) -> String {
    output.json()["warnings"].to_string()
}

/// Returns the entities of a kind of all batches, by key.
fn logged(server: &Recorder, kind: &str) -> Vec<(String, Value)> {
    let batches = server.of("POST /api/2.0/mlflow/runs/log-batch");
    let of = |batch: &Recorded| batch.json()[kind].as_array().cloned().unwrap_or_default();
    let entities = batches.iter().flat_map(of);
    entities.map(|one| (one["key"].as_str().unwrap().to_owned(), one["value"].clone())).collect()
}

#[test]
fn a_run_is_logged_with_its_scores_datasets_and_files_and_without_texts() {
    let (server, platform, home) = (server(PROXIED), Platform::start(&[]), Home::new(1, "8"));
    let report = command(&platform, &home, &server.url(), &["run"]).env("MLFLOW_TRACKING_TOKEN", "t0ken-secret").run();
    let report = report.expect(0).json();
    let id = report["run"].as_str().unwrap();
    assert_eq!(report["warnings"].to_string().matches("MLflow").count(), 0, "{report:#}");
    let experiments = server.of("POST /api/2.0/mlflow/experiments/create");
    assert_eq!(experiments.iter().map(Recorded::json).collect::<Vec<_>>(), [json!({"name": "data-flywheel-w"})]);
    assert_eq!(experiments[0].authorization, "Bearer t0ken-secret");
    let metrics = logged(&server, "metrics");
    let of = |key: &str| metrics.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone());
    let model = &report["candidates"][0];
    for which in ["base", "customized"] {
        for (name, score) in model["evaluations"][which]["scores"].as_object().unwrap() {
            let key = format!("dfwfd/ngram-small/{which}/{name}");
            assert_eq!(of(&key).as_ref(), Some(&score["value"]), "{key}");
        }
    }
    let losses = model["training"]["loss"].as_array().unwrap();
    let count = |key: &str| metrics.iter().filter(|(found, _)| found == key).count();
    assert_eq!((count("dfwfd/ngram-small/train_loss"), losses.is_empty()), (losses.len(), false));
    let params = logged(&server, "params");
    assert!(params.contains(&("data_split_config.eval_size".to_owned(), json!("20"))), "{params:?}");
    let tags = logged(&server, "tags");
    assert!(tags.contains(&("mlflow.note.content".to_owned(), report["verdict"]["sentence"].clone())), "{tags:?}");
    let inputs = server.of("POST /api/2.0/mlflow/runs/log-inputs")[0].json();
    let digests: Vec<&str> =
        inputs["datasets"].as_array().unwrap().iter().map(|one| one["dataset"]["digest"].as_str().unwrap()).collect();
    for (file, digest) in report["data"]["files"].as_array().unwrap().iter().zip(&digests) {
        assert!(file["sha256"].as_str().unwrap().starts_with(digest) && digest.len() == 36, "{inputs:#}");
    }
    assert_eq!(digests.len(), 3);
    let put = |name: &str| server.of(&format!("PUT /api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/{name}"));
    let sent = put("report.json")[0].json();
    assert_eq!((&sent["run"], &sent["candidates"]), (&report["run"], &report["candidates"]));
    assert_eq!(put("manifest.json")[0].json()["files"], report["data"]["files"]);
    let page = put("report.html")[0].text();
    assert!(page.contains(id) && !texts(&home).iter().any(|text| page.contains(text)), "{page}");
    let ends: Vec<Value> = server.of("POST /api/2.0/mlflow/runs/update").iter().map(Recorded::json).collect();
    assert_eq!(ends.len(), 1);
    assert_eq!((&ends[0]["run_id"], &ends[0]["status"]), (&json!("r1"), &json!("FINISHED")));
}

/// Returns the user texts of the log.
fn texts(home: &Home) -> Vec<String> {
    let logs = std::fs::read_to_string(home.folder().join("logs.jsonl")).unwrap();
    let records = logs.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.map(|record| record["request"]["messages"][1]["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn texts_are_sent_where_they_are_asked_for() {
    let (server, platform, home) = (server(PROXIED), Platform::start(&[]), Home::new(1, "8"));
    // The base model alone, which is wrong often.
    let set = ["run", "--set", "mlflow_config.texts=true", "--set", "nims.0.customization_enabled=false"];
    command(&platform, &home, &server.url(), &set).run().expect(0);
    let page = server.of("PUT /api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/report.html")[0].text();
    assert!(texts(&home).iter().any(|text| page.contains(text)), "{page}");
}

#[test]
fn a_failed_run_and_its_resumption_are_one_run_there() {
    let (server, home) = (server(PROXIED), Home::new(1, "8"));
    let platform = failing(&[&format!("{TRAININGS}: fail-job='out of memory' nth=1")]);
    let failed = command(&platform, &home, &server.url(), &["run"]).run().expect(1).json();
    let ends = || -> Vec<Value> {
        server.of("POST /api/2.0/mlflow/runs/update").iter().map(|end| end.json()["status"].clone()).collect()
    };
    assert_eq!(ends(), ["FAILED"]);
    let login =
        |command: Dfwfd| command.env("MLFLOW_TRACKING_USERNAME", "me").env("MLFLOW_TRACKING_PASSWORD", "hunter2");
    let resumed = login(platform.command(&home, &["run", "--resume", "--format", "json"])).run().expect(0).json();
    assert_eq!(resumed["run"], failed["run"]);
    let again = platform.command(&home, &["report", "--publish", "--format", "json"]).env("MLFLOW_TRACKING_TOKEN", "t");
    again.run().expect(0);
    assert_eq!(ends(), ["FAILED", "FINISHED", "FINISHED"]);
    assert_eq!(server.of("POST /api/2.0/mlflow/runs/create").len(), 1);
    let logins: Vec<String> =
        server.of("POST /api/2.0/mlflow/runs/update").into_iter().map(|end| end.authorization).collect();
    assert_eq!(logins, ["", "Basic bWU6aHVudGVyMg==", "Bearer t"]);
}

#[test]
fn a_server_that_does_not_take_a_run_is_a_warning_and_no_failure() {
    let (platform, home) = (Platform::start(&[]), Home::new(1, "8"));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = |status: u16| {
        Recorder::start(move |request| {
            let message = format!("no: {}", request.authorization);
            Some((status, json!({"error_code": "SOME_CODE", "message": message})))
        })
    };
    let servers =
        [refused(401), refused(500), Recorder::start(|_| None), Recorder::start(|_| Some((200, json!("hello"))))];
    let told = ["MLFLOW_TRACKING_TOKEN", "HTTP 500", "limits.publish, 0.5 s", "no answer of MLflow"];
    let urls = servers.iter().map(Recorder::url).chain([format!("http://{gone}")]);
    for (url, told) in urls.zip(told.into_iter().chain(["refused"])) {
        let limit = ["--set", if told.contains("limits") { "limits.publish=500ms" } else { "limits.publish=60s" }];
        let command = small(&platform, &home, &url).args(limit).env("MLFLOW_TRACKING_TOKEN", "t0ken-secret");
        let output = command.run().expect(6);
        let warnings = warnings(&output);
        let (run, report) = (format!("cannot send run {}", output.json()["run"].as_str().unwrap()), "--publish");
        assert!([told, &run, report, &url].iter().all(|part| warnings.contains(part)), "{told}: {warnings}");
        assert!(!format!("{output}").contains("t0ken-secret"), "{output}");
    }
    // A run that succeeds still does.
    let output = command(&platform, &home, &format!("http://{gone}"), &["run"]).run().expect(0);
    assert!(warnings(&output).contains("cannot send run"), "{output}");
}

#[test]
fn what_a_server_cannot_take_is_named_and_the_rest_is_there() {
    let (server, platform, home) = (server("s3://bucket/7/r1/artifacts"), Platform::start(&[]), Home::new(1, "8"));
    let told = warnings(&small(&platform, &home, &server.url()).run().expect(6));
    assert!(told.contains("s3://bucket/7/r1/artifacts") && told.contains("--artifacts-destination"), "{told}");
    assert_eq!(server.of("PUT ").len(), 0);
    assert_eq!(server.of("POST /api/2.0/mlflow/runs/update")[0].json()["status"], "FAILED");
    assert!(logged(&server, "tags").iter().any(|(key, value)| key == "dfwfd.state" && value == "failed"));
}

#[test]
fn what_was_not_asked_for_is_not_sent() {
    let (platform, home) = (Platform::start(&[]), Home::new(1, "8"));
    let set = ["run", "--set", "data_split_config.eval_size=90"];
    platform.dfwfd(&home, &set).expect(6);
    platform.dfwfd(&home, &["report", "--publish"]).expect(2).says("mlflow_config.enabled").hints();
}
