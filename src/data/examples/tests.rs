//! Hand-made cases of the choice of examples, of their room, and of the prompts that show them.

use serde_json::{Value, json};

use super::choice::{Shortest, fitting, nearest};
use super::prompt::{Example, asked as asked_of, shown as room_for, with_examples};
use super::twins::Twins;
use super::*;

/// Returns the rows that are shown of these classes, each row a class with a length.
fn shown(rows: &[(&str, usize)], most: usize) -> Vec<usize> {
    let mut shortest = Shortest::new(most);
    for (at, (class, length)) in rows.iter().enumerate() {
        shortest.push((*class).to_owned(), *length, at);
    }
    shortest.in_turn()
}

#[test]
fn the_same_examples_are_the_shortest_of_each_class_in_turn() {
    // One tool: its shortest rows, of equals the first.
    assert_eq!(shown(&[("a", 9), ("a", 3), ("a", 3), ("a", 5)], 3), [1, 2, 3]);
    // Two tools share three places. The larger one gets one more, and is first.
    assert_eq!(shown(&[("b", 1), ("a", 9), ("a", 8), ("a", 7), ("b", 2)], 3), [3, 0, 2]);
    // More tools than places: one row of each of the largest, of equals by name.
    assert_eq!(shown(&[("d", 1), ("c", 1), ("c", 2), ("b", 1), ("b", 2), ("a", 9)], 3), [3, 1, 5]);
    // A tool with too few rows leaves its places empty.
    assert_eq!(shown(&[("a", 1), ("a", 2), ("a", 3), ("b", 1)], 4), [0, 3, 1]);
    assert_eq!(shown(&[("a", 1)], 0), [0; 0]);
    assert_eq!(shown(&[], 3), [0; 0]);
}

#[test]
fn a_ratio_of_the_places_goes_to_the_nearest() {
    let classes = ["a", "a", "a", "a", "b", "c", "a", "d"].map(str::to_owned);
    let likeness: Vec<f32> = (0..8).map(|at| 1.0 - at as f32 / 10.0).collect();
    let chosen = |most, ratio| nearest(&likeness, &classes, most, ratio, |_| true);
    assert_eq!(chosen(4, 1.0), [0, 1, 2, 3]);
    // floor(4 * 0.7) = 2 nearest, then the classes that are missing.
    assert_eq!(chosen(4, 0.7), [0, 1, 4, 5]);
    assert_eq!(chosen(4, 0.0), [0, 4, 5, 7]);
    // No class is missing any more: the next nearest.
    assert_eq!(chosen(6, 0.0), [0, 4, 5, 7, 1, 2]);
    // floor(10 * 0.7) is 7, although 0.7 is a little less in binary.
    let all = vec!["a".to_owned(); 12];
    let likeness: Vec<f32> = (0..12).map(|at| -(at as f32)).collect();
    assert_eq!(nearest(&likeness, &all, 10, 0.7, |_| true), (0..10).collect::<Vec<_>>());
    // Only five times as many are looked at: the tool at place 10 is not.
    let mut far = vec!["a".to_owned(); 12];
    far[10] = "b".to_owned();
    assert_eq!(nearest(&likeness, &far, 2, 0.5, |_| true), [0, 1]);
    far[9] = "c".to_owned();
    assert_eq!(nearest(&likeness, &far, 2, 0.5, |_| true), [0, 9]);
    // Rows that are not allowed take no place, neither of the nearest nor of those that are looked at.
    assert_eq!(nearest(&likeness, &far, 2, 0.5, |row| row != 0 && row != 9), [1, 10]);
    assert_eq!(nearest(&[], &[], 3, 0.7, |_| true), [0; 0]);
}

#[test]
fn twins_ask_the_same_or_nearly_so() {
    let asked = |first: &str, last: &str| {
        let user = |text: &str| json!({"role": "user", "content": text});
        asked_of(&[user(first), json!({"role": "assistant", "content": "Yes?"}), user(last)])
    };
    let question = "How do I replace the worn brake pads of the rear wheel";
    let (one, same) =
        (asked("Hello", question), asked("Good day", "  HOW do I replace the worn brake&#32;pads of the rear wheel"));
    let near = asked("Hi", "How do I replace the worn brake pads of the rear wheels");
    let other = asked("Hello", "Where do I find the pads");
    let rows = [&one, &same, &near, &other];
    for (least, is_near) in [(None, false), (Some(0.7), true), (Some(0.9), false)] {
        let twins = Twins::new(rows.into_iter(), least);
        // 8 of 10 runs of three words.
        assert_eq!([&same, &near, &other].map(|row| twins.are(&one, row)), [true, is_near, false], "{least:?}");
        assert_eq!(twins.are(&near, &one), is_near);
    }
    // Where most rows ask the same, their texts stand in other messages, and only all messages tell twins.
    let (a, b, again) =
        (asked("Rates rise", "Which label?"), asked("Sales fall", "Which label?"), asked("RATES rise", "which label?"));
    let twins = Twins::new([&a, &b, &again, &other].into_iter(), Some(0.5));
    assert_eq!([twins.are(&a, &b), twins.are(&a, &again), twins.are(&a, &other)], [false, true, false]);
}

#[test]
fn examples_are_shown_until_the_room_ends() {
    assert_eq!(fitting([40, 60], 100), 2, "exactly full");
    assert_eq!(fitting([40, 61], 100), 1);
    assert_eq!(fitting([40, 61, 1], 100), 1, "the next one is not tried");
    assert_eq!(fitting([1], 0), 0);
    assert_eq!(fitting([], 100), 0);
}

#[test]
fn tokens_are_those_of_cl100k_and_a_fifth_more() {
    // "hello world" has two tokens, https://platform.openai.com/tokenizer.
    assert_eq!((tokens("hello world"), tokens("")), (3, 0));
    assert_eq!(tokens(&"hello ".repeat(100)), 122, "101 tokens");
}

#[test]
fn an_example_is_the_conversation_with_its_answer() {
    let row = json!({"messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "quote"}, {"type": "image_url"}, {"type": "text", "text": "ACME"}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "quote", "arguments": {"symbol": "ACME"}}}]},
    ]});
    let example = Example::of(&row);
    let calls = r#"[{"function":{"name":"quote","arguments":{"symbol":"ACME"}}}]"#;
    assert_eq!(example.text, format!("system: Be brief.\nuser: quote\nACME\nassistant: \ntool calls: {calls}\n\n"));
    assert_eq!((example.asked.question.as_str(), example.tokens()), ("quote\nACME", tokens(&example.text)));
}

#[test]
fn examples_stand_before_the_first_system_message() {
    let row = json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "[[A]]"}]});
    let example = Example::of(&row);
    let shown = format!("Earlier conversations with the answers that they got, as examples:\n\n{}", example.text);
    let written = |messages: Value| -> Value {
        let row = format!(
            r#"{{"client_id":"c","request":{{"big":12345678901234567890123,"messages":{messages}}},"response":1}}"#
        );
        let with = with_examples(&row, &[&example]).unwrap();
        assert!(with.contains("12345678901234567890123"), "other values stay as they are written: {with}");
        assert_eq!(with_examples(&row, &[]).unwrap(), row);
        let with: Value = serde_json::from_str(&with).unwrap();
        with["request"]["messages"].clone()
    };
    let user = json!({"role": "user", "content": "q"});
    let system = |content: Value| json!({"role": "system", "content": content});
    assert_eq!(written(json!([user])), json!([{"content": shown.trim_end(), "role": "system"}, user]));
    assert_eq!(
        written(json!([user, system(json!("s")), system(json!("t"))])),
        json!([user, system(json!(format!("{shown}s"))), system(json!("t"))])
    );
    let part = |text: &str| json!({"text": text, "type": "text"});
    assert_eq!(written(json!([system(json!([part("s")]))])), json!([system(json!([part(&shown), part("s")]))]));
    assert_eq!(written(json!([system(Value::Null)])), json!([system(json!(shown.trim_end()))]));
}

#[test]
fn a_row_shows_what_its_room_takes() {
    let asked = json!([{"role": "user", "content": "q"}]);
    let row =
        json!({"messages": [{"role": "user", "content": "u \u{1f41f} u"}, {"role": "assistant", "content": "[[A]]"}]});
    let example = Example::of(&row);
    let introduction = "Earlier conversations with the answers that they got, as examples:\n\n";
    for tools in [Value::Null, json!([{"function": {"name": "quote"}}])] {
        let request = json!({"messages": asked, "tools": tools});
        let tools = if tools.is_null() { String::new() } else { tools.to_string() };
        // The introduction counts too, and so do the tools of a request.
        let own = tokens(&format!("user: q\n{tools}")) + tokens(introduction);
        for max_context_length in 0..400 {
            let rules = ExampleRules {
                max_context_length,
                reserved_tokens: 50,
                max_examples: 3,
                min_examples: 1,
                relevance_ratio: None,
            };
            let wanted = (max_context_length.saturating_sub(own + 50) / example.tokens()).min(3);
            let shown = room_for(&request, &[&example, &example, &example], &rules);
            assert_eq!(shown as u64, wanted, "{max_context_length}");
        }
    }
}
