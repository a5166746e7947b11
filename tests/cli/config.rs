//! The configuration as commands see it: its place, its precedence, its problems, and that files in NVIDIA's shapes run
//! unchanged.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Dfwfd, Folder, Output, log, project, testdata};

/// Returns the values of a plan in JSON, each with its origin.
fn values(output: &Output) -> BTreeMap<String, (String, String)> {
    let plan = output.code(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = plan["values"].as_array().unwrap();
    rows.iter().map(|row| (text(&row["key"]), (text(&row["value"]), text(&row["from"])))).collect()
}

fn plan(folder: &Folder, flags: &[&str]) -> Output {
    folder.dfwfd(["run", "--plan", "--format", "json"]).args(flags).run()
}

#[track_caller]
fn assert_value(output: &Output, key: &str, value: &str, from: &str) {
    assert_eq!(values(output).get(key), Some(&(value.to_owned(), from.to_owned())), "{key}: {output}");
}

/// Returns the files of a folder of testdata/configs.
fn configurations(kind: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(testdata("configs").join(kind)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    files.sort();
    assert!(files.len() > 3, "{kind}");
    files
}

#[test]
fn five_planted_errors_are_five_problems_with_their_lines() {
    let file = testdata("configs/invalid/five_errors.yaml");
    let folder = Folder::new();
    for command in [&["run"][..], &["run", "--plan"], &["split", "--out", "d"], &["load", "x.jsonl"]] {
        let output = folder.dfwfd(command).arg("--config").arg(&file).run();
        output.code(2).says("5 problems");
        let lines: Vec<&str> = output.stderr.lines().filter(|line| line.contains("five_errors.yaml:")).collect();
        assert_eq!(lines.len(), 5, "{output}");
        for (line, number) in lines.iter().zip([9, 13, 14, 24, 27]) {
            assert!(line.contains(&format!("five_errors.yaml:{number}: ")), "{line}");
        }
    }
    let output = folder.dfwfd(["run", "--format", "json"]).arg("--config").arg(&file).run();
    let error = output.code(2).json()["error"].clone();
    assert_eq!(error["message"].as_str().unwrap().lines().count(), 6, "{error}");
    assert!(!folder.at(".dfwfd").exists(), "nothing is begun");
}

#[test]
fn every_invalid_file_says_what_it_promises() {
    for file in configurations("invalid") {
        // One of them is not UTF-8.
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let wanted: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# expect: ")).collect();
        assert!(!wanted.is_empty(), "{}", file.display());
        let name = file.file_name().unwrap();
        let state = Folder::new();
        let output = Dfwfd::new(file.parent().unwrap())
            .args(["run", "--plan", "--config"])
            .arg(name)
            .arg("--state-dir")
            .arg(state.path())
            .run();
        output.code(2);
        let said: Vec<&str> = output.stderr.lines().map(str::trim).collect();
        for line in wanted {
            let line = line.replace("/FOLDER", file.parent().unwrap().to_str().unwrap());
            assert!(said.iter().any(|said| said.ends_with(&line)), "{line:?} should be said: {output}");
        }
    }
}

#[test]
fn a_flag_is_stronger_than_the_environment_than_the_file_than_the_default() {
    let folder = Folder::shipped();
    let key = "data_split_config.eval_size";
    let variable = "DFWFD__DATA_SPLIT_CONFIG__EVAL_SIZE";
    let command = || folder.dfwfd(["run", "--plan", "--format", "json"]);
    assert_value(&plan(&folder, &[]), "training_config.epochs", "1", "file");
    assert_value(&plan(&folder, &[]), "data_split_config.stratify_enabled", "true", "default");
    assert_value(&command().run(), key, "100", "file");
    assert_value(&command().env(variable, "70").run(), key, "70", "environment");
    let flag = ["--set", "data_split_config.eval_size=60"];
    assert_value(&command().env(variable, "70").args(flag).run(), key, "60", "flag");
    // The last of two flags.
    assert_value(&command().args(flag).args(["--set", "data_split_config.eval_size=61"]).run(), key, "61", "flag");
    // A .env file beside the configuration counts as environment. The variables of the process win over it.
    folder.write(".env", format!("{variable}=80\n"));
    assert_value(&command().run(), key, "80", "environment");
    assert_value(&command().env(variable, "70").run(), key, "70", "environment");
    // The value is used, not only shown.
    let split = folder.dfwfd(["split", "--out", "d", "--format", "json"]).args(flag).run();
    assert_eq!(split.code(0).json()["data"]["eval"], 60);
}

#[test]
fn the_key_decides_how_a_value_is_read() {
    let folder = Folder::shipped();
    assert_value(&plan(&folder, &["--set", "nims.0.tag=1.10"]), "nims.0.tag", "1.10", "flag");
    assert_value(
        &plan(&folder, &["--set", "training_config.learning_rate=5e-5"]),
        "training_config.learning_rate",
        "5e-5",
        "flag",
    );
    let wrong = plan(&folder, &["--set", "data_split_config.eval_size=many", "--set", "nims.0.gpu=1"]);
    wrong.code(2).says("2 problems").says("--set: data_split_config.eval_size").says("did you mean nims.0.gpus?");
    let wrong = folder.dfwfd(["run", "--plan"]).env("DFWFD__NIMS__0__GPUS", "none").run();
    wrong.code(2).says("DFWFD__NIMS__0__GPUS");
}

#[test]
fn an_unknown_key_gets_the_nearest() {
    let folder = Folder::with_config("data_split_config:\n  eval_sise: 3\n");
    folder.write("logs.jsonl", log("w", 30));
    let output = folder.dfwfd(["split", "--logs", "logs.jsonl", "--out", "d"]).run();
    output
        .code(2)
        .says("flywheel.yaml:2: data_split_config.eval_sise")
        .says("did you mean data_split_config.eval_size?");
}

#[test]
fn where_the_file_is() {
    let folder = Folder::shipped();
    let deep = folder.at("a/b/c");
    std::fs::create_dir_all(&deep).unwrap();
    let split = |out: &str| folder.dfwfd(["split", "--format", "json", "--out", out]);
    // The nearest folder above.
    let output = split("one").current_dir(&deep).run();
    assert_eq!(output.code(0).json()["data"]["source"], "jsonl");
    assert!(deep.join("one/manifest.json").exists(), "paths on the command line are relative to the working folder");
    // A variable wins over a file nearby, a flag over both.
    let eval = |eval: u32| {
        format!("logs: {{path: {}}}\ndata_split_config: {{eval_size: {eval}}}\n", testdata("news_logs.jsonl").display())
    };
    let by_variable = folder.write("other/by_variable.yaml", eval(31));
    let by_flag = folder.write("other/by_flag.yaml", eval(32));
    let output = split("two").env("DFWFD_CONFIG", &by_variable).run();
    assert_eq!(output.code(0).json()["data"]["eval"], 31);
    let output = split("three").env("DFWFD_CONFIG", &by_variable).arg("--config").arg(&by_flag).run();
    assert_eq!(output.code(0).json()["data"]["eval"], 32);
    let output = split("four").args(["--config", "nowhere.yaml"]).run();
    output.code(2).says("nowhere.yaml");
    // Without a file the defaults apply, except for `run`, which needs candidates.
    let bare = Folder::new();
    bare.dfwfd(["run"]).run().code(2).says("no flywheel.yaml here or in a folder above").hints();
}

#[test]
fn where_the_state_is() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 3));
    let elsewhere = folder.at("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let load = || folder.dfwfd(["load"]).arg(folder.at("logs.jsonl")).current_dir(&elsewhere);
    load().run().code(0);
    assert!(elsewhere.join(".dfwfd/logs").exists(), "without a configuration: here");
    folder.write("flywheel.yaml", "data_split_config: {eval_size: 3}\n");
    load().run().code(0);
    assert!(folder.at(".dfwfd/logs").exists(), "beside the configuration");
    folder.write("flywheel.yaml", "state_dir: by_key\n");
    load().run().code(0);
    assert!(folder.at("by_key/logs").exists(), "relative to the configuration");
    load().env("DFWFD_STATE_DIR", "by_variable").run().code(0);
    assert!(elsewhere.join("by_variable/logs").exists());
    load().env("DFWFD_STATE_DIR", "by_variable").args(["--state-dir", "by_flag"]).run().code(0);
    assert!(elsewhere.join("by_flag/logs").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(elsewhere.join("by_flag")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "prompts and replies are nobody else's");
    }
}

#[test]
fn status_needs_nothing_of_a_broken_file() {
    let folder = Folder::with_config("state_dir: mine\nnims: [{model_name: 3, gpus: none\nwhat: ever\n");
    folder.dfwfd(["run"]).run().code(2);
    let output = folder.dfwfd(["status", "--format", "json"]).run();
    assert_eq!(output.code(0).json(), json!({"schema": 1, "runs": []}));
    let gone = Folder::new();
    gone.dfwfd(["status", "--config", "gone.yaml"]).run().code(0);
}

#[test]
fn files_in_nvidias_shapes_are_rehearsed_unchanged() {
    let logs = log("w", 140);
    for file in configurations("valid") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let folder = Folder::new();
        folder.write("logs.jsonl", &logs);
        let command = |flags: &[&str]| {
            let command = folder.dfwfd(["run", "--rehearse", "--logs", "logs.jsonl", "--state-dir", "s", "--config"]);
            // This file has every key, with labels and a pattern that do not fit these logs.
            let other = ["--set", "labels=null", "--set", "label_pattern=null"];
            let other = if name == "everything.yaml" { &other[..] } else { &[] };
            command.arg(&file).args(other).args(flags).env("DESK_TOKEN", "one").env("NEMO_TOKEN", "two")
        };
        let shown = command(&["--plan", "--format", "json"]).run();
        let plan = shown.code(0).json();
        assert_eq!((&plan["platform"], &plan["rehearsal"]), (&json!("embedded"), &json!(true)), "{name}");
        let models: Vec<&str> =
            plan["candidates"].as_array().unwrap().iter().map(|row| row["model"].as_str().unwrap()).collect();
        assert!(models.iter().all(|model| model.starts_with("meta/")), "{shown}");
        let shown = command(&["--plan"]).run();
        assert!(shown.code(0).stdout.contains("REHEARSAL"), "{shown}");
        assert!(!folder.at("s").exists(), "a plan spends nothing");

        let ran = command(&["--format", "json"]).run();
        let report = ran.code(0).json();
        assert_eq!((&report["state"], &report["rehearsal"]), (&json!("completed"), &json!(true)), "{name}: {ran}");
        let ran_models: Vec<&str> =
            report["candidates"].as_array().unwrap().iter().map(|row| row["model"].as_str().unwrap()).collect();
        assert_eq!(ran_models, models);
        ran.says("REHEARSAL");
        let table = folder.dfwfd(["status", "latest", "--state-dir", "s"]).run();
        for title in
            table.code(0).stdout.lines().filter(|line| line.contains("acro F1 on") || line.starts_with("Records"))
        {
            assert!(title.contains("REHEARSAL"), "{name}: {title}: {table}");
        }
        assert!(table.stdout.contains("REHEARSAL"), "{table}");
    }
}

#[test]
fn a_section_of_nvidia_that_is_off_is_a_warning_not_a_surprise() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 140));
    let config = testdata("configs/valid/financial.yaml");
    let output = folder.dfwfd(["run", "--plan", "--rehearse", "--logs", "logs.jsonl", "--config"]).arg(&config).run();
    let warnings = output.stderr.lines().filter(|line| line.contains("warning: mlflow_config has no effect")).count();
    assert_eq!(warnings, 1, "{output}");
    let output = folder.dfwfd(["load", "logs.jsonl"]).env("ELASTICSEARCH_URL", "http://127.0.0.1:1").run();
    output.code(3).says("http://127.0.0.1:1").hints();
}

#[test]
fn only_some_candidates() {
    let folder = Folder::shipped();
    let models = |flags: &[&str]| -> Vec<String> {
        let plan = plan(&folder, flags).code(0).json();
        plan["candidates"].as_array().unwrap().iter().map(|row| row["model"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(models(&["--only", "dfwfd/ngram-large"]), ["dfwfd/ngram-large"]);
    assert_eq!(models(&["--only", "dfwfd/ngram-large", "--only", "dfwfd/ngram-small"]).len(), 2);
    plan(&folder, &["--only", "dfwfd/ngram-huge"]).code(2).says("dfwfd/ngram-huge").says("dfwfd/ngram-large");
}

#[test]
fn init_writes_what_runs_and_replaces_nothing() {
    let folder = Folder::new();
    let written = folder.dfwfd(["init", "--sample", "--format", "json"]).run();
    assert_eq!(written.code(0).json()["written"], json!(["flywheel.yaml", "news_logs.jsonl"]));
    assert_eq!(folder.bytes("news_logs.jsonl"), std::fs::read(testdata("news_logs.jsonl")).unwrap());
    folder.write("flywheel.yaml", folder.read("flywheel.yaml") + "\n# mine\n");
    for flags in [&["init"][..], &["init", "--nemo"], &["init", "--nemo-v1"], &["init", "--sample"]] {
        folder.dfwfd(flags).run().code(2).says("flywheel.yaml").hints();
        assert!(folder.read("flywheel.yaml").ends_with("# mine\n"), "{flags:?}");
    }
    let rules = ["--set", "data_split_config.limit=300", "--only", "dfwfd/ngram-small"];
    let ran = folder.dfwfd(["run", "--workload", "news_classifier", "--format", "json"]).args(rules).run();
    assert_eq!(ran.code(0).json()["state"], "completed");
    folder.dfwfd(["init", "--force"]).run().code(0);
    assert!(!folder.read("flywheel.yaml").contains("# mine"));
}

#[test]
fn init_without_logs_is_run_after_a_load() {
    let folder = Folder::new();
    folder.dfwfd(["init"]).run().code(0).says("dfwfd load");
    folder.write("logs.jsonl", log("w", 200));
    folder.dfwfd(["load", "logs.jsonl"]).run().code(0);
    let ran = folder.dfwfd(["run", "--format", "json", "--only", "dfwfd/ngram-small"]).run();
    let report = ran.code(0).json();
    assert_eq!((&report["workload"], &report["data"]["source"]), (&json!("w"), &json!("local")));
}

#[test]
fn init_for_each_generation_can_be_rehearsed() {
    for flag in ["--nemo", "--nemo-v1"] {
        rehearsed(flag);
    }
}

/// Rehearses the file that `init` writes with this flag.
fn rehearsed(flag: &str) {
    let folder = Folder::new();
    folder.dfwfd(["init", flag]).run().code(0);
    folder.write("logs.jsonl", log("w", 200));
    let shown = plan(&folder, &["--rehearse", "--logs", "logs.jsonl"]);
    let plan = shown.code(0).json();
    assert_eq!(plan["candidates"].as_array().unwrap().len(), 1);
    assert_eq!(plan["candidates"][0]["model"], "meta/llama-3.2-1b-instruct");
    // The others are there to be taken in.
    let text = folder.read("flywheel.yaml");
    let uncommented = text.replace("\n  # ", "\n  ").replace("\n  #\n", "\n\n");
    for model in ["meta/llama-3.2-3b-instruct", "meta/llama-3.1-8b-instruct"] {
        assert!(text.contains(&format!("# - model_name: {model}")), "{text}");
        assert!(uncommented.contains(&format!("\n  - model_name: {model}")), "{uncommented}");
    }
}

#[test]
fn a_configuration_for_helix_has_one_base_url_and_shows_no_target() {
    let folder = Folder::new();
    folder.dfwfd(["init", "--nemo"]).run().code(0).says("the base URL");
    let text = folder.read("flywheel.yaml");
    assert!(!text.contains("nim_base_url") && !text.contains("target"), "{text}");
    folder.write("logs.jsonl", log("w", 200));
    let shown = plan(&folder, &["--rehearse", "--logs", "logs.jsonl"]);
    assert!(!shown.code(0).stdout.contains("llama-3.2-1b-instruct@2.0"), "{shown}");
    // A variable that is not set would be missed in the middle of a run only.
    let token = ["--set", "nims.0.base_model_token_env=NO_SUCH_TOKEN"];
    let refused = folder.dfwfd(["run", "--plan", "--logs", "logs.jsonl"]).args(token).run();
    refused.code(2).says("nims.0.base_model_token_env").says("NO_SUCH_TOKEN is not set");
}

#[test]
fn the_shipped_configuration_and_the_one_that_init_writes_say_the_same() {
    let written = Folder::new();
    written.dfwfd(["init", "--sample"]).run().code(0);
    let shipped =
        Dfwfd::new(project()).args(["run", "--plan", "--format", "json", "--state-dir"]).arg(written.at("s")).run();
    let place = ["logs.path", "state_dir"];
    let settings = |output: &Output| {
        let mut values = values(output);
        place.iter().for_each(|key| drop(values.remove(*key)));
        values
    };
    assert_eq!(settings(&shipped), settings(&plan(&written, &[])));
}

#[test]
fn secrets_come_from_an_env_file_that_only_its_owner_reads() {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 140));
    let yaml =
        "nmp_config:\n  platform: embedded\n  api_key_env: DESK_TOKEN\nnims: [{model_name: dfwfd/ngram-small}]\n";
    folder.write("flywheel.yaml", yaml);
    folder.write(".env", "DESK_TOKEN=s3cr3t-xyz\n");
    let run = |mode: u32| {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(folder.at(".env"), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        folder.dfwfd(["run", "--plan", "--logs", "logs.jsonl"]).run()
    };
    let open = run(0o644);
    assert!(open.code(0).stderr.contains(".env") || cfg!(not(unix)), "{open}");
    let closed = run(0o600);
    assert!(!closed.code(0).stderr.contains(".env"), "{closed}");
    for output in [open, closed] {
        assert!(!format!("{output}").contains("s3cr3t-xyz"), "{output}");
    }
    // An API key in NVIDIA's file is used and masked, with a warning.
    let valid = testdata("configs/valid/blueprint_local_judge.yaml");
    let output = folder.dfwfd(["run", "--plan", "--rehearse", "--logs", "logs.jsonl", "--config"]).arg(&valid).run();
    output.code(0).says("api_key");
    assert!(!format!("{output}").contains("not-a-real-key"), "{output}");
}

#[test]
fn a_relative_path_is_relative_to_who_says_it() {
    let folder = Folder::new();
    folder.write("conf/logs/here.jsonl", log("w", 60));
    folder.write("here.jsonl", log("v", 70));
    let file = folder.write("conf/flywheel.yaml", "logs: {path: logs/*.jsonl}\ndata_split_config: {eval_size: 5}\n");
    let split = |out: &str| folder.dfwfd(["split", "--format", "json", "--out", out, "--config"]).arg(&file);
    assert_eq!(split("a").run().code(0).json()["data"]["read"], 60);
    assert_eq!(split("b").args(["--logs", "here.jsonl"]).run().code(0).json()["data"]["read"], 70);
    assert_eq!(split("c").args(["--set", "logs.path=here.jsonl"]).run().code(0).json()["data"]["read"], 70);
    assert!(Path::new(&folder.at("c/manifest.json")).exists());
}
