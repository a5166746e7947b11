//! Evaluations beyond those of a flywheel: task types, targets, judges, live evaluation.

use super::flywheel::{MESSAGES, deploy, ended, evaluation, prepare};
use super::*;

/// Returns `/results` of an evaluation with these metrics.
async fn results(p: &Platform, body: Value) -> Value {
    let made = p.make("/nemo/v1/evaluation/jobs", body).await;
    let path = format!("/nemo/v1/evaluation/jobs/{}", made["id"].as_str().unwrap());
    let (job, _) = ended(p, &path).await;
    assert_eq!(job["status"], "completed", "{job}");
    p.read(&format!("{path}/results")).await
}

fn metrics_of(results: &Value, task: &str) -> Value {
    results["tasks"][task]["metrics"].clone()
}

/// Returns a judge metric to which a student answers yes, read as a word and as a number.
fn judge(model: Value) -> Value {
    let ask = "JsonResult [[[LABEL]]].\n- yes\n- no\n{{ sample.output_text }} is meant to be \
               {{ item.response.choices[0].message.content }}: yes yes";
    let score = |kind: &str| json!({"type": kind, "parser": {"type": "regex", "pattern": r"\[\[\[(\w+)\]\]\]"}});
    json!({"type": "llm-judge", "params": {"model": model, "template": {"messages": [{"role": "user", "content": ask}]},
        "scores": {"word": score("boolean"), "number": score("int")}}})
}

#[tokio::test]
async fn every_metric_of_one_job() {
    let p = Platform::polled();
    prepare(&p).await;
    deploy(&p, "dfwfd/ngram-small").await;
    let gold = "{{ item.response.choices[0].message.content }}";
    let mut body = evaluation("dfwfd/ngram-small", MESSAGES);
    body["config"]["tasks"]["chat-completion"]["metrics"] = json!({
        "em": {"type": "em", "params": {"ground_truth": gold}},
        "bleu": {"type": "bleu", "params": {"references": [gold]}},
        "rouge": {"type": "rouge", "params": {"ground_truth": gold}},
        "number": {"type": "number-check", "params": {"check": ["{{ sample.response.usage.prompt_tokens }}", ">", 3]}},
        "text": {"type": "string-check", "params": {"check": ["{{ output_text }}", "!=", ""]}},
        "tools": {"type": "tool-calling", "params": {"model": null, "tool_calls_ground_truth": "[]"}},
    });
    // A template that yields text instead of a JSON list of calls costs the row only its tool score.
    let metrics = metrics_of(&results(&p, body).await, "chat-completion");
    let names: Vec<&String> = metrics["rouge"]["scores"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["rouge_1_score", "rouge_2_score", "rouge_3_score", "rouge_L_score"]);
    assert_eq!(metrics["number"]["scores"]["number-check"]["value"], 1.0);
    assert_eq!(metrics["text"]["scores"]["string-check"]["value"], 1.0);
    let tools = &metrics["tools"]["scores"]["function_name_accuracy"];
    assert_eq!(*tools, json!({"value": null, "stats": {"count": 0, "sum": 0.0, "mean": null, "nan_count": 9}}));
    let em = metrics["em"]["scores"]["em_score"]["value"].as_f64().unwrap();
    let bleu = &metrics["bleu"]["scores"];
    assert_eq!(bleu["sentence"]["stats"]["count"], 9);
    assert_eq!(bleu["corpus"]["stats"]["count"], 9);
    assert!(bleu["sentence"]["value"].as_f64().unwrap() >= 100.0 * em);
    assert!(metrics["rouge"]["scores"]["rouge_1_score"]["value"].as_f64().unwrap() >= em);
}

#[tokio::test]
async fn judges_local_remote_and_absent() {
    let p = Platform::polled();
    prepare(&p).await;
    deploy(&p, "dfwfd/ngram-small").await;
    let url = p.url("/nim/v1/chat/completions");
    let remote = json!({"api_endpoint": {"url": url, "model_id": "dfwfd/ngram-small", "api_key": "hidden"}});
    let mut body = evaluation("dfwfd/ngram-small", MESSAGES);
    body["config"]["tasks"]["chat-completion"]["metrics"] =
        json!({"local": judge(json!("dfwfd/ngram-small")), "remote": judge(remote), "absent": judge(json!(null))});
    let made = p.make("/nemo/v1/evaluation/jobs", body.clone()).await;
    let shown = &made["config"]["tasks"]["chat-completion"]["metrics"]["remote"]["params"]["model"];
    assert_eq!(shown["api_endpoint"]["api_key"], "******");
    let metrics = metrics_of(&results(&p, body.clone()).await, "chat-completion");
    assert_eq!(metrics["local"], metrics["remote"]);
    assert_eq!(
        metrics["local"]["scores"]["word"],
        json!({"value": 1.0, "stats": {"count": 9, "sum": 9.0, "mean": 1.0}})
    );
    // A word is not a number: no score, and no failure.
    assert_eq!(metrics["local"]["scores"]["number"]["stats"]["nan_count"], 9);
    assert_eq!(metrics["absent"]["scores"]["word"]["stats"]["nan_count"], 9);

    body["config"]["tasks"]["chat-completion"]["metrics"] = json!({"judge": judge(json!("nobody"))});
    let made = p.make("/nemo/v1/evaluation/jobs", body).await;
    let (job, _) = ended(&p, &format!("/nemo/v1/evaluation/jobs/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(job["status"], "failed", "a judge that cannot be asked about any row fails the job");
    assert!(job["status_details"]["message"].as_str().unwrap().contains("nobody"), "{job}");
}

#[tokio::test]
async fn a_judge_that_knows_only_the_newer_limit_is_asked_again() {
    use axum::extract::State;
    use std::sync::{Arc, Mutex};
    type Seen = Arc<Mutex<Vec<Value>>>;
    let seen = Seen::default();
    let answer = async |State(seen): State<Seen>, axum::Json(body): axum::Json<Value>| {
        let refused = body.get("max_tokens").is_some();
        seen.lock().unwrap().push(body);
        if refused {
            let error =
                json!({"error": {"message": "Unsupported parameter: 'max_tokens'", "code": "unsupported_parameter"}});
            return (StatusCode::BAD_REQUEST, axum::Json(error));
        }
        (StatusCode::OK, axum::Json(json!({"choices": [{"message": {"content": "RATING: 10"}}]})))
    };
    let router = axum::Router::new().route("/v1/chat/completions", axum::routing::post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, router.with_state(Arc::clone(&seen))).into_future());
    let p = Platform::polled();
    let model = json!({"api_endpoint": {"url": url, "model_id": "j"}});
    let score = json!({"type": "int", "parser": {"type": "regex", "pattern": "RATING: (\\d+)"}});
    let metric = json!({"type": "llm-judge", "params": {"model": model, "template": "Rate {{ item.x }}", "scores": {"rating": score}}});
    let live = p.make("/nemo/v1/evaluation/live", live(json!([{"x": "this"}]), json!({"judge": metric}))).await;
    assert_eq!(metrics_of(&live["result"], "t")["judge"]["scores"]["rating"]["value"], 10.0, "{live}");
    let message = json!([{"role": "user", "content": "Rate this"}]);
    let first = json!({"model": "j", "messages": message, "max_tokens": 1024});
    let second = json!({"model": "j", "messages": message, "max_completion_tokens": 1024});
    assert_eq!(*seen.lock().unwrap(), [first, second]);
    server.abort();
}

fn live(rows: Value, metrics: Value) -> Value {
    json!({"target": {"type": "rows", "rows": rows},
        "config": {"type": "custom", "tasks": {"t": {"type": "data", "metrics": metrics}}}})
}

#[tokio::test]
async fn live_evaluation_answers_at_once_and_keeps_nothing() {
    let p = Platform::polled();
    let metrics = json!({"check": {"type": "string-check", "params": {"check": ["{{ideal_response | trim | lower}}", "equals", "{{ sample.output_text | trim | lower }}"]}},
        "em": {"type": "em", "params": {"ground_truth": "{{ item.ideal_response }}"}}});
    let rows =
        json!([{"Ideal-Response": "Yes ", "output_text": "yes"}, {"Ideal-Response": "No", "output_text": "yes"}]);
    let answer = p.make("/nemo/v1/evaluation/live", live(rows, metrics.clone())).await;
    assert_eq!(answer["status"], "completed", "{answer}");
    assert_eq!(
        answer["status_details"],
        json!({"message": "Job completed successfully.",
        "task_status": {"t": "completed"}, "progress": 100.0, "samples_processed": 2})
    );
    let scores = metrics_of(&answer["result"], "t");
    assert_eq!(
        scores["check"]["scores"]["string-check"],
        json!({"value": 0.5, "stats": {"count": 2, "sum": 1.0, "mean": 0.5}})
    );
    assert_eq!(scores["em"]["scores"]["em_score"]["value"], 0.5);
    assert_eq!(p.read("/control/state").await["evaluation_jobs"], json!([]));

    let failed = p.make("/nemo/v1/evaluation/live", live(json!([{"x": 1}]), metrics.clone())).await;
    assert_eq!((&failed["status"], &failed["result"]), (&json!("failed"), &Value::Null));
    assert!(failed["status_details"]["message"].as_str().unwrap().contains("undefined"), "{failed}");

    let mut chat = live(json!([{"x": 1}]), metrics.clone());
    chat["config"]["tasks"]["t"]["type"] = json!("chat-completion");
    let model = json!({"target": {"type": "model", "model": "m"}, "config": chat["config"]});
    for wrong in [live(json!([]), metrics.clone()), live(json!([1]), metrics), chat, model, json!({})] {
        let (status, answer) = p.post("/nemo/v1/evaluation/live", wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    }
}

#[tokio::test]
async fn completions_are_evaluated() {
    let p = Platform::polled();
    prepare(&p).await;
    deploy(&p, "dfwfd/ngram-small").await;
    let mut body = evaluation("dfwfd/ngram-small", MESSAGES);
    let task = &mut body["config"]["tasks"]["chat-completion"];
    task["type"] = json!("completion");
    task["params"]["template"] =
        json!("{{ item.request.messages[0].content }}\n{{ item.request.messages[1].content }}");
    task["metrics"] = json!({"text": {"type": "string-check", "params": {"check":
        ["{{ sample.output_text }}", "equals", "{{ sample.response.choices[0].text }}"]}}});
    let scores = metrics_of(&results(&p, body).await, "chat-completion");
    assert_eq!(scores["text"]["scores"]["string-check"]["value"], 1.0);
}

#[tokio::test]
async fn rows_that_hold_their_answers_are_scored_without_a_model() {
    let p = Platform::polled();
    let rows = [
        json!({"gold": "a", "output_text": "a"}),
        json!({"gold": "b", "output_text": "a"}),
        json!({"gold": "c", "output_text": "c"}),
    ];
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    p.upload("ns", "cached", &[("rows.jsonl", &lines.join("\n"))]).await;
    p.make("/nemo/v1/datasets", json!({"name": "cached", "namespace": "ns", "files_url": "hf://datasets/ns/cached"}))
        .await;
    let body = |target: Value, limit: Value| {
        json!({"target": target, "config": {"type": "custom", "params": {"limit_samples": limit}, "tasks": {"t": {"type": "data",
            "metrics": {"em": {"type": "em", "params": {"ground_truth": "{{ item.gold }}"}}}}}}})
    };
    let url = "hf://datasets/ns/cached/rows.jsonl";
    for target in [
        json!({"type": "cached_outputs", "cached_outputs": {"files_url": url}}),
        json!({"type": "dataset", "dataset": "ns/cached"}),
        json!({"type": "dataset", "dataset": url}),
        json!({"type": "rows", "rows": rows}),
    ] {
        let whole = metrics_of(&results(&p, body(target.clone(), json!(null))).await, "t");
        assert_eq!(whole["em"]["scores"]["em_score"]["stats"], json!({"count": 3, "sum": 2.0, "mean": 2.0 / 3.0}));
        let part = metrics_of(&results(&p, body(target, json!(2))).await, "t");
        assert_eq!(part["em"]["scores"]["em_score"]["stats"], json!({"count": 2, "sum": 1.0, "mean": 0.5}));
    }
    let (status, answer) = p.post("/nemo/v1/evaluation/jobs", body(json!({"type": "dataset"}), json!(null))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
}

#[tokio::test]
async fn results_are_entities_and_jobs_have_logs() {
    let p = Platform::polled();
    let rows = json!([{"a": "x", "output_text": "x"}, {"a": "y", "output_text": "x"}]);
    let check =
        |left: &str| json!({"type": "string-check", "params": {"check": [left, "equals", "{{ output_text }}"]}});
    let metrics = json!({"same": check("{{ item.a }}"), "lost": check("{{ item.b }}")});
    let job = json!({"namespace": "ns", "target": {"type": "rows", "rows": rows},
        "config": {"type": "custom", "tasks": {"t": {"type": "data", "metrics": metrics}}}});
    let job = p.make("/nemo/v1/evaluation/jobs", job).await["id"].as_str().unwrap().to_owned();
    let path = format!("/nemo/v1/evaluation/jobs/{job}");
    assert_eq!(p.get(&format!("{path}/results")).await.0, StatusCode::NOT_FOUND);
    while p.read(&path).await["status"] != "completed" {}
    let result = p.read(&format!("{path}/results")).await;
    let id = p.read(&path).await["result"].as_str().unwrap().to_owned();
    let stored = format!("/nemo/v1/evaluation/results/{id}");
    assert_eq!((&result["id"], p.read(&stored).await), (&json!(id), result.clone()));

    let log = p.http.get(p.url(&format!("{path}/logs"))).send().await.unwrap();
    assert_eq!(log.headers()["content-type"], "application/zip");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(log.bytes().await.unwrap())).unwrap();
    let text = std::io::read_to_string(zip.by_index(0).unwrap()).unwrap();
    assert!(text.contains(&job) && text.contains("WARNING t row 2: ") && text.contains("2 of 2 samples"), "{text}");

    let made = json!({"job": "eval-other", "tasks": {"other": {"metrics": {}}}, "custom_fields": {"k": 1}});
    let made = p.make("/nemo/v1/evaluation/results", made).await;
    assert!(made["id"].as_str().unwrap().starts_with("evaluation_result-") && made["namespace"] == "default", "{made}");
    let (status, refused) = p.post("/nemo/v1/evaluation/results", json!({"tasks": []})).await;
    assert_eq!((status, refused["detail"].as_array().unwrap().len()), (StatusCode::UNPROCESSABLE_ENTITY, 2));
    let found = async |query: String| p.read(&format!("/nemo/v1/evaluation/results?{query}")).await["data"].clone();
    assert_eq!(found(format!("filter[job_id]={job}")).await, json!([result]));
    assert_eq!(found("search[tasks]=other".into()).await, json!([made]));
    let change = json!({"description": "words", "job": null});
    let changed = p.send(Method::PATCH, &stored, Some(&change)).await.1;
    assert_eq!((&changed["description"], &changed["job"]), (&json!("words"), &json!(job)));
    assert_eq!(p.read(&format!("{path}/results")).await["description"], "words");
    assert_eq!(p.delete(&stored).await, StatusCode::OK);
    assert_eq!(p.delete(&stored).await, StatusCode::NOT_FOUND);
    assert_eq!(p.get(&format!("{path}/results")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_stands_inside_a_job_is_told_as_an_entity() {
    let p = Platform::polled();
    p.upload("ns", "d", &[("eval.jsonl", "{\"a\": 1}")]).await;
    let endpoint = json!({"url": "http://localhost:9/v1", "model_id": "x", "api_key": "k"});
    let task = json!({"type": "chat-completion", "dataset": {"files_url": "hf://datasets/ns/d", "limit": 1},
        "params": {"template": {"messages": []}}, "metrics": {}});
    let config = json!({"name": "c", "namespace": "ns", "type": "custom", "tasks": {"t": task}});
    p.make("/nemo/v1/evaluation/configs", config).await;
    let target = json!({"type": "model", "model": {"api_endpoint": endpoint}});
    let job = p.make("/nemo/v1/evaluation/jobs", json!({"config": "ns/c", "target": target})).await;
    let dataset = &job["config"]["tasks"]["t"]["dataset"];
    assert!(dataset["id"].as_str().unwrap().starts_with("dataset-") && dataset["name"] == dataset["id"], "{dataset}");
    assert_eq!(
        (&dataset["version_id"], &dataset["limit"], &dataset["split"]),
        (&json!("main"), &json!(1), &Value::Null)
    );
    let model = &job["target"]["model"];
    assert!(model["id"].as_str().unwrap().starts_with("model-") && model["peft"].is_null(), "{model}");
    assert_eq!(
        model["api_endpoint"],
        json!({"url": "http://localhost:9/v1", "model_id": "x", "api_key": "******", "format": "nim"})
    );
    for (query, count) in [("config]=ns/c", 1), ("config]=c", 1), ("config]=other/c", 0), ("config][type]=custom", 1)] {
        let list = p.read(&format!("/nemo/v1/evaluation/jobs?filter[{query}")).await;
        assert_eq!(list["pagination"]["total_results"], count, "{query}");
    }
}
