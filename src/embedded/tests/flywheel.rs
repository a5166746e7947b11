//! A whole flywheel's worth of calls: upload, register, deploy, evaluate, train, evaluate again, cancel, delete.

use super::*;

const TOPICS: [(&str, &str); 3] = [
    ("Merger", "agrees to buy rival in takeover"),
    ("Earnings", "posts quarterly profit above forecast"),
    ("Dividend", "raises its payout to shareholders"),
];

fn messages(text: &str) -> Value {
    let system = "Classify the headline. Answer [[[LABEL]]].\n- Merger\n- Earnings\n- Dividend";
    json!([{"role": "system", "content": system}, {"role": "user", "content": text}])
}

fn rows(count: usize, row: impl Fn(Value, String) -> Value) -> String {
    let lines: Vec<String> = (0..count)
        .map(|at| {
            let (label, text) = TOPICS[at % 3];
            row(messages(&format!("Company {at} {text}")), format!("[[[{label}]]]")).to_string()
        })
        .collect();
    lines.join("\n")
}

fn eval_rows(count: usize) -> String {
    rows(count, |messages, label| {
        json!({"workload_id": "w", "request": {"messages": messages},
            "response": {"choices": [{"message": {"role": "assistant", "content": label}}]}})
    })
}

fn training_rows(count: usize) -> String {
    rows(count, |messages, label| {
        let mut all = messages.as_array().cloned().unwrap();
        all.push(json!({"role": "assistant", "content": label}));
        json!({"messages": all})
    })
}

pub(super) async fn prepare(p: &Platform) {
    p.upload("ns", "eval", &[("eval_data.jsonl", &eval_rows(12))]).await;
    let files = [("training/train_data.jsonl", training_rows(60)), ("validation/val_data.jsonl", training_rows(9))];
    p.upload("ns", "train", &files.each_ref().map(|(path, text)| (*path, text.as_str()))).await;
    for name in ["eval", "train"] {
        let dataset = json!({"name": name, "namespace": "ns", "files_url": format!("hf://datasets/ns/{name}")});
        p.make("/nemo/v1/datasets", dataset).await;
    }
}

pub(super) async fn deploy(p: &Platform, model: &str) {
    let nim = json!({"name": "nim", "namespace": "ns", "config": {"model": model, "nim_deployment": {
        "image_name": "x", "image_tag": "1", "gpu": 1}}});
    p.make("/nemo/v1/deployment/model-deployments", nim).await;
    while p.read("/nemo/v1/deployment/model-deployments/ns/nim").await["deployed"] != json!(true) {}
    until_served(p, model).await;
}

pub(super) async fn until_served(p: &Platform, id: &str) {
    loop {
        let models = p.read("/nim/v1/models").await;
        if models["data"].as_array().unwrap().iter().any(|model| model["id"] == id) {
            return;
        }
    }
}

pub(super) fn evaluation(model: &str, template: &str) -> Value {
    json!({"namespace": "ns", "description": "e (u@h)", "target": {"type": "model", "model": model},
    "config": {"type": "custom", "params": {"parallelism": 4}, "tasks": {"chat-completion": {"type": "chat-completion",
        "dataset": {"files_url": "hf://datasets/ns/eval/eval_data.jsonl", "limit": 9},
        "params": {"template": {"messages": template, "temperature": 0}},
        "metrics": {
            "f1": {"type": "f1", "params": {"ground_truth": "{{ item.response.choices[0].message.content | trim }}"}},
            "same": {"type": "string-check", "params": {"check":
                ["{{ sample.output_text }}", "equals", "{{ item.response.choices[0].message.content }}"]}},
        }}}}})
}

pub(super) const MESSAGES: &str = "{{ item.request.messages | tojson }}";

/// Returns the job once it has ended, and the statuses before.
pub(super) async fn ended(p: &Platform, path: &str) -> (Value, Vec<String>) {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let job = p.read(path).await;
        let status = job["status"].as_str().unwrap().to_owned();
        if seen.last() != Some(&status) {
            seen.push(status.clone());
        }
        if ["completed", "failed", "cancelled"].contains(&status.as_str()) {
            return (job, seen);
        }
    }
}

async fn evaluate(p: &Platform, model: &str) -> f64 {
    let made = p.make("/nemo/v1/evaluation/jobs", evaluation(model, MESSAGES)).await;
    assert_eq!(
        (&made["status"], &made["namespace"], &made["description"]),
        (&json!("created"), &json!("ns"), &json!("e (u@h)"))
    );
    let path = format!("/nemo/v1/evaluation/jobs/{}", made["id"].as_str().unwrap());
    let (job, seen) = ended(p, &path).await;
    assert_eq!(job["status_details"]["message"], "Job completed successfully.", "{seen:?}");
    assert_eq!(job["status_details"]["samples_processed"], 9);
    let results = p.read(&format!("{path}/results")).await;
    let metrics = &results["tasks"]["chat-completion"]["metrics"];
    assert_eq!(metrics["f1"]["scores"]["f1_score"]["stats"]["count"], 9);
    metrics["same"]["scores"]["string-check"]["value"].as_f64().unwrap()
}

pub(super) fn config(target: &str) -> Value {
    json!({"name": "c@v1", "namespace": "ns", "target": target, "max_seq_length": 1000, "training_options": [
        {"training_type": "sft", "finetuning_type": "lora", "num_gpus": 1, "micro_batch_size": 1}]})
}

pub(super) fn training(dataset: &str) -> Value {
    json!({"config": "ns/c@v1", "dataset": {"namespace": "ns", "name": dataset}, "namespace": "ns", "name": "a/b",
        "description": "t (u@h)", "output_model": "ns/tuned",
        "hyperparameters": {"finetuning_type": "lora", "epochs": 2, "batch_size": 16, "lora": {"adapter_dim": 8}}})
}

async fn whole(p: &Platform, model: &str) {
    prepare(p).await;
    deploy(p, model).await;
    let before = evaluate(p, model).await;
    p.make("/nemo/v1/customization/configs", config(&format!("{model}@1.0"))).await;
    let job = p.make("/nemo/v1/customization/jobs", training("train")).await;
    let (id, output) = (job["id"].as_str().unwrap(), job["output_model"].as_str().unwrap());
    assert_eq!(output, format!("ns/tuned@{id}"));
    assert_eq!(
        (&job["namespace"], &job["description"], &job["dataset"]),
        (&json!("ns"), &json!("t (u@h)"), &json!("ns/train"))
    );
    // On the real clock the job may have ended by now.
    let artifact = p.read(&format!("/nemo/v1/models/{output}")).await["artifact"]["status"].clone();
    assert!(artifact == "created" || !p.server.backend.is_polled(), "{artifact}");
    let (status, _) = ended(p, &format!("/nemo/v1/customization/jobs/{id}/status")).await;
    assert_eq!((&status["status"], &status["percentage_done"]), (&json!("completed"), &json!(100.0)), "{status}");
    assert_eq!(status["epochs_completed"], 2);
    let losses = &status["metrics"]["metrics"];
    assert_eq!(losses["val_loss"].as_array().unwrap().len(), 2, "one per epoch");
    let train: Vec<f64> =
        losses["train_loss"].as_array().unwrap().iter().map(|p| p["value"].as_f64().unwrap()).collect();
    assert!(train.last() < train.first(), "{train:?}");

    until_served(p, output).await;
    let after = evaluate(p, output).await;
    assert!(after > 0.9 && after > before, "{before} -> {after}");
    assert_eq!(p.read(&format!("/nemo/v1/models/{output}")).await["artifact"]["status"], "upload_completed");
    let tree = p.read(&format!("/datastore/v1/hf/api/models/ns/tuned/tree/{id}")).await;
    let files: Vec<&str> = tree.as_array().unwrap().iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(files, ["adapter_config.json", "adapter_model.safetensors"]);

    p.delete("/nemo/v1/deployment/model-deployments/ns/nim").await;
    assert_eq!(p.read("/nim/v1/models").await["data"], json!([]), "adapters go with their NIM");
    deploy(p, model).await;
    until_served(p, output).await;
    let repo = json!({"name": "tuned", "organization": "ns"});
    p.send(Method::DELETE, "/datastore/v1/hf/api/repos/delete", Some(&repo)).await;
    assert_eq!(p.read("/nim/v1/models").await["data"].as_array().unwrap().len(), 1, "and with their files");
}

#[tokio::test]
async fn a_flywheel_turns_by_polls() {
    whole(&Platform::polled(), "dfwfd/ngram-large").await;
}

#[tokio::test]
async fn a_flywheel_turns_by_time() {
    whole(&Platform::start(Options::default()), "meta/llama-3.2-1b-instruct").await;
}

#[tokio::test]
async fn states_advance_by_reads() {
    let p = Platform::start(Options { clock: Clock::Polls, gpus: 1, control: true, ..Options::default() });
    prepare(&p).await;
    p.make("/nemo/v1/customization/configs", config("dfwfd/ngram-small@1.0")).await;
    let first = p.make("/nemo/v1/customization/jobs", training("train")).await["id"].clone();
    let second = p.make("/nemo/v1/customization/jobs", training("train")).await["id"].clone();
    let path = |id: &Value| format!("/nemo/v1/customization/jobs/{}/status", id.as_str().unwrap());
    for _ in 0..5 {
        let waiting = p.read(&path(&second)).await;
        assert_eq!(waiting["status"], "pending", "the one GPU is taken");
        assert_eq!(waiting["status_logs"][1]["message"], "NotEnoughResources");
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let status = p.read(&path(&first)).await;
        seen.push((status["status"].as_str().unwrap().to_owned(), status["percentage_done"].as_f64().unwrap()));
    }
    assert_eq!(seen, [("pending".into(), 0.0), ("running".into(), 50.0), ("completed".into(), 100.0)]);
    assert_eq!(ended(&p, &path(&second)).await.1, ["pending", "running", "completed"]);
    assert_eq!(p.read("/control/state").await["unfinished_jobs"], json!([]));
}

#[tokio::test]
async fn simulated_time_moves_in_steps_only() {
    let p = Platform::start(Options { clock: Clock::Simulated, gpus: 1, control: true, ..Options::default() });
    prepare(&p).await;
    p.make("/nemo/v1/customization/configs", config("dfwfd/ngram-small@1.0")).await;
    let job = p.make("/nemo/v1/customization/jobs", training("train")).await["id"].clone();
    let path = format!("/nemo/v1/customization/jobs/{}/status", job.as_str().unwrap());
    // The state must be free while this waits: the work ends in it.
    let work = p.server.backend.state().training(job.as_str().unwrap()).unwrap().work().unwrap().clone();
    work.ended().await;
    assert_eq!(p.read(&path).await["status"], "running", "the work is done, the time is not over");
    let step = p.make("/control/advance", json!({})).await;
    assert_eq!(step, json!({"changed": [job], "seconds": 900.0}));
    assert_eq!(p.read("/control/state").await["unseen"], json!([job]));
    assert_eq!(p.read(&path).await["status"], "completed");
    assert_eq!(p.read("/control/state").await["unseen"], json!([]));
    assert_eq!(p.make("/control/advance", json!({})).await, json!({"changed": [], "seconds": 900.0}));
    let (status, _) = Platform::polled().post("/control/advance", json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn jobs_are_cancelled() {
    let p = Platform::polled();
    prepare(&p).await;
    deploy(&p, "dfwfd/ngram-small").await;
    p.make("/nemo/v1/customization/configs", config("dfwfd/ngram-small@1.0")).await;
    let training = p.make("/nemo/v1/customization/jobs", training("train")).await["id"].clone();
    let evaluation = p.make("/nemo/v1/evaluation/jobs", evaluation("dfwfd/ngram-small", MESSAGES)).await["id"].clone();
    for (kind, id) in [("customization", training), ("evaluation", evaluation)] {
        let path = format!("/nemo/v1/{kind}/jobs/{}", id.as_str().unwrap());
        let empty = p.http.post(p.url(&format!("{path}/cancel"))).send().await.unwrap();
        assert!(empty.status().is_success());
        let (job, _) = ended(&p, &path).await;
        assert_eq!(job["status"], "cancelled");
        let (again, job) = p.post(&format!("{path}/cancel"), json!({})).await;
        assert_eq!((again, &job["status"]), (StatusCode::OK, &json!("cancelled")));
    }
    assert_eq!(p.read("/control/state").await["gpus"]["taken"], 1, "the NIM's only");
}

#[tokio::test]
async fn evaluations_are_checked_and_fail_with_a_reason() {
    let p = Platform::polled();
    prepare(&p).await;
    let with = |pointer: &str, value: Value| {
        let mut body = evaluation("m", MESSAGES);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let task = "/config/tasks/chat-completion";
    let refused = [
        (
            with(&format!("{task}/dataset/files_url"), json!("hf://datasets/ns/none/x.jsonl")),
            "is not present on datastore",
        ),
        (with(&format!("{task}/dataset"), json!({})), "needs to have the files_url property set"),
        (with(&format!("{task}/metrics/f1/type"), json!("bertscore")), "bertscore"),
        (with("/config/type", json!("gsm8k")), "gsm8k"),
        (with("/target/type", json!("rag")), "rag"),
        (with(&format!("{task}/params"), json!({})), "template is required"),
    ];
    for (body, expected) in refused {
        let (status, answer) = p.post("/nemo/v1/evaluation/jobs", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer["detail"].as_str().unwrap().contains(expected), "{answer}");
    }
    let skipped = "/nemo/v1/evaluation/jobs?skip_validation_checks=True";
    let absent = with(&format!("{task}/dataset/files_url"), json!("hf://datasets/ns/none"));
    let made = p.make(skipped, absent).await;
    let (job, _) = ended(&p, &format!("/nemo/v1/evaluation/jobs/{}", made["id"].as_str().unwrap())).await;
    assert!(job["status_details"]["message"].as_str().unwrap().contains("not present"), "{job}");

    let unserved = p.make("/nemo/v1/evaluation/jobs", evaluation("m", MESSAGES)).await;
    let path = format!("/nemo/v1/evaluation/jobs/{}", unserved["id"].as_str().unwrap());
    assert_eq!(p.get(&format!("{path}/results")).await.0, StatusCode::NOT_FOUND);
    let (job, seen) = ended(&p, &path).await;
    assert_eq!(seen, ["pending", "running", "failed"]);
    assert!(job["status_details"]["message"].as_str().unwrap().starts_with("Error connecting to inference server"));

    deploy(&p, "dfwfd/ngram-small").await;
    let broken =
        p.make("/nemo/v1/evaluation/jobs", evaluation("dfwfd/ngram-small", "{{ item.absent | tojson }}")).await;
    let (job, _) = ended(&p, &format!("/nemo/v1/evaluation/jobs/{}", broken["id"].as_str().unwrap())).await;
    assert!(job["status_details"]["message"].as_str().unwrap().contains("undefined"), "{job}");
}

#[tokio::test]
async fn rows_are_downloaded_as_a_zip_and_go_with_their_job() {
    use std::io::Read;
    let p = Platform::polled();
    prepare(&p).await;
    deploy(&p, "dfwfd/ngram-small").await;
    let mut body = evaluation("dfwfd/ngram-small", MESSAGES);
    let secret =
        json!({"api_endpoint": {"url": p.url("/nim/v1"), "model_id": "dfwfd/ngram-small", "api_key": "hidden"}});
    body["target"]["model"] = secret;
    let made = p.make("/nemo/v1/evaluation/jobs", body).await;
    assert_eq!(made["target"]["model"]["api_endpoint"]["api_key"], "******");
    let id = made["id"].as_str().unwrap();
    let path = format!("/nemo/v1/evaluation/jobs/{id}");
    ended(&p, &path).await;
    let answer = p.http.get(p.url(&format!("{path}/download-results"))).header("accept", "application/json");
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/zip");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.bytes().await.unwrap())).unwrap();
    let mut text = String::new();
    zip.by_name("results/results.json").unwrap().read_to_string(&mut text).unwrap();
    let rows: Value = serde_json::from_str(&text).unwrap();
    let rows = rows["chat-completion"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    assert_eq!(rows[4]["item"]["request"]["messages"][1]["content"], "Company 4 posts quarterly profit above forecast");
    assert!(rows[4]["sample"]["response"]["usage"]["total_tokens"].is_u64());
    let tree = format!("/datastore/v1/hf/api/datasets/evaluation-results/{id}/tree/main");
    assert_eq!(p.read(&tree).await[0]["path"], "results.json");
    assert_eq!(p.delete(&path).await, StatusCode::NO_CONTENT);
    assert_eq!(p.get(&path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(p.get(&tree).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_bad_row_fails_the_training_and_says_where() {
    let p = Platform::polled();
    prepare(&p).await;
    p.upload("ns", "bad", &[("training/t.jsonl", "{\"messages\": []}")]).await;
    p.make("/nemo/v1/datasets", json!({"name": "bad", "namespace": "ns", "files_url": "hf://datasets/ns/bad"})).await;
    p.make("/nemo/v1/customization/configs", config("dfwfd/ngram-small@1.0")).await;
    let job = p.make("/nemo/v1/customization/jobs", training("bad")).await;
    let path = format!("/nemo/v1/customization/jobs/{}/status", job["id"].as_str().unwrap());
    let (status, _) = ended(&p, &path).await;
    let last = status["status_logs"].as_array().unwrap().last().unwrap();
    assert_eq!(last["detail"], "training/t.jsonl, line 1: messages is empty");
    assert_eq!(p.read("/control/state").await["gpus"]["taken"], 0);
}
