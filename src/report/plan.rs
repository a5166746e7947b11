//! What `--plan` prints: every value that matters with where it came from, and how each candidate will run. Values in,
//! text out.

use super::layout::{Grid, Overflow, Page, Side};
use super::text::Tone;
use crate::config::plan::{Plan, Source};

/// How one candidate will run, in the order of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCandidate {
    /// Such as `overlap` or `in turn`.
    pub mode: String,
    /// GPUs that it takes at once.
    pub gpus: u32,
}

/// The plan for people. `candidates` says how each will run where that is known; `budget` is a sentence about GPUs.
pub fn plan(plan: &Plan, candidates: &[PlannedCandidate], budget: &str, width: usize, color: bool) -> String {
    let mark = if plan.rehearse { "REHEARSAL: " } else { "" };
    let mut page = Page::new(width, color);
    page.title(&format!("{mark}Plan"));
    let header = [("key", Side::Left), ("from", Side::Left), ("value", Side::Left)];
    let mut grid = Grid::new(&header).overflow(Overflow::Wrap);
    for (key, origin) in &plan.origins {
        let from = match origin.from {
            Source::Flag => "flag",
            Source::Environment => "environment",
            Source::File => "file",
            Source::Default => "default",
        };
        grid.row([key.clone(), from.to_owned(), origin.value.clone()]);
    }
    if !grid.is_empty() {
        page.grid(&grid);
    }
    candidate_table(&mut page, plan, candidates, mark);
    if !budget.is_empty() {
        page.plain("", budget);
    }
    if !plan.warnings.is_empty() {
        page.gap();
    }
    for warning in &plan.warnings {
        page.tone(Tone::Warning, "warning: ", warning);
    }
    page.text()
}

fn candidate_table(page: &mut Page, plan: &Plan, candidates: &[PlannedCandidate], mark: &str) {
    if plan.candidates.is_empty() {
        return;
    }
    page.title(&format!("{mark}Candidates"));
    let mut grid = Grid::new(&[
        ("model", Side::Left),
        ("GPUs of the NIM", Side::Right),
        ("of training", Side::Right),
        ("at once", Side::Right),
        ("mode", Side::Left),
    ]);
    for (at, candidate) in plan.candidates.iter().enumerate() {
        let training = candidate.customizer.as_ref().map(|customizer| customizer.gpus * customizer.num_nodes);
        let planned = candidates.get(at);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        grid.row([
            candidate.model_name.clone(),
            candidate.gpus.to_string(),
            or_dash(training.map(|gpus| gpus.to_string())),
            or_dash(planned.map(|planned| planned.gpus.to_string())),
            or_dash(planned.map(|planned| planned.mode.clone())),
        ]);
    }
    page.grid(&grid);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::width as shown;

    fn sample() -> Plan {
        serde_json::from_value(serde_json::json!({
            "config_file": null, "state_dir": "/state", "rehearse": true, "gpus": 2,
            "platform": {"kind": "embedded", "nemo_base_url": "", "nim_base_url": "", "datastore_base_url": "",
                "namespace": "dfwfd", "api_key_env": null, "ca_cert": null, "headers": {}, "nim_parallelism": 4},
            "data": {"input": {"local": "/state/logs"},
                "filter": {"workload": null, "clients": [], "since": null, "until": null},
                "workload_type": "classification", "labels": {"allowed": null, "pattern": null},
                "split": {"eval_size": 100, "val_ratio": 0.1, "min_total_records": 50, "random_seed": 42, "limit": null,
                    "parse_function_arguments": true, "stratify_enabled": true, "min_samples_per_class": 2,
                    "rare_class_threshold": 1}},
            "candidates": [{"model_name": "meta/llama-3.2-1b-instruct", "context_length": 8192, "gpus": 1, "pvc_size": null,
                "tag": null, "registry_base": null, "customizer": {"target": "meta/llama-3.2-1b-instruct@2.0", "gpus": 2,
                "num_nodes": 2, "tensor_parallel_size": 1, "data_parallel_size": null, "use_sequence_parallel": false,
                "micro_batch_size": 1, "training_precision": null, "max_seq_length": 4096}},
                {"model_name": "meta/llama-3.1-8b-instruct", "context_length": 8192, "gpus": 1, "pvc_size": null, "tag": null,
                "registry_base": null, "customizer": null}],
            "training": {"training_type": "sft", "finetuning_type": "lora", "epochs": 1, "batch_size": 64,
                "learning_rate": 1e-4, "adapter_dim": 16, "adapter_dropout": 0.1, "sequence_packing_enabled": true},
            "limits": {"deploy_ms": 1, "train_ms": 1, "evaluate_ms": 1, "adapter_ms": 1, "release_ms": 1, "settle_ms": 1},
            "origins": {
                "data_split_config.eval_size": {"value": "100", "from": "default"},
                "nmp_config.nemo_base_url": {"value": "http://nemo.example.test:8000/with/a/rather/long/path/to/it",
                    "from": "environment"},
                "gpus": {"value": "2", "from": "flag"}},
            "warnings": ["mlflow_config is accepted and has no effect yet"]
        }))
        .unwrap()
    }

    #[test]
    fn values_have_their_origin_and_candidates_their_mode() {
        let modes = [PlannedCandidate { mode: "in turn".into(), gpus: 4 }];
        for width in [80, 160] {
            let text = plan(&sample(), &modes, "Budget: 2 GPUs, as the flag says.", width, false);
            assert!(text.lines().all(|line| shown(line) <= width), "{text}");
            insta::assert_snapshot!(format!("plan_{width}"), text);
        }
    }
}
