//! Good lines of every form that the readers know, each with a text of its own.

use serde_json::{Value, json};

use crate::harness;
use crate::mutate::Dice;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records in every form that both `load` and `split` take.
    Records,
    /// Such records and chat rows, which only `load` takes.
    Mixed,
    /// A JSON list of records.
    List,
    /// Records over several lines.
    Pretty,
    /// Lines of an exporter, for `load --from`.
    Export(&'static str),
    /// A table with this delimiter.
    Table(char),
}

pub(super) const KINDS: [Kind; 13] = [
    Kind::Records,
    Kind::Table(','),
    Kind::Mixed,
    Kind::Export("langfuse"),
    Kind::Records,
    Kind::List,
    Kind::Export("litellm"),
    Kind::Table('\t'),
    Kind::Export("openai"),
    Kind::Pretty,
    Kind::Export("openai-batch"),
    Kind::Export("helicone"),
    Kind::Export("langsmith"),
];

/// Returns a good line of such a file. Some numbers repeat the text of an earlier one.
pub(super) fn line(kind: Kind, number: usize, dice: &mut Dice) -> String {
    let number = if dice.below(10) == 0 { number / 2 } else { number };
    match kind {
        Kind::Table(_) if number == 0 => row(kind, &["text", "label", "note"]),
        Kind::Table(_) => row(kind, &[&harness::text(number), harness::label(number), "said, \"so\""]),
        Kind::Export(tool) => exported(tool, number, dice),
        Kind::Mixed if dice.below(3) == 0 => chat_row(number).to_string(),
        Kind::Pretty => format!("{:#}", record(number, dice)),
        Kind::Records | Kind::Mixed | Kind::List => record(number, dice).to_string(),
    }
}

fn row(kind: Kind, cells: &[&str]) -> String {
    match kind {
        Kind::Table('\t') => cells.join("\t"),
        _ => cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect::<Vec<_>>().join(","),
    }
}

fn chat_row(number: usize) -> Value {
    let record = harness::record("w", number);
    let mut messages = record["request"]["messages"].clone();
    messages.as_array_mut().unwrap().push(record["response"]["choices"][0]["message"].clone());
    json!({"messages": messages, "workload_id": "w", "timestamp": number})
}

/// Returns a record, its request or response in one of the forms that they may have.
fn record(number: usize, dice: &mut Dice) -> Value {
    let mut record = harness::record("w", number);
    let label = format!("[[[{}]]]", harness::label(number));
    let (request, response) = (record["request"].clone(), record["response"].clone());
    let message = response["choices"][0]["message"].clone();
    match dice.below(16) {
        0 => record["request"] = json!(request.to_string()),
        1 => record["response"] = json!(response.to_string()),
        2 => record["request"] = request["messages"].clone(),
        3 => record["response"] = message,
        4 => record["response"] = streamed(&label, dice),
        5 => record["response"]["choices"][0] = json!({"finish_reason": "length", "message": message}),
        6 => {
            record["response"]["choices"][0]["message"]["content"] =
                json!([{"type": "text", "text": "It is "}, {"type": "text", "text": label}])
        }
        7 => {
            record["response"]["choices"][0]["message"] = json!({"role": "assistant", "content": format!("<think>[[[x]]]</think>{label}"), "reasoning_content": "r"})
        }
        8 => called(&mut record, number, dice),
        9 => old_call(&mut record, number),
        10 => {
            let asked = record["request"]["messages"].as_array_mut().unwrap();
            asked.push(message);
            asked.push(json!({"role": "user", "content": "yes"}));
        }
        11 => record["feedback"] = json!(["good", "bad", 1, -1, {"score": 0}, 4.5])[dice.below(6)].take(),
        12 => record["timestamp"] = json!(format!("2024-05-0{}T10:00:00.5+02:00[Europe/Berlin]", 1 + number % 9)),
        13 => record["response"]["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2}),
        _ => {}
    }
    record
}

fn streamed(label: &str, dice: &mut Dice) -> Value {
    let (first, rest) = label.split_at(4);
    let chunks = [
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": first}, "finish_reason": null}]}),
        json!({"choices": [{"index": 0, "delta": {"content": rest}, "finish_reason": null}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
        json!("[DONE]"),
    ];
    let told = |chunk: &Value| match chunk.as_str() {
        Some(end) => json!(format!("data: {end}")),
        None => json!(format!("data: {chunk}")),
    };
    if dice.below(2) == 0 { json!(chunks) } else { chunks.iter().map(told).collect() }
}

fn called(record: &mut Value, number: usize, dice: &mut Dice) {
    let arguments = json!({"company": harness::text(number), "id": number});
    let arguments = if dice.below(2) == 0 { json!(arguments.to_string()) } else { arguments };
    record["request"]["tools"] = json!([{"type": "function", "function": {"name": "file_event", "parameters": {}}}]);
    let call =
        json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "file_event", "arguments": arguments}});
    record["response"] = match dice.below(2) {
        0 => json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [call]}}]}),
        _ => json!([{"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}]),
    };
}

/// The older form of tool calling, in the history and in the answer.
fn old_call(record: &mut Value, number: usize) {
    let call = json!({"name": "lookup", "arguments": format!("{{\"id\":{number}}}")});
    let asked = record["request"]["messages"].as_array_mut().unwrap();
    asked.push(json!({"role": "assistant", "content": null, "function_call": call}));
    asked.push(json!({"role": "function", "name": "lookup", "content": "3"}));
    record["response"]["choices"][0]["message"] = json!({"role": "assistant", "content": null, "function_call": call});
}

fn exported(tool: &str, number: usize, dice: &mut Dice) -> String {
    let record = harness::record("w", number);
    let (request, mut response) = (record["request"].clone(), record["response"].clone());
    let at = "2024-05-01T10:00:00Z";
    let value = match tool {
        "langfuse" => json!({"traceId": "t", "startTime": at, "input": request, "output": response}),
        "litellm" => json!({"call_type": "completion", "startTime": 1_714_557_600.5, "end_user": "desk",
            "messages": request["messages"], "response": response}),
        "helicone" => json!({"request_created_at": at, "request_user_id": "desk", "request_body": request.to_string(),
            "response_body": response.to_string()}),
        "langsmith" => json!({"run_type": "llm", "start_time": at, "session_name": "s", "inputs": request,
            "outputs": response}),
        _ => {
            response["created"] = json!(1_714_557_600 + number);
            match (tool, dice.below(2)) {
                ("openai-batch", 0) => json!({"custom_id": format!("r{number}"), "method": "POST", "body": request}),
                ("openai-batch", _) => json!({"custom_id": format!("r{number}"), "error": null,
                    "response": {"status_code": 200, "body": response}}),
                (_, of) => {
                    response["object"] = json!("chat.completion");
                    response["messages"] = request["messages"].clone();
                    if of == 0 {
                        json!({"object": "list", "data": [response, response], "has_more": false})
                    } else {
                        response
                    }
                }
            }
        }
    };
    value.to_string()
}
