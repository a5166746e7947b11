//! The fault matrix: each fault at each kind of call that it can strike. After each: exit code, message, ledger, platform.

use std::io::Write as _;

use serde_json::Value;

use super::control::{Home, Platform, scores};
use super::faults::{count, failing, jobs, nothing_held, run, struck};
use super::silence::{NEVER_THERE, PASSING, PROBES};
use crate::harness::project;

/// Every call that makes something.
const CREATES: [&str; 9] = [
    "POST /nemo/v1/namespaces",
    "POST /datastore/v1/datastore/namespaces",
    "POST /datastore/v1/hf/api/repos/create",
    "POST /datastore/v1/hf/api/datasets/*/*/commit/main",
    "POST /nemo/v1/datasets",
    "POST /nemo/v1/customization/configs",
    "POST /nemo/v1/customization/jobs",
    "POST /nemo/v1/evaluation/jobs",
    "POST /nemo/v1/deployment/model-deployments",
];

/// Every kind of call that reads while a run goes on.
const READS: [&str; 8] = [
    "GET /nemo/v1/customization/jobs/*/status",
    "GET /nemo/v1/customization/targets/**",
    "GET /nemo/v1/evaluation/jobs/*",
    "GET /nemo/v1/evaluation/jobs/*/results",
    "GET /nemo/v1/evaluation/jobs/*/download-results",
    "GET /nemo/v1/deployment/model-deployments/*/*",
    "GET /nemo/v1/deployment/model-deployments",
    "GET /nim/v1/models",
];

/// Every call that gives something back: at the end of a run, and in a purge.
const DELETES: [&str; 6] = [
    "DELETE /nemo/v1/deployment/model-deployments/*/*",
    "DELETE /nemo/v1/evaluation/jobs/*",
    "DELETE /nemo/v1/customization/configs/*/*",
    "DELETE /nemo/v1/datasets/*/*",
    "DELETE /nemo/v1/models/*/*",
    "DELETE /datastore/v1/hf/api/repos/delete",
];

/// Every answer that is not the service's.
const FOREIGN: [&str; 10] = [
    "foreign=login",
    "foreign=no-route",
    "foreign=not-found",
    "foreign=empty",
    "foreign=ok",
    "foreign=no-content",
    "foreign=spring",
    "foreign=fastapi",
    "foreign=redirect",
    "foreign=error-json",
];

/// Every way in which a create gets lost.
const LOST_CREATES: [&str; 12] = [
    "refuse",
    "drop-before",
    "drop-after",
    "truncate=3",
    "status=503",
    "status=500 page",
    "status=403 page",
    "foreign=login",
    "foreign=spring",
    "foreign=fastapi",
    "foreign=redirect",
    "foreign=error-json",
];

/// Every way in which a read gets lost.
const LOST_READS: [&str; 8] = [
    "refuse",
    "drop-before",
    "drop-after",
    "truncate=3",
    "status=502 page",
    "foreign=login",
    "foreign=ok",
    "foreign=error-json",
];

/// Every way in which a delete gets lost, beside what something else answers.
const LOST_DELETES: [&str; 5] = ["drop-before", "drop-after", "refuse", "status=503", "truncate=1"];

/// The reads that wait for something.
const POLLS: [&str; 6] = [READS[0], READS[2], READS[3], READS[4], READS[5], READS[7]];

/// The refusals that are not the service's.
const ELSEWHERE: [&str; 11] = [
    "foreign=no-route",
    "foreign=not-found",
    "foreign=empty",
    "foreign=spring",
    "foreign=fastapi",
    "foreign=redirect",
    "status=404 page",
    "status=400 page",
    "status=401 page",
    "status=403 page",
    "status=421 page",
];

/// The calls that end a job.
const CANCELS: [&str; 2] = ["POST /nemo/v1/customization/jobs/*/cancel", "POST /nemo/v1/evaluation/jobs/*/cancel"];

#[test]
fn the_documentation_counts_the_combinations() {
    let count = CREATES.len() * LOST_CREATES.len()
        + READS.len() * LOST_READS.len()
        + POLLS.len() * ELSEWHERE.len()
        + DELETES.len() * (FOREIGN.len() + LOST_DELETES.len())
        // A delete of each kind that is never obeyed.
        + DELETES.len() * FOREIGN.len()
        + CANCELS.len() * FOREIGN.len()
        + PROBES.len() * (NEVER_THERE.len() + PASSING.len());
    let line = format!("The fault matrix has {count} combinations of a call and a fault");
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
    let page = std::fs::read_to_string(project().join("docs/ci.md")).unwrap();
    assert!(page.contains(&line), "docs/ci.md does not say: {line}");
}

/// The scores of a run without faults.
fn wanted() -> Value {
    scores(&run(&Platform::start(&[]), &Home::new(1, "8")).expect(0).json())
}

/// Checks that a run was not harmed, holds nothing, and leaves nothing behind once it is purged.
#[track_caller]
fn unharmed(platform: &Platform, home: &Home, report: &Value, wanted: &Value, why: &str) {
    assert_eq!((&report["state"], &scores(report)), (&"completed".into(), wanted), "{why}");
    nothing_held(platform, report);
    let purged = platform.dfwfd(home, &["cleanup", report["run"].as_str().unwrap(), "--purge", "--format", "json"]);
    assert_eq!(purged.expect(0).json()["held"], serde_json::json!([]), "{why}");
    assert_eq!(platform.purgeable(), Vec::<String>::new(), "{why}");
}

#[test]
fn a_create_that_did_not_happen_is_sent_again_and_one_that_did_is_found() {
    let wanted = wanted();
    for fault in LOST_CREATES {
        let home = Home::new(1, "8");
        let script: Vec<String> = CREATES.iter().map(|call| format!("{call}: {fault} nth=1")).collect();
        let platform = failing(&script.iter().map(String::as_str).collect::<Vec<_>>());
        let report = run(&platform, &home).expect(0).json();
        assert_eq!(struck(&platform), [1; CREATES.len()], "{fault}: {report:#}");
        let state = platform.get("/control/state");
        for (kind, made) in [("datasets", 2), ("configs", 1), ("training_jobs", 1), ("evaluation_jobs", 2)] {
            assert_eq!(state[kind].as_array().unwrap().len(), made, "{fault}: {kind} once each: {state:#}");
        }
        unharmed(&platform, &home, &report, &wanted, fault);
    }
}

#[test]
fn a_create_waits_for_settle_before_it_is_sent_again_and_not_when_the_thing_is_found() {
    // The effect comes with the second look-up. Without settle the create would be sent before.
    let home = Home::new(1, "1");
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, text.replace("settle: 0s", "settle: 20s")).unwrap();
    let platform = failing(&["POST /nemo/v1/customization/jobs: late-effect=2calls answer=503 nth=1"]);
    let report = run(&platform, &home).expect(0).json();
    let sent = count(&platform, "POST /nemo/v1/customization/jobs");
    assert_eq!((sent, jobs(&platform, "training_jobs")), (1, 1));
    nothing_held(&platform, &report);
}

#[test]
fn a_read_that_is_cut_lost_or_not_from_the_service_is_asked_again() {
    let wanted = wanted();
    for fault in LOST_READS {
        let home = Home::new(1, "8");
        let script: Vec<String> = READS.iter().map(|call| format!("{call}: {fault} times=2")).collect();
        let platform = failing(&script.iter().map(String::as_str).collect::<Vec<_>>());
        let report = run(&platform, &home).expect(0).json();
        assert_eq!(struck(&platform), [2; READS.len()], "{fault}");
        unharmed(&platform, &home, &report, &wanted, fault);
    }
}

#[test]
fn a_refusal_that_is_not_the_services_fails_nobody_who_waits() {
    let wanted = wanted();
    for fault in ELSEWHERE {
        let home = Home::new(1, "8");
        let script: Vec<String> = POLLS.iter().map(|call| format!("{call}: {fault} times=2")).collect();
        let platform = failing(&script.iter().map(String::as_str).collect::<Vec<_>>());
        let report = run(&platform, &home).expect(0).json();
        assert_eq!(struck(&platform), [2; POLLS.len()], "{fault}");
        unharmed(&platform, &home, &report, &wanted, fault);
    }
}

#[test]
fn what_is_given_back_is_seen_to_be_gone() {
    let wanted = wanted();
    for fault in FOREIGN.into_iter().chain(LOST_DELETES) {
        let home = Home::new(1, "8");
        let script: Vec<String> = DELETES.iter().map(|call| format!("{call}: {fault} times=1")).collect();
        let platform = failing(&script.iter().map(String::as_str).collect::<Vec<_>>());
        let report = run(&platform, &home).expect(0).json();
        unharmed(&platform, &home, &report, &wanted, fault);
        assert_eq!(struck(&platform), [1; DELETES.len()], "{fault}");
    }
}

#[test]
fn what_something_else_says_is_gone_is_held_and_told() {
    for fault in FOREIGN {
        let home = Home::new(1, "8");
        let text = std::fs::read_to_string(&home.config).unwrap();
        std::fs::write(&home.config, text.replace("settle: 0s", "settle: 0s\n  release: 1s")).unwrap();
        let platform = failing(&[&format!("{}: {fault}", DELETES[0])]);
        let outcome = run(&platform, &home).expect(0);
        let report = outcome.json();
        assert_eq!(report["held"].as_array().unwrap().len(), 1, "{fault}: {report:#}");
        assert_eq!(platform.gpus_held().len(), 1, "{fault}");
        outcome.says("still held").says("limits.release");
        // A gateway that answers so to the delete does to the look, too. Then the list alone tells the truth.
        platform.post("/control/faults", &serde_json::json!({"fault": format!("{}: {fault}", READS[5])}));
        let cleanup = platform.dfwfd(&home, &["cleanup", "--format", "json"]);
        assert!(matches!(cleanup.code, Some(1 | 3)), "{fault}: {cleanup}");
        assert_eq!(cleanup.json()["held"].as_array().unwrap().len(), 1, "{fault}: {cleanup}");
        assert_eq!(platform.delete("/control/faults"), 200);
        platform.dfwfd(&home, &["cleanup"]).expect(0);
        assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{fault}");
    }
}

#[test]
fn a_purge_tells_nothing_as_deleted_that_is_still_there() {
    for fault in FOREIGN {
        let home = Home::new(1, "8");
        let text = std::fs::read_to_string(&home.config).unwrap();
        std::fs::write(&home.config, text.replace("settle: 0s", "settle: 0s\n  release: 6s")).unwrap();
        let platform = failing(&[]);
        let report = run(&platform, &home).expect(0).json();
        let purge = ["cleanup", report["run"].as_str().unwrap(), "--purge", "--format", "json"];
        let before = platform.purgeable();
        for call in &DELETES[1..] {
            platform.post("/control/faults", &serde_json::json!({"fault": format!("{call}: {fault}")}));
        }
        let purged = platform.dfwfd(&home, &purge);
        assert!(matches!(purged.code, Some(1 | 3)), "{fault}: {purged}");
        let told = purged.json();
        assert_eq!(
            (told["released"].as_array().unwrap().len(), platform.purgeable()),
            (0, before),
            "{fault}: {told:#}"
        );
        assert_eq!(told["held"].as_array().unwrap().len(), 6, "{fault}: {told:#}");
        assert_eq!(platform.delete("/control/faults"), 200);
        platform.dfwfd(&home, &purge).expect(0);
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "{fault}");
    }
}

#[test]
fn a_job_that_goes_on_is_cancelled_once_more() {
    for fault in FOREIGN {
        let home = Home::new(1, "8");
        let platform = failing(&[]);
        platform.hold_first("GET /nemo/v1/customization/jobs/cust-");
        let killed = platform.command(&home, &["run"]).spawn();
        super::control::until("the held call", || platform.calls().1.then_some(()));
        killed.kill();
        platform.release();
        for call in CANCELS {
            platform.post("/control/faults", &serde_json::json!({"fault": format!("{call}: {fault} times=1")}));
        }
        platform.dfwfd(&home, &["cleanup"]).expect(0);
        assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{fault}");
        assert_eq!(struck(&platform)[0], 1, "{fault}");
    }
}
