//! Answers in the forms that servers give them, and answers that are none: through `load` and `split`.

use serde_json::{Value, json};

use crate::harness::{Folder, lines, parse_lines};

/// A record of the workload `w` with this response.
fn answered(n: usize, response: Value) -> Value {
    let messages =
        json!([{"role": "user", "content": format!("headline {}", ["one", "two", "three", "four", "five"][n])}]);
    json!({"timestamp": n, "workload_id": "w", "client_id": "c", "request": {"messages": messages}, "response": response})
}

fn whole(content: Value, finish: &str) -> Value {
    json!({"choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}]})
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

/// The counts of a command over these records.
fn counts(folder: &Folder, records: &[Value], arguments: &[&str]) -> Value {
    folder.write("logs.jsonl", lines(records));
    folder.dfwfd(["--format", "json"]).args(arguments).run().code(0).json()["data"].clone()
}

const SPLIT: [&str; 9] = [
    "--set",
    "data_split_config.min_total_records=1",
    "--set",
    "data_split_config.eval_size=1",
    "split",
    "--logs",
    "logs.jsonl",
    "--out",
    "o",
];

#[test]
fn an_answer_that_did_not_end_is_refused_under_a_reason_of_its_own() {
    let folder = Folder::new();
    let begun = chunk(json!({"content": "first [[A]], but"}), Value::Null);
    let records = [
        answered(0, whole(json!("[[A]]"), "stop")),
        answered(1, json!([begun, {"error": {"code": 502}}])),
        answered(2, json!([begun])),
        answered(3, whole(json!("<think>maybe [[A]] or"), "length")),
        answered(4, whole(json!("[[A]] is"), "length")),
    ];
    let rejected = json!({"failed_answer": 1, "unfinished_stream": 1, "truncated_answer": 2});
    let loaded = counts(&folder, &records, &["load", "logs.jsonl"]);
    assert_eq!((&loaded["added"], &loaded["rejected"]), (&json!(1), &rejected));
    let taken = counts(&folder, &records, &["--set", "accept_truncated=true", "load", "logs.jsonl"]);
    assert_eq!(
        (&taken["added"], &taken["rejected"]["truncated_answer"]),
        (&json!(1), &json!(1)),
        "no thought is an answer"
    );
    folder.dfwfd(SPLIT).run().code(6).says("an eval set of 1 row:");
    let split = counts(&folder, &records, &[&["--set", "accept_truncated=true"], &SPLIT[..]].concat());
    assert_eq!((&split["kept"], &split["rejected"]["truncated_answer"]), (&json!(2), &json!(1)));
}

#[test]
fn parallel_calls_of_a_stream_that_share_an_index_are_two() {
    let folder = Folder::new();
    let call = |id: &str, name: &str, arguments: &str| {
        let call =
            json!({"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        chunk(json!({"tool_calls": [call]}), Value::Null)
    };
    let end = chunk(json!({}), json!("tool_calls"));
    let records = [
        answered(0, json!([call("c1", "close_book", ""), call("c2", "quote", "{\"ticker\":\"CCC\"}"), end])),
        answered(
            1,
            json!([call("c1", "quote", "{\"ticker\":\"AAA\"}"), call("c2", "quote", "{\"ticker\":\"BBB\"}"), end]),
        ),
    ];
    let tools = ["--set", "evaluation_config.workload_type=tool_calling"];
    counts(&folder, &records, &[&tools[..], &SPLIT[..]].concat());
    let mut made = Vec::new();
    for file in ["o/train/training/train_data.jsonl", "o/eval/eval_data.jsonl"] {
        let row = parse_lines(&folder.read(file)).remove(0);
        let reply = row.pointer("/response/choices/0/message").unwrap_or_else(|| &row["messages"][1]);
        let calls = reply["tool_calls"].as_array().unwrap().iter();
        made.push(Value::from_iter(calls.map(|call| json!([call["function"]["name"], call["function"]["arguments"]]))));
    }
    made.sort_by_key(Value::to_string);
    let quote = |ticker: &str| json!(["quote", {"ticker": ticker}]);
    assert_eq!(made, [json!([["close_book", {}], quote("CCC")]), json!([quote("AAA"), quote("BBB")])]);
}

#[test]
fn the_older_function_call_stands_in_both_datasets_as_a_tool_call() {
    let folder = Folder::new();
    let call = |q: &str| json!({"name": "lookup", "arguments": format!("{{\"q\":\"{q}\"}}")});
    let records: Vec<Value> = (0..4)
        .map(|n| {
            let mut record = answered(n, whole(json!(format!("[[{}]]", ["A", "B"][n % 2])), "stop"));
            let history = [
                json!({"role": "assistant", "content": null, "function_call": call("x")}),
                json!({"role": "function", "name": "lookup", "content": "found"}),
                json!({"role": "user", "content": "so?"}),
            ];
            record["request"]["messages"].as_array_mut().unwrap().extend(history);
            record
        })
        .collect();
    let data = counts(&folder, &records, &SPLIT);
    assert_eq!((&data["kept"], &data["eval"], &data["rejected"]), (&json!(4), &json!(1), &json!({})));
    let eval = parse_lines(&folder.read("o/eval/eval_data.jsonl")).remove(0);
    let train = parse_lines(&folder.read("o/train/training/train_data.jsonl")).remove(0);
    for (messages, arguments) in
        [(&eval["request"]["messages"], json!("{\"q\":\"x\"}")), (&train["messages"], json!({"q": "x"}))]
    {
        assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], arguments, "{messages}");
        assert_eq!(
            (&messages[2]["role"], &messages[2]["tool_call_id"]),
            (&json!("tool"), &messages[1]["tool_calls"][0]["id"])
        );
    }
    let answer = json!({"role": "assistant", "content": null, "function_call": call("y")});
    let response = json!({"choices": [{"index": 0, "finish_reason": "function_call", "message": answer}]});
    let loaded = counts(&folder, &[answered(0, response)], &["load", "logs.jsonl"]);
    assert_eq!((&loaded["added"], &loaded["rejected"]), (&json!(1), &json!({})));
}

#[test]
fn finish_reasons_and_errors_of_every_server_are_told_apart() {
    let folder = Folder::new();
    let ended = |reason: Value| json!({"choices": [{"finish_reason": reason, "message": {"content": "[[A]]"}}]});
    let with = |key: &str, value: Value| {
        let mut response = whole(json!("[[A]]"), "stop");
        response[key] = value;
        response
    };
    let own = |value: Value| {
        let mut response = whole(json!("[[A]]"), "stop");
        response["choices"][0]["error"] = value;
        response
    };
    let begun = chunk(json!({"content": "[[A]]"}), Value::Null);
    let mut failed = chunk(json!({}), json!("stop"));
    failed["choices"][0]["error"] = json!({"code": 502});
    let of_id = |id: &str, finish: Value| {
        let mut chunk = chunk(json!({"content": "[[A]]"}), finish);
        chunk["id"] = json!(id);
        chunk
    };
    for (response, reason) in [
        (ended(json!("insufficient_system_resource")), Some("failed_answer")),
        (ended(json!("MALFORMED_FUNCTION_CALL")), Some("failed_answer")),
        (ended(json!("OTHER")), Some("failed_answer")),
        (ended(json!("network_error")), Some("failed_answer")),
        (ended(json!("SPII")), Some("filtered_answer")),
        (ended(json!("sensitive")), Some("filtered_answer")),
        (ended(json!("refusal")), Some("filtered_answer")),
        (ended(json!("model_context_window_exceeded")), Some("truncated_answer")),
        (ended(json!("gave_up")), Some("unknown_ending")),
        (ended(json!(7)), Some("unknown_ending")),
        (ended(json!("STOP")), None),
        (ended(json!("end_turn")), None),
        (ended(json!("")), None),
        (ended(Value::Null), None),
        (with("error", json!(500)), Some("failed_answer")),
        (with("error", json!(true)), Some("failed_answer")),
        (with("error", json!(["x"])), Some("failed_answer")),
        (own(json!(true)), Some("failed_answer")),
        (with("error", json!(false)), None),
        (with("error", json!(0)), None),
        (with("error", json!({})), None),
        (own(json!("")), None),
        (json!([begun, failed]), Some("failed_answer")),
        (json!([chunk(json!({"content": "[[A]]"}), json!(""))]), Some("unfinished_stream")),
        (json!([of_id("a", Value::Null), of_id("b", json!("stop"))]), Some("mixed_stream")),
        (json!([of_id("", Value::Null), of_id("b", json!("stop"))]), None),
        (whole(json!("<Think>[[A]]"), "stop"), Some("no_content")),
        (whole(json!("[THINK]maybe [[A]]"), "stop"), Some("no_content")),
        (whole(json!("<thought>[[A]]</thought>"), "stop"), Some("no_content")),
    ] {
        folder.write("one.jsonl", lines(&[answered(0, response.clone())]));
        let output = folder.dfwfd(["--format", "json", "load", "one.jsonl"]).run();
        let data = output.json()["data"].clone();
        let wanted = reason.map_or(json!({}), |reason| json!({reason: 1}));
        assert_eq!(data["rejected"], wanted, "{response}");
    }
}

#[test]
fn a_class_that_is_named_in_a_thought_is_no_label() {
    let folder = Folder::new();
    let records: Vec<Value> =
        ["<Think>[[B]]</Think>[[A]]", "[THINK][[B]][/THINK][[A]]", "<reasoning>[[B]]</reasoning> [[A]]"]
            .into_iter()
            .enumerate()
            .map(|(n, content)| answered(n, whole(json!(content), "stop")))
            .collect();
    counts(&folder, &records, &SPLIT);
    let manifest: Value = serde_json::from_str(&folder.read("o/manifest.json")).unwrap();
    assert_eq!(manifest["classes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["A"], "{manifest}");
    assert!(!folder.read("o/train/training/train_data.jsonl").contains("[[B]]"));
}
