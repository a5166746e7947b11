//! The dashboards of examples/: they name only metrics, labels and fields that the program writes.

use std::collections::BTreeSet;
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use super::examples::example;
use crate::harness::{Folder, log, parse_lines, skip};

/// Two runs whose metrics hold all that a dashboard draws: cost, latency, drift, gates and labels.
fn metrics(folder: &Folder) -> String {
    folder.write(
        "flywheel.yaml",
        "nmp_config: {platform: embedded}\ndata_split_config: {eval_size: 20}\nlogs: {path: day.jsonl}\n\
         cost: {gpu_hour: 2, teacher: {input_per_million: 1, output_per_million: 2}}\n\
         nims: [{model_name: dfwfd/ngram-small, customization_enabled: true, customizer_configs: {target: dfwfd/ngram-small@1.0}}]\n",
    );
    let told = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record["latency_ms"] = 120.into();
        record["response"]["usage"] = serde_json::json!({"prompt_tokens": 50, "completion_tokens": 5});
        format!("{record}\n")
    };
    folder.write("day.jsonl", log("news", 160).lines().map(told).collect::<String>());
    for _ in 0..2 {
        let flags = ["-q", "run", "--measure-latency", "--metrics", "day.prom", "--min", "macro_f1=0.1"];
        folder.dfwfd(flags).run().code(0);
    }
    folder.read("day.prom")
}

fn grafana() -> Value {
    serde_json::from_str(&std::fs::read_to_string(example("dashboards/grafana.json")).unwrap()).unwrap()
}

/// Returns the queries of the panels.
fn queries() -> Vec<String> {
    let grafana = grafana();
    let panels = grafana["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// Runs promtool, or skips the test.
fn promtool(test: &str, arguments: &[&str], input: &std::path::Path) -> bool {
    if Command::new("promtool").arg("--version").output().is_err() {
        skip(test, "promtool", "there is no promtool (it comes with Prometheus)");
        return false;
    }
    let input = std::fs::File::open(input).unwrap();
    let output = Command::new("promtool").args(arguments).stdin(input).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    true
}

#[test]
fn grafana_draws_what_a_run_writes_and_promtool_accepts_both() {
    let folder = Folder::new();
    let metrics = metrics(&folder);
    let samples: Vec<&str> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    let name = Regex::new("dfwfd_[a-z0-9_]+").unwrap();
    let label = Regex::new(r#"([a-z]+)=~?"([^"]*)""#).unwrap();
    let mut seen = BTreeSet::new();
    for query in queries() {
        for found in name.find_iter(&query) {
            // The braces behind the name hold what the samples have to have.
            let labels = query[found.end()..].split(['{', '}']).nth(1).unwrap_or_default();
            let fits = |sample: &&&str| {
                sample.starts_with(&format!("{}{{", found.as_str()))
                    && label.captures_iter(labels).all(|one| {
                        let value = if one[2].starts_with('$') { String::new() } else { format!("{}\"", &one[2]) };
                        sample.contains(&format!("{}=\"{value}", &one[1]))
                    })
            };
            assert!(samples.iter().any(|sample| fits(&sample)), "no sample of {query}\n{metrics}");
            seen.insert(found.as_str().to_owned());
        }
    }
    assert!(seen.len() > 12, "{seen:?}");
    let rules: Vec<Value> = queries()
        .iter()
        .enumerate()
        .map(|(number, query)| {
            let query = query.replace("$workload", ".*").replace("$score", "macro_f1");
            serde_json::json!({"record": format!("query_{number}"), "expr": query})
        })
        .collect();
    // JSON is YAML.
    let rules =
        folder.write("rules.yml", serde_json::json!({"groups": [{"name": "queries", "rules": rules}]}).to_string());
    let test = "grafana_draws_what_a_run_writes_and_promtool_accepts_both";
    if promtool(test, &["check", "metrics"], &folder.at("day.prom")) {
        promtool(test, &["check", "rules", rules.to_str().unwrap()], &rules);
    }
}

#[test]
fn kibana_draws_fields_of_the_documents_of_runs() {
    let objects = parse_lines(&std::fs::read_to_string(example("dashboards/kibana.ndjson")).unwrap());
    let ids: BTreeSet<(&str, &str)> =
        objects.iter().map(|one| (one["type"].as_str().unwrap(), one["id"].as_str().unwrap())).collect();
    assert_eq!(ids.len(), objects.len());
    let page = std::fs::read_to_string(example("../docs/elasticsearch.md")).unwrap();
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let is_named = |field: &str| {
        let all = field.split_once('.').map_or(field.to_owned(), |(part, _)| format!("{part}.*"));
        named.contains(field) || named.contains(all.as_str())
    };
    let inner = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
    let mut fields = BTreeSet::new();
    for object in &objects {
        let references = object["references"].as_array().unwrap();
        for one in references {
            let target = (one["type"].as_str().unwrap(), one["id"].as_str().unwrap());
            assert!(ids.contains(&target), "{one}");
        }
        let attributes = &object["attributes"];
        let named = |name: &Value| references.iter().any(|one| &one["name"] == name);
        if let Some(source) = attributes.pointer("/kibanaSavedObjectMeta/searchSourceJSON") {
            let index = &inner(source)["indexRefName"];
            assert!(index.is_null() || named(index), "{object}");
        }
        match object["type"].as_str().unwrap() {
            "visualization" => {
                let state = inner(&attributes["visState"]);
                let of = |one: &Value| one["params"]["field"].as_str().unwrap().to_owned();
                fields.extend(state["aggs"].as_array().unwrap().iter().map(of));
            }
            "dashboard" => {
                let panels = inner(&attributes["panelsJSON"]);
                assert!(panels.as_array().unwrap().iter().all(|panel| named(&panel["panelRefName"])), "{panels:#}");
            }
            "search" => fields
                .extend(attributes["columns"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned())),
            _ => fields.extend(attributes["timeFieldName"].as_str().map(str::to_owned)),
        }
    }
    assert!(fields.len() > 10, "{fields:?}");
    assert_eq!(fields.iter().filter(|field| !is_named(field)).collect::<Vec<_>>(), Vec::<&String>::new());
}
