//! Runs on a platform that fails as clusters fail. Each test scripts a fault and checks what the run promises under it.

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::control::{Home, Platform, scores, until};
use crate::harness::Output;

pub(super) const TRAININGS: &str = "POST /nemo/v1/customization/jobs";
pub(super) const EVALUATIONS: &str = "POST /nemo/v1/evaluation/jobs";
pub(super) const DEPLOYMENTS: &str = "POST /nemo/v1/deployment/model-deployments";

/// The log's words for a request whose response was not complete.
const LOST: &str = "connection lost before the answer was complete";

/// A platform with these faults.
pub(super) fn failing(faults: &[&str]) -> Platform {
    let flags: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    Platform::start(&flags)
}

pub(super) fn run(platform: &Platform, home: &Home) -> Output {
    platform.dfwfd(home, &["run", "--format", "json"])
}

/// How often each fault has struck.
pub(super) fn struck(platform: &Platform) -> Vec<u64> {
    let listed = platform.get("/control/faults");
    listed["faults"].as_array().unwrap().iter().map(|fault| fault["struck"].as_u64().unwrap()).collect()
}

/// Waits until that many calls and effects are held back.
fn until_held(platform: &Platform, count: u64) {
    until("what is held back", || (platform.get("/control/faults")["held"] == count).then_some(()));
}

/// How often a call was made.
pub(super) fn count(platform: &Platform, call: &str) -> usize {
    platform.calls().2.iter().filter(|line| line.as_str() == call).count()
}

/// The jobs of a kind that the platform has, whatever has become of them.
pub(super) fn jobs(platform: &Platform, kind: &str) -> usize {
    platform.get("/control/state")[kind].as_array().unwrap().len()
}

/// How the tries of calls ended whose URL holds `part`, as the run's log has it, those left out that were answered well.
fn bad_tries(home: &Home, report: &Value, part: &str) -> Vec<String> {
    let path = home.state.join("runs").join(report["run"].as_str().unwrap()).join("log.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["call"].as_str().is_some_and(|call| call.contains(part)))
        .filter_map(|line| match line["message"].as_str()? {
            "platform call without an answer" => Some(line["end"].as_str()?.to_owned()),
            "platform call refused" => Some(line["status"].to_string()),
            _ => None,
        })
        .collect()
}

/// Checks that the only candidate failed, and returns its error.
pub(super) fn error(report: &Value) -> String {
    assert_eq!(report["candidates"][0]["state"], "failed", "{report:#}");
    report["candidates"][0]["error"].to_string()
}

#[track_caller]
pub(super) fn nothing_held(platform: &Platform, report: &Value) {
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    assert_eq!(report["held"], json!([]));
}

fn write(path: &Path, change: impl Fn(String) -> String) {
    std::fs::write(path, change(std::fs::read_to_string(path).unwrap())).unwrap();
}

#[test]
fn reads_that_fail_are_tried_again_and_change_no_score() {
    let wanted = scores(&run(&Platform::start(&[]), &Home::new(1, "8")).expect(0).json());
    let cases = [
        ("/customization/jobs/*/status", "refuse", LOST),
        ("/customization/jobs/*/status", "drop-before", LOST),
        ("/evaluation/jobs/*", "drop-after", LOST),
        ("/evaluation/jobs/*", "status=503", "503"),
        ("/evaluation/jobs/*/results", "truncate=10", LOST),
        ("/evaluation/jobs/*/download-results", "truncate=100", LOST),
        ("/deployment/model-deployments/*/*", "status=502 page", "502"),
        ("/customization/jobs/*", "status=429 retry-after=0", "429"),
    ];
    for (path, fault, end) in cases {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("GET /nemo/v1{path}: {fault} times=2")]);
        let report = run(&platform, &home).expect(0).json();
        assert_eq!(struck(&platform), [2], "{path} {fault}");
        let part = path.split('*').next().unwrap();
        // After the delete of a deployment comes the 404 that says that it is gone.
        assert_eq!(bad_tries(&home, &report, part)[..2], [end, end], "{path} {fault}");
        assert_eq!(scores(&report), wanted, "{path} {fault}");
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_create_whose_answer_is_lost_is_found_again_and_made_once() {
    let cases = [
        (TRAININGS, "drop-after", "training_jobs"),
        (TRAININGS, "truncate=4", "training_jobs"),
        (EVALUATIONS, "drop-after", "evaluation_jobs"),
        (DEPLOYMENTS, "drop-after", "deployments"),
    ];
    for (call, fault, kind) in cases {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: {fault} nth=1")]);
        let report = run(&platform, &home).expect(0).json();
        let path = call.split_once(' ').unwrap().1;
        assert!(bad_tries(&home, &report, path).contains(&LOST.to_owned()), "{call} {fault}");
        assert_eq!(struck(&platform), [1]);
        let (made, there) = match kind {
            "training_jobs" => (1, 1),
            "evaluation_jobs" => (2, 2),
            // Given back at the end.
            _ => (1, 0),
        };
        assert_eq!((count(&platform, call), jobs(&platform, kind)), (made, there), "{call} {fault}");
        nothing_held(&platform, &report);
    }
}

#[test]
fn uploads_and_entities_whose_answers_are_lost_are_there_once() {
    let home = Home::new(1, "8");
    let calls = [
        "/nemo/v1/namespaces",
        "/datastore/v1/datastore/namespaces",
        "/datastore/v1/hf/api/repos/create",
        "/datastore/v1/hf/api/datasets/*/*/commit/main",
        "/nemo/v1/datasets",
        "/nemo/v1/customization/configs",
    ];
    let faults: Vec<String> = calls.iter().map(|path| format!("POST {path}: drop-after nth=1")).collect();
    let platform = failing(&faults.iter().map(String::as_str).collect::<Vec<_>>());
    let report = run(&platform, &home).expect(0).json();
    assert_eq!(struck(&platform), [1; 6]);
    let state = platform.get("/control/state");
    for (kind, wanted) in [("datasets", 2), ("configs", 1), ("training_jobs", 1)] {
        assert_eq!(state[kind].as_array().unwrap().len(), wanted, "{kind}: {state:#}");
    }
    let purged = platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]);
    purged.code(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn a_create_that_never_happens_is_sent_a_few_times_and_then_given_up() {
    for (call, fault, end, creates) in [
        (TRAININGS, "drop-before", LOST, 1),
        (TRAININGS, "status=503", "503", 1),
        // Base and customized model.
        (EVALUATIONS, "drop-before", LOST, 2),
        (DEPLOYMENTS, "refuse", LOST, 1),
    ] {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: {fault}")]);
        let outcome = run(&platform, &home).expect(3);
        let report = outcome.json();
        assert_eq!(struck(&platform), [4 * creates], "{call} {fault}: each sent four times");
        assert!(error(&report).contains(end), "{call} {fault}: {report:#}");
        nothing_held(&platform, &report);
        outcome.hints();
    }
}

#[test]
fn a_service_that_is_busy_or_says_no_is_told_apart() {
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{TRAININGS}: status=429 retry-after=0 times=2")]);
    let report = run(&platform, &home).expect(0).json();
    assert_eq!((struck(&platform), jobs(&platform, "training_jobs")), (vec![2], 1), "429: nothing was done yet");
    nothing_held(&platform, &report);
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{TRAININGS}: status=422")]);
    let report = run(&platform, &home).expect(1).json();
    assert!(error(&report).contains("scripted fault: 422"), "{report:#}");
    assert_eq!((struck(&platform), jobs(&platform, "training_jobs")), (vec![1], 0));
    nothing_held(&platform, &report);
}

#[test]
fn one_candidate_that_is_struck_does_not_stop_the_other() {
    let home = Home::new(2, "8");
    let platform = failing(&[&format!("{TRAININGS}: fail-job='CUDA out of memory' nth=1")]);
    let report = run(&platform, &home).expect(4).json();
    let states: Vec<&Value> = report["candidates"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert!(states.contains(&&json!("failed")) && states.contains(&&json!("completed")), "{report:#}");
    nothing_held(&platform, &report);
}

#[test]
fn a_job_that_fails_says_why() {
    for (call, what) in [(TRAININGS, "customization job"), (EVALUATIONS, "evaluation job"), (DEPLOYMENTS, "deployment")]
    {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: fail-job='node gpu-7: it is on fire'")]);
        let outcome = run(&platform, &home).expect(1);
        let report = outcome.json();
        let said = error(&report);
        assert!(said.contains(what) && said.contains("failed: node gpu-7: it is on fire"), "{report:#}");
        outcome.says("node gpu-7: it is on fire");
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_job_that_gets_lost_fails_its_candidate_and_is_not_held() {
    for call in [TRAININGS, EVALUATIONS, DEPLOYMENTS] {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: lose-job nth=1")]);
        let outcome = run(&platform, &home);
        assert_eq!((outcome.code, struck(&platform)), (Some(1), vec![1]), "{call}: {outcome}");
        let report = outcome.json();
        let said = error(&report);
        assert!(said.contains("404") || said.contains("has disappeared from the platform"), "{call}: {report:#}");
        nothing_held(&platform, &report);
        let purged = platform.dfwfd(&home, &["cleanup", report["run"].as_str().unwrap(), "--purge"]);
        purged.code(0);
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "{call}");
    }
}

#[test]
fn a_job_that_got_lost_is_made_again_on_resume() {
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{TRAININGS}: lose-job nth=1")]);
    // The first look at the job is held: it was accepted, and the run is killed before it learns more.
    platform.hold_first("GET /nemo/v1/customization/jobs/cust-");
    let first = platform.command(&home, &["run"]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    first.kill();
    platform.release();
    assert_eq!(jobs(&platform, "training_jobs"), 0);
    let report = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    assert_eq!((jobs(&platform, "training_jobs"), struck(&platform)), (1, vec![1]));
    nothing_held(&platform, &report);
}

#[test]
fn a_slow_call_is_waited_for() {
    for call in [TRAININGS, "GET /nemo/v1/evaluation/jobs/*/results"] {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: delay=release nth=1")]);
        let mut running = platform.command(&home, &["run", "--format", "json"]).spawn();
        until_held(&platform, 1);
        assert!(!running.has_ended());
        if call == TRAININGS {
            assert_eq!(jobs(&platform, "training_jobs"), 0, "a delayed call has no effect yet");
        }
        platform.release();
        let report = running.wait().expect(0).json();
        assert_eq!(jobs(&platform, "training_jobs"), 1);
        nothing_held(&platform, &report);
    }
}

#[test]
fn an_effect_later_than_its_answer_is_found_and_not_doubled() {
    for (call, kind) in [(TRAININGS, "training_jobs"), (EVALUATIONS, "evaluation_jobs")] {
        for answer in ["503", "504", "cut"] {
            // It happens just before the call after the next one: the look-up that follows finds it.
            let home = Home::new(1, "1");
            let platform = failing(&[&format!("{call}: late-effect=1call answer={answer} nth=1")]);
            // Calls of another wait may come between, and take the effect along: it is looked for until it is there.
            let flags = ["run", "--format", "json", "--set", "limits.settle=20s"];
            let report = platform.dfwfd(&home, &flags).expect(0).json();
            assert_eq!(struck(&platform), [1]);
            let wanted = if kind == "training_jobs" { 1 } else { 2 };
            assert_eq!((count(&platform, call), jobs(&platform, kind)), (wanted, wanted), "{call} {answer}");
            let end = if answer == "cut" { LOST } else { answer };
            assert_eq!(bad_tries(&home, &report, call.split_once(' ').unwrap().1), [end], "{call} {answer}");
            nothing_held(&platform, &report);
        }
    }
}

#[test]
fn an_effect_that_comes_after_the_run_was_killed_is_picked_up_by_resume_and_given_back_by_cleanup() {
    let killed = || {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{TRAININGS}: late-effect=release answer=cut")]);
        // The look-up of the create that was not answered.
        platform.hold_first("GET /nemo/v1/customization/jobs?page=1&page_size=100&sort=");
        let run = platform.command(&home, &["run"]).spawn();
        until("the held call", || platform.calls().1.then_some(()));
        run.kill();
        assert_eq!(jobs(&platform, "training_jobs"), 0);
        platform.release();
        assert_eq!(jobs(&platform, "training_jobs"), 1, "now it is there");
        platform.hold(u64::MAX, "before");
        (home, platform)
    };
    let (home, platform) = killed();
    let report = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    assert_eq!((count(&platform, TRAININGS), jobs(&platform, "training_jobs")), (0, 1));
    nothing_held(&platform, &report);
    let (home, platform) = killed();
    assert!(!platform.gpus_held().is_empty());
    platform.dfwfd(&home, &["cleanup"]).expect(0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn ctrl_c_ends_a_run_whose_answer_never_comes() {
    for call in ["GET /nemo/v1/customization/jobs/*/status", "GET /nemo/v1/evaluation/jobs/*/results"] {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{call}: stall=10 times=1")]);
        let running = platform.command(&home, &["run", "--format", "json"]).spawn();
        until("the stalled answer", || (struck(&platform) == [1]).then_some(()));
        running.signal(Signal::INT);
        let report = running.wait().expect(130).json();
        assert_eq!(report["state"], "cancelled", "{call}");
        // The one try that got no answer is not waited for: no evaluation is asked for its results a second time. The
        // other evaluation may have got its own meanwhile.
        let mut results = platform.calls().2;
        results.retain(|line| line.ends_with("/results"));
        results.sort();
        assert!(results.windows(2).all(|pair| pair[0] != pair[1]), "{call}: {results:?}");
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_slow_adapter_is_waited_for_as_long_as_its_limit() {
    let home = Home::new(1, "8");
    let platform = failing(&["slow-adapter=25polls"]);
    let report = run(&platform, &home).expect(0).json();
    assert!(count(&platform, "GET /nim/v1/models") > 25, "{:?}", platform.calls().2);
    nothing_held(&platform, &report);
    let home = Home::new(1, "8");
    write(&home.config, |text| text.replace("settle: 0s", "settle: 0s\n  adapter: 1s"));
    let platform = failing(&["slow-adapter=release"]);
    let report = run(&platform, &home).expect(1).json();
    assert!(error(&report).contains("limits.adapter"), "{report:#}");
    nothing_held(&platform, &report);
}

#[test]
fn a_token_that_expires_in_the_middle_is_exit_3_and_cleanup_has_the_rest() {
    let home = Home::new(1, "8");
    let platform = failing(&["GET /nemo/v1/customization/jobs/*/status: expire-auth"]);
    let outcome = run(&platform, &home).expect(3);
    outcome.says("401").says("the token has expired").says("dfwfd cleanup").hints();
    let report = outcome.json();
    assert!(!report["held"].as_array().unwrap().is_empty() && !platform.gpus_held().is_empty(), "{report:#}");
    platform.dfwfd(&home, &["cleanup"]).expect(3).says("401").says("hint: set nmp_config.api_key_env");
    assert_eq!(platform.delete("/control/faults"), 200);
    platform.dfwfd(&home, &["cleanup"]).expect(0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn what_was_held_on_a_platform_that_is_gone_does_not_hold_up_the_next_run() {
    let home = Home::new(1, "8");
    let gone = failing(&["GET /nemo/v1/customization/jobs/*/status: expire-auth"]);
    run(&gone, &home).expect(3);
    drop(gone);
    let platform = Platform::start(&[]);
    let outcome = run(&platform, &home).expect(0);
    // Said of the address as a whole: no job there is waited for until its deadline.
    outcome.says("still holds something: GET http://127.0.0.1:").says("/cluster-info: no connection");
    outcome.says("dfwfd cleanup ");
    let report = platform.dfwfd(&home, &["cleanup", "--format", "json"]).expect(3).json();
    assert!(!report["held"].as_array().unwrap().is_empty(), "{report:#}");
}

#[test]
fn a_platform_that_answers_nothing_is_exit_3_before_anything_is_made() {
    for (fault, words) in [("refuse", LOST), ("expire-auth", "api_key_env"), ("status=503 page", "ingress")] {
        let home = Home::new(1, "8");
        let platform = failing(&[fault]);
        let outcome = run(&platform, &home).expect(3);
        outcome.says(words).hints();
        assert!(outcome.json()["error"].is_object());
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "{fault}");
    }
}

#[test]
fn a_model_that_does_not_answer_fails_the_evaluation_and_one_hiccup_does_not() {
    let home = Home::new(1, "8");
    let platform = failing(&["POST /nim/v1/chat/completions: status=500 times=1"]);
    let report = run(&platform, &home).expect(0).json();
    assert_eq!(struck(&platform), [1]);
    nothing_held(&platform, &report);
    let home = Home::new(1, "8");
    let platform = failing(&["POST /nim/v1/chat/completions: drop-before"]);
    let report = run(&platform, &home).expect(1).json();
    assert!(error(&report).contains("Error connecting to inference server"), "{report:#}");
    nothing_held(&platform, &report);
}

#[test]
fn calls_that_fail_at_random_change_no_score() {
    let wanted = scores(&run(&Platform::start(&[]), &Home::new(1, "8")).expect(0).json());
    for seed in 1..=4 {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("GET /nemo/**: drop-before probability=0.15 seed={seed}")]);
        let report = run(&platform, &home).expect(0).json();
        assert!(struck(&platform)[0] > 0, "seed {seed}");
        assert_eq!(scores(&report), wanted, "seed {seed}");
        nothing_held(&platform, &report);
    }
}
