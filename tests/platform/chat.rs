//! Many concurrent callers of the NIM proxy.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::harness::{self, CLASSES, Server};
use crate::make;

const MODEL: &str = "dfwfd/ngram-large";
const CALLERS: usize = 200;

/// Returns a question that contains its answer, so that a reply can be matched to it.
fn question(number: usize) -> Value {
    let mut messages = harness::record("w", number)["request"]["messages"].clone();
    messages[1]["content"] = json!(format!("{} of {}", class(number), harness::word(number)));
    json!({"model": MODEL, "messages": messages})
}

fn class(number: usize) -> &'static str {
    CLASSES[number % CLASSES.len()].0
}

#[test]
fn two_hundred_callers_at_once_are_all_answered_and_each_with_its_own() {
    let server = Server::start(&["--clock", "polls"]);
    let nim = json!({"image_name": "x", "image_tag": "1", "gpu": 1});
    let deployment = json!({"name": "nim", "config": {"model": MODEL, "nim_deployment": nim}});
    make(&server, "/nemo/v1/deployment/model-deployments", &deployment);
    while server.get("/nemo/v1/deployment/model-deployments/default/nim").1["deployed"] != json!(true) {}
    while server.get("/nim/v1/models").1["data"] == json!([]) {}
    let start = Barrier::new(CALLERS);
    let address = server.address();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    harness::request(address, "POST", "/nim/v1/chat/completions", Some(&question(number)))
                })
            })
            .collect();
        for (number, caller) in callers.into_iter().enumerate() {
            let (status, answer) = caller.join().unwrap();
            let expected = format!("[[[{}]]]", class(number));
            let said = answer["choices"][0]["message"]["content"].as_str();
            assert_eq!((status, said), (200, Some(expected.as_str())), "{answer}");
        }
    });
}
