//! What `run --plan` and `doctor` say of a plan on NeMo Helix, against an endpoint that answers as an empty platform does.

use serde_json::{Value, json};

use crate::harness::{Folder, Output, project};
use crate::openai::{Answer, Asked, OpenAi};

/// A platform with one base model, `tools/there`, in the only workspace.
fn platform() -> OpenAi {
    OpenAi::start(|asked: &Asked, _| answer(&asked.line))
}

fn answer(line: &str) -> Answer {
    let line = line.split('?').next().unwrap();
    let missing = || (404, json!({ "detail": format!("{} not found", line.rsplit('/').next().unwrap()) }));
    match line {
        "GET /cluster-info" => (200, json!({ "platform_version": "0.8.1" })),
        "GET /status" => (200, json!({ "status": "healthy", "controllers": { "healthy": true } })),
        "GET /apis/evals/v1/healthz" | "GET /apis/entities/v2/workspaces/tools" => (200, json!({})),
        "GET /apis/models/v2/workspaces/tools/models/there" => {
            (200, json!({ "name": "there", "fileset": "tools/there" }))
        }
        "GET /apis/files/v2/workspaces/tools/filesets/there" => {
            (200, json!({ "name": "there", "description": "dfwfd", "storage": { "repo_id": "org/there" } }))
        }
        _ if ["deployments", "deployment-configs", "providers", "jobs"].iter().any(|list| line.ends_with(list)) => {
            (200, json!({ "data": [] }))
        }
        _ => missing(),
    }
}

/// Runs a command with these candidates and these keys.
fn dfwfd(command: &[&str], nims: &str, keys: &[&str]) -> Output {
    let platform = platform();
    let base = platform.url().replace("/v1/chat/completions", "");
    let logs = project().join("testdata/news_logs.jsonl");
    let yaml = format!(
        "nmp_config: {{nemo_base_url: '{base}', nmp_namespace: tools}}\nlogs: {{path: {}}}\nnims:\n{nims}",
        logs.display()
    );
    let folder = Folder::with_config(&yaml);
    folder.dfwfd(command).args(["--format", "json"]).args(keys.iter().flat_map(|key| ["--set", key])).run()
}

const THERE: &str =
    "  - {model_name: org/there, customization_enabled: true, customizer_configs: {backend: unsloth}}\n";

fn plan(nims: &str, keys: &[&str]) -> Output {
    dfwfd(&["run", "--plan"], nims, keys)
}

#[test]
fn two_candidates_of_one_model_entity_are_refused() {
    let nims = "  - {model_name: meta/there}\n  - {model_name: other/there}\n";
    let refused = plan(nims, &[]);
    refused.code(2).says("meta/there and other/there are the same model on the platform, tools/there").hints();
    plan("  - {model_name: meta/there}\n  - {model_name: other/there, base_model: elsewhere, base_model_repository: o/r}\n", &[])
        .code(0);
    let refused = dfwfd(&["doctor"], nims, &[]);
    refused.code(2);
    assert!(refused.json().to_string().contains("are the same model on the platform"), "{refused}");
}

#[test]
fn a_model_entity_of_another_repository_is_refused() {
    let refused = plan(THERE, &["nims.0.base_model_repository=org/another"]);
    refused.code(2).says("tools/there is of the repository org/there, not of org/another").hints();
    plan(THERE, &["nims.0.base_model_repository=org/there"]).code(0);
}

#[test]
fn keys_and_values_without_effect_are_named() {
    let keys = [
        "nims.0.customizer_configs.gpus=2",
        "nims.0.customizer_configs.tensor_parallel_size=2",
        "nims.0.customizer_configs.training_precision=int8",
    ];
    let told = |keys: &[&str]| -> Vec<String> {
        let output = plan(THERE, keys);
        let warnings = output.code(0).json()["warnings"].clone();
        warnings.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let warnings = told(&keys);
    let of_training = "nims.0.customizer_configs.gpus, nims.0.customizer_configs.tensor_parallel_size, \
                       nims.0.customizer_configs.training_precision have no effect: unsloth trains on one GPU in one of bf16, fp16";
    assert!(warnings.iter().any(|one| one == of_training), "{warnings:?}");
    let automodel = told(&["nims.0.customizer_configs.backend=automodel", keys[2], keys[0]]);
    let of_precision =
        "nims.0.customizer_configs.training_precision has no effect: automodel trains in one of bf16, fp16, fp32, fp8";
    assert!(automodel.iter().any(|one| one == of_precision), "{automodel:?}");
    let embedding = "icl_config.similarity_config.embedding_nim_config";
    let similar =
        ["icl_config.example_selection=semantic_similarity".to_owned(), format!("{embedding}.model_name=org/e")];
    let mut in_vain = similar.to_vec();
    in_vain.extend([format!("{embedding}.tag=1.8"), format!("{embedding}.registry_base=nvcr.io/nim")]);
    let in_vain: Vec<&str> = in_vain.iter().map(String::as_str).collect();
    let of_image =
        format!("{embedding}.registry_base, {embedding}.tag have no counterpart on NeMo Helix and no effect");
    assert!(told(&in_vain).contains(&of_image), "{:?}", told(&in_vain));
    let judge = ["workload_type=tool_calling", "tool_eval_type=tool-calling-judge"]
        .map(|key| format!("evaluation_config.{key}"));
    let judge =
        judge.into_iter().chain(["model_name=judges/j", "tag=1.8"].map(|key| format!("llm_judge_config.{key}")));
    let judge: Vec<String> =
        judge.chain([format!("logs.path={}", project().join("testdata/tools_logs.jsonl").display())]).collect();
    let judge: Vec<&str> = judge.iter().map(String::as_str).collect();
    let of_tag = "llm_judge_config.tag has no counterpart on NeMo Helix and no effect";
    assert!(told(&judge).iter().any(|one| one == of_tag), "{:?}", told(&judge));
    assert!(told(&[]).iter().all(|one| !one.contains("no effect")), "a default is no word of the user");
}

#[test]
fn a_namespace_that_the_platform_refuses_is_refused_before_the_run() {
    for name in ["My_Space", "bad--space"] {
        let key = format!("nmp_config.nmp_namespace={name}");
        plan(THERE, &[&key]).code(2).says(&format!("the platform takes no namespace named {name}")).hints();
        let checked = dfwfd(&["doctor"], THERE, &[&key]);
        let json = checked.code(2).json();
        let check = json["checks"].as_array().unwrap().iter().find(|check| check["subject"] == "namespace");
        assert_eq!(check.map(|check| &check["state"]), Some(&json!("failed")), "{checked}");
    }
}

#[test]
fn doctor_says_of_a_model_that_the_run_makes_what_it_is_made_from() {
    let checked = dfwfd(
        &["doctor"],
        "  - {model_name: org/new, base_model_repository: org/repository, customization_enabled: true}\n",
        &[],
    );
    let json = checked.code(0).json();
    let check = json["checks"].as_array().unwrap().iter().find(|check| check["subject"] == "org/new").unwrap().clone();
    assert_eq!(check["detail"], "is made from org/repository at the first run");
    let checked = dfwfd(&["doctor"], THERE, &[]);
    assert!(checked.code(0).json().to_string().contains("can be trained"), "{checked}");
}
