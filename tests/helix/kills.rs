//! Kills against a real NeMo Helix, which `.ci/full` runs: at every call of a run that changes something, before and after
//! its effect, and at one poll of each kind. The killed run is resumed, or cleaned up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::completed_and_purged;
use crate::platform::Platform;
use crate::proxy::{Fate, ProxiedRequest, Proxy};

/// Killed runs at once.
const WORKERS: usize = 2;

/// The longest name of a job.
const LONGEST_JOB: usize = 51;

/// A kill of a run.
#[derive(Clone, Debug)]
struct Kill {
    /// The call at which the run is killed, as `call_of` names it.
    call: String,
    /// The number of this call, from one.
    occurrence: usize,
    fate: Fate,
    is_resumed: bool,
}

/// Names a call by its method, its path below the workspace and the name in its body, without the id of the run. Returns
/// none for requests of jobs, which go to the gateway.
fn call_of(sent: &ProxiedRequest<'_>) -> Option<String> {
    let mut words = sent.line.split([' ', '?']);
    let (method, path) = (words.next()?, words.next()?);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let rest = match parts[..] {
        ["apis", "inference-gateway", ..] => return None,
        ["apis", service, "v2", "workspaces", _, ref rest @ ..] if !rest.is_empty() => [&[service], rest].concat(),
        _ => parts,
    };
    let rest: Vec<String> = rest.into_iter().map(without_run).collect();
    let body: Value = serde_json::from_slice(sent.body).unwrap_or_default();
    let name = if method == "POST" { body["name"].as_str().map(without_run) } else { None };
    Some([method.to_owned(), rest.join("/")].into_iter().chain(name).collect::<Vec<_>>().join(" "))
}

/// Replaces the id of the run in a name. A long name of a job ends in a hash of the whole name (docs/helix-api.md, Names).
fn without_run(name: &str) -> String {
    let name = if name.len() == LONGEST_JOB { &name[..LONGEST_JOB - "-0123".len()] } else { name };
    match name.strip_prefix("dfwfd-").and_then(|rest| rest.split_once('-')) {
        Some((_, rest)) => format!("dfwfd-RUN-{rest}"),
        None => name.to_owned(),
    }
}

/// Names the kind of a poll, whatever it looks at.
fn kind_of(call: &str) -> String {
    let parts = call.split('/').map(|part| if part.starts_with("dfwfd-") { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Returns the calls of a whole run in their order, and its scores.
fn whole_run() -> Option<(Vec<String>, Vec<Value>)> {
    let platform = Platform::of("kill-none")?;
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&calls);
    let proxy = Proxy::before(platform.address, move |sent: &ProxiedRequest<'_>| {
        seen.lock().unwrap().extend(call_of(sent));
        Fate::Pass
    });
    let folder = platform.folder_at(&proxy.url(), "");
    let report = folder.dfwfd(["run", "--format", "json"]).run().code(0).json();
    let calls = calls.lock().unwrap().clone();
    Some((calls, completed_and_purged(&platform, &folder, &report)))
}

/// Returns every kill of a run with these calls. Those that try each call before and after its effect once come first.
fn kills_of(calls: &[String]) -> Vec<Kill> {
    let (mut once, mut again, mut polls) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut polled = BTreeSet::new();
    for call in calls {
        let count = counts.entry(call).or_default();
        *count += 1;
        let of = |fate, is_resumed| Kill { call: call.clone(), occurrence: *count, fate, is_resumed };
        if !call.starts_with("GET ") {
            let is_resumed_before = (once.len() / 2).is_multiple_of(2);
            once.extend([of(Fate::HeldBefore, is_resumed_before), of(Fate::HeldAfter, !is_resumed_before)]);
            again.extend([of(Fate::HeldBefore, !is_resumed_before), of(Fate::HeldAfter, is_resumed_before)]);
        } else if *count == 2 && polled.insert(kind_of(call)) {
            polls.push(of(Fate::HeldBefore, true));
        }
    }
    [once, polls, again].concat()
}

/// Kills a run, then resumes it or cleans up. A resumed run has the scores of a whole one.
fn kill(number: usize, kill: &Kill, scores: &[Value]) {
    let platform = Platform::of(&format!("kill-{number}")).unwrap();
    let (at, mut seen) = (kill.clone(), 0);
    let proxy = Proxy::before(platform.address, move |sent: &ProxiedRequest<'_>| {
        seen += usize::from(call_of(sent).as_ref() == Some(&at.call));
        let is_it = seen == at.occurrence && call_of(sent).as_ref() == Some(&at.call);
        if is_it { at.fate } else { Fate::Pass }
    });
    let folder = platform.folder_at(&proxy.url(), "limits: {settle: 5s}\n");
    let mut running = folder.dfwfd(["run"]).spawn();
    if !proxy.wait_for(|| running.has_ended()) {
        panic!("the run ended before the call: {}", running.wait());
    }
    running.kill();
    if kill.is_resumed {
        let report = folder.dfwfd(["run", "--resume", "--format", "json"]).run().code(0).json();
        assert_eq!(completed_and_purged(&platform, &folder, &report), scores);
    } else {
        folder.dfwfd(["cleanup", "latest", "--purge"]).run().code(0);
        assert_eq!(platform.made(), Vec::<String>::new());
    }
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_run_killed_at_any_changing_call_or_poll_is_resumed_or_cleaned_up() {
    let Some((calls, scores)) = whole_run() else { return };
    let kills = kills_of(&calls);
    let chosen = std::env::var("DFWFD_HELIX_KILLS").ok().filter(|chosen| chosen != "all");
    let chosen = chosen.map(|chosen| chosen.split(',').map(|number| number.parse().unwrap()).collect());
    let chosen: Vec<usize> = chosen.unwrap_or_else(|| (0..kills.len()).collect());
    let (queue, failed) = (Mutex::new(chosen.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(number) = queue.lock().unwrap().next() else { break };
                    if std::thread::scope(|one| one.spawn(|| kill(number, &kills[number], &scores)).join()).is_err() {
                        println!("kill {number} of {} went wrong: {:?}", kills.len(), kills[number]);
                        failed.lock().unwrap().push(number);
                    } else {
                        println!("kill {number} of {} went well: {:?}", kills.len(), kills[number]);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "kills {failed:?} of {} went wrong", kills.len());
}
