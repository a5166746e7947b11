//! No secret comes back: a service repeats what it was sent, and nothing that a run leaves behind has a secret in it.

use super::control::{Home, Platform};
use super::faults::{failing, struck};
use super::openai::{OpenAi, says};
use crate::harness::{Output, files_below};

/// The secrets, as they stand in the environment.
const SECRETS: [(&str, &str); 4] = [
    ("NEMO_KEY", "Bearer nvapi-0123-the-key-of-the-platform"),
    ("HF_TOKEN", "'hf_0123-the-token-of-the-store'"),
    ("TENANT", "tenant-0123-in-a-header"),
    ("LLM_JUDGE_API_KEY", "judge-0123-the-key-of-the-judge"),
];

/// The texts that must show nowhere: the secrets without what surrounds them.
const HIDDEN: [&str; 4] = ["nvapi-0123-", "hf_0123-", "tenant-0123-", "judge-0123-"];

fn home_with_secrets(home: Home) -> Home {
    let text = std::fs::read_to_string(&home.config).unwrap();
    let keys = "platform: nemo\n  api_key_env: NEMO_KEY\n  headers:\n    x-tenant-key: ${TENANT}";
    std::fs::write(&home.config, text.replace("platform: nemo", keys)).unwrap();
    home
}

fn dfwfd(platform: &Platform, home: &Home, arguments: &[&str]) -> Output {
    let events = home.folder().join("events.jsonl");
    let events = ["--events", events.to_str().unwrap()];
    let arguments = [arguments, if arguments[0] == "run" { &events[..] } else { &[] }, &["-vv"]].concat();
    SECRETS.iter().fold(platform.command(home, &arguments), |command, (name, value)| command.env(name, value)).run()
}

#[track_caller]
fn nowhere(home: &Home, outputs: &[Output], why: &str) {
    for output in outputs {
        for secret in HIDDEN {
            assert!(!output.to_string().contains(secret), "{why}: {secret} was shown: {output}");
        }
    }
    let mut seen = 0;
    for (path, bytes) in files_below(home.folder()) {
        for secret in HIDDEN {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{why}: {secret} is in {}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 3, "{why}: only {seen} files were looked at");
}

#[test]
fn a_service_that_repeats_the_request_puts_no_secret_anywhere() {
    let calls = [
        "GET /nemo/v1/namespaces",
        "POST /nemo/v1/namespaces",
        "POST /datastore/v1/hf/api/repos/create",
        "POST /nemo/v1/datasets",
        "POST /nemo/v1/deployment/model-deployments",
        "POST /nemo/v1/customization/jobs",
        "GET /nemo/v1/customization/jobs/*/status",
        "GET /nemo/v1/evaluation/jobs/*/download-results",
        "DELETE /nemo/v1/deployment/model-deployments/*/*",
    ];
    for call in calls {
        let home = home_with_secrets(Home::new(1, "8"));
        let platform = failing(&[&format!("{call}: echo")]);
        let outcome = dfwfd(&platform, &home, &["run", "--format", "json"]);
        assert!(struck(&platform)[0] > 0, "{call}");
        assert!(matches!(outcome.code, Some(0 | 3)), "{call}: {outcome}");
        // It says what it may say.
        outcome.says("not authorized").says("***");
        let outputs = [
            outcome,
            dfwfd(&platform, &home, &["status", "latest", "--format", "json"]),
            dfwfd(&platform, &home, &["cleanup", "--format", "json"]),
        ];
        nowhere(&home, &outputs, call);
    }
}

#[test]
fn a_service_that_repeats_the_key_of_the_judge_puts_it_nowhere() {
    let judge = OpenAi::start(|_, _| says("RATING: 1"));
    let judged = Home::judged(1, "8", &format!("deployment_type: remote, url: '{}', model_name: j", judge.url()));
    let home = home_with_secrets(judged);
    let platform = failing(&["POST /nemo/v1/evaluation/jobs: echo"]);
    let outcome = dfwfd(&platform, &home, &["run", "--format", "json"]);
    assert!(struck(&platform)[0] > 0);
    outcome.says("api_key").says("***");
    nowhere(&home, &[outcome], "judge");
}

#[test]
fn the_reason_of_a_job_holds_no_secret_and_drives_no_terminal() {
    let home = home_with_secrets(Home::new(1, "8"));
    let why = "refused with nvapi-0123-the-key-of-the-platform \u{1b}[2J\u{7}and more";
    let platform = failing(&[&format!("POST /nemo/v1/customization/jobs: fail-job='{why}'")]);
    let outcome = dfwfd(&platform, &home, &["run", "--format", "json"]);
    outcome.says("refused with ***").says("and more");
    let report = outcome.json().to_string();
    assert!(!report.contains("u001b") && !report.contains("u0007"), "{report}");
    let (raw, found) = ("\u{1b}[2J".as_bytes(), files_below(&home.state));
    assert!(found.iter().all(|(_, bytes)| !bytes.windows(raw.len()).any(|window| window == raw)));
    nowhere(&home, &[outcome], "reason");
}
