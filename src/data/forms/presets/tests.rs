//! Tests of the lines of exporters: which are calls, which have failed, and where their requests stand.

use serde_json::{Value, json};

use super::*;
use crate::data::forms::reshape::Reshaper;
use crate::data::forms::{self, Forms};
use crate::data::record::{FieldDefaults, normalise};

/// The record of a line of this exporter.
fn read(tool: &str, line: &Value) -> Result<Value, Reject> {
    let mut json = Vec::new();
    Reshaper::of_export(Preset::named(tool).unwrap()).write(line.to_string().as_bytes(), &mut json);
    let defaults = FieldDefaults { workload: Some("w"), ..FieldDefaults::default() };
    let record = forms::read(&json, Forms::LoggedAndChatRows, |json| normalise(json, &defaults))?;
    Ok(serde_json::from_slice(&record.line).unwrap())
}

fn messages() -> Value {
    json!([{"role": "user", "content": "u"}])
}

fn completion() -> Value {
    json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "[[A]]"}}]})
}

/// A line of each exporter that holds a call, with what `more` says.
fn line(tool: &str, more: &Value) -> Value {
    let mut line = match tool {
        "langfuse" => {
            json!({"traceId": "t", "type": "GENERATION", "startTime": 1, "input": messages(), "output": completion()})
        }
        "litellm" => json!({"call_type": "acompletion", "status": "success", "startTime": 1, "error_str": null,
            "messages": messages(), "response": completion()}),
        "helicone" => json!({"request_created_at": 1, "response_status": 200, "request_body": {"messages": messages()},
            "response_body": completion()}),
        _ => json!({"run_type": "llm", "start_time": 1, "status": "success", "error": null,
            "inputs": {"messages": messages()}, "outputs": completion()}),
    };
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

#[test]
fn lines_that_are_no_call_are_refused_though_they_hold_messages() {
    for (tool, key, values) in [
        ("langfuse", "type", &["SPAN", "AGENT", "CHAIN", "TOOL", "EMBEDDING", "EVENT"][..]),
        ("litellm", "call_type", &["aembedding", "anthropic_messages", "responses"]),
        ("langsmith", "run_type", &["chain", "tool", "retriever", "parser"]),
    ] {
        for value in values {
            assert_eq!(read(tool, &line(tool, &json!({key: value}))), Err(Reject::NotACall), "{tool} {value}");
        }
        let mut bare = line(tool, &json!({key: values[0]}));
        bare.as_object_mut().unwrap().remove("response");
        assert_eq!(read(tool, &bare), Err(Reject::NotACall), "{tool} without a response");
        let none = line(tool, &json!({key: null}));
        assert!(read(tool, &none).is_ok(), "{tool}: a selection of columns may lack it");
    }
    assert!(read("langfuse", &line("langfuse", &json!({"type": "generation"}))).is_ok());
}

#[test]
fn calls_that_failed_have_no_answer_though_they_hold_one() {
    for (tool, more) in [
        ("langfuse", json!({"level": "ERROR", "statusMessage": "timeout"})),
        ("litellm", json!({"status": "failure"})),
        ("litellm", json!({"error_str": "boom"})),
        ("helicone", json!({"response_status": 429})),
        ("helicone", json!({"response_status": "500"})),
        ("helicone", json!({"response_status": -3})),
        ("langsmith", json!({"error": "boom"})),
        ("langsmith", json!({"status": "error"})),
        ("langsmith", json!({"status": "pending", "outputs": null})),
    ] {
        assert_eq!(read(tool, &line(tool, &more)), Err(Reject::FailedAnswer), "{tool} {more}");
    }
    for (tool, more) in [
        ("langfuse", json!({"level": "WARNING"})),
        ("litellm", json!({"error_str": ""})),
        ("helicone", json!({"response_status": null})),
        ("langsmith", json!({"status": "SUCCESS", "error": ""})),
    ] {
        assert!(read(tool, &line(tool, &more)).is_ok(), "{tool} {more}");
    }
}

#[test]
fn tools_that_stand_beside_the_messages_belong_to_the_request() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let given = json!({"tools": tools, "tool_choice": "auto", "temperature": 0, "metadata": {"k": 1}});
    let wanted = json!({"messages": messages(), "tools": tools, "tool_choice": "auto"});
    let text = |value: &Value| Value::from(value.to_string());
    for more in [
        json!({"model_parameters": given}),
        json!({"model_parameters": text(&given)}),
        json!({"model_parameters": given, "messages": {"messages": messages()}}),
        json!({"model_parameters": given, "messages": text(&messages())}),
    ] {
        assert_eq!(read("litellm", &line("litellm", &more)).unwrap()["request"], wanted, "{more}");
    }
    let run = line("langsmith", &json!({"extra": {"invocation_params": given}}));
    assert_eq!(read("langsmith", &run).unwrap()["request"], wanted);
    let older = json!({"model_parameters": {"functions": [{"name": "f", "parameters": {}}], "function_call": "auto"}});
    assert_eq!(read("litellm", &line("litellm", &older)).unwrap()["request"], wanted, "the older form");
    let own = json!({"messages": messages(), "tools": [{"type": "function", "function": {"name": "g"}}]});
    let both = line("langsmith", &json!({"inputs": own, "extra": {"invocation_params": {"tools": tools}}}));
    assert_eq!(read("langsmith", &both).unwrap()["request"], own, "its own tools count");
    let plain = line("litellm", &json!({"model_parameters": {"temperature": 0, "tools": null}}));
    assert_eq!(read("litellm", &plain).unwrap()["request"], json!({"messages": messages()}));
}

#[test]
fn observations_of_langfuse_are_read_in_both_spellings() {
    let mut line = line("langfuse", &json!({"trace_id": "t", "start_time": "2024-05-29 13:46:19.963000"}));
    line.as_object_mut().unwrap().retain(|key, _| key != "startTime" && key != "traceId");
    assert_eq!(Preset::of(line.to_string().as_bytes()).map(|preset| preset.name), Some("langfuse"));
    assert_eq!(read("langfuse", &line).unwrap()["timestamp"], 1_716_990_379);
}
