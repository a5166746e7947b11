//! The control endpoints: calls are counted, held before or after their effect, and go on without their client.

use super::*;

async fn calls(p: &Platform) -> Value {
    p.read("/control/calls").await
}

/// Asks until the call is held. Every answer is one step of the platform, not a span of time.
async fn until_held(p: &Platform) {
    while calls(p).await["held"] != json!(true) {
        tokio::task::yield_now().await;
    }
}

fn namespaces(state: &Value) -> Vec<&str> {
    state["namespaces"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// Sends a create, and drops it once it is held. Returns whether it had its effect by then, and in the end.
async fn killed(when: &str) -> (bool, bool) {
    let p = Platform::polled();
    p.make("/control/hold", json!({"call": 2, "when": when})).await;
    p.get("/nemo/v1/namespaces").await;
    let create = p.http.post(p.url("/nemo/v1/namespaces")).json(&json!({"id": "n"})).send();
    tokio::select! {
        _ = create => panic!("the call was not held"),
        () = until_held(&p) => {}
    }
    let before = namespaces(&p.read("/control/state").await).contains(&"n");
    p.make("/control/release", json!({})).await;
    let mut after = before;
    while !after {
        after = namespaces(&p.read("/control/state").await).contains(&"n");
    }
    (before, after)
}

#[tokio::test]
async fn a_held_call_has_its_effect_after_the_release_though_its_client_is_gone() {
    assert_eq!(killed("before").await, (false, true));
    assert_eq!(killed("after").await, (true, true));
}

#[tokio::test]
async fn platform_calls_are_counted_and_others_are_not() {
    let p = Platform::polled();
    p.get("/nemo/v1/namespaces").await;
    p.get("/nim/v1/models").await;
    p.get("/datastore/v1/health").await;
    let seen = calls(&p).await;
    assert_eq!((&seen["count"], &seen["held"]), (&json!(3), &json!(false)));
    assert_eq!(seen["calls"][1], json!({"n": 2, "method": "GET", "path": "/nim/v1/models"}));
    p.make("/control/hold", json!({"call": 9, "when": "before"})).await;
    assert_eq!(calls(&p).await["count"], 0, "arming counts from zero again");
    p.make("/control/release", json!({})).await;
    for wrong in [json!({}), json!({"call": 0, "when": "before"}), json!({"call": 1, "when": "during"})] {
        assert_eq!(p.post("/control/hold", wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn control_does_not_exist_unless_asked_for() {
    let p = Platform::start(Options::default());
    assert_eq!(p.get("/control/state").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_server_that_ends_frees_its_port() {
    let server = Server::start(Options::default()).unwrap();
    let port = server.port();
    server.stop();
    let again = Server::start(Options { port, ..Options::default() }).unwrap();
    assert_eq!(again.port(), port);
}

#[tokio::test]
async fn a_reset_forgets_all_that_exists_and_stops_its_work() {
    let p = Platform::polled();
    let fresh = p.read("/control/state").await;
    p.upload("n", "data", &[("training/rows.jsonl", "{}")]).await;
    p.make("/nemo/v1/projects", json!({"namespace": "n", "name": "one"})).await;
    let nim = json!({"image_name": "nvcr.io/nim/student", "image_tag": "1", "gpu": 4, "pvc_size": "25Gi"});
    let deployment = json!({"namespace": "n", "name": "d", "config": {"model": "m/m", "nim_deployment": nim}});
    p.make("/nemo/v1/deployment/model-deployments", deployment).await;
    assert_ne!(p.read("/control/state").await, fresh);
    p.make("/control/reset", json!({})).await;
    assert_eq!(p.read("/control/state").await, fresh);
    assert_eq!(calls(&p).await["count"], 0);
}
