//! Runs on free text: by the overlap of words alone, with a judge of ones own, and with a remote one.

use serde_json::{Value, json};

use super::control::{Home, Platform};
use super::openai::{Answer, Asked, OpenAi, says};
use crate::harness::testdata;

/// A home with the shipped notes, which `auto` takes for free text.
fn home() -> Home {
    let home = Home::new(1, "8");
    std::fs::copy(testdata("notes_logs.jsonl"), home.folder().join("logs.jsonl")).unwrap();
    let text = std::fs::read_to_string(&home.config).unwrap();
    std::fs::write(&home.config, format!("{text}evaluation_config: {{workload_type: auto}}\n")).unwrap();
    home
}

fn run(platform: &Platform, home: &Home, settings: &[&str]) -> Value {
    let settings = settings.iter().flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> = ["run", "--format", "json"].into_iter().chain(settings).collect();
    platform.dfwfd(home, &arguments).expect(0).json()
}

fn score(report: &Value, which: &str, name: &str) -> f64 {
    let scores = &report["candidates"][0]["evaluations"][which]["scores"];
    scores[name]["value"].as_f64().unwrap_or_else(|| panic!("{name} of {which}: {scores}"))
}

#[test]
fn texts_are_compared_by_their_words_and_that_is_said_to_be_weak() {
    let (home, platform) = (home(), Platform::start(&[]));
    let report = run(&platform, &home, &["icl_config.max_examples=2"]);
    assert_eq!((&report["data"]["workload_type"], &report["data"]["classes"]), (&json!("text"), &json!({})));
    assert_eq!((&report["floor"], &report["judge"]), (&Value::Null, &Value::Null));
    // The base model refuses in prose, and the adapter has learnt the sentences of the desk.
    for name in ["rouge_l", "token_f1"] {
        assert!(score(&report, "base", name) + 0.2 < score(&report, "customized", name), "{report:#}");
    }
    // Answers to the nearest examples are closer than a refusal.
    assert!(score(&report, "base", "rouge_l") < score(&report, "icl", "rouge_l"), "{report:#}");
    let scores = &report["candidates"][0]["evaluations"]["customized"]["scores"]["rouge_l"];
    assert!(scores["low"].as_f64() < scores["value"].as_f64() && scores["value"].as_f64() < scores["high"].as_f64());
    let comparison = &report["comparisons"][1];
    assert_eq!((&comparison["metric"], &comparison["verdict"]), (&json!("rouge_l"), &json!("better")), "{report:#}");
    assert!(report["verdict"]["sentence"].as_str().unwrap().contains("ROUGE-L 0."), "{report:#}");
    let run = report["run"].as_str().unwrap();
    let shown = platform.dfwfd(&home, &["status", run]).expect(0).stdout;
    for told in ["Likeness to the logged replies", "ROUGE-L on 20 eval rows", "no judge rated these replies"] {
        assert_eq!(shown.matches(told).count(), 1, "{told}: {shown}");
    }
    assert!(report["warnings"].to_string().contains("do not promote a model on these scores alone"), "{report:#}");
    // Each row has the logged text and that of the model.
    let rows =
        std::fs::read_to_string(home.state.join("runs").join(run).join("rows/ngram-small-customized.jsonl")).unwrap();
    let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    assert!(
        row["gold"].as_str().unwrap().ends_with('.') && row["reply"].is_string() && row["predicted"].is_null(),
        "{row}"
    );
    for form in ["html", "markdown"] {
        let page = platform.dfwfd(&home, &["report", run, "--format", form]).expect(0).stdout;
        assert!(page.contains("do not promote a model on these scores alone"), "{page}");
    }
}

#[test]
fn a_judge_of_ones_own_rates_how_alike_texts_are() {
    let (home, platform) = (home(), Platform::start(&[]));
    let report = run(&platform, &home, &["llm_judge_config.model_name=acme/judge-70b"]);
    assert_eq!(report["judge"], json!({"model": "acme/judge-70b", "deployment": "local"}));
    assert!(
        score(&report, "base", "judge_similarity") < score(&report, "customized", "judge_similarity"),
        "{report:#}"
    );
    assert_eq!(score(&report, "customized", "judge_unrated"), 0.0);
    assert_eq!(report["comparisons"][0]["metric"], "judge_similarity");
    assert!(report["warnings"].to_string().contains("stand-in"), "{report:#}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    let shown = platform.dfwfd(&home, &["status", report["run"].as_str().unwrap()]).expect(0).stdout;
    assert!(shown.contains("Similarity by the judge on 20 eval rows") && !shown.contains("no judge rated"), "{shown}");
    // A run without the judge is decided by other scores, which the judged run has too. Only the records tell that
    // before the run.
    let run = report["run"].as_str().unwrap();
    let words = ["run", "--workload", "desk_notes", "--format", "json"];
    let words = |extra: &[&str], code| {
        let output = platform.dfwfd(&home, &[&words[..], extra].concat());
        output.expect(code).json()
    };
    let other = words(&["--baseline", run], 5);
    let why = other["gates"][0]["explanation"].as_str().unwrap();
    assert!(why.contains("was decided by judge_similarity, and this run is by rouge_l"), "{why}");
    let (judged, unjudged) = (run, other["run"].as_str().unwrap());
    for pair in [[judged, unjudged], [unjudged, judged]] {
        let compared = platform.dfwfd(&home, &["compare", pair[0], pair[1], "--format", "json"]).expect(0).json();
        assert_eq!(compared["comparisons"], json!([]), "{pair:?}");
    }
    let judge = ["--set", "llm_judge_config.model_name=acme/judge-70b", "--baseline", "latest"];
    let latest = words(&judge, 0);
    assert_eq!(latest["gates"][0]["gate"], format!("baseline {judged}"), "the newest is of another score");
}

/// Rates every row with 8 but the first one of each evaluation, which it does not rate.
fn eight(asked: &Asked, _: usize) -> Answer {
    match asked.body["messages"].as_array().map(Vec::len) {
        Some(2) if asked.body.to_string().contains("I cannot tell") => says("I would rather not."),
        Some(2) => says("Much of it.\nRATING: 8"),
        _ => says("hello"),
    }
}

#[test]
fn a_remote_judge_sees_both_texts_and_what_it_does_not_rate_counts_neither_way() {
    let judge = OpenAi::start(eight);
    let (home, platform) = (home(), Platform::start(&[]));
    let url = format!("llm_judge_config.url={}", judge.url());
    let report = run(&platform, &home, &[&url, "llm_judge_config.model_name=j"]);
    assert!((score(&report, "customized", "judge_similarity") - 0.8).abs() < 1e-9);
    let base = &report["candidates"][0]["evaluations"]["base"]["scores"];
    assert_eq!((&base["judge_similarity"], &base["judge_unrated"]["value"]), (&Value::Null, &json!(1.0)), "{base}");
    assert!(report["warnings"].to_string().contains("so there is no score of the judge"), "{report:#}");
    let asked = judge.asked();
    let shown = asked.last().unwrap().body["messages"][1]["content"].as_str().unwrap().to_owned();
    let parts = ["CONVERSATION\n", "\n\nGOOD REPLY\n", "\n\nOTHER REPLY\n"].map(|part| shown.find(part).unwrap());
    assert!(parts.is_sorted() && shown.contains("Note on "), "{shown}");
    // The file that judges texts does not judge labels.
    let plain = run(&platform, &home, &["evaluation_config.workload_type=text", "llm_judge_config=null"]);
    assert_eq!(plain["judge"], Value::Null);
}
