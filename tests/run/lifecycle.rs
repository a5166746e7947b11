//! Runs from beginning to end against a platform in another process: upload modes, one GPU, the lock, resume, what a
//! failed or strange platform does to a run.

use std::fs::File;

use serde_json::{Value, json};

use super::control::{Home, Platform, scores, until};

fn log_of(home: &Home, run: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(home.state.join("runs").join(run).join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn events(path: &std::path::Path, event: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["event"] == event)
        .collect()
}

#[test]
fn both_upload_modes_give_the_same_scores() {
    let of = |mode: &str| {
        let home = Home::new(2, "8");
        let platform = Platform::start(&["--upload-mode", mode]);
        let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
        assert_eq!(report["platform"], "embedded", "the platform tells what it is");
        assert_eq!(report["rehearsal"], false);
        assert_eq!(platform.gpus_held(), Vec::<String>::new());
        let run = report["run"].as_str().unwrap();
        assert!(log_of(&home, run).len() > 20);
        scores(&report)
    };
    assert_eq!(of("regular"), of("lfs"));
}

#[test]
fn one_gpu_is_enough() {
    let home = Home::new(2, "8");
    let platform = Platform::start(&["--gpus", "1"]);
    let path = home.folder().join("events.jsonl");
    let report =
        platform.dfwfd(&home, &["run", "--format", "json", "--set", "gpus=1", "--events", path.to_str().unwrap()]);
    let report = report.expect(0).json();
    assert_eq!(report["state"], "completed");
    for candidate in report["candidates"].as_array().unwrap() {
        assert_eq!(candidate["gpus"], 1);
        assert!(candidate["evaluations"]["customized"]["scores"]["macro_f1"]["value"].is_number());
    }
    // In turn: each candidate trains, then one deployment serves both evaluations, then the next candidate begins.
    let steps: Vec<Value> = events(&path, "step_started").iter().map(|event| event["step"].clone()).collect();
    let in_turn = ["train", "deploy", "undeploy", "train", "deploy", "undeploy"];
    let found: Vec<&Value> = steps.iter().filter(|step| in_turn.iter().any(|known| *step == known)).collect();
    assert_eq!(found, in_turn);
    // The second training waits for the end of the first candidate, and each NIM for its training.
    let granted = events(&path, "gpus_granted");
    let purposes: Vec<&Value> = granted.iter().map(|event| &event["purpose"]).collect();
    assert_eq!(purposes, ["nim", "training", "nim"]);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn a_budget_below_one_candidate_is_refused_before_anything_is_made() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let refused = platform.dfwfd(&home, &["run", "--set", "gpus=1", "--set", "nims.0.gpus=2"]).expect(2);
    assert!(refused.stderr.contains("gpus"), "{refused:?}");
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn a_second_run_of_the_same_state_directory_waits_or_is_refused() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    platform.hold(15, "before");
    let first = platform.command(&home, &["run", "--format", "json"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    let refused = platform.dfwfd(&home, &["run", "--format", "json"]).expect(75);
    assert!(refused.json()["error"]["message"].is_string());
    let cleanup = platform.dfwfd(&home, &["cleanup"]).expect(0);
    assert!(cleanup.stdout.contains("Nothing to release"), "{cleanup:?}");
    let waiting = platform.command(&home, &["run", "--wait", "--format", "json"]).spawn();
    platform.release();
    let first = first.wait().expect(0).json();
    let second = waiting.wait().expect(0).json();
    assert_ne!(first["run"], second["run"]);
    assert_eq!(scores(&first), scores(&second));
}

#[test]
fn a_run_elsewhere_on_the_platform_is_respected() {
    let (here, elsewhere) = (Home::new(1, "8"), Home::new(1, "8"));
    let platform = Platform::start(&[]);
    platform.hold_first("POST /nemo/v1/customization/jobs");
    let first = platform.command(&here, &["run"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    let refused = platform.dfwfd(&elsewhere, &["run"]).expect(75);
    assert!(refused.stderr.contains("another dfwfd run") && refused.stderr.contains('@'), "{refused:?}");
    platform.release();
    first.wait().expect(0);
    platform.dfwfd(&elsewhere, &["run"]).expect(0);
}

#[test]
fn a_dead_run_is_given_back_by_the_next_one() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    platform.hold_first("POST /nemo/v1/customization/jobs");
    let first = platform.command(&home, &["run"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    first.kill();
    platform.release();
    assert!(!platform.gpus_held().is_empty());
    let dry = platform.dfwfd(&home, &["cleanup", "--dry-run", "--format", "json"]).expect(0).json();
    assert!(!dry["held"].as_array().unwrap().is_empty() && dry["released"].as_array().unwrap().is_empty(), "{dry}");
    assert!(!platform.gpus_held().is_empty(), "a dry run gives nothing back");
    let second = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0);
    assert!(second.stderr.contains("releasing what run"), "{second:?}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    let runs = platform.dfwfd(&home, &["status", "--format", "json"]).expect(0).json();
    let states: Vec<&str> = runs["runs"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["completed", "interrupted"]);
}

#[test]
fn resuming_repeats_nothing_that_is_finished_and_takes_no_other_settings() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let path = home.folder().join("events.jsonl");
    // The answers of the base evaluation are in; the training is not yet asked for.
    platform.hold_first("POST /nemo/v1/customization/jobs");
    let run = platform.command(&home, &["run", "--events", path.to_str().unwrap()]).spawn();
    until("the base evaluation", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().any(|line| line.contains("step_done") && line.contains("base_evaluation")).then_some(())
    });
    run.kill();
    platform.release();
    for flags in [["--set", "gpus=2"], ["--only", "dfwfd/ngram-small"], ["--workload", "w"]] {
        let refused = platform.dfwfd(&home, &[&["run", "--resume"], &flags[..]].concat());
        assert_eq!(refused.code, Some(2), "{flags:?}: {refused:?}");
    }
    // The file has changed since: the run goes on as it was started.
    std::fs::write(&home.config, "nims: [").unwrap();
    let again = home.folder().join("again.jsonl");
    let arguments = ["run", "--resume", "--format", "json", "--events", again.to_str().unwrap()];
    let resuming = platform.command(&home, &arguments).env("DFWFD__GPUS", "2").env("DFWFD__LIMITS__SETTLE", "0s");
    let resumed = resuming.run().expect(0);
    assert!(resumed.stderr.contains("DFWFD__GPUS is ignored"), "{resumed:?}");
    assert!(!resumed.stderr.contains("DFWFD__LIMITS__SETTLE"), "the value is that of the run: {resumed:?}");
    let report = resumed.json();
    assert_eq!(report["state"], "completed");
    for repeated in ["split", "base_evaluation"] {
        let steps = events(&again, "step_started");
        assert!(!steps.iter().any(|event| event["step"] == repeated), "{repeated} was repeated: {steps:?}");
    }
    let nothing = platform.dfwfd(&home, &["run", "--resume"]).expect(2);
    assert!(nothing.stderr.contains("left to finish"), "{nothing:?}");
}

#[test]
fn an_in_process_platform_is_rebuilt_on_resume() {
    let home = Home::new(2, "8");
    std::fs::write(
        &home.config,
        std::fs::read_to_string(&home.config).unwrap().replace("platform: nemo", "platform: embedded"),
    )
    .unwrap();
    let path = home.folder().join("events.jsonl");
    let mut run = home.command(&["run", "--events", path.to_str().unwrap()]).spawn();
    until("a base evaluation", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let done = text.lines().any(|line| line.contains("step_done") && line.contains("base_evaluation"));
        (done || run.has_ended()).then_some(())
    });
    run.kill();
    let cleaned = home.command(&["cleanup", "--format", "json"]).run().expect(0).json();
    assert_eq!(cleaned["held"].as_array().unwrap().len(), 0, "what died with its process is not held");
    let resumed = home.command(&["run", "--resume", "--format", "json"]).run().expect(0).json();
    let fresh = home.command(&["run", "--format", "json"]).run().expect(0).json();
    assert_eq!(scores(&resumed), scores(&fresh));
}

#[test]
fn a_failing_candidate_does_not_stop_the_others() {
    let home = Home::new(2, "8");
    let text = std::fs::read_to_string(&home.config).unwrap();
    // More GPUs than the platform has: the deployment stays pending until its limit.
    let text = text
        .replacen("gpus: 1\n    customization", "gpus: 7\n    customization", 1)
        .replace("settle: 0s", "settle: 0s\n  deploy: 1s");
    std::fs::write(&home.config, text).unwrap();
    let platform = Platform::start(&["--gpus", "4"]);
    let outcome = platform.dfwfd(&home, &["run", "--format", "json"]).expect(4);
    let report = outcome.json();
    assert_eq!(report["state"], "partial");
    let states: Vec<&str> =
        report["candidates"].as_array().unwrap().iter().map(|c| c["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "completed"]);
    assert!(report["candidates"][0]["error"].to_string().contains("limits.deploy"), "{report:#}");
    assert!(outcome.stderr.contains("limits.deploy"), "{outcome:?}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    let all = platform.dfwfd(&home, &["run", "--only", "dfwfd/ngram-small", "--format", "json"]).expect(1).json();
    assert_eq!(all["state"], "failed");
}

#[test]
fn a_platform_that_is_away_is_exit_3_and_the_lock_is_75() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let closed = "nmp_config.datastore_base_url=http://127.0.0.1:9/datastore";
    let away = platform.dfwfd(&home, &["run", "--set", closed, "--format", "json"]).expect(3);
    assert!(away.json()["error"]["hint"].as_str().unwrap().contains("nmp_config"), "{away:?}");
    assert_eq!(platform.purgeable(), Vec::<String>::new());
    std::fs::create_dir_all(&home.state).unwrap();
    let lock = File::create(home.state.join("lock")).unwrap();
    lock.lock().unwrap();
    platform.dfwfd(&home, &["run"]).expect(75);
    drop(lock);
    platform.dfwfd(&home, &["run", "-q"]).expect(0);
}

#[test]
fn a_nim_of_the_operator_is_named_and_only_adopted_on_request() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let theirs = json!({"name": "theirs", "namespace": "ops", "config": {"model": "dfwfd/ngram-small", "nim_deployment":
        {"image_name": "nvcr.io/nim/dfwfd/ngram-small", "image_tag": "1", "gpu": 1}}});
    platform.post("/nemo/v1/deployment/model-deployments", &theirs);
    until("their deployment", || {
        let there = platform.get("/nemo/v1/deployment/model-deployments/ops/theirs");
        (there["status_details"]["status"] == "ready").then_some(())
    });
    let refused = platform.dfwfd(&home, &["run"]).expect(2);
    refused.says("ops/theirs").says("--adopt");
    let report = platform.dfwfd(&home, &["run", "--adopt", "--format", "json"]).expect(0).json();
    assert!(report["candidates"][0]["evaluations"]["customized"]["scores"]["macro_f1"]["value"].is_number());
    let run = report["run"].as_str().unwrap();
    platform.dfwfd(&home, &["cleanup", run, "--purge"]).expect(0);
    let held = platform.gpus_held();
    assert!(held.len() == 1 && held[0].contains("theirs"), "{held:?}");
}

#[test]
fn sharing_a_platform_is_possible_where_both_fit() {
    let (here, elsewhere) = (Home::new(1, "8"), Home::new(2, "8"));
    let platform = Platform::start(&["--gpus", "8"]);
    platform.hold_first("POST /nemo/v1/customization/jobs");
    let first = platform.command(&here, &["run"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    let other = ["run", "--only", "dfwfd/ngram-large", "--share", "--format", "json"];
    let tight = platform.dfwfd(&elsewhere, &[&other[..], &["--set", "gpus=1"]].concat()).expect(75);
    tight.says("another dfwfd run");
    let shared = platform.dfwfd(&elsewhere, &other).expect(0).json();
    assert!(shared["warnings"].to_string().contains("sharing the platform"), "{shared:#}");
    platform.release();
    first.wait().expect(0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn the_state_of_a_platform_that_was_restarted_is_rebuilt() {
    // The same address, and nothing of what was there: as after the loss of a cluster's storage.
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    platform.hold(30, "before");
    let run = platform.command(&home, &["run"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    run.kill();
    let port = platform.port();
    drop(platform);
    let platform = Platform::start(&["--port", &port]);
    let resumed = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    assert_eq!(resumed["state"], "completed");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}
