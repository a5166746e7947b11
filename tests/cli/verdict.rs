//! Tests the verdict of a run where training does not help, and what it says of tool calls.

use serde_json::json;

use crate::harness::{Folder, labelled, lines, parse_lines, testdata, word};

const SMALL: &str = "dfwfd/ngram-small";

/// The texts name their class. The older half of the log, which models are trained on, has another class for each.
fn misleading(count: usize) -> String {
    let record = |number: usize| {
        let classes = ["Earnings", "Merger", "Product"];
        let named = classes[number % 3];
        let label = if number < count * 2 / 3 { classes[(number + 1) % 3] } else { named };
        labelled("w", number, &format!("{} {named} {}", word(number * 7919), word(number)), label)
    };
    lines(&(0..count).map(record).collect::<Vec<_>>())
}

#[test]
fn a_model_that_its_training_makes_worse_is_not_recommended() {
    let folder = Folder::with_config(&format!(
        "nmp_config: {{platform: embedded}}\nnims: [{{model_name: {SMALL}, customization_enabled: true}}]\n\
         data_split_config: {{split: temporal, eval_size: 60, limit: 600}}\nlabels: [Earnings, Merger, Product]\n"
    ));
    folder.write("logs.jsonl", misleading(600));
    let report = folder.dfwfd(["run", "--logs", "logs.jsonl", "--format", "json"]).run().code(0).json();
    crate::schema::check("report", &report);
    let one = &report["candidates"][0];
    let score = |which: &str| one["evaluations"][which]["scores"]["macro_f1"]["value"].as_f64().unwrap();
    assert!(score("base") > 0.9 && score("customized") < 0.1, "{} {}", score("base"), score("customized"));
    let verdict = &report["verdict"];
    assert_eq!((&verdict["model"], &verdict["variant"]), (&json!(SMALL), &json!("base")));
    let sentence = verdict["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("No training was shown to help: look at dfwfd/ngram-small as it is first: "),
        "{sentence}"
    );
    assert!(sentence.contains(", better than its customized model. Whether"), "{sentence}");
    assert_eq!(one["verdict"]["variant"], "base");
    assert!(one["verdict"]["sentence"].as_str().unwrap().starts_with("Base: macro F1 "), "{one}");
    let warned = "customized dfwfd/ngram-small is worse than its base, which needs no training";
    assert!(report["warnings"].as_array().unwrap().contains(&json!(warned)), "{}", report["warnings"]);
    let page = folder.dfwfd(["report", "--format", "markdown"]).run();
    assert!(page.code(0).stdout.contains(one["verdict"]["sentence"].as_str().unwrap()), "{}", page.stdout);
}

#[test]
fn calls_are_the_replies_of_tool_calling() {
    let folder = Folder::with_config(&format!(
        "nmp_config: {{platform: embedded}}\nnims: [{{model_name: {SMALL}, customization_enabled: true}}]\n\
         evaluation_config: {{workload_type: auto}}\n"
    ));
    let logs = testdata("tools_logs.jsonl");
    let report = folder.dfwfd(["run", "--format", "json", "--logs"]).arg(&logs).run().code(0).json();
    let own = &report["candidates"][0]["evaluations"];
    let score = |which: &str| own[which]["scores"]["name_and_arguments_accuracy"]["value"].as_f64().unwrap();
    assert!(score("customized") > score("base") + 0.3, "{own}");
    assert!(!report["warnings"].to_string().contains("adapter"), "{}", report["warnings"]);
    let file = format!(".dfwfd/runs/{}/rows/ngram-small-customized.jsonl", report["run"].as_str().unwrap());
    let rows = parse_lines(&folder.read(&file));
    assert!(rows.iter().all(|row| row["reply"].is_null() && !row["gold_calls"].as_array().unwrap().is_empty()));
    let wrong = rows.iter().find(|row| row["calls"] != row["gold_calls"] && row["predicted"] == row["gold"]).unwrap();
    let in_words = |side: &str| {
        let call = &wrong[side][0];
        format!("{}({})", call["name"].as_str().unwrap(), call["arguments"].as_str().unwrap())
    };
    let html = folder.dfwfd(["report", "--format", "html"]).run();
    let plain = html.code(0).stdout.replace("&quot;", "\"").replace("&#x2f;", "/").replace("&#x27;", "'");
    assert!(plain.contains(&in_words("calls")) && plain.contains(&in_words("gold_calls")), "{wrong}");
}
