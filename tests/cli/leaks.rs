//! Leak audit: generated logs with planted twins, conversations and steps of agents. Each planted text has a number, and
//! no number may stand in two datasets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Folder, label, lines, parse_lines, word};

/// Twelve ways in which a copy of a text differs from it.
const DISGUISES: [fn(&str) -> String; 12] = [
    str::to_uppercase,
    |text| text.replace("17", "23.4"),
    |text| text.replace(',', " –").replace('.', "!"),
    |text| text.replace('&', "&amp;").replace('é', "&eacute;").replace('\'', "&#39;"),
    |text| text.replace('a', "a\u{200b}"),
    |text| text.replace("er", "\u{ad}er"),
    |text| format!("  {}\u{a0}", text.replace(' ', "\u{a0} ")),
    |text| text.chars().map(full_width).collect(),
    |text| text.replace('é', "e\u{301}"),
    |text| text.replace('\'', "\u{2019}").replace('"', "\u{201c}"),
    |text| format!("\u{feff}\u{202a}{text}\u{202c}"),
    |text| text.replace("fi", "\u{fb01}").replace("A", "\u{1d400}"),
];

fn full_width(c: char) -> char {
    if c.is_ascii_graphic() { char::from_u32(c as u32 + 0xfee0).unwrap_or(c) } else { c }
}

/// The text that stands for a number.
fn text(number: usize) -> String {
    format!("A firm's café & {} office files 17 offers, \"{}\" said.", word(number), word(number + 10_000))
}

/// The numbers of the texts in each dataset, found by the words that no disguise changes beyond recognition.
fn numbers(folder: &Folder, count: usize) -> [BTreeSet<usize>; 3] {
    let of_word: BTreeMap<String, usize> = (0..count).map(|number| (word(number).to_uppercase(), number)).collect();
    ["eval/eval_data.jsonl", "train/training/train_data.jsonl", "train/validation/val_data.jsonl"].map(|name| {
        let mut found = BTreeSet::new();
        for row in parse_lines(&folder.read(&format!("o/{name}"))) {
            let messages = row.pointer("/request/messages").unwrap_or_else(|| &row["messages"]);
            let said = messages.as_array().unwrap().iter().filter_map(|message| message["content"].as_str());
            let plain: String = said.collect::<Vec<_>>().join(" ").chars().filter_map(plain).collect();
            let numbers: Vec<usize> = plain.split(' ').filter_map(|word| of_word.get(word).copied()).collect();
            assert!(!numbers.is_empty(), "{plain}");
            found.extend(numbers);
        }
        found
    })
}

/// A letter as a capital without disguise, and a space for what parts words.
fn plain(c: char) -> Option<char> {
    let narrow = char::from_u32((c as u32).wrapping_sub(0xfee0)).filter(char::is_ascii_graphic).unwrap_or(c);
    match narrow {
        '\u{ad}' | '\u{200b}' | '\u{feff}' => None,
        c if c.is_ascii_alphabetic() => Some(c.to_ascii_uppercase()),
        _ => Some(' '),
    }
}

fn record(time: usize, messages: Value, number: usize) -> Value {
    let message = json!({"role": "assistant", "content": format!("[[{}]]", label(number))});
    let response = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]});
    json!({"timestamp": time, "workload_id": "w", "client_id": "c", "request": {"messages": messages}, "response": response})
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn system(text: &str) -> Value {
    json!({"role": "system", "content": text})
}

/// Splits the records, in an order that tells nothing, and checks that no number stands in two datasets.
fn audit(records: Vec<Value>, count: usize) -> Value {
    audit_with(&[], records, count)
}

/// The same with other settings.
fn audit_with(settings: &[&str], mut records: Vec<Value>, count: usize) -> Value {
    records.sort_by_key(|record| record["timestamp"].as_u64().map(|time| time.wrapping_mul(2_654_435_761) % 1_000_003));
    let folder = Folder::new();
    folder.write("logs.jsonl", lines(&records));
    let eval = format!("data_split_config.eval_size={}", records.len() / 3);
    let set = settings.iter().copied().chain([eval.as_str()]).flat_map(|setting| ["--set", setting]);
    let output = folder.dfwfd(set).args(["--format", "json", "split", "--logs", "logs.jsonl", "--out", "o"]).run();
    let data = output.code(0).json()["data"].clone();
    assert_eq!((&data["kept"], &data["duplicates"]), (&json!(records.len()), &json!(0)), "{output}");
    let [eval, train, validation] = numbers(&folder, count);
    let held = data["held_back"].as_u64().unwrap() as usize;
    assert!(eval.len() + train.len() + validation.len() + held >= count, "{output}");
    for (a, b) in [(&eval, &train), (&eval, &validation), (&train, &validation)] {
        assert_eq!(a.intersection(b).collect::<Vec<_>>(), [0_usize; 0].iter().collect::<Vec<_>>(), "{output}");
    }
    data
}

#[test]
fn no_twin_in_any_of_twelve_disguises_crosses_a_split() {
    let mut records = Vec::new();
    for number in 0..60 {
        records.push(record(number * 100, json!([system("s"), user(&text(number))]), number));
        for (n, disguise) in DISGUISES.iter().enumerate() {
            let twin = disguise(&text(number));
            assert_ne!(twin, text(number), "disguise {n} changes nothing");
            records.push(record(number * 100 + n + 1, json!([system("s"), user(&twin)]), number));
        }
    }
    audit(records, 60);
}

#[test]
fn no_headline_that_is_published_again_crosses_a_split() {
    let again = |number: usize, n: usize| {
        record(
            number * 10 + n,
            json!([system(&format!("prompt number {}", ["one", "two", "three"][n])), user(&text(number))]),
            number,
        )
    };
    audit((0..100).flat_map(|number| (0..3).map(move |n| again(number, n))).collect(), 100);
}

#[test]
fn no_conversation_crosses_a_split() {
    let turn = |number: usize, turns: usize| {
        let mut messages = vec![system("s"), user(&text(number))];
        for n in 1..turns {
            messages.push(json!({"role": "assistant", "content": format!("[[{}]]", label(number))}));
            messages.push(user(["yes", "continue", "why?"][n - 1]));
        }
        record(number * 10 + turns, Value::from(messages), number)
    };
    audit((0..80).flat_map(|number| (1..=4).map(move |turns| turn(number, turns))).collect(), 80);
}

#[test]
fn turns_stay_together_where_all_open_alike_and_turns_in_between_were_not_logged() {
    let turn = |number: usize, turns: usize| {
        let mut messages = vec![system("s"), user("Hello")];
        for n in 0..turns {
            messages.push(json!({"role": "assistant", "content": format!("Answer {n}")}));
            let asked = [text(number), "yes".to_owned(), "the second".to_owned(), "why?".to_owned()];
            messages.push(user(&asked[n % 4]));
        }
        record(number * 10 + turns, Value::from(messages), number)
    };
    let data = audit((0..80).flat_map(|number| [1, 3, 4, 9].map(|turns| turn(number, turns))).collect(), 80);
    assert!(data["held_back"].as_u64().unwrap() < 10, "no group is large: {data}");
}

#[test]
fn where_the_text_stands_in_the_system_prompt_it_is_what_varies() {
    let asked = |number: usize, n: usize| {
        let text = if n == 0 { text(number) } else { text(number).to_uppercase() };
        record(number * 10 + n, json!([system(&text), user("Classify the text above.")]), number)
    };
    let data = audit((0..100).flat_map(|number| (0..2).map(move |n| asked(number, n))).collect(), 100);
    assert!(data["held_back"].as_u64().unwrap() < 10, "no group is large: {data}");
}

#[test]
fn behind_examples_in_the_messages_the_last_text_is_what_varies() {
    let examples = [user("Example one"), json!({"role": "assistant", "content": "[[A]]"})];
    let asked = |number: usize, turns: usize| {
        let mut messages = examples.to_vec();
        messages.push(user(&text(number)));
        for n in 1..turns {
            messages.push(json!({"role": "assistant", "content": format!("[[{}]]", label(number))}));
            messages.push(user(["yes", "continue"][n - 1]));
        }
        record(number * 10 + turns, Value::from(messages), number)
    };
    audit((0..80).flat_map(|number| (1..=3).map(move |turns| asked(number, turns)).collect::<Vec<_>>()).collect(), 80);
}

#[test]
fn near_copies_are_found_wherever_the_text_stands() {
    // Twelve words of its own, of which the last is another one in the twin.
    let headline = |number: usize, n: usize| {
        let at = |at: usize| match at {
            0 => word(number),
            at if n == 1 && at == 11 => "changed".to_owned(),
            at => word(200 + (number * 7919 + at * 104_729) % 3000),
        };
        (0..12).map(at).collect::<Vec<_>>().join(" ")
    };
    let template =
        "Read the following headline, decide which event it reports, and answer with one class and nothing else:";
    let places: [fn(&str, String) -> Value; 5] = [
        |_, text| json!([user(&text)]),
        |template, text| json!([user(&format!("{template} {text}"))]),
        |_, text| json!([system(&text), user("Go")]),
        |template, text| json!([system(&format!("{template} {text}")), user("Go")]),
        |template, text| json!([system(template), user("Acme up"), {"role": "assistant", "content": "[[A]]"}, user(&text)]),
    ];
    for (n, place) in places.iter().enumerate() {
        let asked = |number: usize, n: usize| record(number * 10 + n, place(template, headline(number, n)), number);
        let records = (0..100).flat_map(|number| (0..2).map(move |n| asked(number, n))).collect();
        let data = audit_with(&["data_split_config.near_duplicate_threshold=0.5"], records, 100);
        assert!(data["near_copies"]["grouped"].as_u64().unwrap() > 190, "place {n}: {data}");
        assert!(data["held_back"].as_u64().unwrap() < 10, "place {n}, no group is large: {data}");
    }
}

const FUNCTIONS: [&str; 3] = ["find", "check", "trade"];

#[test]
fn steps_of_an_agent_are_records_of_their_own_and_a_conflict_is_another_answer_to_one_step() {
    let call = |step: usize, book: &str| {
        let function = json!({"name": FUNCTIONS[step], "arguments": format!("{{\"book\":\"{book}\"}}")});
        let calls = json!([{"id": format!("c{step}"), "type": "function", "function": function}]);
        json!({"role": "assistant", "content": null, "tool_calls": calls})
    };
    let step = |task: usize, step: usize| {
        let mut messages = vec![user(&text(task))];
        for n in 0..step {
            messages.push(call(n, "x"));
            messages.push(json!({"role": "tool", "tool_call_id": format!("c{n}"), "content": format!("result {n}")}));
        }
        let response = json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": call(step, "x")}]});
        json!({"timestamp": task * 10 + step, "workload_id": "w", "request": {"messages": messages}, "response": response})
    };
    let mut records: Vec<Value> =
        (0..30).flat_map(|task| (0..3).map(move |n| (task, n))).map(|(task, n)| step(task, n)).collect();
    let folder = Folder::new();
    let rules = [
        "--format",
        "json",
        "--set",
        "data_split_config.eval_size=20",
        "--set",
        "evaluation_config.workload_type=tool_calling",
    ];
    let split = |records: &[Value]| {
        folder.write("logs.jsonl", lines(records));
        std::fs::remove_dir_all(folder.at("o")).ok();
        let output = folder.dfwfd(rules).args(["split", "--logs", "logs.jsonl", "--out", "o"]).run();
        output.code(0).json()["data"].clone()
    };
    let data = split(&records);
    assert_eq!((&data["kept"], &data["duplicates"], &data["conflicts"]), (&json!(90), &json!(0), &json!(0)));
    let [eval, train, validation] = numbers(&folder, 30);
    assert!(eval.is_disjoint(&train) && eval.is_disjoint(&validation) && train.is_disjoint(&validation));
    // The second step of the first task again: once with the same answer, once with other arguments.
    for (n, book) in ["x", "y"].iter().enumerate() {
        let mut again = records[1].clone();
        again["timestamp"] = json!(9000 + n);
        again["response"]["choices"][0]["message"] = call(1, book);
        records.push(again);
    }
    let data = split(&records);
    assert_eq!((&data["kept"], &data["duplicates"], &data["conflicts"]), (&json!(90), &json!(2), &json!(1)));
    let conflict = parse_lines(&folder.read("o/conflicts.jsonl")).remove(0);
    assert_eq!((&conflict["labels"], &conflict["answers"]), (&json!({"check": 3}), &json!(2)));
}
