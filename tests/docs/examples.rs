//! Runs the files of examples/ as their readers would: the cron script in good and bad nights, the steps of the CI job, the
//! configuration for a cluster, and the program that logs OpenAI traffic.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Folder, lines, log, parse_lines, project, python, record, skip, testdata};
use crate::run::sh;

const CONFIG: &str = "\
nmp_config: {platform: embedded}
data_split_config: {eval_size: 20}
nims:
  - model_name: dfwfd/ngram-small
    customization_enabled: true
    customizer_configs: {target: dfwfd/ngram-small@1.0}
";

/// Takes records of all times, because those of the tests are of 2023.
const ALL_TIMES: (&str, &str) = ("KEEP_FROM", "2000-01-01");

pub(crate) fn example(name: &str) -> PathBuf {
    project().join("examples").join(name)
}

/// Tells whether bash is installed, or skips the test.
pub(crate) fn bash(test: &str) -> bool {
    let works = Command::new("bash").args(["-c", "true"]).output().is_ok_and(|output| output.status.success());
    if !works {
        skip(test, "bash", "there is no bash");
    }
    works
}

/// Runs one night of the cron script.
fn night(folder: &Folder, arguments: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    sh(folder.path(), "bash", &format!("bash {} {arguments}", example("nightly.sh").display()), variables)
}

#[test]
fn scripts_are_correct_shell() {
    if !bash("scripts_are_correct_shell") {
        return;
    }
    let mut scripts = vec![project().join(".ci/run"), project().join(".ci/full")];
    let folders = [project().join("examples"), project().join("examples/ci")];
    let examples =
        folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    scripts.extend(examples.filter(|path| path.extension().is_some_and(|extension| extension == "sh")));
    assert!(scripts.len() > 3);
    for script in scripts {
        let output = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", script.display());
    }
}

#[test]
fn a_good_night_is_silent_and_adds_one_line() {
    if !bash("a_good_night_is_silent_and_adds_one_line") {
        return;
    }
    let folder = Folder::with_config(CONFIG);
    folder.write("day.jsonl", format!("{}broken\n", log("news", 160)));
    let first = night(&folder, "flywheel.yaml news day.jsonl", &[ALL_TIMES]);
    assert_eq!(first, (Some(0), String::new()));
    // The same file adds no record, and there is a second run.
    let second = night(&folder, "flywheel.yaml news day.jsonl", &[ALL_TIMES]);
    assert_eq!(second, (Some(0), String::new()));
    let results = parse_lines(&folder.read("results.jsonl"));
    assert_eq!(results.len(), 2);
    assert!(
        results.iter().all(|report| report["state"] == "completed" && report["data"]["read"] == 160),
        "{results:#?}"
    );
    let loads: Vec<Value> =
        parse_lines(&folder.read("loads.jsonl")).iter().map(|load| load["data"]["added"].clone()).collect();
    assert_eq!(loads, [160, 0]);
    assert_eq!(parse_lines(&folder.read("rejects.jsonl"))[0]["reason"], "invalid_json");
}

#[test]
fn a_second_run_at_the_same_time_is_no_news() {
    if !bash("a_second_run_at_the_same_time_is_no_news") {
        return;
    }
    let folder = Folder::with_config(CONFIG);
    let lock = std::fs::File::create(folder.write(".dfwfd/lock", "")).unwrap();
    lock.lock().unwrap();
    assert_eq!(night(&folder, "flywheel.yaml news", &[ALL_TIMES]), (Some(0), String::new()));
    assert!(!folder.at("results.jsonl").exists());
}

#[test]
fn a_platform_that_somebody_else_uses_is_news() {
    if !bash("a_platform_that_somebody_else_uses_is_news") {
        return;
    }
    let folder = Folder::with_config(CONFIG);
    let line = r#"{"error":{"message":"another dfwfd run is on this platform"}}"#;
    let dfwfd = folder.write("dfwfd.sh", format!("#!/bin/sh\necho '{line}'\necho 'error: in use' >&2\nexit 75\n"));
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&dfwfd, permissions).unwrap();
    let (code, said) = night(&folder, "flywheel.yaml news", &[ALL_TIMES, ("DFWFD", dfwfd.to_str().unwrap())]);
    assert_eq!((code, said.as_str()), (Some(75), "error: in use\n"));
    assert_eq!(parse_lines(&folder.read("results.jsonl")).len(), 1);
}

#[test]
fn what_a_run_holds_is_released_whatever_ended_it() {
    if !bash("what_a_run_holds_is_released_whatever_ended_it") {
        return;
    }
    let (held, released) = (r#"{"held":[{"class":"gpu"}]}"#, r#"{"held":[]}"#);
    let cases = [(held, 0, true), (held, 1, true), (held, 4, true), (held, 130, true), ("", 137, true)]
        .into_iter()
        .chain([(released, 3, true), (released, 0, false), (released, 4, false), ("", 2, false), (held, 75, false)]);
    for (line, code, cleans) in cases {
        let folder = Folder::with_config(CONFIG);
        let run = if line.is_empty() { String::new() } else { format!("echo '{line}'") };
        let script =
            format!("#!/bin/sh\necho \"$@\" >>calls\ncase \"$*\" in *cleanup) exit 0 ;; esac\n{run}\nexit {code}\n");
        let dfwfd = folder.write("dfwfd.sh", script);
        std::fs::set_permissions(&dfwfd, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (found, _) = night(&folder, "flywheel.yaml news", &[ALL_TIMES, ("DFWFD", dfwfd.to_str().unwrap())]);
        assert_eq!(found, Some(code), "{line}");
        let calls = folder.read("calls");
        assert_eq!(calls.lines().any(|call| call.ends_with("cleanup")), cleans, "{code} {line}: {calls}");
    }
}

#[test]
fn a_bad_night_says_what_is_wrong() {
    if !bash("a_bad_night_says_what_is_wrong") {
        return;
    }
    let expect = |folder: &Folder, arguments: &str, code: i32, text: &str| {
        let (found, said) = night(folder, arguments, &[]);
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(text), "{text:?} is not in:\n{said}");
    };
    let folder = Folder::with_config(CONFIG);
    folder.write("day.jsonl", log("news", 160));
    expect(&folder, "flywheel.yaml", 2, "usage: ");
    expect(&folder, "gone.yaml news day.jsonl", 2, "gone.yaml");
    expect(&folder, "flywheel.yaml news gone.jsonl", 2, "cannot open gone.jsonl");
    // The records of the tests are older than 30 days.
    expect(&folder, "flywheel.yaml news day.jsonl", 6, "nothing was deployed");
    let report = parse_lines(&folder.read("results.jsonl")).remove(0);
    assert_eq!((&report["exit_code"], report["error"].is_object()), (&Value::from(6), true), "{report:#}");
    // Loading works where the configuration reads files in place.
    folder.write("in-place.yaml", format!("{CONFIG}logs: {{path: day.jsonl}}\n"));
    expect(&folder, "in-place.yaml news day.jsonl", 6, "nothing was deployed");
    let nobody = "nmp_config: {nemo_base_url: 'http://127.0.0.1:1', nim_base_url: 'http://127.0.0.1:1', datastore_base_url: 'http://127.0.0.1:1'}";
    folder.write("cluster.yaml", CONFIG.replace("nmp_config: {platform: embedded}", nobody));
    expect(&folder, "cluster.yaml news", 3, "http://127.0.0.1:1");
}

#[test]
fn the_steps_of_the_ci_job_run() {
    let test = "the_steps_of_the_ci_job_run";
    if !bash(test) {
        return;
    }
    if !Command::new("jq").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip(test, "jq", "there is no jq");
    }
    let job: serde_yaml::Value =
        serde_yaml::from_slice(&std::fs::read(example("ci-github-actions.yml")).unwrap()).unwrap();
    let steps = job["jobs"]["run"]["steps"].as_sequence().unwrap();
    let scripts: Vec<&str> =
        steps.iter().filter_map(|step| step["run"].as_str()).filter(|run| !run.contains("cargo install")).collect();
    assert_eq!(scripts.len(), 3, "{scripts:?}");
    let variables = job["jobs"]["run"]["env"].as_mapping().unwrap();
    let variable = |name: &str| variables[name].as_str().unwrap();
    let environment = [("WORKLOAD", variable("WORKLOAD")), ("LEAST_MACRO_F1", variable("LEAST_MACRO_F1"))];
    let folder = Folder::shipped();
    let (code, said) = sh(folder.path(), "bash", &scripts.join("\n"), &environment);
    assert_eq!(code, Some(0), "{said}");
    assert!(parse_lines(&folder.read("events.jsonl")).iter().any(|event| event["event"] == "run_done"));
    // A gate that cannot be met fails the job.
    let (code, said) = sh(folder.path(), "bash", scripts[2], &[("LEAST_MACRO_F1", "1.01")]);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn the_cluster_configuration_can_be_rehearsed() {
    let folder = Folder::new();
    let config = example("nemo-cluster.yaml");
    let logs = testdata("news_logs.jsonl");
    let arguments =
        ["run", "--config", config.to_str().unwrap(), "--state-dir", "state", "--format", "json", "--rehearse"];
    let chosen =
        ["--workload", "news_classifier", "--logs", logs.to_str().unwrap(), "--only", "meta/llama-3.1-8b-instruct"];
    let report = folder.dfwfd(arguments).args(chosen).run().code(0).json();
    assert_eq!(report["rehearsal"], true);
    assert_eq!(report["data"]["eval"], 300);
    folder.dfwfd(arguments).args(&chosen[..4]).arg("--plan").run().code(0);
}

/// A stand-in for the SDK. It answers with the requested class, and has the markers and models of the real one.
const OPENAI: &str = r#"
class NotGiven: pass
class Model:
    def __init__(self, data): self.data = data
    def __getattr__(self, name):
        value = self.data[name]
        return [Model(item) for item in value] if isinstance(value, list) else Model(value) if isinstance(value, dict) else value
    def model_dump(self, mode=None, exclude_unset=False):
        assert mode == "json"
        return self.data
class Completions:
    def create(self, **request):
        if request.get("stream"):
            return iter(["a", "b"])
        reply = {"role": "assistant", "content": "[[[Earnings]]]", "tool_calls": None}
        return Model({"id": "chatcmpl-1", "object": "chat.completion", "model": request["model"],
                      "choices": [{"index": 0, "message": reply, "finish_reason": "stop"}]})
class Chat:
    def __init__(self): self.completions = Completions()
class OpenAI:
    def __init__(self): self.chat = Chat()
"#;

const CALLER: &str = r#"
import openai
from log_openai import logged
client = logged(openai.OpenAI(), "production.jsonl", workload_id="news", client_id="desk-7")
ask = [{"role": "user", "content": "Profit doubled"}]
client.chat.completions.create(model="m", messages=ask, temperature=openai.NotGiven(), timeout=3,
                               extra_body={"top_k": 1})
assert list(client.chat.completions.create(model="m", messages=ask, stream=True)) == ["a", "b"]
"#;

#[test]
fn the_openai_logger_writes_records_that_load() {
    let Some(python) = python("the_openai_logger_writes_records_that_load") else { return };
    let folder = Folder::with_config(CONFIG);
    folder.write("openai.py", OPENAI);
    folder.write("caller.py", CALLER);
    let call = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command
            .args(arguments)
            .current_dir(folder.path())
            .env("PYTHONPATH", format!("{}:examples", folder.path().display()));
        let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    folder.write("log_openai.py", std::fs::read(example("log_openai.py")).unwrap());
    let program = [
        "log_openai.py",
        "--log",
        "production.jsonl",
        "--workload",
        "news",
        "--model",
        "m",
        "--system",
        "Classify.",
        "Is it?",
    ];
    assert_eq!(call(&program), "[[[Earnings]]]\n");
    call(&["caller.py"]);
    let records = parse_lines(&folder.read("production.jsonl"));
    assert_eq!(records.len(), 2, "a streamed reply is not logged: {records:#?}");
    assert_eq!(records[0]["request"]["messages"][0]["content"], "Classify.");
    let sent = &records[1]["request"];
    assert_eq!((&sent["top_k"], sent.get("temperature"), sent.get("timeout")), (&Value::from(1), None, None));
    assert!(records.iter().all(|record| record["latency_ms"].is_u64() && record["timestamp"].is_u64()));
    let loaded = folder.dfwfd(["load", "production.jsonl", "--format", "json"]).run().code(0).json();
    assert_eq!((&loaded["data"]["read"], &loaded["data"]["added"]), (&Value::from(2), &Value::from(2)), "{loaded}");
    // The form is that of the records that the other tests use.
    let plain = folder.write("plain.jsonl", lines([&record("news", 1)]));
    folder.dfwfd(["load".as_ref(), plain.as_os_str()]).run().code(0);
    let logs = folder.dfwfd(["logs", "--format", "json"]).run().code(0).json();
    assert_eq!(logs["workloads"][0]["records"], 3, "{logs}");
}
