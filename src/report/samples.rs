//! Reports that the snapshots show: every state a run can be in, with numbers that a real scoring gave.

use std::collections::BTreeMap;

use serde_json::json;

use super::json::*;
use crate::run::outcome::{ComparisonFact, ModelVariant};
use crate::score::classification::{Judged, Prediction, score};
use crate::score::{Estimate, interval};
use crate::source::dataset::Manifest;
use crate::store::{ResourceKind, ResourceState};
use crate::vocabulary::{CandidateState, Failure, LossPoint, PlatformKind, ReportedGeneration, RowsFrom, RunState};

/// Classes of a news workload, most frequent first, with their rows in an eval set of 100.
const NEWS: [(&str, u64); 13] = [
    ("Earnings Release", 19),
    ("Analyst Rating Change", 14),
    ("Merger or Acquisition", 12),
    ("Guidance Update", 11),
    ("Dividend Announcement", 9),
    ("Executive Change", 8),
    ("Product Launch", 7),
    ("Regulatory Action", 6),
    ("Legal Proceeding", 5),
    ("Share Buyback", 4),
    ("Credit Rating Change", 3),
    ("Bankruptcy", 1),
    ("Macroeconomic Data", 1),
];

/// An evaluation where of every ten rows of a class `right` are right, one is unparseable when `odd`, the rest are taken
/// for the next class.
fn evaluation(right: u64, odd: bool) -> Evaluation {
    let mut rows = Vec::new();
    for (gold, (_, support)) in NEWS.iter().enumerate() {
        for row in 0..*support {
            let predicted = match row % 10 {
                at if at < right => Prediction::Label(gold),
                9 if odd => Prediction::Unparseable,
                8 if odd => Prediction::OffTaxonomy,
                _ => Prediction::Label((gold + 1) % (NEWS.len() - 1)),
            };
            rows.push(Judged { gold, predicted });
        }
    }
    let labels: Vec<String> = NEWS.iter().map(|(label, _)| (*label).to_owned()).collect();
    let strict = score(&rows, &labels, 42).unwrap();
    // Leniently, two of the unparseable replies are right.
    for row in rows.iter_mut().filter(|row| row.predicted == Prediction::Unparseable).take(2) {
        row.predicted = Prediction::Label(row.gold);
    }
    let lenient = score(&rows, &labels, 42).unwrap();
    let mut scores = strict.named("");
    scores.extend(lenient.named("_lenient"));
    scores.insert("nemo_f1".to_owned(), Estimate { value: 0.7312, low: None, high: None });
    Evaluation {
        state: CandidateState::Completed,
        job: Some("eval-1".into()),
        rows: Some(strict.rows),
        unanswered: Some(0),
        rows_from: Some(RowsFrom::Evaluator),
        seconds: Some(1.5),
        scores,
        classes: strict.classes,
        confusion: Some(strict.confusion),
        usage: None,
        latency: Vec::new(),
    }
}

fn candidate(model: &str, base: u64, customized: u64) -> Candidate {
    Candidate {
        model: model.into(),
        state: CandidateState::Completed,
        error: None,
        gpus: Some(2),
        seconds: Some(4.12),
        training: Some(Training {
            job: Some("cust-1".into()),
            adapter: Some(format!("dfwfd/abcd2345-{}@cust-1", model.replace('/', "-"))),
            seconds: Some(1.9),
            loss: vec![LossPoint { step: 10, train: Some(0.41), validation: None }],
        }),
        evaluations: Evaluations {
            base: Some(evaluation(base, true)),
            icl: None,
            customized: Some(evaluation(customized, false)),
        },
        verdict: None,
    }
}

fn counts() -> Manifest {
    let class = |(label, n): &(&str, u64)| ((*label).to_owned(), json!({"eval": n, "train": n * 10, "validation": n}));
    let classes: serde_json::Map<String, serde_json::Value> = NEWS.iter().map(class).collect();
    let manifest = json!({
        "workload": "news_classifier",
        "workload_type": "classification",
        "source": "jsonl",
        "read": 1_503,
        "rejected": {"invalid_json": 3, "no_label": 12},
        "other": 0,
        "duplicates": 282,
        "over_limit": 0,
        "kept": 1_206,
        "eval": 100,
        "train": 993,
        "validation": 110,
        "held_back": 3,
        "conflicts": 4,
        "seed": 42,
        "classes": classes,
        "files": [{"path": "eval/eval_data.jsonl", "rows": 100, "sha256": "00".repeat(32)}],
        "inputs": [{"path": "testdata/logs.jsonl", "bytes": 900_000, "lines": 1_503, "blake3": "00".repeat(32)}],
        "types": {"records": 1_488, "tool_calls": 0, "labels": 1_488},
        "labels": {"allowed": null, "pattern": null},
        "warnings": [],
    });
    serde_json::from_value(manifest).unwrap()
}

/// One report of each state.
pub(super) fn all() -> Vec<Report> {
    vec![completed(), concluded(), judged(), long_names(), partial(), cancelled(), running(), held()]
}

/// Two students, both done, on a platform inside the process.
pub(super) fn completed() -> Report {
    Report {
        schema: SCHEMA,
        run: "abcd2345".into(),
        workload: Some("news_classifier".into()),
        state: RunState::Completed,
        exit_code: Some(0),
        platform: PlatformKind::Embedded,
        generation: Some(ReportedGeneration::Embedded),
        platform_version: None,
        rehearsal: false,
        started_at: "2026-03-01T02:00:00.000Z".into(),
        seconds: Some(8.1),
        owner: "quant@desk".into(),
        nim_base_url: None,
        data: Some(counts()),
        judge: None,
        candidates: vec![candidate("dfwfd/ngram-small", 5, 7), candidate("dfwfd/ngram-large", 6, 9)],
        comparisons: Vec::new(),
        verdict: None,
        floor: None,
        teacher: None,
        cost: None,
        drift: None,
        gold: None,
        gates: Vec::new(),
        held: Vec::new(),
        warnings: Vec::new(),
        unreadable: Vec::new(),
        error: None,
    }
}

/// Returns a completed run with everything that a run can find out: examples, a floor, prices, comparisons and a verdict.
pub(super) fn concluded() -> Report {
    let mut report = completed();
    let against = |model: &str, which: &str, value: f64, verdict: &str| ComparisonFact {
        a: format!("{model}:base"),
        b: format!("{model}:{which}"),
        metric: "macro_f1".into(),
        difference: Estimate { value, low: Some(value - 0.05), high: Some(value + 0.05) },
        p: Some(0.01),
        verdict: verdict.into(),
        explanation: verdict.into(),
        detectable: Some(0.07),
    };
    let weak = evaluation(4, true);
    let prices = [(0.012, 0.95), (0.014, 0.94), (0.01, 0.96)];
    for candidate in &mut report.candidates {
        let all = &mut candidate.evaluations;
        all.icl = Some(weak.clone());
        for (one, (cost, saving)) in [&mut all.base, &mut all.icl, &mut all.customized].into_iter().zip(prices) {
            let usage = Usage { cost_per_1000: Some(cost), saving: Some(saving), ..Usage::default() };
            let usage = Usage { break_even_per_hour: Some(11_030.4), prompt_tokens: Some(18_300), ..usage };
            one.as_mut().unwrap().usage = Some(usage);
        }
        let verdicts = [("icl", -0.1, "worse"), ("customized", 0.11, "cannot tell")];
        report
            .comparisons
            .extend(verdicts.map(|(which, value, verdict)| against(&candidate.model, which, value, verdict)));
    }
    report.comparisons[3].verdict = "better".into();
    report.floor = Some(Evaluation { rows_from: None, ..weak });
    let cost = Cost { currency: "USD".into(), teacher_per_1000: Some(0.23), gpu_hours: Some(0.5), run: Some(1.25) };
    report.cost = Some(cost);
    let sentence = "Look at dfwfd/ngram-large first: macro F1 1.000, better than its base.".into();
    let variant = Some(ModelVariant::Customized);
    report.verdict = Some(Verdict { sentence, model: Some("dfwfd/ngram-large".into()), variant });
    let sentence = "Customized: macro F1 0.900, worse than dfwfd/ngram-large.".to_owned();
    report.candidates[0].verdict = Some(CandidateVerdict { variant: ModelVariant::Customized, sentence });
    report
}

fn calls(names: u64, arguments: u64, judge: Option<u64>) -> Evaluation {
    let share = |part: u64, all| Estimate::between(part as f64 / all as f64, interval::wilson(part as f64, all as f64));
    let mut scores = BTreeMap::from([
        ("function_name_accuracy".to_owned(), share(names, 100)),
        ("name_and_arguments_accuracy".to_owned(), share(arguments, 100)),
        ("judge_unrated".to_owned(), share(if judge.is_some() { 4 } else { 100 }, 100)),
    ]);
    scores.extend(judge.map(|judge| ("judge_correctness".to_owned(), share(judge, 96))));
    Evaluation {
        state: CandidateState::Completed,
        job: Some("eval-1".into()),
        rows: Some(100),
        unanswered: Some(0),
        rows_from: Some(RowsFrom::Evaluator),
        seconds: Some(1.5),
        scores,
        classes: Vec::new(),
        confusion: None,
        usage: None,
        latency: Vec::new(),
    }
}

/// Tool calls that a judge was asked about; of the second model's it has rated none.
pub(super) fn judged() -> Report {
    let mut report = completed();
    if let Some(data) = &mut report.data {
        data.workload_type = crate::data::workload_type::WorkloadType::ToolCalling;
    }
    report.judge = Some(Judge { model: "meta/llama-3.3-70b-instruct".into(), deployment: "remote".into() });
    for (candidate, judge) in report.candidates.iter_mut().zip([Some(71), None]) {
        let (base, customized) = (calls(58, 2, judge.map(|_| 3)), calls(91, 55, judge));
        candidate.evaluations = Evaluations { base: Some(base), icl: None, customized: Some(customized) };
    }
    report.warnings = vec!["dfwfd/ngram-large: the judge gave no rating for 100 of 100 rows".into()];
    report
}

/// A rehearsal of three models with long names; the platform stays.
pub(super) fn long_names() -> Report {
    let names = [
        "nvidia/llama-3.1-nemotron-nano-8b-instruct-with-a-name-longer-than-a-narrow-terminal-is-wide-v1.5",
        "meta/llama-3.2-1b-instruct",
        "meta/llama-3.2-3b-instruct",
    ];
    Report {
        rehearsal: true,
        nim_base_url: Some("http://127.0.0.1:8090/nim".into()),
        candidates: names.iter().zip([9, 5, 4]).map(|(name, right)| candidate(name, 5, right)).collect(),
        ..completed()
    }
}

/// One candidate failed before it was deployed, on a cluster.
pub(super) fn partial() -> Report {
    let mut report = Report {
        state: RunState::Partial,
        exit_code: Some(4),
        platform: PlatformKind::Nemo,
        generation: Some(ReportedGeneration::Helix),
        platform_version: Some("0.8.1".into()),
        nim_base_url: Some("http://nim.test".into()),
        seconds: Some(7_620.0),
        warnings: vec!["mlflow_config has no effect until mlflow_config.enabled is true".into()],
        ..completed()
    };
    report.candidates[1] = Candidate {
        state: CandidateState::Failed,
        error: Some(Failure {
            message: "deploying meta/llama-3.1-8b-instruct as dfwfd-abcd2345-meta-llama-3-1-8b-instruct-nim".into(),
            causes: vec![
                "POST http://nemo.test/v1/deployment/model-deployments: 422 Unprocessable Entity".into(),
                "image nvcr.io/nim/meta/llama-3.1-8b-instruct:9.9 was not found\u{1b}[2J\nsee the registry".into(),
            ],
        }),
        seconds: Some(12.0),
        training: None,
        evaluations: Evaluations::default(),
        ..candidate("meta/llama-3.1-8b-instruct", 5, 5)
    };
    report.candidates[0] = candidate("meta/llama-3.2-1b-instruct", 5, 7);
    report
}

/// Stopped while the second candidate trained.
pub(super) fn cancelled() -> Report {
    let mut report = Report { state: RunState::Cancelled, exit_code: Some(130), ..completed() };
    report.candidates[1].state = CandidateState::Cancelled;
    report.candidates[1].training = None;
    report.candidates[1].evaluations.customized = None;
    report.error = Some(ErrorObject {
        failure: Failure { message: "the run was cancelled".into(), causes: vec!["Ctrl-C".into()] },
        hint: Some("dfwfd run --resume abcd2345".into()),
    });
    report
}

/// The first candidate is being evaluated, the second waits.
pub(super) fn running() -> Report {
    let mut report = Report { state: RunState::Running, exit_code: None, ..completed() };
    report.candidates[0].state = CandidateState::Running;
    if let Some(evaluation) = &mut report.candidates[0].evaluations.customized {
        *evaluation = Evaluation {
            state: CandidateState::Running,
            rows: None,
            scores: BTreeMap::new(),
            classes: Vec::new(),
            confusion: None,
            ..evaluation.clone()
        };
    }
    report.candidates[1] = Candidate {
        state: CandidateState::Waiting,
        seconds: None,
        training: None,
        evaluations: Evaluations::default(),
        ..report.candidates[1].clone()
    };
    report.held = vec![Held {
        kind: ResourceKind::Deployment,
        name: "dfwfd-abcd2345-small-nim".into(),
        state: ResourceState::Live,
    }];
    report
}

/// The process died and a deployment may still be there.
pub(super) fn held() -> Report {
    let mut report = Report { state: RunState::Interrupted, exit_code: None, seconds: None, ..running() };
    report.data = None;
    report.candidates = Vec::new();
    report.held.push(Held {
        kind: ResourceKind::Training,
        name: "dfwfd-abcd2345-meta-llama-3-1-nemotron-nano-8b-instruct-1f3a-cust".into(),
        state: ResourceState::Intended,
    });
    report
}
