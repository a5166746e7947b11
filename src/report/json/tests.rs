//! The contract: the reports against docs/report.schema.json, and docs/json.md against everything that is printed.

use serde_json::{Value, json};

use super::super::samples;
use super::*;
use crate::run::event::{Event, EventKind, Step};
use crate::run::gates::Gate;
use crate::run::gpus::Share;
use crate::run::outcome::ComparisonFact;
use crate::score::Estimate;
use crate::store::ResourceKind;
use crate::vocabulary::{CandidateState, PlatformKind, RunState};

/// Lists the faults of a value by a schema. Knows only the keywords that our schema uses and refuses others.
/// Strict: a field that the schema does not name is one too, as it is a field that the documentation does not name.
fn problems(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, rule) in schema.as_object().unwrap() {
        let good = match keyword.as_str() {
            "$schema" | "title" | "$defs" | "pattern" => true,
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "type" => kinds(rule).iter().any(|kind| is(kind, value)),
            "$ref" => {
                let definition = &root["$defs"][rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap()];
                found.extend(problems(root, definition, value, at));
                true
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|one| problems(root, one, value, at).is_empty()),
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(problems(root, rule, item, &format!("{at}[{place}]")));
                }
                true
            }
            "required" => rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
            "properties" | "additionalProperties" => true,
            other => panic!("unknown keyword {other}"),
        };
        if !good {
            found.push(format!("{at} breaks {keyword} {rule}"));
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let rule = schema.get("properties").and_then(|rules| rules.get(key)).or(schema.get("additionalProperties"));
        match rule.filter(|rule| rule.is_object()) {
            Some(rule) => found.extend(problems(root, rule, value, &format!("{at}.{key}"))),
            None if schema.get("properties").is_some() => found.push(format!("{at}.{key} is not in the schema")),
            None => {}
        }
    }
    found
}

fn kinds(rule: &Value) -> Vec<&str> {
    rule.as_array().map_or_else(|| vec![rule.as_str().unwrap()], |all| all.iter().filter_map(Value::as_str).collect())
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/report.schema.json")).unwrap()
}

fn all_samples() -> Vec<Report> {
    let mut reports = samples::all();
    let estimate = Estimate { value: 0.1, low: Some(0.0), high: None };
    let (a, b, metric, verdict) = ("a".into(), "b".into(), "macro_f1".into(), "better".into());
    let mut full = samples::completed();
    let explanation = "better".into();
    full.comparisons = vec![ComparisonFact {
        a,
        b,
        metric,
        difference: estimate,
        p: Some(0.01),
        verdict,
        explanation,
        detectable: None,
    }];
    full.verdict = Some(Verdict { sentence: "b is better".into(), model: Some("b".into()), variant: None });
    full.candidates[0].evaluations.base.as_mut().unwrap().usage = Some(Usage::default());
    full.candidates[0].evaluations.icl = full.candidates[0].evaluations.base.clone();
    let gate = Gate { gate: "macro_f1=0.9".into(), met: false, explanation: "b has 0.8".into() };
    full.gates = vec![gate];
    reports.push(full);
    reports
}

#[test]
fn every_report_is_as_its_schema_says() {
    let schema = schema();
    for report in all_samples() {
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(problems(&schema, &schema, &value, "report"), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<Report>(value).unwrap(), report);
    }
}

#[test]
fn the_schema_notices_what_is_wrong() {
    let schema = schema();
    let good = serde_json::to_value(samples::partial()).unwrap();
    type Break = (&'static str, fn(&mut Value));
    let breaks: [Break; 6] = [
        ("a new state", |report| report["state"] = "done".into()),
        ("another schema", |report| report["schema"] = 2.into()),
        ("a field that is missing", |report| drop(report.as_object_mut().unwrap().remove("held"))),
        ("an unknown field", |report| report["candidates"][0]["extra"] = 1.into()),
        ("a count below 0", |report| report["data"]["kept"] = (-1).into()),
        ("a score without its ends", |report| {
            report["candidates"][0]["evaluations"]["base"]["scores"]["accuracy"] = json!({"value": 1})
        }),
    ];
    for (what, change) in breaks {
        let mut report = good.clone();
        change(&mut report);
        assert_ne!(problems(&schema, &schema, &report, "report"), Vec::<String>::new(), "{what}");
    }
}

/// One of every kind; the match has no wildcard, so that a new kind is noticed here.
fn events() -> Vec<Event> {
    let candidate = || Some("m".to_owned());
    let (step, text) = (Step::Train, || "x".to_owned());
    let all = vec![
        EventKind::RunStarted {
            workload: None,
            platform: PlatformKind::Embedded,
            rehearsal: false,
            resumed: false,
            candidates: vec![],
            gpus: None,
        },
        EventKind::StepStarted { candidate: candidate(), step },
        EventKind::StepProgress {
            candidate: candidate(),
            step,
            percent: None,
            detail: None,
            train_loss: None,
            validation_loss: None,
        },
        EventKind::StepDone { candidate: candidate(), step, seconds: 1.0, detail: None },
        EventKind::StepFailed { candidate: candidate(), step, error: text() },
        EventKind::GpusAwaited { candidate: text(), gpus: 1, purpose: Share::Nim },
        EventKind::GpusGranted { candidate: text(), gpus: 1, purpose: Share::Nim, seconds: 1.0 },
        EventKind::CandidateDone { candidate: text(), state: CandidateState::Completed, error: None },
        EventKind::ResourceLive { kind: ResourceKind::Dataset, name: text() },
        EventKind::ResourceReleased { kind: ResourceKind::Dataset, name: text() },
        EventKind::Warning { message: text(), is_in_report: false },
        EventKind::Stopping { reason: text() },
        EventKind::RunDone { state: RunState::Completed, exit_code: 0, seconds: 1.0 },
    ];
    for kind in &all {
        match kind {
            EventKind::RunStarted { .. }
            | EventKind::StepStarted { .. }
            | EventKind::StepProgress { .. }
            | EventKind::StepDone { .. } => {}
            EventKind::StepFailed { .. } | EventKind::GpusAwaited { .. } | EventKind::CandidateDone { .. } => {}
            EventKind::GpusGranted { .. } => {}
            EventKind::ResourceLive { .. } | EventKind::ResourceReleased { .. } | EventKind::Warning { .. } => {}
            EventKind::Stopping { .. } | EventKind::RunDone { .. } => {}
        }
    }
    all.into_iter().map(|kind| Event { at: text(), run: text(), kind }).collect()
}

/// Every key of a value, at any depth; keys of counts by name are data and left out.
fn keys(value: &Value, out: &mut std::collections::BTreeSet<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        out.insert(key.clone());
        if !matches!(key.as_str(), "rejected" | "scores" | "clients" | "labels") {
            match key.as_str() {
                "classes" if value.is_object() => value.as_object().unwrap().values().for_each(|v| keys(v, out)),
                _ => keys(value, out),
            }
        }
    }
    value.as_array().into_iter().flatten().for_each(|item| keys(item, out));
}

#[test]
fn every_field_and_event_is_documented() {
    let docs = include_str!("../../../docs/json.md");
    let mut names = std::collections::BTreeSet::new();
    for report in all_samples() {
        keys(&serde_json::to_value(&report).unwrap(), &mut names);
        keys(&serde_json::to_value(RunSummary::from(&report)).unwrap(), &mut names);
        for name in report.candidates.iter().filter_map(|c| c.evaluations.base.as_ref()).flat_map(|e| e.scores.keys()) {
            names.insert(name.trim_end_matches("_lenient").to_owned());
        }
    }
    let objects = [
        serde_json::to_value(LoadCounts::default()).unwrap(),
        serde_json::to_value(LogList { workloads: vec![LogRow::default()], ..LogList::default() }).unwrap(),
        serde_json::to_value(CleanupReport {
            orphans: vec![OrphanRow {
                kind: crate::store::ResourceKind::Deployment,
                name: String::new(),
                run: String::new(),
                owner: None,
                age_seconds: None,
            }],
            ..CleanupReport::new(SCHEMA)
        })
        .unwrap(),
        json!({"runs": []}),
    ];
    objects.iter().for_each(|object| keys(object, &mut names));
    for event in events() {
        let value = serde_json::to_value(event).unwrap();
        names.insert(value["event"].as_str().unwrap().to_owned());
        keys(&value, &mut names);
    }
    // A comparison's fields wait for the issue that fills them.
    for name in names.iter().filter(|name| !["a", "b", "difference", "p", "sentence"].contains(&name.as_str())) {
        assert!(docs.contains(&format!("`{name}`")), "docs/json.md does not say what `{name}` is");
    }
    assert!(names.len() > 80, "{}", names.len());
}

#[test]
fn the_headline_is_the_best_customized_score_and_the_first_of_equals() {
    let report = samples::completed();
    let headline = report.headline().unwrap();
    assert_eq!((headline.metric.as_str(), headline.model.as_str()), ("macro_f1", "dfwfd/ngram-large"));
    let mut equal = report.clone();
    equal.candidates[1].evaluations = equal.candidates[0].evaluations.clone();
    assert_eq!(equal.headline().unwrap().model, "dfwfd/ngram-small");
    assert_eq!(samples::held().headline(), None);
    // Without a customized score the base one stands in.
    let running = samples::running();
    let base = running.candidates[0].evaluations.base.as_ref().unwrap().scores["macro_f1"].value;
    assert_eq!(running.headline().unwrap().value, base);
}
