//! Tests what a run tells of the run of its workload before.

use serde_json::{Value, json};

use super::control::{Home, Platform};

#[test]
fn a_run_tells_what_has_changed_since_the_one_before() {
    let (home, platform) = (Home::new(1, "8"), Platform::start(&[]));
    let run = || platform.dfwfd(&home, &["run", "--format", "json"]).expect(0).json();
    let logs = home.folder().join("logs.jsonl");
    let text = std::fs::read_to_string(&logs).unwrap();
    let timed = |lines: Vec<&str>, longer: usize| -> String {
        let line = |(at, line): (usize, &str)| {
            format!("{{\"latency_ms\":{},{}\n", longer * (100 + at % 2 * 100), line.strip_prefix('{').unwrap())
        };
        lines.into_iter().enumerate().map(line).collect()
    };
    std::fs::write(&logs, timed(text.lines().collect(), 1)).unwrap();
    let first = run();
    assert_eq!(first["drift"], Value::Null);
    // A second run reads the same records.
    let same = run();
    let drift = &same["drift"];
    assert_eq!(
        (&drift["run"], &drift["labels"]["p"], &drift["labels"]["distance"]),
        (&first["run"], &json!(1.0), &json!(0.0))
    );
    assert_eq!((&drift["teacher_latency_p"], &drift["teacher_p50_ms"][0]), (&json!(1.0), &drift["teacher_p50_ms"][1]));
    let model = |score: &Value| (score["a"].clone(), score["difference"]["value"].clone(), score["verdict"].clone());
    let scores: Vec<_> = drift["scores"].as_array().unwrap().iter().map(model).collect();
    let expected = ["base", "customized"].map(|which| (json!(format!("dfwfd/ngram-small:{which}")), json!(0.0)));
    assert_eq!(scores.iter().map(|(a, difference, _)| (a.clone(), difference.clone())).collect::<Vec<_>>(), expected);
    let warned = |report: &Value| report["warnings"].to_string().contains("the mix of labels differs from run");
    assert!(!warned(&same), "{same:#}");
    // Most lawsuits are gone: 30, 30 and 30 records before, 30, 30 and 6 now.
    let kept = text.lines().enumerate().filter(|(at, line)| !line.contains("[[[Lawsuits]]]") || at % 15 == 2);
    std::fs::write(&logs, timed(kept.map(|(_, line)| line).collect(), 4)).unwrap();
    let other = run();
    let labels = &other["drift"]["labels"];
    assert_eq!(other["drift"]["run"], same["run"]);
    assert_eq!(labels["changes"][0]["label"], "Lawsuits", "{labels}");
    // Some records may be held back from the datasets, so the shares are not exactly 1/3 and 1/11.
    let share = |when: &str| labels["changes"][0][when].as_f64().unwrap();
    assert!((0.30..0.37).contains(&share("before")) && (0.05..0.13).contains(&share("now")), "{labels}");
    assert!(labels["p"].as_f64().is_some_and(|p| p < 0.01), "{labels}");
    assert!(warned(&other), "{other:#}");
    let slower = &other["drift"];
    assert!(slower["teacher_latency_p"].as_f64().is_some_and(|p| p < 0.01), "{slower}");
    let shown = platform.dfwfd(&home, &["status", other["run"].as_str().unwrap()]).expect(0).stdout;
    assert!(
        shown.contains(&format!("Since run {}", same["run"].as_str().unwrap()))
            && shown.contains("Lawsuits")
            && shown.contains(" ms now (p "),
        "{shown}"
    );
}
