//! The release at the end of a run: bounded in time, whoever does not let go, and told by name.

use rustix::process::Signal;
use serde_json::json;

use super::control::{Home, Platform, until};

/// Gives the release of a run this long.
fn set_release(home: &Home, limit: &str) {
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, text.replace("settle: 0s", &format!("settle: 0s\n  release: {limit}"))).unwrap();
}

#[test]
fn a_stopped_run_names_what_did_not_go_and_releases_what_serves_all() {
    let home = Home::judged(2, "8", "model_name: acme/judge-70b, gpus: 1");
    set_release(&home, "20s");
    let platform = Platform::start(&["--gpus", "8"]);
    // Whatever deploys a candidate is there once one is evaluated; the judge is, too.
    platform.hold_first("POST /nemo/v1/evaluation/jobs");
    let running = platform.command(&home, &["run", "--format", "json"]).spawn();
    until("the first evaluation", || platform.calls().1.then_some(()));
    let fault = "DELETE /nemo/v1/deployment/model-deployments/*/*ngram*: status=503";
    platform.post("/control/faults", &json!({ "fault": fault }));
    running.signal(Signal::INT);
    platform.release();
    let outcome = running.wait().expect(130);
    let report = outcome.json();
    let kept = platform.gpus_held();
    assert!(!kept.is_empty() && kept.iter().all(|held| held.contains("ngram")), "{kept:?}");
    let told: Vec<&str> =
        report["held"].as_array().unwrap().iter().map(|held| held["name"].as_str().unwrap()).collect();
    assert_eq!(told.len(), kept.len(), "{told:?} {kept:?}");
    for name in told {
        assert!(kept.iter().any(|held| held.contains(name)), "{name} {kept:?}");
        outcome.says(&format!("still held: deployment {name}: "));
    }
    outcome.says("it took longer than its part of limits.release").says("503").says("dfwfd cleanup ");
    assert_eq!(platform.delete("/control/faults"), 200);
    let cleaned = platform.dfwfd(&home, &["cleanup", "--format", "json"]).expect(0).json();
    assert_eq!((cleaned["released"].as_array().unwrap().len(), &cleaned["held"]), (kept.len(), &json!([])));
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn a_cleanup_that_cannot_do_it_names_the_command_that_tries_again() {
    let home = Home::new(1, "8");
    set_release(&home, "2s");
    let platform = Platform::start(&[]);
    let fault = "DELETE /nemo/v1/deployment/model-deployments/*/*: status=409";
    platform.post("/control/faults", &json!({ "fault": fault }));
    let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    let run = report["run"].as_str().unwrap();
    let outcome = platform.dfwfd(&home, &["cleanup", run, "--purge"]).expect(1);
    outcome.says("cannot release the deployment").says(&format!("hint: `dfwfd cleanup {run} --purge` tries again"));
}

#[test]
fn a_disk_that_is_full_keeps_no_gpu() {
    let (mut full, mut told) = (0, 0);
    for blocks in [150, 200, 260, 330, 420, 520, 640, 800] {
        let home = Home::new(2, "8");
        let platform = Platform::start(&[]);
        let outcome = platform.command(&home, &["run", "--format", "json"]).on_a_full_disk(blocks).run();
        assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{blocks}: {outcome}");
        if outcome.code != Some(0) {
            full += 1;
            outcome.says("caused by: ");
            let line = outcome.json();
            if line.get("run").is_some() {
                told += 1;
                assert!(line["state"].is_string() && line["error"].is_object(), "{blocks}: {outcome}");
                assert_eq!(line["held"], json!([]), "{blocks}: {outcome}");
                assert!(!outcome.stderr.contains("still held"), "{blocks}: {outcome}");
            }
            // Nothing of it is lost once there is space.
            platform.dfwfd(&home, &["status"]).expect(0);
            let resumed = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
            assert_eq!((&resumed["state"], &resumed["held"]), (&json!("completed"), &json!([])), "{blocks}");
            assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{blocks}");
        }
    }
    assert!(full > 2 && told > 0, "only {full} runs met the end of the disk, {told} after they had begun");
}
