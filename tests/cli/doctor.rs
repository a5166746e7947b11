//! `dfwfd doctor`: what it finds when all is well and when one thing is not, its remedies and its exit codes.

use serde_json::{Value, json};

use crate::harness::{Folder, Output, Server, project, skip};
use crate::openai::{OpenAi, says};

/// The shipped candidates on a platform elsewhere. `serve` names its URLs in the environment.
fn cluster() -> Folder {
    let yaml = std::fs::read_to_string(project().join("flywheel.yaml")).unwrap();
    let logs = project().join("testdata/news_logs.jsonl");
    let yaml = yaml.replace("testdata/news_logs.jsonl", logs.to_str().unwrap()).replace("embedded\n", "nemo\n");
    Folder::with_config(&yaml)
}

fn doctor(folder: &Folder, server: &Server, flags: &[&str]) -> Output {
    folder.dfwfd(["doctor", "--format", "json", "--set", "gpus=4"]).envs(server.variables()).args(flags).run()
}

/// Returns the check of a subject.
#[track_caller]
fn check(output: &Output, subject: &str) -> Value {
    let report = output.json();
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["subject"] == subject);
    found.unwrap_or_else(|| panic!("no check of {subject}: {output}")).clone()
}

/// Returns the subjects of the checks in this state.
fn subjects(output: &Output, state: &str) -> Vec<String> {
    let report = output.json();
    let checks = report["checks"].as_array().unwrap();
    let of_state = checks.iter().filter(|check| check["state"] == state);
    of_state.map(|check| check["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn all_is_well_on_the_embedded_platform_and_nothing_is_made() {
    let folder = Folder::shipped();
    let output = folder.dfwfd(["doctor"]).run();
    output.code(0);
    for line in ["ok      file: ", "ok      database: no run yet", "Everything that a run needs is there."] {
        assert!(output.stdout.contains(line), "{line}: {output}");
    }
    let left: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["flywheel.yaml"], "doctor makes nothing");
}

#[test]
fn all_is_well_on_a_platform_and_nothing_is_made_there() {
    let (folder, server) = (cluster(), Server::start(&[]));
    let before = server.get("/nemo/v1/namespaces");
    let output = doctor(&folder, &server, &[]);
    output.code(0);
    assert_eq!(output.json()["exit_code"], 0, "{output}");
    for subject in ["Entity Store", "Data Store", "Customizer", "Evaluator", "Deployment Management", "NIM proxy"] {
        let found = check(&output, subject);
        assert!(found["detail"].as_str().unwrap().starts_with("responds, in "), "{found}");
    }
    assert_eq!(check(&output, "dfwfd/ngram-small")["detail"], "can be trained");
    assert_eq!(check(&output, "namespace")["detail"], "dfwfd does not exist yet; a run makes it");
    assert_eq!(subjects(&output, "failed"), Vec::<String>::new());
    assert_eq!(server.get("/nemo/v1/namespaces"), before, "doctor makes nothing");
}

#[test]
fn each_service_that_is_down_is_named_alone() {
    let (folder, server) = (cluster(), Server::start(&["--control"]));
    for (call, subject, key) in [
        ("GET /datastore/v1/datastore/namespaces: status=404", "Data Store", "datastore_base_url"),
        ("GET /nemo/v1/customization/targets: status=404", "Customizer", "nemo_base_url"),
        ("GET /nemo/v1/evaluation/jobs: status=404", "Evaluator", "nemo_base_url"),
        ("GET /nemo/v1/deployment/model-deployments: status=503", "Deployment Management", "nemo_base_url"),
        ("GET /nim/v1/models: status=401", "NIM proxy", "api_key_env"),
    ] {
        let fault = serde_json::json!({ "fault": call });
        assert_eq!(server.post("/control/faults", &fault).0, 200, "{call}");
        let output = doctor(&folder, &server, &[]);
        output.code(3);
        assert_eq!(subjects(&output, "failed"), [subject], "{output}");
        let found = check(&output, subject);
        assert!(found["remedy"].as_str().unwrap().contains(key), "{found}");
        assert_eq!(found["exit_code"], 3);
        server.delete("/control/faults");
    }
}

#[test]
fn a_service_that_does_not_answer_is_waited_for_in_the_open() {
    let (folder, server) = (cluster(), Server::start(&[]));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nmp_config.datastore_base_url=http://{}", silent.local_addr().unwrap());
    let output = doctor(&folder, &server, &["--set", &url]);
    output.code(3).says("waiting for services that have not answered yet");
    assert_eq!(subjects(&output, "failed"), ["Data Store"], "{output}");
}

#[test]
fn the_entity_store_is_needed_to_tell_the_generation() {
    let (folder, server) = (cluster(), Server::start(&["--control"]));
    let fault = json!({ "fault": "GET /nemo/v1/namespaces: status=503" });
    assert_eq!(server.post("/control/faults", &fault).0, 200);
    let output = doctor(&folder, &server, &[]);
    output.code(3);
    assert_eq!(subjects(&output, "failed"), ["generation", "Entity Store"], "{output}");
    assert_eq!(check(&output, "Customizer")["state"], "ok");
}

#[test]
fn a_key_that_no_service_takes_is_said_of_each() {
    let (folder, server) = (cluster(), Server::start(&["--control"]));
    assert_eq!(server.post("/control/faults", &json!({ "fault": "expire-auth" })).0, 200);
    let output = doctor(&folder, &server, &[]);
    output.code(3);
    let failed = subjects(&output, "failed");
    assert_eq!(failed.len(), 7, "{output}");
    for subject in failed {
        assert!(check(&output, &subject)["remedy"].as_str().unwrap().contains("api_key_env"), "{output}");
    }
}

#[test]
fn a_base_url_with_a_path_of_the_api_is_refused_with_the_right_one() {
    let (folder, server) = (cluster(), Server::start(&[]));
    let base = format!("http://{}", server.address());
    for (key, path) in [("nemo", "/nemo/v1"), ("nim", "/nim/v1"), ("datastore", "/datastore/v1/hf")] {
        let output = doctor(&folder, &server, &["--set", &format!("nmp_config.{key}_base_url={base}{path}")]);
        output.code(2);
        let found = check(&output, "file");
        assert!(found["detail"].as_str().unwrap().contains(&format!("write {base}/{key}")), "{found}");
    }
}

#[test]
fn a_log_store_that_is_away_is_a_service_that_is_down() {
    let (folder, server) = (cluster(), Server::start(&[]));
    let at = ["--set", "logs.source=elasticsearch", "--set", "logs.elasticsearch.url=http://127.0.0.1:9"];
    let output = doctor(&folder, &server, &at);
    output.code(3);
    assert_eq!(subjects(&output, "failed"), ["index"], "{output}");
    assert!(check(&output, "index")["remedy"].is_string());
    assert_eq!(check(&output, "variable ELASTICSEARCH_API_KEY")["state"], "skipped");
}

#[test]
fn judge_and_embedding_model_are_asked_with_their_keys() {
    let (folder, server) = (cluster(), Server::start(&[]));
    let takes = |key: &'static str| {
        OpenAi::start(move |asked, _| match (asked.authorization == format!("Bearer {key}"), asked.body.get("input")) {
            (false, _) => (401, json!({"error": {"message": "no such key"}})),
            (true, None) => says("hello"),
            (true, Some(_)) => (200, json!({"data": [{"index": 0, "embedding": [1.0, 2.0]}]})),
        })
    };
    let (judge, embedding) = (takes("key-of-the-judge"), takes("key-of-the-embeddings"));
    let nim = "icl_config.similarity_config.embedding_nim_config";
    let settings = [
        "evaluation_config.workload_type=text".to_owned(),
        "llm_judge_config.deployment_type=remote".to_owned(),
        format!("llm_judge_config.url={}", judge.url()),
        "llm_judge_config.model_name=j".to_owned(),
        "icl_config.example_selection=semantic_similarity".to_owned(),
        format!("{nim}.url={}", embedding.url().replace("/chat/completions", "/embeddings")),
        format!("{nim}.model_name=e"),
    ];
    for embedded in [false, true] {
        let ask = |judge: &str, embeddings: &str| {
            let mut call = folder.dfwfd(["doctor", "--format", "json", "--set", "gpus=4"]);
            if !embedded {
                call = call.envs(server.variables());
            }
            let platform = if embedded { "nmp_config.platform=embedded" } else { "nmp_config.platform=nemo" };
            let settings = settings.iter().map(String::as_str).chain([platform]).flat_map(|set| ["--set", set]);
            call.args(settings).env("LLM_JUDGE_API_KEY", judge).env("EMB_API_KEY", embeddings).run()
        };
        let output = ask("key-of-the-judge", "key-of-the-embeddings");
        output.code(0);
        assert_eq!(check(&output, "judge")["detail"], "j answers", "{output}");
        assert_eq!(check(&output, "embedding model")["detail"], "e answers", "{output}");
        assert_eq!(check(&output, "variable EMB_API_KEY")["detail"], "is set");
        let output = ask("old-key", "new");
        output.code(3);
        assert_eq!(subjects(&output, "failed"), ["judge", "embedding model"], "{output}");
        for (subject, variable) in [("judge", "LLM_JUDGE_API_KEY"), ("embedding model", "EMB_API_KEY")] {
            assert!(check(&output, subject)["remedy"].as_str().unwrap().contains(variable), "{output}");
        }
        let short = check(&output, "variable EMB_API_KEY");
        assert!(short["state"] == "warning" && short["detail"].as_str().unwrap().contains("fewer than 6"), "{short}");
    }
}

#[test]
fn a_platform_that_is_away_hides_no_other_fault() {
    let folder = cluster();
    let away = "http://127.0.0.1:9";
    let mut call = folder.dfwfd(["doctor", "--format", "json", "--set", "gpus=4", "--logs", "nowhere.jsonl"]);
    for key in ["nemo", "nim", "datastore"] {
        call = call.arg("--set").arg(format!("nmp_config.{key}_base_url={away}"));
    }
    let output = call.run();
    // The configuration names a file that does not exist, which is said before any service is asked.
    output.code(2);
    assert!(check(&output, "file")["detail"].as_str().unwrap().contains("nowhere.jsonl"), "{output}");
    let mut call = folder.dfwfd(["doctor", "--format", "json", "--set", "gpus=4"]);
    for key in ["nemo", "nim", "datastore"] {
        call = call.arg("--set").arg(format!("nmp_config.{key}_base_url={away}/{key}"));
    }
    let output = call.run();
    output.code(3);
    assert_eq!(subjects(&output, "failed").len(), 7, "{output}");
    assert_eq!(subjects(&output, "skipped"), ["contents"]);
}

#[test]
fn a_target_that_is_disabled_is_answered_with_those_that_are_not() {
    let (folder, server) = (cluster(), Server::start(&[]));
    let target = serde_json::json!({
        "namespace": "dfwfd", "name": "ngram-small@7", "base_model": "dfwfd/ngram-small", "enabled": false,
        "num_parameters": 1, "precision": "bf16-mixed"
    });
    let (status, answer) = server.post("/nemo/v1/customization/targets", &target);
    assert!(status < 300, "{answer}");
    let output = doctor(&folder, &server, &["--set", "nims.0.customizer_configs.target=dfwfd/ngram-small@7"]);
    output.code(2);
    let found = check(&output, "dfwfd/ngram-small");
    assert!(found["remedy"].as_str().unwrap().contains("dfwfd/ngram-small@1.0"), "{found}");
    assert_eq!(subjects(&output, "failed"), ["dfwfd/ngram-small"]);
}

#[test]
fn a_broken_configuration_does_not_hide_the_rest() {
    let folder = Folder::with_config("nmp_config:\n  platfrom: nemo\n");
    let output = folder.dfwfd(["doctor", "--format", "json"]).run();
    output.code(2);
    assert!(check(&output, "file")["detail"].as_str().unwrap().contains("did you mean"), "{output}");
    assert_eq!(check(&output, "folder")["state"], "ok");
    assert_eq!(subjects(&output, "skipped"), ["source", "services"]);
}

#[test]
fn an_empty_log_store_is_data_that_a_run_cannot_use() {
    let folder = Folder::with_config(
        &std::fs::read_to_string(project().join("flywheel.yaml"))
            .unwrap()
            .replace("logs:\n  source: jsonl\n  path: testdata/news_logs.jsonl\n", ""),
    );
    let output = folder.dfwfd(["doctor", "--format", "json"]).run();
    output.code(6);
    assert!(check(&output, "log store")["remedy"].as_str().unwrap().contains("dfwfd load"), "{output}");
}

#[test]
fn a_database_of_a_newer_dfwfd_is_left_alone() {
    let folder = Folder::shipped();
    std::fs::create_dir(folder.at(".dfwfd")).unwrap();
    let path = folder.at(".dfwfd/dfwfd.db");
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 9999).unwrap();
    drop(newer);
    let output = folder.dfwfd(["doctor", "--format", "json"]).run();
    output.code(2);
    let found = check(&output, "database");
    assert!(found["remedy"].as_str().unwrap().contains("newer dfwfd"), "{found}");
    let after = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = after.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 9999);
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_bytes_is_found() {
    use std::process::Command;
    let folder = Folder::shipped();
    // A limit on the size of files is the full disk that a test may have.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" doctor --format json";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_dfwfd")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["subject"] == "folder").unwrap();
    assert!(found["detail"].as_str().unwrap().starts_with("cannot write to "), "{found}");
    assert!(found["remedy"].as_str().unwrap().contains("--state-dir"), "{found}");
}

#[cfg(unix)]
#[test]
fn a_state_directory_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::shipped();
    let dir = folder.at(".dfwfd");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = folder.dfwfd(["doctor", "--format", "json"]).run();
    output.code(0);
    let found = check(&output, "folder");
    assert_eq!(found["state"], "warning", "{found}");
    assert!(found["remedy"].as_str().unwrap().starts_with("chmod 700 "), "{found}");
}

#[cfg(unix)]
#[test]
fn without_nvml_the_gpus_are_counted_by_nvidia_smi() {
    use std::os::unix::fs::PermissionsExt as _;
    let name = "without_nvml_the_gpus_are_counted_by_nvidia_smi";
    if std::path::Path::new("/dev/nvidia0").exists() {
        return skip(name, "gpu", "this machine has GPUs, which NVML counts");
    }
    let (folder, server) = (cluster(), Server::start(&[]));
    let script = folder.write(
        "bin/nvidia-smi",
        "#!/bin/sh\ncase $1 in\n*compute-apps*) echo GPU-a ;;\n*) echo 'GPU-a, H, 100, 81559'; echo 'GPU-b, H, 81000, 81559' ;;\nesac\n",
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", script.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let doctor = || folder.dfwfd(["doctor", "--format", "json"]).envs(server.variables()).env("PATH", &path);
    let output = doctor().run();
    output.code(0);
    let gpus = check(&output, "GPUs")["detail"].as_str().unwrap().to_owned();
    assert!(gpus.starts_with("2 GPUs counted by nvidia-smi: H (busy, 0 of 79 GiB free), H (free, 79 of 79"), "{gpus}");
    let budget = check(&output, "GPU budget")["detail"].as_str().unwrap().to_owned();
    assert!(budget.starts_with("1 (free GPUs of this machine, counted by nvidia-smi)"), "{budget}");
    let output = doctor().args(["--set", "nims.1.gpus=2"]).run();
    output.code(2);
    assert!(
        check(&output, "GPU budget")["detail"].as_str().unwrap().contains("needs 2 GPUs, the budget is 1"),
        "{output}"
    );
}

#[test]
fn what_a_killed_run_still_holds_is_found_with_the_command_that_releases_it() {
    let (folder, server) = (cluster(), Server::start(&["--control"]));
    let fault = serde_json::json!({ "fault": "GET /nemo/v1/customization/jobs/*: stall=0" });
    assert_eq!(server.post("/control/faults", &fault).0, 200);
    let run = folder.dfwfd(["run", "--set", "gpus=4"]).envs(server.variables()).spawn();
    let trains = |server: &Server| {
        server.get("/nemo/v1/customization/jobs").1["data"].as_array().is_some_and(|jobs| !jobs.is_empty())
    };
    while !trains(&server) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.kill();
    server.delete("/control/faults");
    let output = doctor(&folder, &server, &[]);
    output.code(0);
    let found = check(&output, "leftovers");
    assert_eq!(found["state"], "warning", "{found}");
    let id = found["remedy"].as_str().unwrap().strip_prefix("dfwfd cleanup ").unwrap().to_owned();
    folder.dfwfd(["cleanup", &id]).envs(server.variables()).run().code(0);
    let output = doctor(&folder, &server, &[]);
    assert!(!subjects(&output, "warning").contains(&"leftovers".to_owned()), "{output}");
}

#[test]
fn a_database_of_another_version_is_not_touched() {
    let (folder, server) = (cluster(), Server::start(&[]));
    let state = folder.path().join(".dfwfd");
    std::fs::create_dir(&state).unwrap();
    let path = state.join("dfwfd.db");
    for (version, exit, words) in [(0, 0, "the next run brings it up to date"), (99, 2, "a newer dfwfd wrote it")] {
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch("CREATE TABLE IF NOT EXISTS other (x)").unwrap();
        database.pragma_update(None, "user_version", version).unwrap();
        drop(database);
        let before = std::fs::read(&path).unwrap();
        let output = doctor(&folder, &server, &[]);
        output.code(exit);
        assert!(check(&output, "database")["detail"].as_str().unwrap().contains(words), "{output}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(state.read_dir().unwrap().count(), 1, "nothing beside it");
    }
}

#[test]
fn a_log_that_looks_personal_is_a_warning_unless_it_is_masked() {
    let folder = Folder::shipped();
    let mut records: Vec<Value> = (0..30).map(|number| crate::harness::record("w", number)).collect();
    records[4]["request"]["messages"][1]["content"] = "Mail ann@desk.example about it".into();
    folder.write("logs.jsonl", crate::harness::lines(&records));
    let doctor = |flags: &[&str]| {
        let output = folder.dfwfd(["doctor", "--format", "json", "--logs", "logs.jsonl"]).args(flags).run();
        output.code(0);
        output
    };
    let found = check(&doctor(&[]), "personal data");
    assert_eq!(found["state"], "warning");
    assert!(found["detail"].as_str().unwrap().contains("email 1"), "{found}");
    for flags in [["--set", "redact=true"], ["--set", "redact=all"], ["--set", "redact=[email]"]] {
        assert!(!subjects(&doctor(&flags), "warning").contains(&"personal data".to_owned()), "{flags:?}");
    }
    let off = doctor(&["--set", "redact=false"]);
    assert_eq!(check(&off, "personal data")["state"], "warning");
}
