//! Tests docs/ci.md and examples/ci: the shell script, the commands of the two CI files except the installation, and every
//! fault on the page.

use std::process::Command;

use crate::examples::{bash, example};
use crate::harness::{Folder, log, parse_lines, project, skip};
use crate::markdown::Page;
use crate::run::sh;

/// A configuration for a cluster that does not exist.
const CLUSTER: &str = "\
nmp_config: {nemo_base_url: 'http://nemo.test', nim_base_url: 'http://nim.test', datastore_base_url: 'http://data-store.test'}
gpus: 4
data_split_config: {eval_size: 20}
nims:
  - &small
    model_name: meta/llama-3.2-1b-instruct
    gpus: 1
    customization_enabled: true
    customizer_configs: {target: meta/llama-3.2-1b-instruct@2.0, gpus: 1}
  - <<: *small
    model_name: meta/llama-3.2-3b-instruct
    customizer_configs: {target: meta/llama-3.2-3b-instruct@2.0, gpus: 1}
";

/// Creates a checked-out repository with that configuration and sample logs.
fn checkout(config: &str) -> Folder {
    let folder = Folder::with_config(config);
    folder.write("ci/sample.jsonl", log("news_classifier", 120));
    folder
}

/// Tells whether the programs of a CI image are installed, or skips the test.
fn has(test: &str, programs: &[&str]) -> bool {
    let missing = programs
        .iter()
        .find(|program| !Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success()));
    if let Some(program) = missing {
        skip(test, program, &format!("there is no {program}"));
    }
    missing.is_none()
}

fn job(file: &str, name: &str) -> serde_yaml::Value {
    let file: serde_yaml::Value = serde_yaml::from_slice(&std::fs::read(example(file)).unwrap()).unwrap();
    file[name].clone()
}

/// Returns the variables of a CI file that are plain text.
fn variables(mapping: &serde_yaml::Value) -> Vec<(String, String)> {
    let pairs = mapping.as_mapping().unwrap().iter();
    let pairs = pairs.map(|(name, value)| (name.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned()));
    pairs.filter(|(_, value)| !value.contains("${{")).collect()
}

/// Runs a script with these variables and checks its exit code.
#[track_caller]
fn script(folder: &Folder, shell: &str, text: &str, variables: &[(String, String)], code: i32) -> String {
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    let (found, said) = sh(folder.path(), shell, text, &variables);
    assert_eq!(found, Some(code), "{text}\n{said}");
    said
}

#[test]
fn the_smoke_test_passes_for_a_file_that_is_fine() {
    let folder = checkout(CLUSTER);
    let smoke = format!("sh {} flywheel.yaml news_classifier ci/sample.jsonl", example("ci/smoke.sh").display());
    let said = script(&folder, "sh", &smoke, &[], 0);
    let days: Vec<&str> = said.lines().filter(|line| line.ends_with(", ok")).collect();
    assert_eq!(days.len(), said.lines().count(), "{said}");
    assert_eq!(days.len(), 9, "{said}");
    let report = folder.read("smoke/good.json");
    assert_eq!(parse_lines(&report)[0]["rehearsal"], true, "{report}");
}

#[test]
fn the_smoke_test_fails_for_one_that_is_not() {
    let smoke = format!("sh {} flywheel.yaml", example("ci/smoke.sh").display());
    // Without training, the faults of training jobs affect no call.
    let untrained = CLUSTER.replace("customization_enabled: true", "customization_enabled: false");
    let folder = checkout(&untrained);
    let said = script(&folder, "sh", &format!("{smoke} news_classifier ci/sample.jsonl"), &[], 1);
    assert!(said.contains("good: exit code 0, ok"), "{said}");
    assert!(said.contains("busy: exit code 0, FAILED: the fault has struck no call"), "{said}");
    assert!(said.contains("away: exit code 3, ok"), "{said}");
    let folder = checkout(&CLUSTER.replace("eval_size: 20", "eval_size: 20000"));
    let said = script(&folder, "sh", &format!("{smoke} news_classifier ci/sample.jsonl"), &[], 1);
    assert!(said.contains("good: exit code 6, FAILED: expected exit code 0"), "{said}");
    script(&folder, "sh", &smoke, &[], 2);
}

#[test]
fn the_steps_of_the_github_job_run() {
    let test = "the_steps_of_the_github_job_run";
    if !bash(test) || !has(test, &["jq", "curl"]) {
        return;
    }
    let smoke = &job("ci/github-actions.yml", "jobs")["smoke"];
    let folder = checkout(CLUSTER);
    let passed_on = folder.write("github.env", "");
    let mut environment = variables(&smoke["env"]);
    environment.push(("GITHUB_ENV".to_owned(), passed_on.display().to_string()));
    let steps = smoke["steps"].as_sequence().unwrap().iter().filter_map(|step| step["run"].as_str());
    let mut ran = 0;
    for step in steps.filter(|step| !step.contains("cargo install")) {
        script(&folder, "bash", &format!("set -o pipefail\n{step}"), &environment, 0);
        ran += 1;
        // The next steps have the variables that a step writes here.
        for line in folder.read("github.env").lines() {
            let (name, value) = line.split_once('=').unwrap();
            environment.push((name.to_owned(), value.to_owned()));
        }
        folder.write("github.env", "");
    }
    assert_eq!(ran, 7);
    let runs = folder.dfwfd(["status", "--format", "json"]).run().code(0).json();
    let states: Vec<&str> = runs["runs"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["completed", "completed", "failed", "completed", "completed"]);
}

#[test]
fn the_script_of_the_gitlab_job_runs() {
    let smoke = job("ci/gitlab-ci.yml", "flywheel-smoke");
    let folder = checkout(CLUSTER);
    let lines = |key: &str| -> Vec<String> {
        smoke[key].as_sequence().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    assert!(
        lines("before_script").iter().all(|line| line.starts_with("cargo install")),
        "nothing but installing is left out"
    );
    let environment = variables(&smoke["variables"]);
    assert_eq!(lines("script").len(), 4);
    script(&folder, "sh", &lines("script").join("\n"), &environment, 0);
    assert_eq!(parse_lines(&folder.read("expired.json"))[0]["exit_code"], 3);
    assert_eq!(parse_lines(&folder.read("restarted.json"))[0]["state"], "completed");
}

#[test]
fn every_fault_of_the_page_is_one() {
    let page = Page::read(&project().join("docs/ci.md"));
    let folder = Folder::new();
    let heading = page.prose.iter().position(|(_, line)| line.starts_with("| fault |")).unwrap();
    let rows = page.prose[heading + 2..].iter().map_while(|(_, line)| line.strip_prefix('|'));
    let mut kinds = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let kind = cells[0].trim_matches('`').split(['=', '`']).next().unwrap();
        let shown = cells[3].trim_matches('`');
        let output = folder.dfwfd(["serve", "--fault", shown, "--", "true"]).run();
        output.code(0).says("has struck no call");
        assert!(shown.contains(kind), "the example of {kind} is {shown}");
        kinds.push(kind.to_owned());
    }
    // The list in the program's own error message.
    let refused = folder.dfwfd(["serve", "--fault", "no-such-fault"]).run();
    let list =
        refused.code(2).stderr.lines().find_map(|line| line.split_once("the faults are: ")).unwrap().1.to_owned();
    let known: Vec<&str> = list.split(", ").map(|form| form.split(['=', '[']).next().unwrap()).collect();
    assert_eq!(kinds, known);
    refused.hints();
}

#[test]
fn the_shell_blocks_of_the_page_run() {
    let test = "the_shell_blocks_of_the_page_run";
    if !has(test, &["curl"]) {
        return;
    }
    let folder = checkout(&format!("{CLUSTER}logs: {{path: ci/sample.jsonl}}\n"));
    let page = Page::read(&project().join("docs/ci.md"));
    let blocks: Vec<&str> = page.blocks.iter().filter(|block| block.info == "sh").map(|block| &*block.text).collect();
    let [line, smoke, refused, scripted] = blocks[..] else { panic!("{blocks:?}") };
    let settle = [("DFWFD__LIMITS__SETTLE".to_owned(), "0s".to_owned())];
    script(&folder, "sh", line, &[], 0);
    assert!(smoke.contains("examples/ci/smoke.sh"), "tried by a test of its own");
    script(&folder, "sh", refused, &settle, 3);
    let said = script(&folder, "sh", scripted, &settle, 0);
    assert!(said.contains(r#""struck":1"#), "{said}");
}
