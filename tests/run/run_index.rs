//! Runs that leave a document in an index. The server answers as a search server does; `tests/elastic` has real ones.

use serde_json::{Value, json};

use super::control::{Home, Platform};
use crate::harness::Dfwfd;
use crate::recorder::{Recorded, Recorder};

/// A server without the index.
fn server() -> Recorder {
    Recorder::start(|request| {
        let none = json!({"error": {"type": "index_not_found_exception", "reason": "none"}, "status": 404});
        Some(if request.line.starts_with("GET ") { (404, none) } else { (200, json!({"result": "created"})) })
    })
}

fn command(platform: &Platform, home: &Home, url: &str, arguments: &[&str]) -> Dfwfd {
    let set = ["--set", "logs.elasticsearch.runs_index=flywheel-runs", "--format", "json"];
    platform.command(home, arguments).args(set).env("ELASTICSEARCH_URL", url).env("ELASTICSEARCH_API_KEY", "k3y-secret")
}

/// A run that ends at once, because its records do not suffice.
const SMALL: [&str; 3] = ["run", "--set", "data_split_config.eval_size=90"];

#[test]
fn each_run_is_a_document_under_its_id() {
    let (server, platform, home) = (server(), Platform::start(&[]), Home::new(1, "8"));
    let report = command(&platform, &home, &server.url(), &["run", "--set", "cost.gpu_hour=2"]).run().expect(0).json();
    let run = report["run"].as_str().unwrap();
    let documents = || server.of(&format!("PUT /flywheel-runs/_doc/{run}"));
    let [one] = &documents()[..] else { panic!("{:?}", documents()) };
    assert_eq!(one.authorization, "ApiKey k3y-secret");
    let document = one.json();
    let last = &report["candidates"][0]["evaluations"]["customized"];
    assert_eq!(document["best"]["macro_f1"], last["scores"]["macro_f1"]["value"], "{document:#}");
    assert_eq!(document["best"]["cost_per_1000"], last["usage"]["cost_per_1000"]);
    for (field, wanted) in [
        ("run", &report["run"]),
        ("workload", &json!("w")),
        ("state", &json!("completed")),
        ("cost", &report["cost"]),
        ("verdict", &report["verdict"]["sentence"]),
        ("teacher", &report["data"]["teacher"]),
    ] {
        assert_eq!(&document[field], wanted, "{field} of {document:#}");
    }
    let created = server.of("PUT /flywheel-runs").into_iter().find(|one| !one.line.contains("_doc")).unwrap();
    assert_eq!(created.json()["mappings"]["properties"]["started_at"]["type"], "date");
    // The second run of the workload tells its drift.
    let second = command(&platform, &home, &server.url(), &["run"]).run().expect(0).json();
    let id = second["run"].as_str().unwrap();
    let document = server.of(&format!("PUT /flywheel-runs/_doc/{id}"))[0].json();
    assert_eq!((&document["drift"]["run"], &document["drift"]["labels_distance"]), (&report["run"], &json!(0.0)));
    let again = ["report", run, "--publish"];
    command(&platform, &home, &server.url(), &again).run().expect(0);
    let sent: Vec<Value> = documents().iter().map(Recorded::json).collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

#[test]
fn a_failed_run_has_one_too_and_a_server_that_refuses_is_a_warning() {
    let (platform, home) = (Platform::start(&[]), Home::new(1, "8"));
    let taking = server();
    let report = command(&platform, &home, &taking.url(), &SMALL).run().expect(6).json();
    let document = taking.of(&format!("PUT /flywheel-runs/_doc/{}", report["run"].as_str().unwrap()))[0].json();
    assert_eq!((&document["state"], &document["exit_code"]), (&json!("failed"), &json!(6)));
    assert_eq!(document["error"], report["error"]["message"]);
    let refusing = Recorder::start(|_| Some((401, json!({}))));
    let silent = Recorder::start(|_| None);
    for (url, told, limit) in [(refusing.url(), "401", "60s"), (silent.url(), "within 0.5 s", "500ms")] {
        let limit = format!("limits.publish={limit}");
        let output = command(&platform, &home, &url, &SMALL).args(["--set", &limit]).run().expect(6);
        let report = output.json();
        let warnings = report["warnings"].to_string();
        let run = format!("cannot send run {} to the index {url}/flywheel-runs", report["run"].as_str().unwrap());
        assert!([told, &run, "--publish"].iter().all(|part| warnings.contains(part)), "{told}: {warnings}");
        assert!(!format!("{output}").contains("k3y-secret"), "{output}");
    }
}

#[test]
fn the_index_of_records_is_not_that_of_runs() {
    let (platform, home) = (Platform::start(&[]), Home::new(1, "8"));
    let set = ["run", "--plan", "--set", "logs.elasticsearch.runs_index=flywheel"];
    platform.dfwfd(&home, &set).expect(2).says("logs.elasticsearch.runs_index").says("logs.elasticsearch.index");
}
