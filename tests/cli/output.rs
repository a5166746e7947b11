//! Tests the output: streams, quiet, JSON, colour, width, broken pipes, help, exit codes.

use std::fs::File;

use serde_json::{Value, json};

use crate::harness::{Folder, Output, log, project, record};

const COMMANDS: [&str; 13] = [
    "load",
    "split",
    "run",
    "status",
    "report",
    "compare",
    "cleanup",
    "cancel",
    "logs",
    "doctor",
    "serve",
    "init",
    "completions",
];

/// Creates a folder in which every command succeeds without warnings.
fn ready() -> Folder {
    let folder = Folder::with_config("nmp_config: {platform: embedded}\nnims: [{model_name: dfwfd/ngram-small}]\n");
    folder.write("logs.jsonl", log("w", 150));
    folder
}

/// One call of each command that ends by itself, in a working order.
const CALLS: [&[&str]; 11] = [
    &["load", "logs.jsonl"],
    &["split", "--out", "d"],
    &["run", "--plan"],
    &["run"],
    &["status"],
    &["status", "latest"],
    &["logs"],
    &["cleanup", "--dry-run"],
    &["cleanup"],
    &["cleanup", "latest", "--purge"],
    &["init", "--force"],
];

#[test]
fn quiet_says_nothing_when_all_is_well() {
    let folder = ready();
    for call in CALLS {
        let output = folder.dfwfd(call).arg("-q").run();
        output.code(0);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{output}");
    }
}

#[test]
fn quiet_still_says_what_is_wrong() {
    let folder = ready();
    folder.write("bad.jsonl", format!("{}{{\n", log("w", 3)));
    let output = folder.dfwfd(["-q", "load", "bad.jsonl"]).run();
    assert!(output.code(0).stdout.is_empty(), "{output}");
    output.says("warning: ").says("bad.jsonl:4");
    let output = folder.dfwfd(["-q", "status", "zzzzzzzz"]).run();
    output.code(2).says("error: ").hints();
}

#[test]
fn json_is_one_line_also_when_quiet_and_has_a_schema() {
    let folder = ready();
    for call in CALLS {
        let output = folder.dfwfd(call).args(["-q", "--format", "json"]).run();
        assert_eq!(output.code(0).json()["schema"], 1, "{output}");
        assert_eq!(output.stderr, "", "{output}");
        assert!(output.stdout.ends_with('\n'), "{output}");
    }
}

#[test]
fn a_pipe_gets_no_colours_and_a_plain_line_per_step() {
    let folder = ready();
    for call in CALLS {
        let output = folder.dfwfd(call).run();
        output.code(0);
        for text in [&output.stdout, &output.stderr] {
            assert!(!text.contains(['\x1b', '\r', '\x07', '\x08']), "{output}");
        }
        if call == ["run"] {
            for step in ["datasets", "upload", "deploy", "evaluate base", "undeploy"] {
                let lines = output.stderr.lines().filter(|line| line.contains(step) && line.contains("done")).count();
                assert!(lines == 1 || step == "deploy", "one line for {step}: {output}");
            }
            assert!(!output.stdout.contains(" done in "), "progress is not what was asked for: {output}");
        }
    }
    // `--color always` wins over NO_COLOR, which wins over the default.
    let colourful = folder.dfwfd(["split", "--out", "colourful", "--color", "always"]).env("NO_COLOR", "1").run();
    assert!(colourful.code(0).stdout.contains('\x1b'), "{colourful}");
    for flags in [&["--color", "never"][..], &[]] {
        let plain = folder.dfwfd(["logs"]).args(flags).env("NO_COLOR", "1").run();
        assert!(!plain.code(0).stdout.contains('\x1b'), "{plain}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let folder = ready();
    for columns in ["80", "120", "160"] {
        let call = |call: &[&str]| folder.dfwfd(call).env("COLUMNS", columns).run();
        let out = format!("d{columns}");
        for arguments in [
            &["load", "logs.jsonl"][..],
            &["split", "--out", &out],
            &["run", "--plan"],
            &["run"],
            &["status"],
            &["status", "latest"],
            &["logs"],
            &["cleanup", "--dry-run"],
        ] {
            let output = call(arguments);
            for line in output.code(0).stdout.lines() {
                assert!(line.chars().count() <= columns.parse().unwrap(), "{line:?} of {output}");
            }
        }
    }
}

#[test]
fn what_a_record_holds_reaches_no_terminal_raw() {
    let folder = Folder::new();
    let mut evil = record("w\x1b[2Jx", 1);
    evil["client_id"] = json!("\x1b]0;title\x07");
    folder.write("evil.jsonl", format!("{evil}\n"));
    folder.dfwfd(["load", "evil.jsonl"]).run().code(0);
    let listed = folder.dfwfd(["logs"]).run();
    assert!(!listed.code(0).stdout.contains(['\x1b', '\x07']), "{listed}");
    let listed = folder.dfwfd(["logs", "--format", "json"]).run();
    assert_eq!(listed.code(0).json()["workloads"][0]["workload"], "w\x1b[2Jx", "a program gets it as it is");
    assert!(!listed.stdout.contains('\x1b'), "escaped: {listed}");
}

#[test]
fn a_reader_that_went_away_is_success() {
    let folder = ready();
    for call in CALLS {
        for format in ["human", "json"] {
            let call: Vec<String> =
                call.iter().map(|word| if *word == "d" { format!("d-{format}") } else { (*word).to_owned() }).collect();
            let output = folder.dfwfd(call).args(["--format", format]).unread().run();
            output.code(0);
            assert!(!output.stderr.contains("error"), "{output}");
        }
    }
    for call in [&["--help"][..], &["run", "--help"], &["--version"], &["completions", "bash"]] {
        folder.dfwfd(call).unread().run().code(0);
    }
}

/// Returns the flags of a long help text with their descriptions.
fn flags(help: &str) -> Vec<(String, String)> {
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let begins = line.trim_start().starts_with('-') && line.len() - line.trim_start().len() <= 6;
        if begins && !line.trim_start().starts_with("- ") {
            flags.push((line.trim().to_owned(), String::new()));
        } else if !line.starts_with(' ') && !line.is_empty() {
            // A heading, or the text after the flags.
            flags.push((String::new(), String::new()));
        }
        if let Some((_, text)) = flags.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    flags.retain(|(flag, _)| !flag.is_empty());
    flags
}

#[test]
fn help_names_every_default_and_shows_examples() {
    let folder = Folder::new();
    for command in std::iter::once("").chain(COMMANDS) {
        let command: Vec<&str> = command.split_whitespace().collect();
        for flag in ["--help", "-h"] {
            for (columns, widest) in [("300", 120), ("80", 80)] {
                let output = folder.dfwfd(&command).arg(flag).env("COLUMNS", columns).run();
                output.code(0);
                assert_eq!(output.stderr, "");
                assert!(output.stdout.lines().all(|line| line.chars().count() <= widest), "{output}");
                assert!(output.stdout.contains("\nExamples:\n") && output.stdout.contains("\n  dfwfd "), "{output}");
                let page = output.stdout.trim_end().lines().next_back().unwrap();
                let page = page.strip_prefix("Documentation: ").and_then(|page| page.split(' ').next()).unwrap();
                assert!(project().join(page).is_file(), "the help ends with a page: {output}");
            }
        }
        let help = folder.dfwfd(&command).arg("--help").run().stdout;
        let usage = help.lines().find(|line| line.starts_with("Usage: ")).unwrap();
        let flags = flags(&help);
        assert!(flags.len() >= 8, "{help}");
        for (flag, text) in flags {
            let required = flag.split_whitespace().any(|word| word.starts_with("--") && usage.contains(word));
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            // Only a flag with a value has a default to name.
            let fine =
                text.contains("[default: ") == flag.contains('<') || required && !text.contains("[default: off]");
            assert!(fine, "{flag} of {command:?} should name its default, and a switch none: {text}");
        }
    }
}

#[test]
fn the_help_of_every_command_stays_as_it_is() {
    let folder = Folder::new();
    for command in std::iter::once("").chain(COMMANDS) {
        let help = folder.dfwfd(command.split_whitespace()).arg("--help").run().stdout;
        let name = if command.is_empty() { "help".to_owned() } else { format!("help_{command}") };
        insta::assert_snapshot!(name, help);
    }
}

#[test]
fn the_list_of_commands_is_complete() {
    let help = Folder::new().dfwfd(["--help"]).run().stdout;
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, [&COMMANDS[..], &["help"]].concat());
}

#[test]
fn a_wrong_command_line_is_code_2_and_an_object() {
    let folder = Folder::new();
    let calls: [&[&str]; 6] = [
        &["frobnicate"],
        &["run", "--frobnicate"],
        &["split"],
        &["load"],
        &["status", "a", "b"],
        &["run", "--resume", "--only", "x"],
    ];
    for call in calls {
        let output = folder.dfwfd(call).run();
        assert!(output.code(2).stdout.is_empty(), "{output}");
        output.says("error: ");
        for format in [&["--format", "json"][..], &["--format=json"]] {
            let output = folder.dfwfd(format).args(call).run();
            let object = output.code(2).json();
            assert_eq!((&object["schema"], &object["exit_code"]), (&json!(1), &json!(2)), "{output}");
            assert!(object["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{output}");
            assert!(object["error"]["causes"].is_array() && object["error"].get("hint").is_some(), "{output}");
        }
    }
    folder.dfwfd([] as [&str; 0]).run().code(2).says("Usage");
}

/// Returns the error of an output in JSON. Checks that it is complete and equal to the text on stderr.
#[track_caller]
fn error(output: &Output, code: i32) -> Value {
    let object = output.code(code).json();
    assert_eq!(object["exit_code"], code, "{output}");
    let error = object["error"].clone();
    let message = error["message"].as_str().unwrap();
    let (first, hint) = (message.lines().next().unwrap(), error["hint"].as_str());
    output.says(&format!("error: {first}"));
    for cause in error["causes"].as_array().unwrap() {
        let cause = cause.as_str().unwrap();
        output.says(&format!("caused by: {}", cause.lines().next().unwrap()));
        assert!(!message.contains(cause), "a level does not repeat the one below: {output}");
    }
    if let Some(hint) = hint {
        output.says(&format!("hint: {hint}"));
    }
    error
}

#[test]
fn a_run_beside_another_is_code_75() {
    let folder = ready();
    folder.dfwfd(["load", "logs.jsonl"]).run().code(0);
    std::fs::create_dir_all(folder.at(".dfwfd")).unwrap();
    let lock = File::create(folder.at(".dfwfd/lock")).unwrap();
    lock.lock().unwrap();
    let held = error(&folder.dfwfd(["run", "--format", "json"]).run(), 75);
    assert!(held["hint"].as_str().unwrap().contains("--wait"), "{held}");
    // Commands that start no run do not wait for the lock.
    folder.dfwfd(["status"]).run().code(0);
    folder.dfwfd(["split", "--out", "d"]).run().code(0);
    folder.dfwfd(["run", "--plan"]).run().code(0);
    drop(lock);
    folder.dfwfd(["run", "--format", "json"]).run().code(0);
}

#[test]
fn a_service_that_is_not_there_is_code_3() {
    // No one listens on this port, and no other test gets it.
    let closed = "127.0.0.1:1";
    let yaml = format!(
        "nmp_config: {{nemo_base_url: 'http://{closed}/nemo', nim_base_url: 'http://{closed}/nim', \
         datastore_base_url: 'http://{closed}/ds'}}\nnims: [{{model_name: meta/llama-3.2-1b-instruct}}]\ngpus: 4\n"
    );
    let folder = Folder::with_config(&yaml);
    folder.write("logs.jsonl", log("w", 150));
    for plan in [&[][..], &["--plan"]] {
        let output = folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).args(plan).run();
        let error = error(&output, 3);
        assert!(error["hint"].as_str().unwrap().contains("nmp_config"), "{output}");
        assert!(error["causes"].to_string().contains(closed), "{output}");
    }
}

#[test]
fn an_unknown_run_is_code_2() {
    let folder = ready();
    for call in [
        &["status", "abcdefgh"][..],
        &["cleanup", "abcdefgh"],
        &["cancel", "abcdefgh"],
        &["run", "--resume", "abcdefgh"],
        &["run", "--resume"],
        &["status", "latest"],
    ] {
        error(&folder.dfwfd(call).args(["--format", "json"]).run(), 2);
    }
    // The same once there is a run, and a prefix of nothing.
    folder.dfwfd(["load", "logs.jsonl"]).run().code(0);
    folder.dfwfd(["run", "-q"]).run().code(0);
    for call in [&["status", "00000000"][..], &["cleanup", "00000000"], &["run", "--resume", "latest"]] {
        error(&folder.dfwfd(call).args(["--format", "json"]).run(), 2);
    }
}

#[test]
fn every_completion_script_knows_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = folder.dfwfd(["completions", shell]).run();
        output.code(0);
        for command in COMMANDS {
            assert!(output.stdout.contains(command), "{command} for {shell}");
        }
    }
    folder.dfwfd(["completions", "csh"]).run().code(2);
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_is_lost_is_no_success() {
    let folder = ready();
    folder.dfwfd(["load", "logs.jsonl"]).run().code(0);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for call in
        [&["logs"][..], &["logs", "--format", "json"], &["run", "--plan"], &["--help"], &["completions", "bash"]]
    {
        let output = folder.dfwfd(call).stdout(full()).run();
        assert_eq!(output.code, Some(1), "{output}");
    }
    // A command without output ignores a full disk.
    folder.dfwfd(["-q", "load", "logs.jsonl"]).stdout(full()).run().code(0);
}
