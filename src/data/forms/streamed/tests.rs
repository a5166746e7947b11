//! Streams of every kind that servers send: joined, refused, or told apart.

use super::*;
use crate::data::forms::{self, Forms};
use crate::data::record::{FieldDefaults, normalise};

fn line(response: &Value) -> String {
    json!({"workload_id": "w", "request": {"messages": [{"role": "user", "content": "u"}]}, "response": response})
        .to_string()
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "big", "choices":
        [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]})
}

/// The normalised line of a record that was streamed, and of one whose response is this completion.
fn both(chunks: &[Value], completion: &Value) -> [String; 2] {
    let streamed = record_of(line(&chunks.into()).as_bytes()).expect("a list of chunks").unwrap();
    let normal =
        |json: &[u8]| normalise(json, &FieldDefaults::default()).map(|record| String::from_utf8(record.line).unwrap());
    [normal(&streamed).unwrap(), normal(line(completion).as_bytes()).unwrap()]
}

#[test]
fn texts_are_joined() {
    let chunks = [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "[[[Divi"}), Value::Null),
        chunk(json!({"role": "assistant", "content": "dends]]] \u{1f600}", "reasoning_content": null}), Value::Null),
        chunk(json!({"content": null}), json!("stop")),
        json!({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}}),
    ];
    let completion = json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "big", "choices": [{
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "[[[Dividends]]] \u{1f600}", "reasoning_content": null},
    }], "usage": {"total_tokens": 9}});
    let [streamed, whole] = both(&chunks, &completion);
    assert_eq!(streamed, whole);
}

#[test]
fn calls_are_joined_by_their_index_and_choices_by_theirs() {
    let call = |index: u64, id: Value, name: Value, arguments: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let mut second = chunk(json!({"content": "other"}), json!("stop"));
    second["choices"][0]["index"] = 1.into();
    let chunks = [
        second,
        chunk(json!({"role": "assistant", "tool_calls": [call(0, json!("a"), json!("file"), "{\"x\"")]}), Value::Null),
        chunk(json!({"tool_calls": [call(1, json!("b"), json!("log"), "{}")]}), Value::Null),
        chunk(json!({"tool_calls": [call(0, json!("a"), Value::Null, ":1}")]}), json!("tool_calls")),
    ];
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "file", "arguments": "{\"x\":1}"}},
        {"id": "b", "type": "function", "function": {"name": "log", "arguments": "{}"}},
    ]);
    let completion = json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "big", "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": calls}},
        {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "other"}},
    ]});
    let [streamed, whole] = both(&chunks, &completion);
    assert_eq!(streamed, whole);
}

#[test]
fn other_members_and_long_numbers_stay_as_they_are() {
    let json = r#"{"more": 12345678901234567890123, "response": [{"seed": 98765432109876543210987, "choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}]}"#;
    let record = String::from_utf8(record_of(json.as_bytes()).unwrap().unwrap()).unwrap();
    assert!(
        record.starts_with(r#"{"more":12345678901234567890123,"response":{"seed":98765432109876543210987,"#),
        "{record}"
    );
}

#[test]
fn other_lists_are_no_chunks() {
    let completion = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]});
    for response in [
        json!([]),
        json!([1]),
        json!(["data: {}"]),
        json!([completion]),
        json!([{"choices": []}]),
        json!({}),
        json!([{"choices": 1}]),
    ] {
        assert_eq!(record_of(line(&response).as_bytes()), None, "{response}");
    }
    for json in ["", "[", "[1]", "{}"] {
        assert_eq!(record_of(json.as_bytes()), None);
    }
    let nothing = line(&json!([chunk(json!({"role": "assistant"}), json!("stop"))]));
    assert_eq!(normalised(&nothing).err(), Some(Reject::NoContent));
}

/// The normalised line of a record in any form.
fn normalised(line: &str) -> Result<String, Reject> {
    let record = forms::read(line.as_bytes(), Forms::Logged, |json| normalise(json, &FieldDefaults::default()));
    record.map(|record| String::from_utf8(record.line).unwrap())
}

/// The calls that a stream of these pieces makes: id, function and arguments of each.
fn calls(pieces: &[Value]) -> Result<Vec<[String; 3]>, Reject> {
    let mut chunks: Vec<Value> =
        pieces.iter().map(|piece| chunk(json!({"tool_calls": [piece]}), Value::Null)).collect();
    chunks.push(chunk(json!({}), json!("tool_calls")));
    let record: Value = serde_json::from_str(&normalised(&line(&chunks.into()))?).unwrap();
    let calls = record.pointer("/response/choices/0/message/tool_calls").unwrap().as_array().unwrap();
    let text = |call: &Value, at: &str| call.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(calls.iter().map(|call| ["/id", "/function/name", "/function/arguments"].map(|at| text(call, at))).collect())
}

fn piece(index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

#[test]
fn a_new_id_or_no_index_is_a_new_call() {
    let two = |a: [&str; 3], b: [&str; 3]| Ok(vec![a.map(str::to_owned), b.map(str::to_owned)]);
    let (x, y) = (["a", "quote", r#"{"t":1}"#], ["b", "close", "{}"]);
    let shared =
        [piece(Some(0), Some("a"), Some("quote"), "{\"t\":1}"), piece(Some(0), Some("b"), Some("close"), "{}")];
    assert_eq!(calls(&shared), two(x, y));
    let empty_first = [piece(Some(0), Some("b"), Some("close"), ""), piece(Some(0), Some("a"), Some("quote"), "{}")];
    assert_eq!(calls(&empty_first), two(["b", "close", ""], ["a", "quote", "{}"]));
    let no_index = [piece(None, Some("a"), Some("quote"), "{\"t\":1}"), piece(None, Some("b"), Some("close"), "{}")];
    assert_eq!(calls(&no_index), two(x, y));
    let nothing = [piece(None, None, Some("quote"), "{\"t\":1}"), piece(None, None, Some("quote"), "{\"t\":2}")];
    assert_eq!(calls(&nothing), two(["", "quote", r#"{"t":1}"#], ["", "quote", r#"{"t":2}"#]));
    let by_id = [
        piece(None, Some("a"), Some("quote"), "{\"t\""),
        piece(None, Some("b"), Some("close"), "{"),
        piece(None, Some("a"), None, ":1}"),
        piece(None, Some("b"), None, "}"),
    ];
    assert_eq!(calls(&by_id), two(x, y));
    let late_id = [piece(Some(0), None, Some("quote"), "{\"t\""), piece(Some(0), Some("a"), None, ":1}")];
    assert_eq!(calls(&late_id), Ok(vec![x.map(str::to_owned)]));
    let named_twice = [piece(Some(0), None, Some("quote"), "{\"t\""), piece(Some(0), None, Some("quote"), ":1}")];
    assert_eq!(calls(&named_twice), Ok(vec![["", "quote", r#"{"t":1}"#].map(str::to_owned)]));
    let named_with_its_id =
        [piece(Some(0), Some("a"), Some("quote"), ""), piece(Some(0), Some("a"), Some("quote"), "{}")];
    assert_eq!(calls(&named_with_its_id), Ok(vec![["a", "quote", "{}"].map(str::to_owned)]));
}

#[test]
fn calls_that_cannot_be_told_apart_are_refused() {
    for pieces in [
        [piece(Some(0), None, Some("quote"), "{}"), piece(Some(0), None, Some("close"), "{}")],
        [piece(Some(0), None, Some("quote"), "{\"t\":1}"), piece(Some(0), None, Some("quote"), "{\"t\":2}")],
        [piece(Some(0), Some("a"), Some("quote"), "{}"), piece(Some(0), None, None, "{}")],
        [piece(None, None, None, "{}"), piece(None, None, None, "{}")],
        [piece(Some(0), None, Some("quote"), ""), piece(Some(0), None, Some("quote"), "")],
        [piece(Some(0), None, Some("quote"), ""), piece(Some(0), Some(""), Some("quote"), "{}")],
        [piece(Some(0), Some(""), Some("quote"), "{}"), piece(Some(0), None, Some("quote"), "")],
    ] {
        assert_eq!(calls(&pieces), Err(Reject::MixedStream), "{pieces:?}");
    }
}

#[test]
fn events_that_are_no_chunks_are_skipped_and_chunks_may_be_texts() {
    let content = [chunk(json!({"content": "[[A]]"}), Value::Null), chunk(json!({}), json!("stop"))];
    let plain = normalised(&line(&json!(content))).unwrap();
    let as_text = format!("data: {}\n\n", content[1]);
    let usage = json!({"choices": null, "usage": null});
    for events in [
        json!([null, content[0], ": keep-alive", content[1], "data: [DONE]"]),
        json!([content[0], as_text, usage, "[DONE]"]),
        json!([content[0].to_string(), "", content[1], null]),
    ] {
        assert_eq!(normalised(&line(&events)).unwrap(), plain, "{events}");
    }
}

#[test]
fn contents_may_be_lists_of_parts() {
    let part = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    let thought = json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm [[B]]"}]}]});
    let chunks = [chunk(thought, Value::Null), chunk(part("[["), Value::Null), chunk(part("A]]"), json!("stop"))];
    let message = json!({"role": "assistant", "content": "[[A]]", "reasoning_content": "hm [[B]]"});
    let completion = json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "big", "choices": [
        {"index": 0, "finish_reason": "stop", "message": message}]});
    let [streamed, whole] = both(&chunks, &completion);
    assert_eq!(streamed, whole);
    let image = chunk(json!({"content": [{"type": "image_url"}]}), json!("stop"));
    assert_eq!(normalised(&line(&json!([image]))), Err(Reject::BadContent));
}

#[test]
fn answers_that_broke_off_are_refused() {
    let begun = chunk(json!({"content": "first [[A]], but"}), Value::Null);
    let ended = |reason: &str| json!([begun, chunk(json!({}), json!(reason))]);
    let mut other_choice = chunk(json!({}), json!("stop"));
    other_choice["choices"][0]["index"] = 1.into();
    for (chunks, reason) in [
        (json!([begun]), Reject::UnfinishedStream),
        (json!([begun, "[DONE]"]), Reject::UnfinishedStream),
        (json!([begun, other_choice]), Reject::UnfinishedStream),
        (json!([begun, {"error": {"code": 502}}]), Reject::FailedAnswer),
        (json!([begun, {"error": "reset", "choices": []}]), Reject::FailedAnswer),
        (json!([{"error": {"code": 502}}]), Reject::FailedAnswer),
        (ended("error"), Reject::FailedAnswer),
        (ended("content_filter"), Reject::FilteredAnswer),
    ] {
        assert_eq!(normalised(&line(&chunks)), Err(reason), "{chunks}");
    }
    assert!(normalised(&line(&ended("stop"))).is_ok());
}

#[test]
fn what_follows_the_end_of_an_answer_is_not_joined_to_it() {
    let said = |text: &str, end: Value| chunk(json!({"content": text}), end);
    let call = chunk(json!({"tool_calls": [piece(Some(0), Some("a"), Some("f"), "{}")]}), Value::Null);
    let whole =
        json!({"id": "c1", "choices": [{"index": 0, "message": {"content": "[[[A]]]"}, "finish_reason": "stop"}]});
    for chunks in [
        [said("[[[A]]]", json!("stop")), said("[[[B]]]", json!("stop"))],
        [said("[[[A]]]", json!("stop")), said(" more", Value::Null)],
        [said("[[[A]]]", json!("length")), said("more", json!("stop"))],
        [said("[[[A]]]", json!("stop")), call],
        [said("[[[A", Value::Null), whole.clone()],
        [whole, said("[[[A]]]", json!("stop"))],
    ] {
        assert_eq!(normalised(&line(&json!(chunks))).err(), Some(Reject::MixedStream), "{chunks:?}");
    }
    for last in [json!({}), json!({"content": ""}), json!({"role": "assistant", "content": null, "tool_calls": []})] {
        let chunks = json!([said("[[[A]]]", json!("stop")), chunk(last, Value::Null)]);
        assert!(normalised(&line(&chunks)).is_ok(), "{chunks}");
    }
    let empty =
        json!({"index": 0, "delta": {"content": "[[[A]]]"}, "message": {"role": "assistant"}, "finish_reason": "stop"});
    assert!(normalised(&line(&json!([{"choices": [empty]}]))).is_ok());
}

#[test]
fn an_answer_that_was_cut_off_stays_cut_off() {
    for (first, last, kept) in [
        ("length", "stop", "length"),
        ("stop", "length", "length"),
        ("content_filter", "stop", "content_filter"),
        ("perhaps", "stop", "perhaps"),
        ("stop", "tool_calls", "tool_calls"),
    ] {
        let chunks = json!([chunk(json!({"content": "[[[A]]]"}), json!(first)), chunk(json!({}), json!(last))]);
        let record = record_of(line(&chunks).as_bytes()).unwrap().unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record.pointer("/response/choices/0/finish_reason"), Some(&json!(kept)), "{first} {last}");
    }
}
