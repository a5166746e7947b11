//! Runs the commands of examples/unattended with the real binary: the service of systemd, the job of Kubernetes, the service of
//! Compose and the image's default. Only the paths are those of the test.

use std::process::Command;

use serde_json::Value;

use crate::examples::example;
use crate::harness::{Folder, Output, log, skip};

/// Makes the folder that the examples call /opt/flywheel or /flywheel, with records of all times.
fn flywheel() -> Folder {
    let folder = Folder::with_config(
        "nmp_config: {platform: embedded}\nlogs: {source: jsonl, path: logs.jsonl}\ndata_split_config: {eval_size: 20}\n\
         nims:\n  - model_name: dfwfd/ngram-small\n",
    );
    folder.write("logs.jsonl", log("news_classifier", 160));
    folder
}

/// Runs the arguments of an example with the paths of the test, and with a window that holds its records.
fn run(folder: &Folder, arguments: &[String]) -> Output {
    let here = |argument: &String| match argument.as_str() {
        path if path.ends_with("/flywheel.yaml") => folder.at("flywheel.yaml").display().to_string(),
        "/var/lib/dfwfd" | "/state" => folder.at("state").display().to_string(),
        "30d" => "2000-01-01".to_owned(),
        other => other.to_owned(),
    };
    folder.dfwfd(arguments.iter().map(here)).run()
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(str::to_owned).collect()
}

fn texts(value: &serde_yaml::Value) -> Vec<String> {
    value.as_sequence().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Checks that a run ended well and left its state where the example says.
#[track_caller]
fn is_a_run(folder: &Folder, arguments: &[String]) {
    assert_eq!(arguments[0], "run");
    let output = run(folder, arguments);
    let report: Value = output.code(0).json();
    assert_eq!(report["state"], "completed", "{output}");
    assert_eq!(output.stderr, "", "a good night says nothing else");
    assert!(folder.at("state/dfwfd.db").is_file());
}

#[test]
fn the_service_of_systemd_runs_and_cleans_up() {
    let text = std::fs::read_to_string(example("unattended/dfwfd.service")).unwrap();
    let command = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).unwrap();
        let line = line.trim_start_matches('-');
        words(line.strip_prefix("/usr/local/bin/dfwfd ").unwrap())
    };
    let folder = flywheel();
    is_a_run(&folder, &command("ExecStart"));
    run(&folder, &command("ExecStopPost")).code(0);
}

#[test]
fn the_units_are_correct() {
    let name = "the_units_are_correct";
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip(name, "systemd", "there is no systemd-analyze");
    }
    // The program and the user of the unit are not on this machine.
    let folder = Folder::new();
    let text = std::fs::read_to_string(example("unattended/dfwfd.service")).unwrap();
    let here =
        folder.write("dfwfd.service", text.replace("/usr/local/bin/dfwfd", "/bin/true").replace("User=dfwfd\n", ""));
    let timer = folder.write("dfwfd.timer", std::fs::read(example("unattended/dfwfd.timer")).unwrap());
    let output = Command::new("systemd-analyze").arg("verify").args([&here, &timer]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("dfwfd.")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn the_job_of_kubernetes_runs_as_nobody_special() {
    let text = std::fs::read_to_string(example("unattended/kubernetes-cronjob.yaml")).unwrap();
    let job: serde_yaml::Value = serde_yaml::from_str(text.split("\n---\n").nth(1).unwrap()).unwrap();
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    // Each place that the command names is mounted.
    let mounted: Vec<&str> =
        container["volumeMounts"].as_sequence().unwrap().iter().map(|at| at["mountPath"].as_str().unwrap()).collect();
    assert_eq!(mounted, ["/flywheel", "/state", "/tmp"]);
    is_a_run(&flywheel(), &texts(&container["args"]));
}

#[test]
fn the_service_of_compose_runs() {
    let text = std::fs::read_to_string(example("unattended/compose.yaml")).unwrap();
    let compose: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    is_a_run(&flywheel(), &texts(&compose["services"]["flywheel"]["command"]));
}

#[test]
fn the_image_runs_as_a_user_without_rights_and_checks_by_default() {
    let text = std::fs::read_to_string(example("unattended/Dockerfile")).unwrap();
    let value = |key: &str| text.lines().rev().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    assert_eq!(value("USER"), "10001");
    assert_eq!(value("ENTRYPOINT"), r#"["dfwfd"]"#);
    let command: Vec<String> = serde_json::from_str(&value("CMD")).unwrap();
    run(&flywheel(), &command).code(0);
}
