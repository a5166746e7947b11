//! Tool calls that a judge is asked about: a NIM of the run, an endpoint that is there already, one that refuses or talks
//! nonsense; and that its key shows nowhere.

use serde_json::{Value, json};

use super::control::{Home, Platform, until};
use super::openai::{Answer, Asked, OpenAi, says};
use crate::harness::{Output, files_below};

const KEY: &str = "k3y-of-the-judge";

/// Rows of the eval set of these tests.
const ROWS: usize = 20;

fn scores(report: &Value, which: &str) -> Value {
    report["candidates"][0]["evaluations"][which]["scores"].clone()
}

fn remote(url: &str) -> Home {
    Home::judged(1, "8", &format!("deployment_type: remote, url: '{url}', model_name: j"))
}

/// A run against a platform in another process, with the judge's key in the environment.
fn run(platform: &Platform, home: &Home, arguments: &[&str]) -> Output {
    let events = home.folder().join("events.jsonl");
    let arguments = [&["run", "--format", "json", "-vv", "--events", events.to_str().unwrap()], arguments].concat();
    platform.command(home, &arguments).env("LLM_JUDGE_API_KEY", KEY).run()
}

fn key_is_nowhere(home: &Home, output: &Output) {
    assert!(!output.to_string().contains(KEY), "the key was shown: {output}");
    let mut seen = 0;
    for (path, bytes) in files_below(home.folder()) {
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "the key is in {}", path.display());
        seen += 1;
    }
    assert!(seen > 5, "only {seen} files were looked at");
}

fn says_right_to_every_second(asked: &Asked, before: usize) -> Answer {
    match asked.body["messages"].as_array().map(Vec::len) {
        Some(2) => says(&format!("Both call the same.\nRATING: {}", before % 2)),
        // The question whether it is there.
        _ => says("hello"),
    }
}

#[test]
fn a_judge_of_ones_own_is_deployed_for_the_run_and_given_back() {
    let home = Home::judged(2, "8", "model_name: acme/judge-70b, gpus: 3");
    let platform = Platform::start(&["--gpus", "8"]);
    platform.hold_first("POST /nemo/v1/evaluation/jobs");
    let started = platform.command(&home, &["run", "--format", "json"]).spawn();
    until("the first evaluation", || platform.calls().1.then_some(()));
    let held = platform.gpus_held().join("\n");
    assert!(held.contains("llm-judge") && held.contains("acme/judge-70b"), "{held}");
    platform.release();
    let output = started.wait().expect(0);
    let report = output.json();
    assert_eq!(report["judge"], json!({"model": "acme/judge-70b", "deployment": "local"}));
    assert_eq!(report["held"], json!([]));
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    for (which, least) in [("base", 0.0), ("customized", 0.3)] {
        let scores = scores(&report, which);
        assert_eq!(scores["judge_unrated"]["value"], 0.0, "{scores}");
        let (judge, strict) = (&scores["judge_correctness"], &scores["name_and_arguments_accuracy"]);
        assert!(judge["value"].as_f64() >= Some(least), "{scores}");
        assert!(judge["value"].as_f64() >= strict["value"].as_f64(), "the stand-in is no stricter: {scores}");
        assert!(judge["low"].as_f64() <= judge["value"].as_f64() && judge["value"].as_f64() <= judge["high"].as_f64());
    }
    assert!(report["warnings"].to_string().contains("stand-in"), "{report:#}");
    output.says("judge done");
    let run = report["run"].as_str().unwrap();
    let shown = platform.dfwfd(&home, &["status", run]).expect(0).stdout;
    assert!(shown.contains("Calls judged by acme/judge-70b (local)"), "{shown}");
    // The other way, from the same file.
    let plain = ["run", "--format", "json", "--set", "evaluation_config.tool_eval_type=tool-calling-metric"];
    let plain = platform.dfwfd(&home, &plain).expect(0).json();
    assert_eq!((&plain["judge"], scores(&plain, "base").get("judge_unrated")), (&Value::Null, None));
    assert_eq!(scores(&plain, "base")["function_name_accuracy"], scores(&report, "base")["function_name_accuracy"]);
}

#[test]
fn the_judge_takes_its_gpus_out_of_the_budget() {
    let home = Home::judged(1, "4", "model_name: acme/judge-70b, gpus: 3");
    let platform = Platform::start(&["--gpus", "4"]);
    let plan = platform.dfwfd(&home, &["run", "--plan", "--format", "json"]).expect(0).json();
    assert_eq!((&plan["candidates"][0]["mode"], &plan["judge"]["gpus"]), (&json!("in turn"), &json!(3)), "{plan:#}");
    let report = platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    assert_eq!((&report["state"], &report["candidates"][0]["gpus"]), (&json!("completed"), &json!(1)));
    platform.dfwfd(&home, &["run", "--set", "llm_judge_config.gpus=4"]).expect(2).says("llm_judge_config.gpus");
    // Under auto it is the records that decide: the datasets are made by then, and nothing that takes a GPU.
    let auto = ["--set", "evaluation_config.workload_type=auto", "--set", "llm_judge_config.gpus=4"];
    let refused = platform.dfwfd(&home, &[&["run", "--format", "json"], &auto[..]].concat()).expect(2);
    refused.says("beside the judge's 4").hints();
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
    platform.dfwfd(&home, &[&["run", "--plan"], &auto[..]].concat()).expect(2).says("beside the judge's 4");
}

#[test]
fn a_remote_judge_is_asked_with_its_key_which_shows_nowhere() {
    let judge = OpenAi::start(says_right_to_every_second);
    let home = remote(&judge.url());
    let platform = Platform::start(&[]);
    let output = run(&platform, &home, &[]);
    let report = output.code(0).json();
    assert_eq!(report["judge"], json!({"model": "j", "deployment": "remote"}));
    let asked = judge.asked();
    // One request checks that the judge is there. Then there is one for each row of both evaluations.
    assert_eq!(asked.len(), 1 + 2 * ROWS);
    for asked in &asked {
        assert_eq!((asked.line.as_str(), asked.body["model"].as_str()), ("POST /v1/chat/completions", Some("j")));
        assert_eq!(asked.authorization, format!("Bearer {KEY}"));
    }
    let shown = asked[1].body["messages"][1]["content"].as_str().unwrap();
    assert!(shown.contains("RIGHT CALLS\n[{'") && shown.contains("'role': 'user'"), "{shown}");
    for which in ["base", "customized"] {
        let scores = scores(&report, which);
        assert_eq!(
            (&scores["judge_correctness"]["value"], &scores["judge_unrated"]["value"]),
            (&json!(0.5), &json!(0.0))
        );
        assert!(scores["judge_correctness"]["low"].as_f64() < Some(0.5), "{scores}");
    }
    key_is_nowhere(&home, &output);
    // A rehearsal asks nobody outside.
    let rehearsal = home.command(&["run", "--rehearse", "--format", "json"]).run().expect(0).json();
    assert!(scores(&rehearsal, "base")["judge_correctness"]["value"].is_number());
    assert_eq!(judge.asked().len(), asked.len());
}

#[test]
fn a_judge_that_refuses_the_key_ends_the_run_before_it_begins() {
    let body = json!({"error": {"message": format!("no such key: {KEY}")}});
    let judge = OpenAi::start(move |_, _| (401, body.clone()));
    let home = remote(&judge.url());
    let platform = Platform::start(&[]);
    let output = run(&platform, &home, &[]);
    output.code(3).says("the judge j at http").says("401").says("LLM_JUDGE_API_KEY").hints();
    assert_eq!(judge.asked().len(), 1);
    assert_eq!(platform.purgeable(), Vec::<String>::new(), "nothing was made");
    assert!(!output.to_string().contains(KEY), "{output}");
    // Under auto, records decide; a judge that is not needed is not asked.
    let news = home.folder().join("news.jsonl");
    super::control::write_logs(&news);
    let auto = ["--set", "evaluation_config.workload_type=auto"];
    run(&platform, &home, &[&auto[..], &["--logs", news.to_str().unwrap()]].concat()).expect(0);
    assert_eq!(judge.asked().len(), 1);
    run(&platform, &home, &auto).expect(3).says("cannot ask the judge");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn a_judge_that_fails_later_gives_no_number() {
    let only_at_first = |then: fn(usize) -> Answer| {
        OpenAi::start(move |_, before| if before == 0 { says("hello") } else { then(before) })
    };
    let refuses = only_at_first(|_| (401, json!({"detail": format!("not any more, {KEY}")})));
    let breaks = only_at_first(|_| (500, json!({"detail": "out of memory"})));
    let rambles = only_at_first(|_| says("I would say RATING: 0.7 or so."));
    let platform = Platform::start(&[]);
    for (judge, why) in [(&refuses, "401"), (&breaks, "out of memory"), (&rambles, "I would say")] {
        let home = remote(&judge.url());
        let output = run(&platform, &home, &[]);
        let report = output.code(0).json();
        for which in ["base", "customized"] {
            let scores = scores(&report, which);
            assert_eq!(
                (scores.get("judge_correctness"), &scores["judge_unrated"]["value"]),
                (None, &json!(1.0)),
                "{why}"
            );
            assert!(scores["name_and_arguments_accuracy"]["value"].is_number(), "what is compared is not lost");
        }
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("gave no rating for 20 of 20 rows") && warnings.contains(why), "{why}: {warnings}");
        key_is_nowhere(&home, &output);
    }
}

#[test]
fn rows_without_a_rating_are_counted_and_left_out() {
    // Asked in no order in particular, so it goes by what it is shown: a symbol that begins with a letter to its taste.
    let judge = OpenAi::start(|asked, _| {
        let shown = asked.body["messages"].to_string();
        match () {
            () if !shown.contains("RIGHT CALLS") => says("hello"),
            () if shown.contains("get_quote") => says("no idea"),
            () => says("RATING: 1"),
        }
    });
    let home = remote(&judge.url());
    let report = run(&Platform::start(&[]), &home, &[]).expect(0).json();
    let scores = scores(&report, "customized");
    let unrated = scores["judge_unrated"]["value"].as_f64().unwrap();
    assert!(unrated > 0.0 && unrated < 1.0, "{scores}");
    assert_eq!(scores["judge_correctness"]["value"], 1.0);
    assert!(report["warnings"].to_string().contains("judge_unrated"), "{report:#}");
}

#[test]
fn a_resumed_run_finds_the_judge_and_its_key_again() {
    let judge = OpenAi::start(says_right_to_every_second);
    let home = remote(&judge.url());
    let platform = Platform::start(&[]);
    platform.hold_first("POST /nemo/v1/evaluation/jobs");
    let killed = platform.command(&home, &["run"]).env("LLM_JUDGE_API_KEY", KEY).spawn();
    until("the first evaluation", || platform.calls().1.then_some(()));
    killed.kill();
    platform.release();
    let report = run(&platform, &home, &["--resume"]).expect(0).json();
    assert_eq!(scores(&report, "customized")["judge_unrated"]["value"], 0.0);
    assert!(judge.asked().iter().all(|asked| asked.authorization == format!("Bearer {KEY}")));
}

#[test]
fn a_run_killed_while_its_judge_is_deployed_leaves_nothing() {
    for when in ["before", "after"] {
        let home = Home::judged(1, "8", "model_name: acme/judge-70b");
        let platform = Platform::start(&[]);
        platform.hold_matching("POST /nemo/v1/deployment/model-deployments", when);
        let process = platform.command(&home, &["run"]).spawn();
        until("the deployment of the judge", || platform.calls().1.then_some(()));
        process.kill();
        platform.release();
        let held = || platform.gpus_held().join("\n");
        until("the deployment", || held().contains("llm-judge").then_some(()));
        let status = platform.dfwfd(&home, &["status", "latest", "--format", "json"]).expect(0).json();
        assert!(status["held"].to_string().contains("llm-judge"), "{when}: {status:#}");
        let cleaned = platform.dfwfd(&home, &["cleanup", "--format", "json"]).expect(0).json();
        assert!(cleaned["released"].to_string().contains("llm-judge"), "{when}: {cleaned:#}");
        assert_eq!(held(), "", "{when}");
    }
}
