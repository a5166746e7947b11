//! No secret comes back: a service repeats what it was sent, and nothing that a run leaves behind has a secret in it.

use serde_json::json;

use super::control::{Home, Platform};
use super::faults::{failing, struck};
use super::openai::{OpenAi, says};
use crate::harness::{Output, files_below};

/// The secrets, as they stand in the environment.
const SECRETS: [(&str, &str); 6] = [
    ("NEMO_KEY", "Bearer nvapi-0123-the-key-of-the-platform"),
    ("HF_TOKEN", "'hf_0123-the-token-of-the-store'"),
    ("TENANT", "tenant-0123-in-a-header"),
    ("LLM_JUDGE_API_KEY", "judge-0123-the-key-of-the-judge"),
    ("EMB_API_KEY", "embed-0123-the-key-of-the-embedding-model"),
    ("ELASTICSEARCH_API_KEY", "search-0123-the-key-of-the-log-store"),
];

/// The texts that must show nowhere: the secrets without what surrounds them.
const HIDDEN: [&str; 6] = ["nvapi-0123-", "hf_0123-", "tenant-0123-", "judge-0123-", "embed-0123-", "search-0123-"];

/// The secrets as a service would say them in a reason.
const ALL: &str = "nvapi-0123-the-key-of-the-platform hf_0123-the-token-of-the-store tenant-0123-in-a-header \
    judge-0123-the-key-of-the-judge embed-0123-the-key-of-the-embedding-model search-0123-the-key-of-the-log-store";

fn home_with_secrets(home: Home) -> Home {
    let text = std::fs::read_to_string(&home.config).unwrap();
    let keys = "platform: nemo\n  api_key_env: NEMO_KEY\n  headers:\n    x-tenant-key: ${TENANT}";
    std::fs::write(&home.config, text.replace("platform: nemo", keys)).unwrap();
    home
}

fn dfwfd(platform: &Platform, home: &Home, arguments: &[&str]) -> Output {
    let [events, metrics] = ["events.jsonl", "metrics.prom"].map(|name| home.folder().join(name));
    let written = ["--events", events.to_str().unwrap(), "--metrics", metrics.to_str().unwrap()];
    let arguments = [arguments, if arguments[0] == "run" { &written[..] } else { &[] }, &["-vv"]].concat();
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

/// Every form in which a run is shown, and the commands that look at its platform.
fn shown(platform: &Platform, home: &Home) -> Vec<Output> {
    let show = |arguments: &[&str]| dfwfd(platform, home, arguments);
    // What ends before anything is made leaves no run to show.
    let runs = show(&["status", "--format", "json"]).expect(0);
    let code = if runs.json()["runs"] == json!([]) { 2 } else { 0 };
    let mut outputs: Vec<Output> = ["human", "json", "markdown", "html", "junit"]
        .iter()
        .map(|format| show(&["report", "latest", "--format", format]).expect(code))
        .collect();
    outputs.push(runs);
    outputs.push(show(&["status", "latest"]).expect(code));
    outputs.push(show(&["status", "latest", "--format", "json"]).expect(code));
    outputs.push(show(&["doctor", "--format", "json"]));
    outputs.push(show(&["doctor"]));
    outputs.push(show(&["cleanup", "--format", "json"]));
    outputs
}

/// Settings of a run whose examples are chosen by an embedding model at this address.
fn similar(url: &str) -> [String; 3] {
    let nim = "icl_config.similarity_config.embedding_nim_config";
    [
        "icl_config.example_selection=semantic_similarity".to_owned(),
        format!("{nim}.url={}", url.replace("/chat/completions", "/embeddings")),
        format!("{nim}.model_name=e"),
    ]
}

#[test]
fn what_a_faulty_run_leaves_behind_holds_none_of_its_secrets() {
    // The judge answers, and says what it was sent.
    let judge = OpenAi::start(|asked, _| says(&format!("RATING: 1 {}", asked.authorization)));
    let refuses = OpenAi::start(|asked, _| {
        let sent = format!("no access with {}", asked.authorization);
        // A log store knows only what it was sent.
        let (status, why) =
            if asked.line.starts_with("POST /v1/") { (401, format!("{sent} {ALL}")) } else { (400, sent) };
        (status, json!({"error": {"type": "security_exception", "message": why, "reason": why}}))
    });
    let home = || {
        let settings = format!("deployment_type: remote, url: '{}', model_name: j", judge.url());
        home_with_secrets(Home::judged(2, "8", &settings))
    };
    let fail = |call: &str| format!("{call}: fail-job='{ALL}' nth=1");
    let none: &[String] = &[];
    let embed = similar(&refuses.url());
    let index = [
        "logs.source=elasticsearch".to_owned(),
        format!("logs.elasticsearch.url={}", refuses.url().replace("/v1/chat/completions", "")),
    ];
    for (faults, settings, sent, codes) in [
        // One of two candidates fails, for a reason that holds everything.
        (fail("POST /nemo/v1/customization/jobs"), none, "", &[4][..]),
        (fail("POST /nemo/v1/evaluation/jobs"), none, "", &[4]),
        (fail("POST /nemo/v1/deployment/model-deployments"), none, "", &[4]),
        ("POST /nemo/v1/evaluation/jobs: echo nth=2".to_owned(), none, "", &[3, 4]),
        ("POST /datastore/v1/hf/api/repos/create: echo".to_owned(), none, "", &[3]),
        ("DELETE /nemo/v1/deployment/**: echo".to_owned(), none, "", &[0]),
        ("GET /nemo/v1/deployment/**: expire-auth after=1".to_owned(), none, "", &[3]),
        ("POST /nim/nowhere: refuse".to_owned(), &embed, "embed-0123-", &[1, 3]),
        ("POST /nim/nowhere: refuse".to_owned(), &index, "search-0123-", &[3]),
    ] {
        let home = home();
        let platform = failing(&[&faults]);
        let mut arguments = vec!["run"];
        arguments.extend(settings.iter().flat_map(|set| ["--set", set]));
        let before = refuses.asked().len();
        let outcome = dfwfd(&platform, &home, &arguments);
        let why = format!("{faults} {settings:?}");
        assert!(codes.contains(&outcome.code.unwrap()), "{why}: {outcome}");
        match sent {
            "" => assert!(struck(&platform)[0] > 0, "{why}"),
            key => assert!(refuses.asked()[before..].iter().all(|asked| asked.authorization.contains(key)), "{why}"),
        }
        if !faults.contains("expire-auth") {
            outcome.says("***");
        }
        let outputs: Vec<Output> = std::iter::once(outcome).chain(shown(&platform, &home)).collect();
        nowhere(&home, &outputs, &why);
    }
    assert!(judge.asked().iter().all(|asked| asked.authorization.contains("judge-0123-")) && !judge.asked().is_empty());
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
