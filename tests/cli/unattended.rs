//! Runs that nobody watches: the window since the last run, a limit on the time, and the purge of old runs.

use serde_json::{Value, json};

use crate::harness::{Folder, Server, log, project, skip};

/// The shipped candidates on a platform elsewhere, without the comparison's cost of a large eval set.
fn cluster() -> Folder {
    let yaml = std::fs::read_to_string(project().join("flywheel.yaml")).unwrap();
    let folder = Folder::with_config(
        &yaml
            .replace("testdata/news_logs.jsonl", "logs.jsonl")
            .replace("eval_size: 100", "eval_size: 20")
            .replace("embedded\n", "nemo\n"),
    );
    folder.write("logs.jsonl", log("w", 120));
    folder
}

/// Returns the time from which `--since last-run` takes records, or none if it takes all.
fn since(folder: &Folder) -> Option<String> {
    let output = folder
        .dfwfd(["split", "--out", "never", "--since", "last-run", "--set", "data_split_config.eval_size=1000"])
        .run();
    let from = output.stderr.split("taking records from ").nth(1);
    assert!(from.is_some() || output.stderr.contains("no run is completed yet, so all records are taken"), "{output}");
    from.map(|from| from.split(' ').next().unwrap().to_owned())
}

#[test]
fn last_run_is_the_end_of_the_newest_completed_run() {
    let (folder, server) = (cluster(), Server::start(&["--clock", "polls"]));
    assert_eq!(since(&folder), None, "without a run there is no limit");
    let run = |flags: &[&str]| folder.dfwfd(["run", "--set", "gpus=4"]).args(flags).envs(server.variables()).run();
    let report = run(&["--format", "json"]).expect(0).json();
    let newest = report["data"]["last"].as_i64().unwrap();
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap()["timestamp"].as_i64().unwrap();
    assert_eq!(newest, folder.read("logs.jsonl").lines().map(read).max().unwrap());
    let next = jiff::Timestamp::from_second(newest + 1).unwrap().to_string();
    assert_eq!(since(&folder), Some(next.clone()));
    // Nothing has come since: those records are not read as new ones.
    let output = run(&["--since", "last-run"]);
    output.code(6).says(&format!("taking records from {next} on"));
    // A failed run leaves the window where it was. One with an end of its own moves it there.
    assert_eq!(since(&folder), Some(next));
    run(&["--until", "2100-01-01"]).code(0);
    assert_eq!(since(&folder).as_deref(), Some("2100-01-01T00:00:00Z"));
    // Nor has a rehearsal used any record.
    folder.dfwfd(["run", "--rehearse", "--until", "2101-01-01"]).run().code(0);
    assert_eq!(since(&folder).as_deref(), Some("2100-01-01T00:00:00Z"));
}

#[test]
fn a_run_that_takes_too_long_stops_and_releases_everything() {
    let (folder, server) = (cluster(), Server::start(&["--control"]));
    let fault = json!({ "fault": "GET /nemo/v1/customization/jobs/*: stall=0 nth=1" });
    assert_eq!(server.post("/control/faults", &fault).0, 200);
    let flags = ["run", "--set", "gpus=4", "--max-duration", "10s", "--format", "json"];
    let output = folder.dfwfd(flags).envs(server.variables()).run();
    output.code(130).says("cancelled by --max-duration");
    let report = output.json();
    assert_eq!((&report["state"], &report["held"]), (&json!("cancelled"), &json!([])), "{output}");
    let deployments = server.get("/nemo/v1/deployment/model-deployments").1;
    assert!(!deployments.to_string().contains("dfwfd-"), "{deployments}");
    let output = folder.dfwfd(["run", "--max-duration", "soon"]).run();
    output.code(2).says("cannot read --max-duration soon").hints();
}

#[test]
fn old_runs_are_purged_and_stay_in_the_list() {
    let (folder, server) = (cluster(), Server::start(&["--clock", "polls"]));
    folder.dfwfd(["run", "--set", "gpus=4"]).envs(server.variables()).run().code(0);
    let datasets = || server.get("/nemo/v1/datasets").1["data"].as_array().unwrap().len();
    assert!(datasets() > 0);
    let cleanup = |age: &str| {
        let flags = ["cleanup", "--older-than", age, "--purge", "--format", "json"];
        folder.dfwfd(flags).envs(server.variables()).run().expect(0).json()
    };
    assert_eq!(cleanup("30d")["released"], json!([]));
    assert!(datasets() > 0, "a young run keeps what it made");
    assert!(!cleanup("0")["released"].as_array().unwrap().is_empty());
    assert_eq!(datasets(), 0);
    let runs = folder.dfwfd(["status", "--format", "json"]).run().expect(0).json();
    assert_eq!(runs["runs"][0]["state"], "completed", "{runs}");
    folder.dfwfd(["cleanup", "--purge"]).run().code(2);
    folder.dfwfd(["cleanup", "latest", "--older-than", "1d"]).run().code(2);
}

#[test]
fn records_that_cannot_be_used_are_no_reason_to_resume() {
    let folder = Folder::shipped();
    let output = folder.dfwfd(["run", "--set", "data_split_config.min_total_records=1000000"]).run();
    output.code(6).says("min_total_records").hints();
    assert!(!output.stderr.contains("--resume"), "{output}");
    let flags = ["run", "--format", "json", "--set", "data_split_config.min_total_records=1000000"];
    let report = folder.dfwfd(flags).args(["--set", "cost.gpu_hour=1"]).run();
    assert!(report.stdout.contains(r#""gpu_hours":0.0"#) && !report.stdout.contains("-0.0"), "{report}");
}

#[test]
fn a_state_directory_that_is_named_and_not_there_is_an_error_and_the_default_one_is_not() {
    let folder = Folder::shipped();
    for command in [&["status"][..], &["cleanup"], &["report"], &["cleanup", "--dry-run"]] {
        let output = folder.dfwfd(command).args(["--state-dir", "gone"]).run();
        output.code(2).says("gone: there is no such folder").hints();
        folder.dfwfd(command).env("DFWFD_STATE_DIR", "gone").run().code(2).says("there is no such folder");
    }
    assert!(folder.dfwfd(["status"]).run().expect(0).stdout.contains("No runs"));
    folder.dfwfd(["cleanup"]).run().code(0);
    // Nobody can look into it: that is not an empty one.
    folder.write("file", "");
    for command in ["status", "cleanup"] {
        let output = folder.dfwfd([command, "--state-dir", "file/below"]).run();
        output.code(1).says("cannot look for the database").says("--state-dir").hints();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_directory_that_is_mounted_read_only_can_be_read() {
    let name = "a_state_directory_that_is_mounted_read_only_can_be_read";
    let unshare = |script: &str, folder: &Folder| {
        let mut command = std::process::Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_dfwfd")]).current_dir(folder.path());
        command.output()
    };
    let folder = Folder::shipped();
    folder.dfwfd(["run", "--set", "gpus=4"]).run().code(0);
    let mount = "mount --bind .dfwfd .dfwfd && mount -o remount,ro,bind .dfwfd";
    if !unshare(mount, &folder).is_ok_and(|output| output.status.success()) {
        return skip(name, "namespaces", "this user may not mount");
    }
    let run = |arguments: &str| unshare(&format!("{mount} && exec \"$0\" {arguments}"), &folder).unwrap();
    for command in ["status", "status latest", "report", "cleanup --dry-run"] {
        let output = run(command);
        assert!(output.status.success() && !output.stdout.is_empty(), "{command}: {output:?}");
    }
    let output = run("run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Read-only") && !said.contains("free some space"), "{said}");
}

#[test]
fn a_secret_of_two_lines_is_an_error_that_names_its_variable() {
    let folder = cluster();
    let urls = ["nemo_base_url", "nim_base_url", "datastore_base_url"];
    let urls = urls.map(|key| format!("--set=nmp_config.{key}=http://127.0.0.1:9"));
    let judge = [
        "evaluation_config.workload_type=auto",
        "evaluation_config.tool_eval_type=tool-calling-judge",
        "llm_judge_config.deployment_type=remote",
        "llm_judge_config.url=http://127.0.0.1:9/v1",
        "llm_judge_config.model_name=a/judge",
    ];
    for (variable, settings) in [
        ("NEMO_KEY", &["nmp_config.api_key_env=NEMO_KEY"][..]),
        ("GATE", &["nmp_config.headers={X-Api-Token: '${GATE}'}"]),
        ("HF_TOKEN", &[]),
        ("LLM_JUDGE_API_KEY", &judge),
        ("ELASTICSEARCH_API_KEY", &["logs.source=elasticsearch", "logs.elasticsearch.url=http://127.0.0.1:9"]),
    ] {
        let sets = settings.iter().flat_map(|set| ["--set", set]);
        let output = folder.dfwfd(["run", "--plan"]).args(&urls).args(sets).env(variable, "hunter2\nhunter3").run();
        output.code(2).says(&format!("environment variable {variable}: ")).says("one line");
        assert!(!output.stderr.contains("hunter"), "{output}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_directory_that_takes_no_file_is_an_error_before_anything_is_spent() {
    let folder = Folder::shipped();
    let output = folder.dfwfd(["run", "--state-dir", "/proc"]).run();
    output.code(1).says("cannot write to the state directory /proc").says("--state-dir").hints();
}

#[cfg(unix)]
#[test]
fn a_state_directory_that_others_can_enter_shows_them_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::with_config(&std::fs::read_to_string(project().join("flywheel.yaml")).unwrap());
    folder.write("testdata/news_logs.jsonl", log("w", 120));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    let dir = folder.at(".dfwfd");
    for is_there in [false, true] {
        if is_there {
            std::fs::create_dir(&dir).unwrap();
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for command in ["load testdata/news_logs.jsonl", "run --set data_split_config.eval_size=20 --set redact=all"] {
            let script = format!("umask 022; exec \"$0\" {command}");
            let mut shell = std::process::Command::new("sh");
            let output = shell.args(["-c", &script, env!("CARGO_BIN_EXE_dfwfd")]).current_dir(folder.path()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{command}: {output:?}");
        }
        assert_eq!(mode(&dir) & 0o077, if is_there { 0o055 } else { 0 });
        let found = crate::harness::files_below(&dir);
        assert!(found.len() > 10, "{found:?}");
        for (path, _) in found {
            let folders = path.ancestors().skip(1).take_while(|above| *above != dir);
            let is_closed = mode(&path) & 0o077 == 0 || folders.into_iter().any(|above| mode(above) & 0o077 == 0);
            assert!(is_closed, "others can read {}", path.display());
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn a_database_of_a_newer_dfwfd_is_refused_by_every_command_and_stays_as_it_is() {
    let folder = Folder::shipped();
    std::fs::create_dir(folder.at(".dfwfd")).unwrap();
    let path = folder.at(".dfwfd/dfwfd.db");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("CREATE TABLE of_the_future (x)").unwrap();
    newer.pragma_update(None, "user_version", 9999).unwrap();
    drop(newer);
    let before = std::fs::read(&path).unwrap();
    for command in [
        &["run", "--set", "gpus=4"][..],
        &["run", "--resume"],
        &["status"],
        &["report"],
        &["cancel"],
        &["cleanup"],
        &["cleanup", "--older-than", "30d", "--purge"],
        &["compare", "aaaaaaaa"],
        &["run", "--since", "last-run"],
    ] {
        let output = folder.dfwfd(command).run();
        assert_ne!(output.code, Some(0), "{output}");
        output.says("a newer dfwfd wrote it (schema 9999").says("use the newer dfwfd, or another --state-dir");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{command:?}");
    }
}
