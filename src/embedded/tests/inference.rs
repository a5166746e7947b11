//! The NIM proxy's other answers: streams, several choices, embeddings.

use super::*;

const MODEL: &str = "dfwfd/ngram-small";

async fn serving() -> Platform {
    let p = Platform::polled();
    let nim = json!({"name": "nim", "namespace": "ns", "config": {"model": MODEL, "nim_deployment": {
        "image_name": "x", "image_tag": "1", "gpu": 1}}});
    p.make("/nemo/v1/deployment/model-deployments", nim).await;
    for _ in 0..2 {
        p.read("/nemo/v1/deployment/model-deployments/ns/nim").await;
    }
    p.read("/nim/v1/models").await;
    p
}

/// Returns the chunks of a stream, which must end correctly.
async fn chunks(p: &Platform, path: &str, body: Value) -> Vec<Value> {
    let answer = p.http.post(p.url(path)).json(&body).send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let text = answer.text().await.unwrap();
    let text = text.strip_suffix("data: [DONE]\n\n").unwrap();
    text.split_terminator("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let p = serving().await;
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let whole = p.make("/nim/v1/chat/completions", json!({"model": MODEL, "messages": messages, "n": 2})).await;
    assert_eq!(whole["choices"].as_array().unwrap().len(), 2);
    let text = whole["choices"][1]["message"]["content"].as_str().unwrap();
    let ask = json!({"model": MODEL, "messages": messages, "stream": true, "stream_options": {"include_usage": true}});
    let sent = chunks(&p, "/nim/v1/chat/completions", ask).await;
    assert!(sent.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    let said: String = sent.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, text);
    let (last, before) = sent.split_last().unwrap();
    assert!(last["usage"]["completion_tokens"].as_u64() > Some(0) && last["choices"] == json!([]));
    assert_eq!(before.last().unwrap()["choices"][0]["finish_reason"], "stop");
    assert!(before.iter().all(|chunk| chunk["usage"].is_null()));
    let pieces = chunks(&p, "/nim/v1/completions", json!({"model": MODEL, "prompt": "Hello", "stream": true})).await;
    let said: String = pieces.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(said, text);
    assert!(pieces.iter().all(|chunk| chunk.get("usage").is_none()), "not asked for");
}

#[tokio::test]
async fn embeddings_have_an_index_and_a_length_of_one() {
    let p = serving().await;
    let answer =
        p.make("/nim/v1/embeddings", json!({"model": MODEL, "input": ["a bid", "b"], "input_type": "query"})).await;
    assert_eq!((&answer["data"][0]["index"], &answer["data"][1]["index"]), (&json!(0), &json!(1)));
    let numbers = answer["data"][0]["embedding"].as_array().unwrap();
    let length: f64 = numbers.iter().map(|number| number.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let wrong = [
        json!({"model": MODEL, "input": []}),
        json!({"model": MODEL, "input": [[1, 2]]}),
        json!({"model": MODEL, "input": "a", "dimensions": 0}),
        json!({"model": MODEL, "input": "a", "input_type": "other"}),
        json!({"model": MODEL, "input": "a", "encoding_format": "other"}),
    ];
    for body in wrong {
        assert_eq!(p.post("/nim/v1/embeddings", body.clone()).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(p.post("/nim/v1/embeddings", json!({"model": "x", "input": "a"})).await.0, StatusCode::NOT_FOUND);
    for n in [0, 129] {
        let ask = json!({"model": MODEL, "messages": [{"role": "user", "content": "x"}], "n": n});
        assert_eq!(p.post("/nim/v1/chat/completions", ask).await.0, StatusCode::BAD_REQUEST, "{n}");
    }
}
