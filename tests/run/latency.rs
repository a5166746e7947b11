//! Latency under load: what a NIM serves, the production model behind its endpoint, and what goes wrong.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::control::{Home, Platform, until};
use super::faults::{count, failing, nothing_held};
use super::openai::{Asked, OpenAi, says};
use crate::harness::{files_below, testdata};

const CHAT: &str = "POST /nim/v1/chat/completions";
const KEY: &str = "k3y-of-the-teacher";
const MEASURED: [&str; 4] = ["run", "--format", "json", "--measure-latency"];

/// Checks the steps of a load as far as they hold at any speed, and returns the replies.
fn replies(latency: &Value) -> u64 {
    let steps = latency.as_array().unwrap();
    let at_once: Vec<u64> = steps.iter().map(|step| step["at_once"].as_u64().unwrap()).collect();
    assert!(!at_once.is_empty() && [1, 2, 4, 8].starts_with(&at_once), "{latency}");
    let mut all = 0;
    for (step, most) in steps.iter().zip([20, 20, 32, 64]) {
        let number = |key: &str| step[key].as_f64().unwrap();
        let replies = step["replies"].as_u64().unwrap();
        assert!(0 < replies && replies + step["failed"].as_u64().unwrap() <= most, "{step}");
        assert!(0.0 < number("p50_ms") && number("p50_ms") <= number("p95_ms"), "{step}");
        assert!(number("per_second") > 0.0 && number("p95_ms") <= 1000.0 * number("seconds"), "{step}");
        if !step["first_token_p50_ms"].is_null() {
            assert!(number("first_token_p50_ms") <= number("p50_ms"), "{step}");
            assert!(number("first_token_p95_ms") <= number("p95_ms"), "{step}");
        }
        all += replies;
    }
    all
}

fn evaluation<'r>(report: &'r Value, which: &str) -> &'r Value {
    &report["candidates"][0]["evaluations"][which]
}

#[test]
fn base_and_customized_models_are_measured_on_a_nim_that_nobody_else_asks() {
    let home = Home::new(1, "8");
    let platform = failing(&[]);
    let metrics = home.folder().join("run.prom");
    let more = ["--metrics", metrics.to_str().unwrap(), "--set", "cost.gpu_hour=2"];
    let output = platform.dfwfd(&home, &[&MEASURED[..], &more].concat()).expect(0);
    output.says("measure latency done");
    let report = output.json();
    let mut all = 0;
    for which in ["base", "customized"] {
        let one = evaluation(&report, which);
        let steps = one["latency"].as_array().unwrap();
        all += replies(&one["latency"]);
        assert!(steps.iter().all(|step| step["first_token_p50_ms"].is_number()), "the platform streams: {one:#}");
        assert_eq!((&one["usage"]["p50_ms"], &one["usage"]["p95_ms"]), (&steps[0]["p50_ms"], &steps[0]["p95_ms"]));
        // A busy GPU at the best pace costs so much for 1,000 requests.
        let best = steps.iter().map(|step| step["per_second"].as_f64().unwrap()).fold(0.0, f64::max);
        let cost = one["usage"]["cost_per_1000"].as_f64().unwrap();
        assert!((cost - 2.0 / 3600.0 * 1000.0 / best).abs() < 1e-9, "{cost} {best}");
    }
    // Before its evaluation, the adapter and its base are asked up to eight rows. The evaluator asks its rows elsewhere.
    let asked = count(&platform, CHAT) as u64;
    assert!((all + 2..=all + 16).contains(&asked), "{asked} {all}");
    assert_eq!(report["teacher"], Value::Null);
    assert!(!report["warnings"].to_string().contains("latency"), "{}", report["warnings"]);
    nothing_held(&platform, &report);
    for form in ["human", "markdown", "html"] {
        let page = platform.dfwfd(&home, &["report", "--format", form]).expect(0).stdout;
        let page = page.replace("&#x2f;", "/");
        assert!(page.contains("Latency under load") && page.contains("dfwfd/ngram-small, customized"), "{page}");
        assert!(form != "human" || page.lines().all(|line| line.chars().count() <= 100), "{page}");
    }
    let metrics = std::fs::read_to_string(metrics).unwrap();
    for name in ["dfwfd_replies_per_second{", "dfwfd_first_token_seconds{", "dfwfd_latency_seconds{"] {
        assert!(metrics.contains(name), "{metrics}");
    }
    for which in ["base", "customized"] {
        for step in evaluation(&report, which)["latency"].as_array().unwrap() {
            let labels =
                format!("model=\"dfwfd/ngram-small\",evaluation=\"{which}\",concurrency=\"{}\"", step["at_once"]);
            let value = |name: &str, more: &str| -> f64 {
                let line = |line: &&str| line.starts_with(name) && line.contains(&format!("{labels}{more}}}"));
                let line = metrics.lines().find(line).unwrap_or_else(|| panic!("{name} {labels}{more}: {metrics}"));
                line.rsplit_once(' ').unwrap().1.parse().unwrap()
            };
            assert_eq!(Some(value("dfwfd_load_replies_per_second{", "")), step["per_second"].as_f64());
            assert_eq!(Some(value("dfwfd_load_failed_requests{", "")), step["failed"].as_f64());
            for (name, of) in
                [("dfwfd_load_latency_seconds{", "p"), ("dfwfd_load_first_token_seconds{", "first_token_p")]
            {
                for percentile in ["50", "95"] {
                    let ms = step[format!("{of}{percentile}_ms")].as_f64().unwrap();
                    let found = value(name, &format!(",percentile=\"{percentile}\""));
                    assert!((found - ms / 1000.0).abs() < 1e-9, "{name} {percentile}: {found} {ms}");
                }
            }
        }
    }
}

#[test]
fn tool_calls_are_measured_too_and_nothing_is_without_the_flag() {
    let home = Home::new(1, "1");
    std::fs::copy(testdata("tools_logs.jsonl"), home.folder().join("logs.jsonl")).unwrap();
    let platform = failing(&[]);
    let tools = ["--set", "evaluation_config.workload_type=tool_calling"];
    let report = platform.dfwfd(&home, &[&MEASURED[..], &tools].concat()).expect(0).json();
    assert!(replies(&evaluation(&report, "base")["latency"]) > 0);
    assert!(replies(&evaluation(&report, "customized")["latency"]) > 0);
    let asked = count(&platform, CHAT);
    let report = platform.dfwfd(&home, &[&MEASURED[..3], &tools].concat()).expect(0).json();
    assert_eq!(evaluation(&report, "base")["latency"], json!([]));
    // Only the adapter and its base, before its evaluation.
    assert!(count(&platform, CHAT) <= asked + 16);
}

#[test]
fn a_nim_that_fails_costs_a_warning_and_no_run() {
    for (fault, steps, told) in [
        // The evaluator asks for its 20 rows first.
        ("status=500 after=20", 0, "cannot measure the latency"),
        ("drop-before after=20", 0, "cannot measure the latency"),
        ("status=503 after=40", 3, "the load ended early"),
    ] {
        let home = Home::new(1, "8");
        let platform = failing(&[&format!("{CHAT}: {fault}")]);
        let set = ["--set", "nims.0.customization_enabled=false"];
        let report = platform.dfwfd(&home, &[&MEASURED[..], &set].concat()).expect(0).json();
        assert_eq!(report["state"], "completed");
        let latency = evaluation(&report, "base")["latency"].as_array().unwrap();
        assert!(latency.len() <= steps, "{fault}: {latency:?}");
        assert!(report["warnings"].to_string().contains(told), "{fault}: {}", report["warnings"]);
        nothing_held(&platform, &report);
    }
}

#[test]
fn a_killed_measurement_is_resumed_and_a_stopped_one_leaves_nothing() {
    // Without an adapter, which is compared with its base first, the load asks the first question.
    let base_only = [&MEASURED[..], &["--set", "nims.0.customization_enabled=false"]].concat();
    let home = Home::new(1, "8");
    let platform = Platform::start(&[]);
    platform.hold_first(CHAT);
    let running = platform.command(&home, &base_only).spawn();
    until("the load", || platform.calls().1.then_some(()));
    running.kill();
    platform.release();
    let report = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    assert!(replies(&evaluation(&report, "base")["latency"]) > 0);
    assert_eq!(platform.gpus_held(), Vec::<String>::new());

    platform.hold_first(CHAT);
    let running = platform.command(&home, &base_only).spawn();
    until("the load", || platform.calls().1.then_some(()));
    running.signal(Signal::INT);
    let stopped = running.wait();
    platform.release();
    let report = stopped.expect(130).json();
    assert_eq!(evaluation(&report, "base")["latency"], json!([]));
    assert!(evaluation(&report, "base")["scores"].is_object(), "{report:#}");
    assert_eq!(platform.gpus_held(), Vec::<String>::new());
}

#[test]
fn the_production_model_is_measured_where_it_answers_with_its_key_and_costs_by_its_tokens() {
    let answer = |_: &Asked, _: usize| {
        let (status, mut answer) = says("[[[Earnings]]]");
        answer["usage"] = json!({"prompt_tokens": 100, "completion_tokens": 10});
        (status, answer)
    };
    let teacher = OpenAi::start(answer);
    let home = Home::new(1, "8");
    let mut text = std::fs::read_to_string(&home.config).unwrap();
    let url = teacher.url().replace("/chat/completions", "");
    text.push_str(&format!("teacher: {{url: '{url}', model_name: big, api_key_env: TEACHER_KEY}}\n"));
    text.push_str("cost: {teacher: {input_per_million: 5, output_per_million: 15}}\n");
    std::fs::write(&home.config, text).unwrap();
    let platform = failing(&[]);
    platform.dfwfd(&home, &MEASURED).expect(2).says("TEACHER_KEY");
    let run = |arguments: &[&str]| platform.command(&home, arguments).env("TEACHER_KEY", KEY).run();
    let plan = run(&["run", "--plan", "--measure-latency"]).expect(0).stdout;
    assert!(plan.contains("latency: up to 136 requests to each"), "{plan}");
    let plan = run(&["run", "--plan", "--measure-latency", "--format", "json"]).expect(0).json();
    assert_eq!(plan["latency"], json!({"requests": 136, "seconds": 120, "teacher": "big"}));
    // Without the flag the endpoint is not asked.
    run(&["run", "--format", "json"]).expect(0);
    assert!(teacher.asked().is_empty());
    let output = run(&MEASURED).expect(0);
    let report = output.json();
    let measured = &report["teacher"];
    let all = replies(&measured["latency"]);
    assert_eq!((&measured["model"], &measured["usage_rows"]), (&json!("big"), &json!(all)));
    assert_eq!(measured["latency"][0]["first_token_p50_ms"], Value::Null, "it does not stream");
    // 100 tokens in at 5 and 10 out at 15 for a million.
    assert!((report["cost"]["teacher_per_1000"].as_f64().unwrap() - 0.65).abs() < 1e-9, "{}", report["cost"]);
    for asked in teacher.asked() {
        assert_eq!((asked.authorization.as_str(), &asked.body["model"]), (&*format!("Bearer {KEY}"), &json!("big")));
        assert_eq!((&asked.body["stream"], asked.body.get("temperature")), (&json!(true), None));
    }
    let page = platform.dfwfd(&home, &["report"]).expect(0).stdout;
    assert!(page.contains("big, teacher") && page.contains("teacher, measured"), "{page}");
    assert!(!output.to_string().contains(KEY));
    for (path, bytes) in files_below(home.folder()) {
        assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{}", path.display());
    }
    // An endpoint that refuses is a warning.
    let refuses = OpenAi::start(|_, _| (401, json!({"error": {"message": "no key"}})));
    let set = format!("teacher.url={}", refuses.url());
    let report = run(&[&MEASURED[..], &["--set", &set]].concat()).expect(0).json();
    assert_eq!((report["teacher"]["latency"].as_array().unwrap().len(), &report["state"]), (0, &json!("completed")));
    assert!(report["warnings"].to_string().contains("big: cannot measure the latency"), "{}", report["warnings"]);
}
