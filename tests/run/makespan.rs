//! How well a run uses its GPUs: its makespan on the simulated clock of the platform, against the best of all schedules.
//! Time moves only when the run and the platform have nothing left to do, so the load of the machine changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::control::{Home, Platform, until};

/// How often each thread of two processes has slept. `None` if one does not sleep now.
fn asleep(processes: [u32; 2]) -> Option<BTreeMap<String, String>> {
    let mut threads = BTreeMap::new();
    for process in processes {
        for thread in std::fs::read_dir(format!("/proc/{process}/task")).ok()? {
            let path = thread.ok()?.path();
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            let fields = ["State:", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
            let told = status.lines().filter(|line| fields.iter().any(|field| line.starts_with(field)));
            let told: String = told.collect();
            if !told.contains("S (sleeping)") {
                return None;
            }
            threads.insert(path.display().to_string(), told);
        }
    }
    Some(threads)
}

/// Tells whether two processes have nothing to do: every thread sleeps, and none has run for some time.
fn are_idle(processes: [u32; 2]) -> bool {
    let Some(before) = asleep(processes) else { return false };
    (0..3).all(|_| {
        std::thread::sleep(Duration::from_millis(4));
        asleep(processes).is_some_and(|after| after == before)
    })
}

/// Runs to the end on a simulated platform. Returns the seconds that it took there, and the times of each candidate.
fn makespan(models: &[&str], gpus: u32) -> (f64, Vec<Times>) {
    let home = Home::of(models, &gpus.to_string());
    let platform = Platform::simulated(gpus);
    let mut run = platform.command(&home, &["run", "--format", "json"]).spawn();
    let processes = [run.id(), platform.id()];
    let mut now = 0.0;
    loop {
        let ended = until("the run to wait for the platform", || {
            if run.has_ended() {
                return Some(true);
            }
            let state = platform.get("/control/state");
            let wanted = state["gpus"]["wanted"].as_u64().unwrap();
            assert!(wanted <= u64::from(gpus), "{wanted} GPUs of {gpus} at {now} s");
            let is_seen = state["unseen"].as_array().unwrap().is_empty();
            (is_seen && are_idle(processes)).then_some(false)
        });
        if ended {
            break;
        }
        let changed;
        (now, changed) = platform.advance();
        println!("{now:6} s: {}", changed.join(", "));
    }
    let report = run.wait().expect(0).json();
    assert_eq!(report["state"], "completed");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    (now, models.iter().map(|model| Times::of(&platform, model)).collect())
}

/// The times of the things of one candidate, in seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    deployment: f64,
    listing: f64,
    training: f64,
    adapter: f64,
    evaluation: f64,
}

impl Times {
    fn of(platform: &Platform, model: &str) -> Times {
        let times = platform.get(&format!("/control/times/{model}"));
        let seconds = |key: &str| times[key].as_f64().unwrap();
        Times {
            deployment: seconds("deployment"),
            listing: seconds("listing"),
            training: seconds("training"),
            adapter: seconds("adapter"),
            evaluation: seconds("evaluation"),
        }
    }

    /// Returns when both evaluations are done, side by side, for a NIM that starts at `nim` and a training that ends at
    /// `trained`.
    fn done(&self, nim: f64, trained: f64) -> f64 {
        let ready = nim + self.deployment;
        let served = ready + self.listing;
        served.max(ready.max(trained) + self.adapter) + self.evaluation
    }
}

/// A GPU in use from one time to another.
type Use = (f64, f64);

/// Tells whether one more GPU is free from one time to another.
fn fits(uses: &[Use], (from, to): Use, gpus: usize) -> bool {
    let taken_at = |time: f64| uses.iter().filter(|(start, end)| *start <= time && time < *end).count();
    let begins = uses.iter().map(|(start, _)| *start).filter(|start| from < *start && *start < to);
    begins.chain([from]).all(|time| taken_at(time) < gpus)
}

/// The search for the best schedule: trainings and NIMs are placed in every order, each at every time at which something
/// else ends, and a NIM also just in time for its adapter.
struct Search<'a> {
    times: &'a [Times],
    gpus: usize,
    best: f64,
}

impl Search<'_> {
    /// Places all that is missing. `trained` has the ends of the trainings that are placed, `served` the candidates
    /// whose NIM is.
    fn place(&mut self, uses: &mut Vec<Use>, trained: &mut [Option<f64>], served: &mut [bool]) {
        if served.iter().all(|placed| *placed) {
            self.best = self.best.min(uses.iter().map(|(_, end)| *end).fold(0.0, f64::max));
            return;
        }
        let ends: Vec<f64> = uses.iter().map(|(_, end)| *end).chain([0.0]).collect();
        for (candidate, times) in self.times.iter().enumerate() {
            let Some(end) = trained[candidate] else {
                for &start in &ends {
                    let end = start + times.training;
                    if end < self.best && fits(uses, (start, end), self.gpus) {
                        uses.push((start, end));
                        trained[candidate] = Some(end);
                        self.place(uses, trained, served);
                        trained[candidate] = None;
                        uses.pop();
                    }
                }
                continue;
            };
            if served[candidate] {
                continue;
            }
            for &start in ends.iter().chain([&(end - times.deployment).max(0.0)]) {
                let done = times.done(start, end);
                if done < self.best && fits(uses, (start, done), self.gpus) {
                    uses.push((start, done));
                    served[candidate] = true;
                    self.place(uses, trained, served);
                    served[candidate] = false;
                    uses.pop();
                }
            }
        }
    }
}

/// Returns the makespan of the best schedule in which each candidate trains once and is deployed once.
fn best(times: &[Times], gpus: usize) -> f64 {
    let mut search = Search { times, gpus, best: f64::INFINITY };
    search.place(&mut Vec::new(), &mut vec![None; times.len()], &mut vec![false; times.len()]);
    search.best
}

#[test]
fn the_search_finds_what_is_known_to_be_best() {
    let times = Times { deployment: 3.0, listing: 0.0, training: 10.0, adapter: 0.0, evaluation: 2.0 };
    assert_eq!(best(&[times], 1), 15.0, "one after the other");
    assert_eq!(best(&[times], 2), 12.0, "deployed beside the training");
    assert_eq!(best(&[times; 3], 1), 45.0);
    assert_eq!(best(&[times; 3], 6), 12.0);
    assert_eq!(best(&[times; 2], 2), 15.0, "both train first");
}

/// A run may take this many times as long as the best schedule.
const BOUND: f64 = 1.10;

/// Checks a run with these candidates against the best schedule, on four GPUs, on two and on one.
fn check(models: &[&str]) {
    for gpus in [4, 2, 1] {
        let (took, times) = makespan(models, gpus);
        let best = best(&times, gpus as usize);
        println!("{gpus} GPUs: {took} s, best {best} s, {:.2} times", took / best);
        assert!(took <= BOUND * best, "{took} s on {gpus} GPUs, the best schedule takes {best} s");
        assert!(took >= best - 0.5, "{took} s on {gpus} GPUs beats the best schedule of {best} s");
    }
}

#[test]
fn three_equal_candidates() {
    check(&["acme/first-1b", "acme/second-1b", "acme/third-1b"]);
}

#[test]
fn three_unequal_candidates() {
    check(&["acme/first-1b", "acme/second-3b", "acme/third-8b"]);
}
