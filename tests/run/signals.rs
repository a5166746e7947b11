//! Asking a run to stop: Ctrl-C and SIGTERM in every phase, a second Ctrl-C, `dfwfd cancel`.

use rustix::process::Signal;

use super::control::{Home, Platform, scores, until};
use crate::harness::Output;

/// Interrupts a run while call `n` is under way, and lets the call go on. `None` when the run has ended before.
fn interrupted_at(n: u64, signal: Signal) -> Option<(Home, Platform, Output, String)> {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    platform.hold(n, "after");
    let events = home.folder().join("events.jsonl");
    let arguments = ["run", "--format", "json", "--events", events.to_str().unwrap()];
    let mut run = platform.command(&home, &arguments).spawn();
    let held = until("the held call", || match platform.calls().1 {
        true => Some(true),
        false => run.has_ended().then_some(false),
    });
    if !held {
        return None;
    }
    let call = platform.calls().2.last().cloned().unwrap_or_default();
    let begun = || std::fs::read_to_string(&events).is_ok_and(|text| text.contains("run_started"));
    if !begun() {
        // Before the run proper nothing was made: the process ends without waiting for the call.
        run.signal(signal);
        run.wait().expect(130);
        platform.release();
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "{signal:?} during call {n} ({call})");
        return None;
    }
    run.signal(signal);
    until("the run to stop", || std::fs::read_to_string(&events).ok().filter(|text| text.contains("\"stopping\"")));
    platform.release();
    Some((home, platform, run.wait(), call))
}

#[test]
fn ctrl_c_in_every_phase_leaves_nothing_of_class_gpu() {
    let reference = {
        let home = Home::new(1, "8");
        let platform = Platform::start(&[]);
        let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
        scores(&report)
    };
    let mut interrupted = 0;
    for n in 1..60 {
        let signal = if n % 2 == 0 { Signal::INT } else { Signal::TERM };
        let Some((home, platform, outcome, call)) = interrupted_at(n, signal) else { continue };
        interrupted += 1;
        assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{signal:?} during call {n} ({call})");
        if outcome.code == Some(0) {
            // The call was the last one: there was nothing left to stop.
            continue;
        }
        assert_eq!(outcome.code, Some(130), "{signal:?} during call {n} ({call}): {outcome:?}");
        let report = outcome.json();
        assert_eq!(report["state"], "cancelled");
        assert_eq!(report["exit_code"], 130);
        assert_eq!(report["held"].as_array().unwrap().len(), 0, "{signal:?} during call {n} ({call})");
        if n % 4 == 0 {
            let resumed = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0);
            assert_eq!(scores(&resumed.json()), reference, "{signal:?} during call {n} ({call})");
            assert_eq!(platform.gpus_held(), Vec::<String>::new());
        }
    }
    assert!(interrupted > 25, "only {interrupted} cases");
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_says_how_to_clean_up() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    let events = home.folder().join("events.jsonl");
    // A create that is under way is awaited after the first Ctrl-C.
    platform.hold_first("POST /nemo/v1/customization/jobs");
    let run = platform.command(&home, &["run", "--events", events.to_str().unwrap()]).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    assert!(!platform.gpus_held().is_empty(), "nothing is deployed while a job is created");
    run.signal(Signal::INT);
    until("the run to stop", || std::fs::read_to_string(&events).ok().filter(|text| text.contains("\"stopping\"")));
    run.signal(Signal::INT);
    run.wait().expect(130).says("dfwfd cleanup");
    let runs = platform.dfwfd(&home, &["status", "--format", "json"]).expect(0).json();
    assert_eq!(runs["runs"][0]["state"], "cancelled");
    platform.release();
    platform.dfwfd(&home, &["cleanup"]).expect(0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn cancel_stops_a_run_of_another_process() {
    let home = Home::new(2, "8");
    let platform = Platform::start(&[]);
    platform.hold_first("POST /nemo/v1/customization/jobs");
    let events = home.folder().join("events.jsonl");
    let arguments = ["run", "--format", "json", "--events", events.to_str().unwrap()];
    let run = platform.command(&home, &arguments).spawn();
    until("the held call", || platform.calls().1.then_some(()));
    let asked = platform.dfwfd(&home, &["cancel", "--format", "json"]).expect(0).json();
    until("the run to stop", || std::fs::read_to_string(&events).ok().filter(|text| text.contains("\"stopping\"")));
    platform.release();
    let outcome = run.wait().expect(130);
    assert_eq!(outcome.json()["run"], asked["run"]);
    assert!(outcome.stderr.contains("dfwfd cancel"), "{outcome:?}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    let again = platform.dfwfd(&home, &["cancel"]).expect(2);
    assert!(again.stderr.contains("no run is running"), "{again:?}");
}
