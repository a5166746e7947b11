//! Models behind hosted endpoints: as targets and judges of evaluations, and behind the NIM proxy.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::flywheel::{ended, until_served};
use super::*;

const KEY: &str = "k3y-of-others";

/// A request to an endpoint: the authorization header and the body.
type Seen = Arc<Mutex<Vec<(String, Value)>>>;

/// Starts an endpoint that answers by a rule. Returns its URL below `/v1` and the requests to it. It ends with the
/// runtime of the test.
async fn endpoint(rule: impl Fn(&Value, usize) -> Response + Clone + Send + Sync + 'static) -> (String, Seen) {
    let seen = Seen::default();
    let handler = async move |State(seen): State<Seen>, headers: HeaderMap, axum::Json(body): axum::Json<Value>| {
        let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push((authorization, body.clone()));
            seen.len() - 1
        };
        rule(&body, before)
    };
    let router = axum::Router::new()
        .route("/v1/chat/completions", axum::routing::post(handler.clone()))
        .route("/v1/completions", axum::routing::post(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router.with_state(Arc::clone(&seen))).into_future());
    (base, seen)
}

fn says(text: &str) -> Response {
    axum::Json(json!({"choices": [{"message": {"role": "assistant", "content": text}, "text": text}]})).into_response()
}

fn refuses(status: u16, text: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(json!({"detail": text}))).into_response()
}

fn asks(model: Value, params: Value) -> Value {
    json!({"target": {"type": "model", "model": model}, "config": {"type": "custom", "params": params, "tasks": {"t": {
        "type": "chat-completion", "dataset": "hf://datasets/ns/d/rows.jsonl",
        "params": {"template": {"messages": [{"role": "user", "content": "Say {{ item.gold }}"}]}},
        "metrics": {"em": {"type": "em", "params": {"ground_truth": "{{ item.gold }}"}}}}}}})
}

async fn with_rows() -> Platform {
    let p = Platform::polled();
    p.upload("ns", "d", &[("rows.jsonl", "{\"gold\": \"up\"}\n{\"gold\": \"down\"}")]).await;
    p
}

/// Returns an evaluation at its end, and its results if there are any.
async fn evaluated(p: &Platform, body: Value) -> (Value, Value) {
    let made = p.make("/nemo/v1/evaluation/jobs", body).await;
    let path = format!("/nemo/v1/evaluation/jobs/{}", made["id"].as_str().unwrap());
    let (job, _) = ended(p, &path).await;
    (job, p.get(&format!("{path}/results")).await.1)
}

#[tokio::test]
async fn a_model_entity_with_an_endpoint_is_asked_there() {
    let (base, seen) = endpoint(|_, _| says("up")).await;
    let p = with_rows().await;
    let endpoint = json!({"url": format!("{base}/v1"), "model_id": "vendor/large", "api_key": KEY, "format": "openai"});
    let made = p.make("/nemo/v1/models", json!({"namespace": "ns", "name": "large", "api_endpoint": endpoint})).await;
    assert_eq!(made["api_endpoint"]["api_key"], "******");
    let listed = p.read("/nemo/v1/models").await;
    assert!(!listed.to_string().contains(KEY) && !p.read("/nemo/v1/models/ns/large").await.to_string().contains(KEY));
    let (job, results) = evaluated(&p, asks(json!("ns/large"), json!({}))).await;
    assert_eq!((&job["status"], &job["target"]["model"]), (&json!("completed"), &json!("ns/large")));
    assert_eq!(results["tasks"]["t"]["metrics"]["em"]["scores"]["em_score"]["value"], 0.5);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|(bearer, body)| *bearer == format!("Bearer {KEY}") && body["model"] == "vendor/large"));
}

#[tokio::test]
async fn an_endpoint_that_is_busy_is_asked_again_and_one_that_refuses_fails_the_job() {
    let (busy, seen) = endpoint(|_, before| if before < 2 { refuses(503, "busy") } else { says("up") }).await;
    let p = with_rows().await;
    let model = |base: &str| json!({"api_endpoint": {"url": format!("{base}/v1"), "model_id": "m", "api_key": KEY}});
    let (job, _) = evaluated(&p, asks(model(&busy), json!({"parallelism": 1}))).await;
    assert_eq!((&job["status"], seen.lock().unwrap().len()), (&json!("completed"), 4));

    let (stern, seen) = endpoint(|_, _| refuses(401, &format!("no such key: {KEY}"))).await;
    let (job, _) = evaluated(&p, asks(model(&stern), json!({"parallelism": 1}))).await;
    assert_eq!((&job["status"], seen.lock().unwrap().len()), (&json!("failed"), 1), "a refusal is not tried again");
    let why = job["status_details"]["message"].as_str().unwrap();
    assert!(why.contains("401") && why.contains("no such key: ******"), "{why}");
    assert!(!job.to_string().contains(KEY));

    let (broken, _) = endpoint(|_, _| "not JSON".into_response()).await;
    let (job, _) = evaluated(&p, asks(model(&broken), json!({}))).await;
    assert!(job["status_details"]["message"].as_str().unwrap().contains("not JSON"), "{job}");
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let p = with_rows().await;
    let model = json!({"api_endpoint": {"url": url, "model_id": "m"}});
    let (job, _) = evaluated(&p, asks(model, json!({"request_timeout": 1, "max_retries": 0}))).await;
    assert_eq!(job["status"], "failed");
    assert!(job["status_details"]["message"].as_str().unwrap().contains("no answer in time"), "{job}");
    drop(listener);
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused() {
    let p = with_rows().await;
    for endpoint in [
        json!({"url": "ftp://h/v1", "model_id": "m"}),
        json!({"url": "http://h/v1"}),
        json!({"url": "http://h/v1", "model_id": "m", "format": "grpc"}),
    ] {
        let (status, answer) =
            p.post("/nemo/v1/evaluation/jobs", asks(json!({"api_endpoint": endpoint}), json!({}))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains("api_endpoint"), "{answer}");
    }
}

fn registered(base: &str, models: Value) -> Value {
    json!({"name": "hosted", "namespace": "ns", "config": {"model": "vendor/large", "external_endpoint":
        {"host_url": base, "api_key": KEY, "enabled_models": models}}})
}

const DEPLOYMENTS: &str = "/nemo/v1/deployment/model-deployments";

#[tokio::test]
async fn a_registered_endpoint_is_served_by_the_proxy() {
    let streamed = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: [DONE]\n\n";
    let rule = move |body: &Value, _| match (&body["stream"], body["messages"][0]["content"].as_str()) {
        (Value::Bool(true), _) => ([("content-type", "text/event-stream")], streamed).into_response(),
        (_, Some("refuse")) => refuses(429, "slow down"),
        _ => says("from outside"),
    };
    let (base, seen) = endpoint(rule).await;
    let p = Platform::polled();
    let made = p.make(DEPLOYMENTS, registered(&base, json!(["vendor/large", "vendor/small"]))).await;
    assert_eq!(made["config"]["external_endpoint"]["api_key"], "******");
    while p.read(&format!("{DEPLOYMENTS}/ns/hosted")).await["deployed"] != json!(true) {}
    for model in ["vendor/large", "vendor/small"] {
        until_served(&p, model).await;
    }
    assert_eq!(p.read("/control/state").await["gpus"]["taken"], 0);
    let chat =
        |text: &str| json!({"model": "vendor/small", "messages": [{"role": "user", "content": text}], "top_k": 3});
    let answer = p.make("/nim/v1/chat/completions", chat("hello")).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "from outside");
    assert_eq!(*seen.lock().unwrap(), [(format!("Bearer {KEY}"), chat("hello"))], "passed on as it came");
    let text = p.make("/nim/v1/completions", json!({"model": "vendor/large", "prompt": "hello"})).await;
    assert_eq!(text["choices"][0]["text"], "from outside");
    assert_eq!(
        p.post("/nim/v1/chat/completions", chat("refuse")).await,
        (StatusCode::TOO_MANY_REQUESTS, json!({"detail": "slow down"}))
    );
    let mut stream = chat("hello");
    stream["stream"] = json!(true);
    assert_eq!(p.post("/nim/v1/chat/completions", stream).await.1, json!(streamed));

    assert!(p.delete(&format!("{DEPLOYMENTS}/ns/hosted")).await.is_success());
    assert_eq!(p.post("/nim/v1/chat/completions", chat("hello")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_a_bad_gateway_and_this_platform_is_none() {
    let p = Platform::polled();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    p.make(DEPLOYMENTS, registered(&away, json!([]))).await;
    while p.read(&format!("{DEPLOYMENTS}/ns/hosted")).await["deployed"] != json!(true) {}
    until_served(&p, "vendor/large").await;
    let chat = json!({"model": "vendor/large", "messages": [{"role": "user", "content": "hello"}]});
    let (status, answer) = p.post("/nim/v1/chat/completions", chat).await;
    assert_eq!((status, &answer["type"]), (StatusCode::BAD_GATEWAY, &json!("UpstreamError")));

    for (url, models, why) in
        [(p.url("/nim/v1"), json!(["m"]), "itself"), ("nowhere".to_owned(), json!(["m"]), "host_url")]
    {
        let mut body = registered(&url, models);
        body["name"] = json!("other");
        let (status, answer) = p.post(DEPLOYMENTS, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(why), "{answer}");
    }
}
