//! Runs that are killed at random moments, wherever they are then, and resumed or cleaned up. All share one state
//! directory and one platform, so that each also goes through what the earlier ones left behind. The crash matrix kills
//! at chosen calls; here a kill also strikes between calls: while files, the database or scores are written.

use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::control::{Home, Platform, scores};

/// Kills so many runs; `.ci/full` asks for a hundred.
fn wanted() -> u32 {
    std::env::var("DFWFD_RUN_KILLS").ok().map_or(4, |text| text.parse().unwrap())
}

/// The seed of the moments, printed by the test; the same seed draws the same moments.
fn seed() -> u64 {
    std::env::var("DFWFD_RUN_KILLS_SEED").ok().map_or(1, |text| text.parse().unwrap())
}

/// Starts a command and kills it after a part of the time that a whole run takes. Returns whether it was still running.
fn killed(platform: &Platform, home: &Home, arguments: &[&str], after: Duration) -> bool {
    let mut process = platform.command(home, arguments).spawn();
    std::thread::sleep(after);
    let was_running = !process.has_ended();
    process.kill();
    was_running
}

/// Returns the newest run with its state, if there is one.
fn newest(platform: &Platform, home: &Home) -> Option<(String, String)> {
    let listed = platform.dfwfd(home, &["status", "--format", "json"]).expect(0).json();
    let run = listed["runs"].as_array().unwrap().first()?.clone();
    Some((run["run"].as_str().unwrap().to_owned(), run["state"].as_str().unwrap().to_owned()))
}

#[test]
fn runs_killed_at_random_moments_hold_nothing_and_score_the_same() {
    let home = Home::new(2, "2");
    let platform = Platform::start(&["--gpus", "2"]);
    let begun = Instant::now();
    let whole = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    let length = begun.elapsed();
    platform.dfwfd(&home, &["cleanup", whole["run"].as_str().unwrap(), "--purge"]).expect(0);
    let (wanted, seed, reference) = (wanted(), seed(), scores(&whole));
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let mut last = whole["run"].as_str().unwrap().to_owned();
    let (mut kills, mut resumed, mut cleaned, mut unborn) = (0, 0, 0, 0);
    // A run that ends before its moment counts for nothing, and another is begun.
    for _ in 0..wanted * 4 {
        if kills == wanted {
            break;
        }
        let after = length.mul_f64(draws.random_range(0.0..1.0));
        let again = draws.random_bool(0.5);
        let context = format!("kill {kills} of seed {seed}, after {after:?}");
        if !killed(&platform, &home, &["run", "-q"], after) {
            (last, _) = newest(&platform, &home).unwrap();
            platform.dfwfd(&home, &["cleanup", &last, "--purge"]).expect(0);
            continue;
        }
        kills += 1;
        let Some((run, state)) = newest(&platform, &home).filter(|(run, _)| *run != last) else {
            unborn += 1;
            assert_eq!(
                platform.purgeable(),
                Vec::<String>::new(),
                "{context}: there is no run, yet something was made"
            );
            continue;
        };
        last.clone_from(&run);
        let resumes = kills % 2 == 1 && state == "interrupted";
        if resumes {
            if again {
                let _ = killed(&platform, &home, &["run", "--resume", &run, "-q"], after);
            }
            // The second moment may come after the end.
            if newest(&platform, &home).is_some_and(|(_, state)| state == "interrupted") {
                platform.dfwfd(&home, &["run", "--resume", &run, "-q"]).expect(0);
            }
            let report = platform.dfwfd(&home, &["report", &run, "--format", "json"]).expect(0).json();
            assert_eq!((scores(&report), &report["held"]), (reference.clone(), &Value::Array(Vec::new())), "{context}");
            resumed += 1;
        } else {
            platform.dfwfd(&home, &["cleanup"]).expect(0);
            cleaned += 1;
        }
        assert_eq!(platform.gpus_held(), Vec::<String>::new(), "{context}, resumed: {resumes}");
        platform.dfwfd(&home, &["cleanup", &run, "--purge"]).expect(0);
        assert_eq!(platform.purgeable(), Vec::<String>::new(), "{context}, resumed: {resumes}");
    }
    println!("{kills} kills of seed {seed}: {resumed} resumed, {cleaned} cleaned up, {unborn} before there was a run");
    assert_eq!(kills, wanted, "runs ended too soon to be killed");
}
