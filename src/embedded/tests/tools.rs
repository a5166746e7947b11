//! Tool calling: training on calls, and the answers of base and adapter.

use super::flywheel::{config, deploy, ended, training, until_served};
use super::*;

fn tools() -> Value {
    let tool = |name: &str, description: &str| json!({"type": "function", "function": {"name": name, "description": description, "parameters": {"type": "object"}}});
    json!([tool("get_quote", "Last price of one symbol."), tool("set_alert", "Tell when a price is crossed.")])
}

fn asked(text: &str) -> Value {
    json!([{"role": "system", "content": "Use a function."}, {"role": "user", "content": text}])
}

fn row(text: &str, name: &str, arguments: Value) -> String {
    let mut messages = asked(text);
    messages.as_array_mut().unwrap().push(json!({"role": "assistant", "content": "",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}]}));
    json!({"messages": messages, "tools": tools()}).to_string()
}

async fn chat(p: &Platform, model: &str, text: &str, choice: Value) -> Value {
    let body = json!({"model": model, "messages": asked(text), "tools": tools(), "tool_choice": choice});
    p.make("/nim/v1/chat/completions", body).await["choices"][0].clone()
}

fn function(choice: &Value) -> (&str, Value) {
    let function = &choice["message"]["tool_calls"][0]["function"];
    (function["name"].as_str().unwrap(), serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap())
}

/// Joins the pieces of a stream into the name, the arguments and the finish reason.
async fn streamed(p: &Platform, model: &str, text: &str, choice: Value) -> (String, Value, String) {
    let body =
        json!({"model": model, "messages": asked(text), "tools": tools(), "tool_choice": choice, "stream": true});
    let answer = p.http.post(p.url("/nim/v1/chat/completions")).json(&body).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let (mut name, mut arguments, mut finish, mut ids) = (String::new(), String::new(), String::new(), 0);
    for event in text.strip_suffix("data: [DONE]\n\n").unwrap().split_terminator("\n\n") {
        let chunk: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        let choice = &chunk["choices"][0];
        assert!(choice["delta"]["content"].is_null(), "{chunk}");
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            assert_eq!(call["index"], 0);
            ids += usize::from(call["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-tool-")));
            name.push_str(call["function"]["name"].as_str().unwrap_or_default());
            arguments.push_str(call["function"]["arguments"].as_str().unwrap());
        }
        finish.push_str(choice["finish_reason"].as_str().unwrap_or_default());
    }
    assert_eq!(ids, 1);
    (name, serde_json::from_str(&arguments).unwrap(), finish)
}

#[tokio::test]
async fn an_adapter_calls_what_it_was_taught() {
    let p = Platform::polled();
    let rows: Vec<String> = (0..40)
        .map(|at| {
            let symbol = ["ABCD", "WXYZ"][at / 2 % 2];
            match at % 2 {
                0 => row(&format!("Quote {symbol} please, number {at}"), "get_quote", json!({"symbol": symbol})),
                _ => row(
                    &format!("Warn me about {symbol} below {at}"),
                    "set_alert",
                    json!({"symbol": symbol, "price": at}),
                ),
            }
        })
        .collect();
    p.upload("ns", "calls", &[("training/t.jsonl", &rows.join("\n"))]).await;
    p.make("/nemo/v1/datasets", json!({"name": "calls", "namespace": "ns", "files_url": "hf://datasets/ns/calls"}))
        .await;
    p.make("/nemo/v1/customization/configs", config("dfwfd/ngram-small@1.0")).await;
    let job = p.make("/nemo/v1/customization/jobs", training("calls")).await;
    let path = format!("/nemo/v1/customization/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(ended(&p, &path).await.0["status"], "completed");
    deploy(&p, "dfwfd/ngram-small").await;
    let adapter = job["output_model"].as_str().unwrap();
    until_served(&p, adapter).await;

    let quote = chat(&p, adapter, "Quote WXYZ now", json!("auto")).await;
    assert_eq!(function(&quote), ("get_quote", json!({"symbol": "WXYZ"})));
    assert_eq!((&quote["message"]["content"], &quote["finish_reason"]), (&Value::Null, &json!("tool_calls")));
    assert!(quote["message"]["tool_calls"][0]["id"].as_str().unwrap().starts_with("chatcmpl-tool-"));
    let alert = chat(&p, adapter, "Warn me about ABCD below 17", json!("required")).await;
    assert_eq!((function(&alert).0, &alert["finish_reason"]), ("set_alert", &json!("stop")));
    assert_eq!(function(&alert).1["symbol"], "ABCD");
    let named = json!({"type": "function", "function": {"name": "set_alert"}});
    assert_eq!(function(&chat(&p, adapter, "Quote WXYZ now", named).await).0, "set_alert");
    let none = chat(&p, adapter, "Quote WXYZ now", json!("none")).await;
    assert!(none["message"]["content"].is_string() && none["message"]["tool_calls"] == json!([]), "{none}");

    for (choice, end) in [(json!("auto"), "tool_calls"), (json!("required"), "stop")] {
        let (name, arguments, finish) = streamed(&p, adapter, "Quote WXYZ now", choice).await;
        assert_eq!((name.as_str(), arguments, finish.as_str()), ("get_quote", json!({"symbol": "WXYZ"}), end));
    }

    let base = chat(&p, "dfwfd/ngram-small", "What quote has WXYZ", json!("required")).await;
    assert_eq!(function(&base), ("get_quote", json!({})));
    let at_a_loss = chat(&p, "dfwfd/ngram-small", "zzz", json!("auto")).await;
    assert!(at_a_loss["message"]["content"].is_string(), "{at_a_loss}");
    for choice in [json!("any"), json!(3), json!({"type": "function", "function": {"name": "other"}})] {
        let body = json!({"model": adapter, "messages": asked("x"), "tools": tools(), "tool_choice": choice});
        assert_eq!(p.post("/nim/v1/chat/completions", body).await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn calls_that_cannot_be_learnt_fail_the_training() {
    let p = Platform::polled();
    let text = row("Quote", "get_quote", json!("{\"symbol\": \"A\"}"));
    p.upload("ns", "calls", &[("training/t.jsonl", &text)]).await;
    p.make("/nemo/v1/datasets", json!({"name": "calls", "namespace": "ns", "files_url": "hf://datasets/ns/calls"}))
        .await;
    p.make("/nemo/v1/customization/configs", config("dfwfd/ngram-small@1.0")).await;
    let job = p.make("/nemo/v1/customization/jobs", training("calls")).await;
    let path = format!("/nemo/v1/customization/jobs/{}/status", job["id"].as_str().unwrap());
    let (status, _) = ended(&p, &path).await;
    let last = status["status_logs"].as_array().unwrap().last().unwrap();
    assert_eq!(last["detail"], "training/t.jsonl, line 1: the arguments of tool_calls[0] are not an object");
}
