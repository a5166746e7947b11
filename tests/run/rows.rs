//! Rows that the evaluator does not hand out, and rows that nobody has answered.

use serde_json::{Value, json};

use super::control::{Home, scores};
use super::faults::{count, failing, nothing_held, run, struck};
use crate::harness::testdata;

const ARCHIVE: &str = "GET /nemo/v1/evaluation/jobs/*/download-results";
const CHAT: &str = "POST /nim/v1/chat/completions";

fn of_evaluations<'r>(report: &'r Value, field: &str) -> [&'r Value; 2] {
    let all = &report["candidates"][0]["evaluations"];
    [&all["base"][field], &all["customized"][field]]
}

/// The scores but NeMo's own, which has no interval without the rows of the evaluator.
fn ours(report: &Value) -> Value {
    let mut scores = scores(report);
    for which in ["base", "customized"] {
        scores[0][which].as_object_mut().unwrap().remove("nemo_f1");
    }
    scores
}

/// A run on the sample log of tool calls.
fn with_tools() -> Home {
    let home = Home::new(1, "8");
    std::fs::copy(testdata("tools_logs.jsonl"), home.folder().join("logs.jsonl")).unwrap();
    let mut text = std::fs::read_to_string(&home.config).unwrap();
    text.push_str("evaluation_config:\n  workload_type: tool_calling\n  tool_eval_type: tool-calling-metric\n");
    std::fs::write(&home.config, text).unwrap();
    home
}

#[test]
fn an_evaluator_without_an_archive_costs_no_score() {
    for home in [|| Home::new(1, "8"), with_tools] {
        let wanted = run(&failing(&[]), &home()).expect(0).json();
        assert_eq!(of_evaluations(&wanted, "rows_from"), [&json!("evaluator"); 2]);
        let (home, platform) = (home(), failing(&[&format!("{ARCHIVE}: status=404")]));
        let report = run(&platform, &home).expect(0).json();
        assert_eq!(of_evaluations(&report, "rows_from"), [&json!("nim"); 2], "{report:#}");
        assert_eq!(ours(&report), ours(&wanted));
        for (usage, untold) in of_evaluations(&report, "usage").into_iter().zip(of_evaluations(&wanted, "usage")) {
            // Only replies that dfwfd asked for itself have a time.
            assert_eq!((&untold["p50_ms"], &untold["p95_ms"]), (&Value::Null, &Value::Null));
            let (p50, p95) = (usage["p50_ms"].as_f64().unwrap(), usage["p95_ms"].as_f64().unwrap());
            assert!(0.0 < p50 && p50 <= p95, "{usage}");
        }
        // Before its evaluation, the adapter and its base are asked up to eight rows.
        let asked = count(&platform, CHAT);
        assert!((42..=56).contains(&asked), "each row of both evaluations once: {asked}");
        assert!(report["warnings"].to_string().contains("the NIM itself was asked"), "{report:#}");
        nothing_held(&platform, &report);
        let table = platform.dfwfd(&home, &["report"]).expect(0);
        assert!(table.stdout.contains("* dfwfd/ngram-small, base: rows asked of the NIM itself"), "{table}");
    }
}

#[test]
fn an_archive_that_comes_a_little_late_is_waited_for() {
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{ARCHIVE}: status=404 times=3")]);
    let patient = ["run", "--format", "json", "--set", "limits.settle=60s"];
    let report = platform.dfwfd(&home, &patient).expect(0).json();
    assert_eq!(struck(&platform), [3]);
    assert_eq!(of_evaluations(&report, "rows_from"), [&json!("evaluator"); 2]);
    assert!(count(&platform, CHAT) <= 16, "only the adapter and its base before its evaluation");
}

#[test]
fn rows_that_nobody_has_answered_are_marked_beside_the_headline() {
    let home = Home::new(1, "8");
    // The evaluator asks for its 20 rows first.
    let platform = failing(&[&format!("{ARCHIVE}: status=404"), &format!("{CHAT}: status=422 after=20 times=2")]);
    let base_only = ["run", "--format", "json", "--set", "nims.0.customization_enabled=false"];
    let report = platform.dfwfd(&home, &base_only).expect(0).json();
    assert_eq!(report["candidates"][0]["evaluations"]["base"]["unanswered"], 2, "{report:#}");
    let note = "no reply for 2 of 20 rows, which count as wrong";
    // Silence has no format: these rows are not among the replies without a label.
    let scores = &report["candidates"][0]["evaluations"]["base"]["scores"];
    let share = |name: &str| scores[name]["value"].as_f64().unwrap();
    let without_label = (share("unparseable") + share("off_taxonomy") - 0.1) * 100.0;
    let warned = format!("{without_label:.0} % of the replies hold no label of the list");
    assert!(report["warnings"].to_string().contains(&warned), "{warned}: {report:#}");
    let table = platform.dfwfd(&home, &["report"]).expect(0);
    assert!(table.stdout.contains(&format!("* dfwfd/ngram-small, base: {note}")), "{table}");
    for form in ["markdown", "html"] {
        let page = platform.dfwfd(&home, &["report", "--format", form]).expect(0);
        assert!(page.stdout.contains(note) && page.stdout.contains('*'), "{page}");
    }
}

#[test]
fn an_evaluation_without_any_reply_fails_and_is_done_again_on_resume() {
    let home = Home::new(1, "8");
    let platform = failing(&[&format!("{ARCHIVE}: status=404"), &format!("{CHAT}: status=422 after=20")]);
    let base_only = ["run", "--format", "json", "--set", "nims.0.customization_enabled=false"];
    let outcome = platform.dfwfd(&home, &base_only).expect(1);
    outcome.says("none of the 20 rows has a reply, so there is nothing to score; the first reason: ").says("422");
    let report = outcome.json();
    assert_eq!((&report["state"], &report["candidates"][0]["state"]), (&json!("failed"), &json!("failed")));
    assert_eq!(report["candidates"][0]["evaluations"]["base"], Value::Null, "{report:#}");
    nothing_held(&platform, &report);
    assert_eq!(platform.delete("/control/faults"), 200);
    let resumed = platform.dfwfd(&home, &["run", "--resume", "--format", "json"]).expect(0).json();
    let evaluation = &resumed["candidates"][0]["evaluations"]["base"];
    assert_eq!((&resumed["state"], &evaluation["unanswered"]), (&json!("completed"), &json!(0)), "{resumed:#}");
    assert_eq!(count(&platform, "POST /nemo/v1/evaluation/jobs"), 2, "{:?}", platform.calls().2);
}
