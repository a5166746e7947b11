//! Kills against a real NeMo Helix, which `.ci/full` runs: at every call of a run that changes something, before and after
//! its effect, and at one poll of each kind. The killed run is resumed, or cleaned up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{Dfwfd, Folder, testdata};
use crate::openai::{Asked, OpenAi, says};
use crate::platform::Platform;
use crate::proxy::{Fate, ProxiedRequest, Proxy};
use crate::{completed_and_purged, hub};

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

/// Replaces the id of the run in a name. A long name of a job ends in a hash of the whole name (docs/helix-api.md, Names),
/// and the key of its judge is named after it.
fn without_run(name: &str) -> String {
    let (job, key) = name.strip_suffix("-key").map_or((name, ""), |job| (job, "-key"));
    let job = if job.len() == LONGEST_JOB { &job[..LONGEST_JOB - "-0123".len()] } else { job };
    let name = &format!("{job}{key}");
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

/// What the killed runs have.
#[derive(Clone, Copy)]
enum Setup<'a> {
    /// A candidate whose base model is there.
    Plain,
    /// A candidate that calls tools, whose base model is made from a private repository, and a judge with a key.
    Full { judge: &'a str },
}

impl Setup<'_> {
    /// Makes a folder for runs on the platform at this URL.
    fn folder(self, platform: &Platform, url: &str) -> Folder {
        // The platform ends a cancelled job late where it runs with others on two cores.
        let limits = "limits: {settle: 5s, release: 10m}\n";
        match self {
            Setup::Plain => platform.folder_at(url, limits),
            Setup::Full { judge } => platform.folder_at(
                url,
                &format!(
                    "{limits}evaluation_config: {{workload_type: tool_calling, tool_eval_type: tool-calling-judge}}\n\
                     llm_judge_config: {{deployment_type: remote, url: '{judge}', model_name: j}}\n"
                ),
            ),
        }
    }

    /// Returns the command that begins a run.
    fn begin(self, platform: &Platform, folder: &Folder) -> Dfwfd {
        let command = self.command(folder, &["run", "--format", "json"]);
        match self {
            Setup::Plain => command,
            Setup::Full { .. } => command.args(hub::keys(platform)).arg("--logs").arg(testdata("tools_logs.jsonl")),
        }
    }

    /// Returns a command with the keys that it needs.
    fn command(self, folder: &Folder, arguments: &[&str]) -> Dfwfd {
        let command = folder.dfwfd(arguments);
        match self {
            Setup::Plain => command,
            Setup::Full { .. } => command.env(hub::TOKEN_VARIABLE, hub::TOKEN).env("LLM_JUDGE_API_KEY", "k3y"),
        }
    }

    /// Checks that a run completed and that its purge leaves nothing. Returns its scores.
    fn completed_and_purged(self, platform: &Platform, folder: &Folder, report: &Value) -> Vec<Value> {
        if matches!(self, Setup::Plain) {
            return completed_and_purged(platform, folder, report);
        }
        assert_eq!((&report["state"], &report["held"]), (&json!("completed"), &json!([])), "{report:#}");
        assert!(!platform.made().iter().any(|one| one.starts_with("secrets/")), "{:?}", platform.made());
        hub::purge(platform, folder, report);
        let scores = |variant| report["candidates"][0]["evaluations"][variant]["scores"].clone();
        ["base", "customized"].map(scores).to_vec()
    }
}

/// Returns the calls of a whole run in their order, and its scores.
fn whole_run(setup: Setup<'_>, name: &str) -> Option<(Vec<String>, Vec<Value>)> {
    let platform = Platform::of(&format!("kill-{name}"))?;
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&calls);
    let proxy = Proxy::before(platform.address, move |sent: &ProxiedRequest<'_>| {
        seen.lock().unwrap().extend(call_of(sent));
        Fate::Pass
    });
    let folder = setup.folder(&platform, &proxy.url());
    let report = setup.begin(&platform, &folder).run().code(0).json();
    let calls = calls.lock().unwrap().clone();
    Some((calls, setup.completed_and_purged(&platform, &folder, &report)))
}

/// The kills of a run.
struct Kills {
    /// Each call before and after its effect, resumed and cleaned up by turns.
    once: Vec<Kill>,
    /// One poll of each kind.
    polls: Vec<Kill>,
    /// As `once`, the other way round.
    again: Vec<Kill>,
}

/// Returns every kill of a run with these calls.
fn kills_of(calls: &[String]) -> Kills {
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
    Kills { once, polls, again }
}

/// Kills a run, then resumes it or cleans up. A resumed run has the scores of a whole one.
fn kill(setup: Setup<'_>, name: &str, kill: &Kill, scores: &[Value]) {
    let platform = Platform::of(name).unwrap();
    let (at, mut seen) = (kill.clone(), 0);
    let proxy = Proxy::before(platform.address, move |sent: &ProxiedRequest<'_>| {
        seen += usize::from(call_of(sent).as_ref() == Some(&at.call));
        let is_it = seen == at.occurrence && call_of(sent).as_ref() == Some(&at.call);
        if is_it { at.fate } else { Fate::Pass }
    });
    let folder = setup.folder(&platform, &proxy.url());
    let mut running = setup.begin(&platform, &folder).spawn();
    if !proxy.wait_for(|| running.has_ended()) {
        panic!("the run ended before the call: {}", running.wait());
    }
    running.kill();
    if kill.is_resumed {
        let report = setup.command(&folder, &["run", "--resume", "--format", "json"]).run().code(0).json();
        assert_eq!(setup.completed_and_purged(&platform, &folder, &report), scores);
    } else {
        setup.command(&folder, &["cleanup", "latest", "--purge", "--base-models"]).run().code(0);
        hub::nothing_stays(&platform);
    }
}

/// Kills runs, some at once.
fn kill_all(setup: Setup<'_>, name: &str, kills: &[Kill], scores: &[Value]) {
    let chosen = std::env::var("DFWFD_HELIX_KILLS").ok().filter(|chosen| chosen != "all");
    let chosen = chosen.map(|chosen| chosen.split(',').map(|number| number.parse().unwrap()).collect());
    let chosen: Vec<usize> = chosen.unwrap_or_else(|| (0..kills.len()).collect());
    let (queue, failed) = (Mutex::new(chosen.into_iter()), Mutex::new(Vec::new()));
    let one = |number: usize| kill(setup, &format!("{name}-{number}"), &kills[number], scores);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(number) = queue.lock().unwrap().next() else { break };
                    let went = std::thread::scope(|alone| alone.spawn(|| one(number)).join());
                    let how = if went.is_err() { "wrong" } else { "well" };
                    println!("kill {number} of {} went {how}: {:?}", kills.len(), kills[number]);
                    if went.is_err() {
                        failed.lock().unwrap().push(number);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "kills {failed:?} of {} went wrong", kills.len());
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_run_killed_at_any_changing_call_or_poll_is_resumed_or_cleaned_up() {
    let Some((calls, scores)) = whole_run(Setup::Plain, "none") else { return };
    let Kills { once, polls, again } = kills_of(&calls);
    kill_all(Setup::Plain, "kill", &[once, polls, again].concat(), &scores);
}

#[test]
#[ignore = ".ci/full runs it"]
fn a_run_killed_where_it_makes_a_base_model_or_the_key_of_a_judge_leaves_neither() {
    let judge = OpenAi::start(|asked: &Asked, _| match asked.body["messages"].as_array().map(Vec::len) {
        Some(2) => says("Both call the same.\nRATING: 1"),
        _ => says("hello"),
    });
    let setup = Setup::Full { judge: &judge.url() };
    let Some((calls, scores)) = whole_run(setup, "full-none") else { return };
    // The other calls are those of a plain run.
    let mut kills = kills_of(&calls).once;
    kills.retain(|kill| ["/secrets", hub::ENTITY].iter().any(|part| kill.call.contains(part)));
    let has = |wanted: &[&str]| kills.iter().any(|kill| wanted.iter().all(|part| kill.call.contains(part)));
    for wanted in [["POST", "/secrets"], ["DELETE", "/secrets"], ["POST", "/filesets"], ["POST", "/models"]] {
        assert!(has(&wanted), "{wanted:?} is none of {calls:#?}");
    }
    kill_all(setup, "kill-full", &kills, &scores);
}
