//! Records as logs write them, and what makes their ids.

use super::*;

const MINIMAL: &str = r#"{"workload_id":"w","request":{"messages":[{"role":"user","content":"hi"}]},"response":{"choices":[{"message":{"content":"[[A]]"}}]}}"#;

#[test]
fn a_record_may_hold_nothing_but_what_is_required() {
    let record = Record::parse(MINIMAL.as_bytes()).unwrap();
    assert_eq!((record.timestamp, &*record.workload, &*record.client), (0, "w", ""));
    assert_eq!(record.reply.content.map(|text| text.read()).as_deref(), Some("[[A]]"));
}

#[test]
fn nulls_are_as_good_as_absent() {
    let json = r#"{"timestamp":null,"workload_id":"w","client_id":null,"request":{"messages":[{"role":"user","content":"hi","name":null,"tool_calls":null}],"tools":null},"response":{"id":null,"choices":[{"finish_reason":null,"message":{"content":"[[A]]","tool_calls":null,"refusal":null,"role":null}}],"usage":null}}"#;
    assert!(Record::parse(json.as_bytes()).is_ok());
}

#[test]
fn a_list_is_no_record_even_with_its_fields_in_order() {
    let list = r#" [1,"w","c",{"messages":[{"content":"hi"}]},{"choices":[{"message":{"content":"[[A]]"}}]}]"#;
    assert_eq!(Record::parse(list.as_bytes()).err(), Some(Reject::NotAnObject));
    assert_eq!(Record::parse(b"[]").err(), Some(Reject::NotAnObject));
}

#[test]
fn the_id_does_not_depend_on_order_escapes_or_unknown_keys() {
    let id = |json: &str| normalise(json.as_bytes(), &FieldDefaults::default()).unwrap().id;
    let a = r#"{"timestamp":1700000000,"workload_id":"w","client_id":"c","request":{"messages":[{"role":"user","content":"é/"}]},"response":{"choices":[{"message":{"content":"[[A]]"}}]}}"#;
    let b = r#"{"response": {"choices":[{"message":{"content":"[[A]]"}}]}, "latency_ms": 5, "request":{"messages":[{"content":"\u00e9\/","role":"user"}]},"client_id":"c","workload_id":"\u0077","timestamp":"2023-11-14T22:13:20Z"}"#;
    assert_eq!(id(a), id(b));
    assert_ne!(id(a), id(MINIMAL));
    assert_eq!(id::hex_digits(id(MINIMAL)).len(), 32);
    let five = |json: &str| {
        let mut out = Vec::new();
        let Checked { id, has_more, .. } =
            Normaliser::of_five().write(json.as_bytes(), &FieldDefaults::default(), &mut out).unwrap();
        (id, has_more, out)
    };
    assert_eq!((five(a).0, five(a).1), (id(a), false));
    assert_eq!((five(b).0, five(b).1), (id(b), true));
    assert_eq!(five(a).2, five(b).2);
}

#[test]
fn normalising_twice_changes_nothing() {
    let defaults = FieldDefaults { client: Some("desk"), timestamp: Some(9), ..FieldDefaults::default() };
    let json = MINIMAL.replacen('{', r#"{"feedback":{"z":1,"a":12345678901234567890},"#, 1);
    let once = normalise(json.as_bytes(), &defaults).unwrap();
    let twice = normalise(&once.line, &FieldDefaults::default()).unwrap();
    assert_eq!(once, twice);
    assert_eq!((once.client.as_str(), once.timestamp), ("desk", 9));
    let line = String::from_utf8(once.line).unwrap();
    assert!(line.contains(r#""feedback":{"a":12345678901234567890,"z":1}"#), "{line}");
}

#[test]
fn the_first_rule_that_is_broken_is_the_reason() {
    let deep = format!("{}{}", "[".repeat(150), "]".repeat(150));
    for (line, reason) in [
        (deep.clone(), Reject::NotAnObject),
        (format!("{{\"a\":{}", &deep[..150]), Reject::InvalidJson),
        (format!("{{\"a\":{deep}}} x"), Reject::TrailingData),
        (format!("{deep} x"), Reject::InvalidJson),
        (format!("{{\"a\":{deep},\"timestamp\":[]}}"), Reject::TooDeep),
        (r#"{"timestamp":[],"client_id":"\ud800","client_id":1}"#.to_owned(), Reject::DuplicateKey),
        (r#"{"timestamp":[],"client_id":"\ud800"}"#.to_owned(), Reject::LoneSurrogate),
        (r#"{"timestamp":[],"client_id":1}"#.to_owned(), Reject::BadTimestamp),
    ] {
        assert_eq!(Record::parse(line.as_bytes()).err(), Some(reason), "{line}");
    }
}

#[test]
fn a_key_that_stands_twice_is_found_wherever_it_is_read() {
    let record = |call: &str, reply: &str| {
        format!(
            r#"{{"workload_id":"w","request":{{"messages":[{{"role":"user","content":"hi","tool_calls":[{call}]}}]}},"response":{{"choices":[{{"message":{reply}}}]}}}}"#
        )
    };
    let call = r#"{"function":{"name":"f","arguments":{"a":1,"a":2}},"id":1,"id":2}"#;
    let reply = r#"{"content":"x","other":1,"other":2}"#;
    assert!(Record::parse(record(call, reply).as_bytes()).is_ok(), "keys that are not read may");
    for (call, reply) in [
        (r#"{"function":{"name":"f","name":"g"}}"#, reply),
        (r#"1, {"function":null,"function":{}}"#, reply),
        (call, r#"{"content":"x","content":"y"}"#),
        (call, r#"{"content":"x","tool_calls":7,"tool_calls":[]}"#),
        (call, r#"{"content":null}, "message":1"#),
    ] {
        assert_eq!(Record::parse(record(call, reply).as_bytes()).err(), Some(Reject::DuplicateKey), "{call} {reply}");
    }
}

#[test]
fn records_that_grow_are_written_behind_each_other() {
    let json = br#"{"request":{"messages":[{"content":"\u00e9\/"}]},"response":{"choices":[{"message":{"content":"[[A]]"}}]},"workload_id":"w"}"#;
    let want = r#"{"client_id":"","request":{"messages":[{"content":"é/"}]},"response":{"choices":[{"message":{"content":"[[A]]"}}]},"timestamp":0,"workload_id":"w"}"#;
    let (mut normaliser, mut out) = (Normaliser::default(), Vec::new());
    for _ in 0..1000 {
        normaliser.write(json, &FieldDefaults::default(), &mut out).unwrap();
    }
    assert_eq!(String::from_utf8(out).unwrap(), want.repeat(1000));
}
