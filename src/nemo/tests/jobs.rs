//! Customization and evaluation jobs: bodies sent, answers tolerated, finding again, results.

use std::io::Write;

use serde_json::{Value, json};

use super::super::{
    EvaluationKind, Hyperparameters, JobStatus, NewEvaluation, NewTrainingConfig, NewTrainingJob, Removal,
    TrainingOption,
};
use super::{Fake, Reply, missing, ok, reply};
use crate::vocabulary::LossPoint;

fn training_option() -> TrainingOption {
    TrainingOption {
        training_type: "sft".into(),
        finetuning_type: "lora".into(),
        num_gpus: 1,
        num_nodes: 1,
        tensor_parallel_size: 1,
        data_parallel_size: None,
        use_sequence_parallel: false,
        micro_batch_size: 2,
    }
}

fn new_config() -> NewTrainingConfig {
    NewTrainingConfig {
        namespace: "n".into(),
        name: "dfwfd-x@v1".into(),
        description: "dfwfd-x (me@here)".into(),
        target: "meta/llama-3.2-1b-instruct@2.0".into(),
        max_seq_length: 4096,
        training_precision: Some("bf16-mixed".into()),
        option: training_option(),
    }
}

pub(super) fn new_training() -> NewTrainingJob {
    NewTrainingJob {
        namespace: "n".into(),
        description: "dfwfd-x-train (me@here)".into(),
        config: "dfwfd-x@v1".into(),
        dataset: "dfwfd-x-train".into(),
        adapter: "dfwfd-x".into(),
        model: "m".into(),
        max_seq_length: 1024,
        training_precision: None,
        option: training_option(),
        backend: None,
        execution_profile: None,
        hyperparameters: Hyperparameters {
            training_type: "sft".into(),
            finetuning_type: "lora".into(),
            epochs: 2,
            batch_size: 16,
            learning_rate: 0.0001,
            adapter_dim: 32,
            adapter_dropout: 0.1,
            sequence_packing_enabled: true,
            seed: None,
        },
    }
}

#[tokio::test]
async fn targets_are_named_by_their_urn() {
    let fake = Fake::replies(vec![ok(json!({ "data": [
        { "namespace": "meta", "name": "m@2.0", "enabled": false, "base_model": "meta/m", "status": "ready" },
        { "namespace": "meta", "name": "k@2.0", "enabled": null, "base_model": null },
        { "name": null },
    ], "pagination": { "total_pages": 1 } }))])
    .await;
    let targets = fake.v1().training_targets().await.unwrap();
    let read: Vec<(&str, bool)> = targets.iter().map(|target| (target.name.as_str(), target.enabled)).collect();
    assert_eq!(read, [("meta/m@2.0", false), ("meta/k@2.0", true)]);
}

#[tokio::test]
async fn a_config_is_made_and_compared() {
    let mut there = json!({
        "name": "dfwfd-x@v1", "namespace": "n", "created_at": "2025-06-20T04:20:21.387984", "max_seq_length": 4096,
        "target": { "namespace": "meta", "name": "llama-3.2-1b-instruct@2.0" }, "training_precision": null,
        "training_options": [
            { "training_type": "dpo", "finetuning_type": "lora", "num_gpus": 8, "micro_batch_size": 9 },
            { "training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 2,
              "data_parallel_size": 1, "pipeline_parallel_size": 1, "use_sequence_parallel": null },
        ],
    });
    let mut bigger = there.clone();
    bigger["training_options"][1]["num_gpus"] = json!(4);
    let replies = vec![ok(there.clone()), ok(bigger), {
        there["training_options"] = Value::Null;
        there["target"] = json!("meta/llama-3.2-1b-instruct@2.0");
        ok(there)
    }];
    let fake = Fake::replies(replies).await;
    let client = fake.v1();
    let made = client.create_training_config(&new_config()).await.unwrap();
    assert_eq!(
        fake.seen()[0].json(),
        json!({
            "name": "dfwfd-x@v1", "namespace": "n", "description": "dfwfd-x (me@here)",
            "target": "meta/llama-3.2-1b-instruct@2.0", "max_seq_length": 4096, "training_precision": "bf16-mixed",
            "training_options": [{
                "training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "num_nodes": 1,
                "tensor_parallel_size": 1, "micro_batch_size": 2, "use_sequence_parallel": false,
            }],
        })
    );
    assert_eq!(new_config().differs_from(&made), None);
    let bigger = client.training_config("n", "dfwfd-x@v1").await.unwrap().unwrap();
    assert_eq!(new_config().differs_from(&bigger).unwrap(), "num_gpus: ours is 1, the platform has 4");
    let bare = client.training_config("n", "dfwfd-x@v1").await.unwrap().unwrap();
    let difference = new_config().differs_from(&bare).unwrap();
    assert_eq!(difference, "training_options: ours is for sft lora, the platform's is not");
}

#[tokio::test]
async fn a_training_job_lands_in_the_configured_namespace() {
    let job = json!({
        "id": "cust-FarcM8gwhL1XFDXQ57qGLL", "created_at": "2025-06-20T04:20:21.387984", "namespace": "n",
        "description": "dfwfd-x-train (me@here)", "dataset": "n/dfwfd-x-train", "config": "n/dfwfd-x@v1",
        "output_model": "n/dfwfd-x@cust-FarcM8gwhL1XFDXQ57qGLL", "status": "created",
        "status_details": { "elapsed_time": 0.0, "percentage_done": 0.0, "status_logs": [{ "message": "created" }] },
        "warnings": null,
    });
    let fake = Fake::replies(vec![ok(job), ok(json!({ "status": "created" })), missing()]).await;
    let client = fake.v1();
    let made = client.create_training_job(&new_training()).await.unwrap();
    assert_eq!(
        fake.seen()[0].json(),
        json!({
            "namespace": "n", "description": "dfwfd-x-train (me@here)", "config": "n/dfwfd-x@v1",
            "dataset": { "namespace": "n", "name": "dfwfd-x-train" }, "output_model": "n/dfwfd-x",
            "hyperparameters": {
                "training_type": "sft", "finetuning_type": "lora", "epochs": 2, "batch_size": 16,
                "learning_rate": 0.0001, "lora": { "adapter_dim": 32, "adapter_dropout": 0.1 },
                "sequence_packing_enabled": true,
            },
        })
    );
    assert_eq!(made.output_model.as_deref(), Some("n/dfwfd-x@cust-FarcM8gwhL1XFDXQ57qGLL"));
    assert_eq!((made.status, made.created_at_ms), (JobStatus::Waiting, Some(1_750_393_221_387)));
    // A job without an id is no job, but it may well exist.
    let error = client.create_training_job(&new_training()).await.unwrap_err();
    assert!(error.may_have_been_accepted(), "{error}");
    assert_eq!(client.training_job("cust-1").await.unwrap(), None);
}

#[tokio::test]
async fn a_training_status_is_read_with_its_curves() {
    let status = json!({
        "status": "running", "percentage_done": 50.0, "epochs_completed": 1, "steps_completed": 219.0,
        "steps_per_epoch": 219, "best_epoch": null, "train_loss": 0.5, "val_loss": null,
        "metrics": { "keys": ["train_loss", "val_loss"], "metrics": {
            "train_loss": [{ "step": 9, "value": 1.5 }, { "step": 19, "value": 0.5 }, { "value": 3 }],
            "val_loss": [{ "step": 19, "timestamp": "2025-06-20T04:39:44", "value": 0.25 }, { "step": 29, "value": null }],
        } },
        "status_logs": [
            { "updated_at": "2025-06-20T04:32:50.973138", "message": "TrainingJobRunning", "detail": null },
            { "updated_at": "2025-06-20T04:20:22", "message": "created" },
            { "message": "no time" }, { "updated_at": "2025-06-20T05:00:00" }, null,
        ],
    });
    let failed = json!({ "status": "FAILED", "percentage_done": 100.0, "metrics": null, "status_logs": [
        { "updated_at": "2025-06-20T04:32:50", "message": "Failed", "detail": "out of memory" },
    ] });
    let odd = json!({ "status": "hibernating", "status_logs": null });
    let fake = Fake::replies(vec![ok(status), ok(failed), ok(odd)]).await;
    let client = fake.v1();
    let running = client.training_status("cust-1").await.unwrap();
    assert_eq!(running.status, JobStatus::Running(Some(50.0)));
    assert_eq!(running.epochs_completed, Some(1));
    assert_eq!((running.train_loss, running.val_loss), (Some(0.5), None));
    let at = |step, train, validation| LossPoint { step, train, validation };
    let curve = [at(9, Some(1.5), None), at(19, Some(0.5), Some(0.25)), at(29, None, None)];
    assert_eq!(running.losses, curve);
    let failed = client.training_status("cust-1").await.unwrap();
    assert_eq!(failed.status, JobStatus::Failed("out of memory".into()));
    let odd = client.training_status("cust-1").await.unwrap();
    assert_eq!((odd.status, odd.losses.len()), (JobStatus::Unknown("hibernating".into()), 0));
    assert_eq!(fake.lines()[0], "GET /nemo/v1/customization/jobs/cust-1/status");
}

#[tokio::test]
async fn cancel_uses_the_documented_path_with_an_empty_body() {
    let fake = Fake::start(|_, _| ok(json!({ "status": "cancelling" }))).await;
    fake.v1().cancel_training_job("cust-1").await.unwrap();
    fake.v1().cancel_evaluation_job("eval-1").await.unwrap();
    let lines = ["POST /nemo/v1/customization/jobs/cust-1/cancel", "POST /nemo/v1/evaluation/jobs/eval-1/cancel"];
    assert_eq!(fake.lines(), lines);
    assert!(fake.seen().iter().all(|seen| seen.body.is_empty() && seen.header("content-length") == "0"));
}

#[tokio::test]
async fn a_refused_cancel_counts_when_the_job_has_ended() {
    let job = |status: &'static str| move || ok(json!({ "id": "eval-1", "status": status }));
    for look in [&job("completed") as &dyn Fn() -> Reply, &job("cancelled"), &missing] {
        for refusal in [404, 409, 422] {
            let fake = Fake::replies(vec![reply(refusal, "{}"), look(), reply(refusal, "{}"), look()]).await;
            fake.v1().cancel_evaluation_job("eval-1").await.unwrap();
            fake.v1().cancel_training_job("eval-1").await.unwrap();
        }
    }
    let fake = Fake::replies(vec![missing(), job("running")()]).await;
    let error = fake.v1().cancel_training_job("eval-1").await.unwrap_err();
    assert!(!error.is_not_found(), "{error}");
    assert!(error.to_string().contains("the job goes on"), "{error}");
    let fake = Fake::replies(vec![reply(403, "")]).await;
    assert!(fake.v1().cancel_evaluation_job("eval-1").await.unwrap_err().is_refused());
}

fn listed(jobs: Value) -> Reply {
    ok(json!({ "data": jobs, "pagination": { "page": 1, "total_pages": 99 } }))
}

#[tokio::test]
async fn a_job_is_found_by_its_exact_description() {
    let fake = Fake::replies(vec![listed(json!([
        { "id": "cust-3", "description": "dfwfd-x (me@here) ", "created_at": "2025-01-01T00:00:30" },
        { "id": "cust-2", "description": null, "created_at": "2025-01-01T00:00:20" },
        { "id": "cust-1", "description": "dfwfd-x (me@here)", "created_at": "2025-01-01T00:00:10", "status": "running" },
        { "id": "cust-0", "description": "dfwfd-x (me@here)", "created_at": "2025-01-01T00:00:05", "status": "failed" },
    ]))])
    .await;
    let found = fake.v1().find_training_job("dfwfd-x (me@here)").await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.status), ("cust-1", JobStatus::Running(None)));
    let line = "GET /nemo/v1/customization/jobs?page=1&page_size=100&sort=-created_at";
    assert_eq!(fake.lines(), [line]);
}

#[tokio::test]
async fn a_job_is_found_whatever_the_clock_of_the_service_says() {
    let fake = Fake::start(|_, before| match before {
        0 => listed(json!([{ "id": "a", "created_at": "2025-01-01T00:00:30" }, { "id": "b", "created_at": null }])),
        1 => listed(json!([{ "id": "c", "created_at": "2025-01-01T00:00:20" },
                           { "id": "d", "description": "x", "created_at": "1970-01-01T00:00:59" }])),
        _ => reply(500, "too far"),
    })
    .await;
    assert_eq!(fake.v1().find_evaluation_job("x").await.unwrap().unwrap().id, "d");
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn the_search_survives_lists_that_are_not_sorted_or_have_no_times() {
    let fake = Fake::start(|_, before| match before {
        0 => listed(json!([{ "id": "a", "created_at": "2024-01-01T00:00:00" }, { "id": "b", "created_at": "2025-06-01T00:00:00" }])),
        1 => listed(json!([{ "id": "c", "description": "x", "created_at": "2025-01-02T00:00:00" },
                           { "id": "d", "description": "x", "created_at": "2025-01-03T00:00:00" }])),
        _ => listed(json!([])),
    })
    .await;
    let found = fake.v1().find_evaluation_job("x").await.unwrap().unwrap();
    assert_eq!(found.id, "d");
    let fake = Fake::start(|_, before| match before {
        0 => listed(json!([{ "id": "a" }])),
        1 => listed(json!([{ "id": "b", "description": "x", "created_at": "someday" }])),
        _ => listed(Value::Null),
    })
    .await;
    assert_eq!(fake.v1().find_evaluation_job("x").await.unwrap().unwrap().id, "b");
}

fn new_evaluation() -> NewEvaluation {
    NewEvaluation {
        kind: EvaluationKind::Classification,
        judge: None,
        namespace: "n".into(),
        description: "dfwfd-x-base (me@here)".into(),
        model: "meta/m".into(),
        dataset: "d".into(),
        file: "eval_data.jsonl".into(),
        temperature: Some(0.5),
    }
}

#[tokio::test]
async fn an_evaluation_asks_for_f1_and_string_check_on_all_rows() {
    let created = json!({ "id": "eval-1", "namespace": "n", "status": "created", "created_at": "2025-09-17T21:27:03.479720",
        "status_details": { "message": null, "task_status": {}, "progress": null, "samples_processed": null } });
    let running =
        json!({ "id": "eval-1", "status": "running", "status_details": { "progress": 37.5, "samples_processed": 3 } });
    let failed = json!({ "id": "eval-1", "status": "failed", "status_details": { "message": "Error connecting" } });
    let fake =
        Fake::replies(vec![ok(created), ok(running), ok(failed), reply(204, ""), reply(204, ""), missing(), missing()])
            .await;
    let client = fake.v1();
    let made = client.create_evaluation_job(&new_evaluation()).await.unwrap();
    let truth = "{{ item.response.choices[0].message.content | trim }}";
    assert_eq!(
        fake.seen()[0].json(),
        json!({
            "namespace": "n", "description": "dfwfd-x-base (me@here)", "target": { "type": "model", "model": "meta/m" },
            "config": {
                "type": "custom",
                "tasks": { "chat-completion": {
                    "type": "chat-completion",
                    "dataset": { "files_url": "hf://datasets/n/d/eval_data.jsonl" },
                    "params": { "template": { "messages": "{{ item.request.messages | tojson }}" } },
                    "metrics": {
                        "f1": { "type": "f1", "params": { "ground_truth": truth } },
                        "string-check": { "type": "string-check",
                            "params": { "check": ["{{ sample.output_text | trim }}", "equals", truth] } },
                    },
                } },
                "params": { "temperature": 0.5 },
            },
        })
    );
    assert_eq!((made.id.as_str(), made.status, made.progress), ("eval-1", JobStatus::Waiting, None));
    let running = client.evaluation_job("eval-1").await.unwrap().unwrap();
    assert_eq!((running.status, running.samples_processed), (JobStatus::Running(Some(37.5)), Some(3)));
    let failed = client.evaluation_job("eval-1").await.unwrap().unwrap();
    assert_eq!(failed.status, JobStatus::Failed("Error connecting".into()));
    assert_eq!(client.delete_evaluation_job("eval-1").await.unwrap(), Removal::Removed);
    assert_eq!(client.delete_evaluation_job("eval-1").await.unwrap(), Removal::Absent);
    let lines = ["DELETE /nemo/v1/evaluation/jobs/eval-1", "DELETE /ds/v1/hf/api/repos/delete"];
    assert_eq!(fake.lines()[3..5], lines);
    let results = json!({ "name": "eval-1", "organization": "evaluation-results", "type": "dataset" });
    assert_eq!(fake.seen()[4].json(), results);
}

#[tokio::test]
async fn an_evaluation_of_tool_calls_sends_the_tools() {
    let fake = Fake::replies(vec![ok(json!({ "id": "eval-1" }))]).await;
    let new = NewEvaluation { kind: EvaluationKind::ToolCalling, ..new_evaluation() };
    fake.v1().create_evaluation_job(&new).await.unwrap();
    let tasks = fake.seen()[0].json()["config"]["tasks"].clone();
    let truth = "{{ item.response.choices[0].message.tool_calls | tojson }}";
    assert_eq!(
        tasks,
        json!({ "custom-tool-calling": {
            "type": "chat-completion",
            "dataset": { "files_url": "hf://datasets/n/d/eval_data.jsonl" },
            "params": { "template": {
                "messages": "{{ item.request.messages | tojson }}",
                "tools": "{{ item.request.tools | tojson }}",
                "tool_choice": "required",
            } },
            "metrics": { "tool-calling-accuracy":
                { "type": "tool-calling", "params": { "tool_calls_ground_truth": truth } } },
        } })
    );
}

#[tokio::test]
async fn without_a_temperature_the_service_chooses() {
    let fake = Fake::replies(vec![ok(json!({ "id": "eval-1" }))]).await;
    let new = NewEvaluation { temperature: None, ..new_evaluation() };
    fake.v1().create_evaluation_job(&new).await.unwrap();
    assert_eq!(fake.seen()[0].json()["config"].get("params"), None);
}

#[tokio::test]
async fn an_adapter_is_served_under_the_name_that_the_job_tells() {
    let told = json!({ "id": "cust-1", "output_model": "n/other@v1" });
    let fake = Fake::replies(vec![ok(told), ok(json!({ "id": "cust-1" })), missing()]).await;
    for expected in ["n/other@v1", "n/a@cust-1", "n/a@cust-1"] {
        assert_eq!(fake.v1().served_adapter("n", "a", "cust-1").await.unwrap(), expected);
    }
}

#[tokio::test]
async fn results_are_read_from_tasks_and_groups_with_nan_and_without_value() {
    let body = r#"{"tasks":{"chat-completion":{"metrics":{
        "f1":{"scores":{"f1_score":{"value":0.362,"stats":{"count":100,"sum":36.2,"mean":0.362}}}},
        "string-check":{"scores":{"string-check":{"value":null,"stats":{"mean":0.25}}}},
        "odd":{"scores":{"x":{"value":NaN,"stats":null},"y":null}}}}},
        "groups":{"evaluation":{"metrics":{"evaluation":{"scores":{"em_score":{"value":1}}}}}},"custom_fields":null}"#;
    let fake = Fake::replies(vec![reply(200, body), ok(json!({ "tasks": null }))]).await;
    let results = fake.v1().evaluation_scores("eval-1").await.unwrap();
    assert_eq!(results.token_f1(), Some(0.362));
    assert_eq!(results.score("string-check", &["string-check"]), Some(0.25));
    assert_eq!((results.score("odd", &["x", "y"]), results.score("evaluation", &["em_score"])), (None, Some(1.0)));
    assert_eq!(fake.v1().evaluation_scores("eval-1").await.unwrap().tasks.len(), 0);
    assert_eq!(fake.lines()[0], "GET /nemo/v1/evaluation/jobs/eval-1/results");
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn rows_come_from_results_json_wherever_it_lies() {
    let rows = r#"{"chat-completion":[
        {"item":{"request":{"messages":[]},"n":12345678901234567890},
         "sample":{"output_text":"[[[A]]]","response":{"choices":[],"usage":{"prompt_tokens":120,"completion_tokens":7}}},
         "metrics":{"f1":{"scores":{"f1_score":{"value":0.5}}}}},
        {"item":null,"sample":{"output_text":"","response":null},"metrics":{"f1":{"scores":{"f1_score":{"value":NaN}}}}},
        {"sample":{"output_text":null,"response":{"choices":[{"message":{"content":"said"}}],"usage":null}},"metrics":null},
        {"sample":null}, 7]}"#;
    let deep = archive(&[
        ("logs/run.log", "nothing"),
        ("../../a/b/results.json", "{}"),
        ("eval-1/results.json", rows),
        ("eval-1/not-results.json", "x"),
    ]);
    let fake = Fake::replies(vec![reply(200, deep)]).await;
    let rows = fake.v1().evaluated_rows("eval-1").await.unwrap();
    assert_eq!(fake.seen()[0].line(), "GET /nemo/v1/evaluation/jobs/eval-1/download-results");
    assert_eq!(fake.seen()[0].header("accept"), "application/zip");
    let texts: Vec<Option<&str>> = rows.iter().map(|row| row.output_text.as_deref()).collect();
    assert_eq!(texts, [Some("[[[A]]]"), Some(""), Some("said"), None]);
    assert_eq!((rows[0].prompt_tokens, rows[0].completion_tokens), (Some(120), Some(7)));
    assert_eq!(rows[0].scores["f1"]["f1_score"], 0.5);
    assert_eq!(rows[0].item["n"], json!(12345678901234567890_u64));
    assert!(rows[1].scores["f1"].is_empty() && rows[2].scores.is_empty());
    assert!(rows.iter().all(|row| row.task == "chat-completion"));
}

#[tokio::test]
async fn an_archive_without_rows_says_what_is_wrong() {
    let empty = archive(&[("logs/run.log", "nothing")]);
    let broken = archive(&[("results.json", "{\"a\": ")]);
    for (body, expected) in [
        (empty, "no results.json"),
        (broken, "results.json: "),
        (b"<html>".to_vec(), "not an archive"),
        (Vec::new(), "archive"),
    ] {
        let fake = Fake::replies(vec![reply(200, body)]).await;
        let error = fake.v1().evaluated_rows("eval-1").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.is_transient(), expected.contains("archive") && expected != "no results.json", "{error}");
    }
}
