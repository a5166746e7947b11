//! The crash matrix: a run is killed at its n-th platform call, before or after the call's effect, and the effect of a
//! call that was under way happens after the kill. Then it is resumed, or cleaned up; some are killed once more in that.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::control::{Home, Platform, scores, until};

/// The command that follows the kill of a run.
#[derive(Clone, Copy, Debug)]
enum Then {
    Resume,
    Cleanup,
}

/// How the runs of a matrix are set up.
#[derive(Clone, Copy, Debug)]
struct Setup {
    candidates: usize,
    /// The GPU budget: 1 makes candidates run in turn.
    gpus: &'static str,
    /// The GPUs of the platform. Where it has no more than the budget, one that is held twice is waited for in vain.
    platform: &'static str,
    /// The workload is tool calling, and the run deploys its own judge.
    judged: bool,
}

/// Where a run is killed.
#[derive(Clone, Copy, Debug)]
struct Kill {
    call: u64,
    when: &'static str,
    then: Then,
    /// At which call of the resumed run or the cleanup it is killed again.
    again: Option<u64>,
}

impl Then {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Then::Resume => &["run", "--resume", "--format", "json"],
            Then::Cleanup => &["cleanup", "--format", "json"],
        }
    }
}

impl Setup {
    fn home(self) -> Home {
        match self.judged {
            true => Home::judged(self.candidates, self.gpus, "model_name: acme/judge-70b"),
            false => Home::new(self.candidates, self.gpus),
        }
    }

    /// The scores of a run that nobody kills, and how many calls it makes.
    fn reference(self) -> (Value, u64) {
        let home = self.home();
        let platform = Platform::start(&["--gpus", self.platform]);
        let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
        let run = report["run"].as_str().unwrap().to_owned();
        let count = platform.calls().0;
        platform.dfwfd(&home, &["cleanup", &run, "--purge"]).expect(0);
        assert_eq!(platform.purgeable(), Vec::<String>::new());
        (scores(&report), count)
    }
}

/// Kills a command at a call; which call that was, or `None` when it has ended before.
fn kill_at(platform: &Platform, home: &Home, arguments: &[&str], call: u64, when: &str) -> Option<String> {
    platform.hold(call, when);
    let mut process = platform.command(home, arguments).spawn();
    let held = until("the held call", || match platform.calls().1 {
        true => Some(true),
        false => process.has_ended().then_some(false),
    });
    if !held {
        process.wait().expect(0);
        // The call that was to be held must not be one of the next process.
        platform.hold(u64::MAX, "before");
        return None;
    }
    let call = platform.calls().2.last().cloned().unwrap_or_default();
    process.kill();
    platform.release();
    Some(call)
}

/// One case of the matrix; `false` when the run has ended before the call.
fn case(setup: Setup, kill: Kill, reference: &Value) -> bool {
    let home = setup.home();
    let platform = Platform::start(&["--gpus", setup.platform]);
    let Some(call) = kill_at(&platform, &home, &["run", "--format", "json", "-q"], kill.call, kill.when) else {
        return false;
    };
    let context = || format!("{setup:?}, {kill:?}, {call}");
    let recorded = platform.dfwfd(&home, &["status", "--format", "json"]).expect(0).json();
    if recorded["runs"].as_array().is_none_or(Vec::is_empty) {
        // The plan was still being checked: there is no run, and nothing was made.
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "{}", context());
        return true;
    }
    assert_eq!(recorded["runs"][0]["state"], "interrupted", "{}", context());
    let killed_again = kill.again.and_then(|call| kill_at(&platform, &home, kill.then.arguments(), call, kill.when));
    let ended = kill.again.is_some() && killed_again.is_none() && matches!(kill.then, Then::Resume);
    if !ended {
        let done = platform.dfwfd(&home, kill.then.arguments());
        assert_eq!(done.code, Some(0), "{}, again at {killed_again:?}: {done}", context());
        if matches!(kill.then, Then::Resume) {
            let report = done.json();
            assert_eq!(scores(&report), *reference, "{}, again at {killed_again:?}", context());
            assert_eq!(report["held"], Value::Array(Vec::new()), "{}", context());
        }
    }
    assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{}, again at {killed_again:?}", context());
    let run = recorded["runs"][0]["run"].as_str().unwrap();
    let purged = platform.dfwfd(&home, &["cleanup", run, "--purge", "--format", "json"]);
    assert_eq!(purged.code, Some(0), "{}: {purged}", context());
    assert_eq!(platform.purgeable(), Vec::<String>::new(), "{}: {purged}", context());
    true
}

/// Runs cases on a few threads, since each waits for processes far more than it works; returns how many were killed.
fn matrix(setup: Setup, cases: &[Kill], reference: &Value) -> u64 {
    let next = Mutex::new(cases.iter());
    let done = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() * 2).min(6);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(&kill) = next.lock().unwrap().next() else { return };
                    if case(setup, kill, reference) {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    done.into_inner()
}

/// Tells whether enough cases came to the call at which they kill. Polls make a few calls more or less from run to run, so
/// that the last calls of the reference are not those of every run.
fn reached(done: u64, cases: &[Kill]) -> bool {
    let cases = cases.len() as u64;
    done + 5.max(cases / 8) >= cases
}

/// Cases drawn by a seed, so many of them as `DFWFD_CRASH_CASES` says, else `default`.
fn drawn(calls: u64, default: u64, twice: bool) -> Vec<Kill> {
    let count: u64 = std::env::var("DFWFD_CRASH_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let mut state = 42_u64;
    let mut draw = move |below: u64| {
        // A linear congruential step is random enough to spread the cases.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..count)
        .map(|_| Kill {
            call: 1 + draw(calls),
            when: if draw(2) == 0 { "before" } else { "after" },
            then: if draw(2) == 0 { Then::Resume } else { Then::Cleanup },
            again: twice.then(|| 1 + draw(20)),
        })
        .collect()
}

#[test]
fn one_candidate_killed_at_every_call() {
    let setup = Setup { candidates: 1, gpus: "8", platform: "4", judged: false };
    let (reference, calls) = setup.reference();
    let mut cases = Vec::new();
    for call in 1..=calls {
        for when in ["before", "after"] {
            for then in [Then::Resume, Then::Cleanup] {
                cases.push(Kill { call, when, then, again: None });
            }
        }
    }
    let done = matrix(setup, &cases, &reference);
    println!("crash matrix, one candidate: {calls} calls, {done} cases");
    // Polls make a few calls more or less from run to run.
    assert!(done + 16 >= cases.len() as u64, "{done} of {} cases were killed", cases.len());
    assert!(calls > 30, "only {calls} calls");
}

#[test]
fn three_candidates_killed_at_calls_drawn_by_a_seed() {
    let setup = Setup { candidates: 3, gpus: "8", platform: "4", judged: false };
    let (reference, calls) = setup.reference();
    let cases = drawn(calls, 50, false);
    let done = matrix(setup, &cases, &reference);
    println!("crash matrix, three candidates: {calls} calls, {done} cases");
    assert!(reached(done, &cases), "{done} of {} cases were killed", cases.len());
}

#[test]
fn a_candidate_in_turn_killed_at_calls_drawn_by_a_seed() {
    let setup = Setup { candidates: 1, gpus: "1", platform: "4", judged: false };
    let (reference, calls) = setup.reference();
    let cases = drawn(calls, 30, false);
    let done = matrix(setup, &cases, &reference);
    println!("crash matrix, one candidate in turn: {calls} calls, {done} cases");
    assert!(reached(done, &cases), "{done} of {} cases were killed", cases.len());
}

#[test]
fn three_candidates_that_share_two_gpus_killed_at_calls_drawn_by_a_seed() {
    let setup = Setup { candidates: 3, gpus: "2", platform: "2", judged: false };
    let (reference, calls) = setup.reference();
    let cases = drawn(calls, 30, false);
    let done = matrix(setup, &cases, &reference);
    println!("crash matrix, three candidates on two GPUs: {calls} calls, {done} cases");
    assert!(reached(done, &cases), "{done} of {} cases were killed", cases.len());
}

#[test]
fn a_run_killed_twice() {
    let setup = Setup { candidates: 1, gpus: "8", platform: "4", judged: false };
    let (reference, calls) = setup.reference();
    let cases = drawn(calls, 30, true);
    let done = matrix(setup, &cases, &reference);
    println!("crash matrix, killed twice: {calls} calls, {done} cases");
    assert!(reached(done, &cases), "{done} of {} cases were killed", cases.len());
}

#[test]
fn a_judged_run_killed_at_calls_drawn_by_a_seed() {
    let setup = Setup { candidates: 1, gpus: "8", platform: "4", judged: true };
    let (reference, calls) = setup.reference();
    assert!(reference[0]["customized"]["judge_correctness"]["value"].is_number(), "{reference:#}");
    let cases = drawn(calls, 30, false);
    let done = matrix(setup, &cases, &reference);
    println!("crash matrix, judged: {calls} calls, {done} cases");
    assert!(reached(done, &cases), "{done} of {} cases were killed", cases.len());
}
