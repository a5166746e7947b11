//! The crash matrix: a run is killed at its n-th platform call, before or after the call's effect, and the effect of a
//! call that was under way happens after the kill. Then it is resumed, or cleaned up.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::control::{Home, Platform, scores, until};

/// What is done about a killed run.
#[derive(Clone, Copy, Debug)]
enum Then {
    Resume,
    Cleanup,
}

/// Kills a run of `candidates` at call `n`; `false` when it has ended before that call.
fn case(candidates: usize, n: u64, when: &str, then: Then, reference: &Value) -> bool {
    let home = Home::new(candidates, "");
    let platform = Platform::start(&[]);
    platform.hold(n, when);
    let mut run = platform.command(&home, &["run", "--format", "json", "-q"]).spawn();
    let held = until("the held call", || match platform.calls().1 {
        true => Some(true),
        false => run.has_ended().then_some(false),
    });
    if !held {
        run.wait().expect(0);
        return false;
    }
    let call = platform.calls().2.last().cloned().unwrap_or_default();
    run.kill();
    platform.release();
    let context = || format!("killed {when} call {n} ({call}), then {then:?}");
    let recorded = platform.dfwfd(&home, &["status", "--format", "json"]).expect(0).json();
    if recorded["runs"].as_array().is_none_or(Vec::is_empty) {
        // The plan was still being checked: there is no run, and nothing was made.
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "{}", context());
        return true;
    }
    assert_eq!(recorded["runs"][0]["state"], "interrupted", "{}", context());
    match then {
        Then::Resume => {
            let resumed = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]);
            assert_eq!(resumed.code, Some(0), "{}: {resumed:?}", context());
            let report = resumed.json();
            assert_eq!(scores(&report), *reference, "{}", context());
            assert_eq!(report["held"], Value::Array(Vec::new()), "{}", context());
        }
        Then::Cleanup => {
            let cleaned = platform.dfwfd(&home, &["cleanup", "--format", "json"]);
            assert_eq!(cleaned.code, Some(0), "{}: {cleaned:?}", context());
        }
    }
    assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{}", context());
    let run = recorded["runs"][0]["run"].as_str().unwrap();
    let purged = platform.dfwfd(&home, &["cleanup", run, "--purge", "--format", "json"]);
    assert_eq!(purged.code, Some(0), "{}: {purged:?}", context());
    assert_eq!(platform.purgeable(), Vec::<String>::new(), "{}: {purged:?}", context());
    true
}

fn reference(candidates: usize) -> (Value, u64) {
    let home = Home::new(candidates, "");
    let platform = Platform::start(&[]);
    let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    let run = report["run"].as_str().unwrap().to_owned();
    let count = platform.calls().0;
    platform.dfwfd(&home, &["cleanup", &run, "--purge"]).expect(0);
    assert_eq!(platform.purgeable(), Vec::<String>::new());
    (scores(&report), count)
}

/// Runs cases on a few threads; each waits for processes far more than it works.
fn matrix(candidates: usize, cases: &[(u64, &'static str, Then)], reference: &Value) -> u64 {
    let next = Mutex::new(cases.iter());
    let done = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() * 2).min(6);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(&(n, when, then)) = next.lock().unwrap().next() else { return };
                    if case(candidates, n, when, then, reference) {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    done.into_inner()
}

#[test]
fn one_candidate_killed_at_every_call() {
    let (reference, calls) = reference(1);
    let mut cases = Vec::new();
    for n in 1..=calls {
        for when in ["before", "after"] {
            cases.push((n, when, Then::Resume));
            cases.push((n, when, Then::Cleanup));
        }
    }
    let done = matrix(1, &cases, &reference);
    println!("crash matrix, one candidate: {calls} calls, {done} cases");
    // Polls make a few calls more or less from run to run.
    assert!(done + 16 >= cases.len() as u64, "{done} of {} cases were killed", cases.len());
    assert!(calls > 30, "only {calls} calls");
}

#[test]
fn three_candidates_killed_at_calls_drawn_by_a_seed() {
    let (reference, calls) = reference(3);
    let draws: u64 = std::env::var("DFWFD_CRASH_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let mut state = 42_u64;
    let mut draw = |below: u64| {
        // A linear congruential step is random enough to spread the cases.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let cases: Vec<(u64, &str, Then)> = (0..draws)
        .map(|_| {
            let when = if draw(2) == 0 { "before" } else { "after" };
            let then = if draw(2) == 0 { Then::Resume } else { Then::Cleanup };
            (1 + draw(calls), when, then)
        })
        .collect();
    let done = matrix(3, &cases, &reference);
    println!("crash matrix, three candidates: {calls} calls, {done} cases");
    assert!(done + 5 >= draws, "{done} of {draws} cases were killed");
}
