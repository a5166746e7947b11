//! Nothing wrong is believed in silence: what a plan finds before anything is spent, and what a report warns of.

use serde_json::Value;

use super::control::{Home, Platform, scores};
use super::faults::{count, failing, struck};
use crate::harness::parse_lines;

const CHAT: &str = "POST /nim/v1/chat/completions";

/// The calls by which a plan looks at each service.
pub(super) const PROBES: [&str; 6] = [
    "GET /nemo/v1/namespaces",
    "GET /nim/v1/models",
    "GET /nemo/v1/evaluation/jobs",
    "GET /nemo/v1/customization/targets",
    "GET /nemo/v1/deployment/model-deployments",
    "GET /datastore/v1/datastore/namespaces",
];

/// What answers where a service never does.
pub(super) const NEVER_THERE: [&str; 5] =
    ["status=404", "foreign=no-route", "foreign=login", "foreign=error-json", "status=403 page"];

/// What a gateway answers for a moment.
pub(super) const PASSING: [&str; 5] =
    ["foreign=no-route", "foreign=empty", "foreign=not-found", "foreign=error-json", "status=403 page"];

#[test]
fn a_target_that_trains_another_model_is_an_error_of_the_plan() {
    let home = Home::new(1, "8");
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, text.replace("target: dfwfd/ngram-small@1.0", "target: dfwfd/ngram-large@1.0"))
        .unwrap();
    let platform = Platform::start(&[]);
    for arguments in [&["run", "--plan"][..], &["run"]] {
        let refused = platform.dfwfd(&home, arguments).expect(2);
        refused.says("the target dfwfd/ngram-large@1.0 trains dfwfd/ngram-large");
        refused.says("set customizer_configs.target to dfwfd/ngram-small@1.0");
    }
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn a_base_url_with_a_path_of_the_api_is_an_error_of_the_configuration() {
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    for (key, path) in [
        ("nemo_base_url", "/nemo/v1"),
        ("nim_base_url", "/nim/v1/"),
        ("nim_base_url", "/nim/v1/chat/completions"),
        ("datastore_base_url", "/datastore/v1/hf"),
        ("datastore_base_url", "/datastore/v1"),
    ] {
        let base = format!("http://127.0.0.1:{}", platform.port());
        let set = format!("nmp_config.{key}={base}{path}");
        let refused = platform.dfwfd(&home, &["run", "--plan", "--set", &set]).expect(2);
        let right = path.split("/v1").next().unwrap();
        refused.says(&format!("nmp_config.{key}")).says(&format!("write {base}{right}"));
    }
    assert_eq!(platform.purgeable(), Vec::<String>::new());
}

#[test]
fn a_404_where_a_service_should_answer_is_an_error_of_the_plan() {
    let keys = ["nemo_base_url", "nim_base_url", "Evaluator", "Customizer", "cannot list deployments", "Data Store"];
    for (call, key) in PROBES.into_iter().zip(keys) {
        for fault in NEVER_THERE {
            let home = Home::new(1, "8");
            let platform = failing(&[&format!("{call}: {fault}")]);
            let refused = platform.dfwfd(&home, &["run", "--plan"]);
            assert!(struck(&platform)[0] > 0, "{call} {fault}");
            assert_eq!(refused.code, Some(3), "{call} {fault}: {refused}");
            refused.says(key).hints();
        }
    }
}

#[test]
fn a_404_of_a_gateway_that_passes_ends_no_plan() {
    for fault in PASSING {
        let script: Vec<String> = PROBES.iter().map(|call| format!("{call}: {fault} times=1")).collect();
        let platform = failing(&script.iter().map(String::as_str).collect::<Vec<_>>());
        platform.dfwfd(&Home::new(1, "8"), &["run", "--plan"]).expect(0);
        assert_eq!(struck(&platform), [1; PROBES.len()], "{fault}");
    }
}

#[test]
fn replies_that_cannot_be_read_are_shown_by_an_example() {
    let home = Home::new(1, "8");
    let text = std::fs::read_to_string(&home.config).unwrap();
    let text = text.replace("customization_enabled: true", "customization_enabled: false");
    std::fs::write(&home.config, text.split("    customizer_configs").next().unwrap()).unwrap();
    let logs = home.folder().join("logs.jsonl");
    let text = std::fs::read_to_string(&logs).unwrap();
    std::fs::write(&logs, text.replace("- Earnings: profit\\n- Dividends: payout\\n- Lawsuits: court", "as usual"))
        .unwrap();
    let platform = Platform::start(&[]);
    let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("hold no label of the list"), "{report:#}");
    assert!(warnings.contains("set label_pattern"), "{report:#}");
    let one = &report["unreadable"][0];
    assert_eq!(one["model"], "dfwfd/ngram-small:base", "{report:#}");
    // The reply is a text of its own, which no form shows where texts are left out.
    let words: Vec<&str> = one["reply"].as_str().unwrap().split(|letter: char| !letter.is_alphabetic()).collect();
    let word = words.into_iter().max_by_key(|word| word.len()).unwrap();
    assert!(word.len() > 4, "{one}");
    for form in ["table", "json", "html", "markdown"] {
        let with = platform.dfwfd(&home, &["report", "--format", form]).expect(0).stdout;
        assert!(with.contains(word), "{form}: {word} in {with}");
        let without = platform.dfwfd(&home, &["report", "--format", form, "--no-texts"]).expect(0).stdout;
        assert!(
            without.contains("hold no label of the list") && !without.contains(word),
            "{form}: {word} in {without}"
        );
    }
}

/// Returns the warnings of a run about its adapter.
fn of_adapter(report: &Value) -> Vec<String> {
    let warnings = report["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap().to_owned());
    warnings.filter(|warning| warning.contains("the adapter may not have been used")).collect()
}

#[test]
fn an_adapter_that_answers_as_its_base_is_asked_again_before_its_evaluation() {
    let run = |faults: &[&str]| {
        let (home, platform) = (Home::new(1, "8"), failing(faults));
        let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
        (scores(&report), of_adapter(&report), count(&platform, CHAT))
    };
    let (wanted, none, asked) = run(&[]);
    // Some rows, of both models, until an answer differs.
    assert!(none.is_empty() && (2..=16).contains(&asked), "{none:?} {asked}");
    // More replies than there are rows in one look.
    let (found, none, asked) = run(&["base-adapter=10replies"]);
    assert_eq!((found, none), (wanted, Vec::new()), "it is evaluated once it is loaded");
    assert!(asked >= 20, "{asked}");
}

#[test]
fn an_adapter_beside_a_base_that_errs_on_nothing_is_not_waited_for() {
    let home = Home::new(1, "8");
    let logs = home.folder().join("logs.jsonl");
    let named = |line: Value| {
        let mut line = line;
        let reply = line["response"]["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        let messages = line["request"]["messages"].as_array_mut().unwrap();
        let asked = messages.iter_mut().find(|message| message["role"] == "user").unwrap();
        // The base finds the name of the class in the text.
        let text = format!("{reply} {}", asked["content"].as_str().unwrap());
        asked["content"] = Value::from(text.replace(['[', ']'], ""));
        line
    };
    let lines: Vec<Value> = parse_lines(&std::fs::read_to_string(&logs).unwrap()).into_iter().map(named).collect();
    std::fs::write(&logs, crate::harness::lines(&lines)).unwrap();
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, text.replace("settle: 0s", "settle: 0s\n  adapter: 1s")).unwrap();
    let platform = failing(&["base-adapter=release"]);
    let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    assert_eq!(scores(&report)[0]["base"]["accuracy"]["value"], 1.0);
    assert_eq!(of_adapter(&report), Vec::<String>::new());
}

#[test]
fn an_adapter_that_is_never_loaded_is_told_once() {
    let home = Home::new(1, "8");
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, text.replace("settle: 0s", "settle: 0s\n  adapter: 1s")).unwrap();
    let platform = failing(&["base-adapter=release"]);
    let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    let all = scores(&report);
    assert_eq!(all[0]["customized"]["macro_f1"], all[0]["base"]["macro_f1"]);
    let told = of_adapter(&report);
    assert!(told.len() == 1 && told[0].contains("all 20 replies equal its base's"), "{told:?}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}
