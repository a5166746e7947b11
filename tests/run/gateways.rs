//! Gateways in front of a service, and clocks that are wrong, leave nothing on a GPU.

use serde_json::json;

use super::control::{Home, Platform, until};
use super::faults::{EVALUATIONS, TRAININGS, count, error, failing, jobs, nothing_held, run, struck};

const STATUS: &str = "GET /nemo/v1/customization/jobs/*/status";
const LISTS: [&str; 2] = ["GET /nemo/v1/customization/jobs", "GET /nemo/v1/evaluation/jobs"];

/// Kills a run whose training goes on. Returns its folder.
fn killed_in_training(platform: &Platform) -> Home {
    let home = Home::new(1, "8");
    platform.hold_first("GET /nemo/v1/customization/jobs/cust-");
    let running = platform.command(&home, &["run"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    running.kill();
    platform.release();
    home
}

#[test]
fn a_status_that_the_record_of_the_job_does_not_confirm_ends_no_training() {
    for times in [1, 2] {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{STATUS}: foreign=error-json times={times}")]);
        let report = run(&platform, &home).expect(0).json();
        assert_eq!((struck(&platform), jobs(&platform, "training_jobs")), (vec![times], 1));
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_cleanup_believes_no_status_that_the_record_does_not_confirm() {
    // Nobody moves its clock, so the training goes on until it is cancelled.
    let platform = Platform::simulated(8);
    let home = killed_in_training(&platform);
    platform
        .post("/control/faults", &json!({"fault": "POST /nemo/v1/customization/jobs/*/cancel: foreign=ok times=1"}));
    platform.post("/control/faults", &json!({"fault": format!("{STATUS}: foreign=error-json times=1")}));
    platform.dfwfd(&home, &["cleanup"]).expect(0);
    assert_eq!(struck(&platform), [1, 1]);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn a_create_that_is_not_answered_is_found_by_a_service_whose_clock_is_wrong() {
    for (call, list, kind, made) in
        [(TRAININGS, LISTS[0], "training_jobs", 1), (EVALUATIONS, LISTS[1], "evaluation_jobs", 2)]
    {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: drop-after nth=1"), &format!("{list}: day-behind")]);
        let report = run(&platform, &home).expect(0).json();
        assert!(struck(&platform)[1] > 0, "{list}");
        assert_eq!((count(&platform, call), jobs(&platform, kind)), (made, made), "{call}");
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_cleanup_finds_the_job_of_a_service_whose_clock_is_wrong() {
    let platform = Platform::simulated(8);
    platform.post("/control/faults", &json!({"fault": format!("{}: day-behind", LISTS[0])}));
    let home = Home::new(1, "8");
    platform.hold_matching(TRAININGS, "after");
    let running = platform.command(&home, &["run"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    running.kill();
    platform.release();
    assert!(platform.get("/control/state")["unfinished_jobs"].to_string().contains("cust-"));
    platform.dfwfd(&home, &["cleanup"]).expect(0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn a_job_that_a_gateway_made_twice_is_given_back_at_the_end() {
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{TRAININGS}: twice"), &format!("{EVALUATIONS}: twice")]);
    let report = run(&platform, &home).expect(0).json();
    assert_eq!((jobs(&platform, "training_jobs"), jobs(&platform, "evaluation_jobs")), (2, 4), "{report:#}");
    nothing_held(&platform, &report);
}

#[test]
fn a_job_that_a_gateway_made_twice_is_given_back_by_a_cleanup() {
    let platform = Platform::simulated(8);
    platform.post("/control/faults", &json!({"fault": format!("{TRAININGS}: twice")}));
    let home = killed_in_training(&platform);
    assert_eq!(jobs(&platform, "training_jobs"), 2);
    platform.dfwfd(&home, &["cleanup"]).expect(0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn a_job_that_nobody_gave_back_is_an_orphan_beside_the_one_in_the_ledger() {
    // The run cannot look for it at its end.
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{TRAININGS}: twice")]);
    let lists = LISTS[0];
    // The first list is that of the plan.
    platform.post("/control/faults", &json!({"fault": format!("{lists}: status=500 after=1")}));
    run(&platform, &home).expect(0).says("made twice");
    assert_eq!(platform.delete("/control/faults"), 200);
    let unfinished = platform.gpus_held();
    assert_eq!(unfinished.len(), 1, "{unfinished:?}");
    let released = platform.dfwfd(&home, &["cleanup", "--orphans", "--yes", "--format", "json"]).expect(0).json();
    assert_eq!(released["released"].as_array().unwrap().len(), 1, "{released:#}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn an_archive_that_was_cut_is_asked_for_again() {
    let home = Home::new(1, "8");
    let platform = failing(&["GET /nemo/v1/evaluation/jobs/*/download-results: half times=1"]);
    let report = run(&platform, &home).expect(0).json();
    assert_eq!(struck(&platform), [1]);
    nothing_held(&platform, &report);
}

#[test]
fn a_record_that_something_else_answers_for_is_asked_for_again() {
    for call in ["GET /nemo/v1/customization/jobs/*", "GET /nemo/v1/customization/targets/**"] {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: foreign=error-json times=2")]);
        let report = run(&platform, &home).expect(0).json();
        assert_eq!(struck(&platform), [2], "{call}");
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_training_of_another_dfwfd_is_seen_before_anything_is_made() {
    let platform = Platform::simulated(1);
    // In turn, so that the training comes first and alone.
    let home = Home::new(1, "1");
    let running = platform.command(&home, &["run"]).env("USER", "ann").spawn();
    until("the training", || platform.gpus_held().iter().any(|one| one.contains("cust-")).then_some(()));
    assert!(platform.get("/control/state")["deployments"].as_array().unwrap().is_empty());
    let other = Home::new(1, "1");
    for arguments in [&["run", "--plan"][..], &["run"], &["run", "--share"]] {
        let refused = platform.dfwfd(&other, arguments).expect(75);
        refused.says("another dfwfd run is on this platform").says("-train (ann@");
    }
    let checked = platform.dfwfd(&other, &["doctor", "--format", "json"]).expect(0);
    assert!(checked.stdout.contains("-train (ann@"), "{checked}");
    running.kill();
    let shared = Home::new(1, "8");
    platform.dfwfd(&shared, &["run", "--plan", "--share"]).expect(0).says("sharing the platform with");
    platform.dfwfd(&home, &["cleanup"]).expect(0);
}

#[test]
fn a_ready_deployment_that_the_proxy_does_not_list_is_told_as_such() {
    let home = Home::new(1, "8");
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, text.replace("settle: 0s", "settle: 0s\n  deploy: 20s")).unwrap();
    let (platform, other) = (failing(&[]), Platform::start(&[]));
    let elsewhere = format!("nmp_config.nim_base_url=http://127.0.0.1:{}/nim", other.port());
    let outcome = platform.dfwfd(&home, &["run", "--format", "json", "--set", &elsewhere]).expect(1);
    let report = outcome.json();
    let said = error(&report);
    assert!(said.contains("is ready, but the NIM proxy (nmp_config.nim_base_url) does not list"), "{report:#}");
    outcome.says("without a cache before it");
    nothing_held(&platform, &report);
}

#[test]
fn an_adapter_that_comes_late_is_no_fault_of_the_proxy() {
    let home = Home::new(1, "8");
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, text.replace("settle: 0s", "settle: 0s\n  adapter: 1s")).unwrap();
    let platform = failing(&["slow-adapter=release"]);
    let outcome = run(&platform, &home).expect(1);
    outcome.says("raise limits.adapter to wait longer");
    let report = outcome.json();
    assert!(!error(&report).contains("does not list"), "its base is listed: {report:#}");
    nothing_held(&platform, &report);
}

#[test]
fn the_entity_store_is_no_nim_proxy() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let nemo = format!("nmp_config.nim_base_url=http://127.0.0.1:{}/nemo", platform.port());
    let refused = platform.dfwfd(&home, &["run", "--plan", "--set", &nemo]).expect(3);
    refused.says("not the NIM proxy: correct nmp_config.nim_base_url");
    let checked = platform.dfwfd(&home, &["doctor", "--format", "json", "--set", &nemo]).expect(3);
    assert!(checked.stdout.contains("not the NIM proxy"), "{checked}");
}

#[test]
fn a_run_that_is_stopped_before_it_begins_names_nothing_to_resume() {
    let home = Home::new(1, "8");
    let platform = failing(&["GET /nemo/v1/evaluation/jobs: stall"]);
    let outcome = platform.dfwfd(&home, &["run", "--max-duration", "1ms"]).expect(130);
    outcome.says("nothing was started");
    assert!(!outcome.stderr.contains("--resume"), "{outcome}");
}

#[test]
fn a_twin_that_could_not_be_cancelled_is_in_the_ledger_until_a_cleanup() {
    let home = Home::new(1, "8");
    let platform = failing(&[
        &format!("{TRAININGS}: twice"),
        // The job that the run knows has ended by itself.
        "POST /nemo/v1/customization/jobs/*/cancel: status=403",
    ]);
    let hasty = ["run", "--format", "json", "--set", "limits.release=2s"];
    let twin = platform.dfwfd(&home, &hasty).expect(0).says("still").json();
    assert_eq!(jobs(&platform, "training_jobs"), 2);
    assert_eq!(twin["held"].as_array().map(Vec::len), Some(1), "{twin:#}");
    assert_eq!(platform.gpus_held().len(), 1, "the twin");
    assert_eq!(platform.delete("/control/faults"), 200);
    let released = platform.dfwfd(&home, &["cleanup", "latest", "--format", "json"]).expect(0).json();
    assert_eq!(released["released"].as_array().map(Vec::len), Some(1), "{released:#}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn a_run_that_was_killed_while_it_had_a_twin_is_resumed() {
    let platform = failing(&[&format!("{TRAININGS}: twice times=1")]);
    let home = killed_in_training(&platform);
    assert_eq!(jobs(&platform, "training_jobs"), 2);
    let report = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    assert_eq!(jobs(&platform, "training_jobs"), 2, "its own training goes on");
    nothing_held(&platform, &report);
}
