//! `redact`: what is masked on the way in stands nowhere, and counts do.

use serde_json::{Value, json};

use crate::harness::{Folder, files_below, labelled, lines, parse_lines};

const PRIVATE: [&str; 6] = [
    "jane.doe@mail.example",
    "+49 30 901820",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "203.0.113.77",
    "sk-proj-abcdefghijklmnopqrstuvwx",
];

fn letters(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    format!("{}{}", letter(n), letter(n / 26))
}

/// Records whose texts are told apart by words, and by personal data.
fn log() -> Vec<Value> {
    let text = |n: usize| format!("Letter {} from {} of the bank", letters(n), PRIVATE[n % 6]);
    (0..120).map(|n| labelled("w", n, &text(n), ["A", "B"][n / 6 % 2])).collect()
}

/// Returns the files below a folder that hold a private value.
fn leaks(folder: &Folder, below: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| PRIVATE.iter().any(|value| String::from_utf8_lossy(bytes).contains(value));
    let files = files_below(&folder.at(below)).into_iter().filter(|(_, bytes)| holds(bytes));
    files.map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn no_value_is_in_a_store_or_dataset_and_the_counts_are_told() {
    let folder = Folder::with_config("redact: all\n");
    folder.write("logs.jsonl", lines(&log()));
    let load =
        folder.dfwfd(["load", "logs.jsonl", "--format", "json", "--rejects", "rejects.jsonl"]).run().code(0).json();
    let wanted = json!({"email": 20, "phone": 20, "card": 20, "iban": 20, "ip": 20, "secret": 20});
    assert_eq!((&load["data"]["added"], &load["data"]["redacted"]), (&json!(120), &wanted));
    assert_eq!(leaks(&folder, ".dfwfd"), Vec::<String>::new());
    let flags = ["--set", "data_split_config.eval_size=20", "--format", "json"];
    let split = |out: &str, logs: &[&str]| {
        folder.dfwfd(["split", "--out", out]).args(flags).args(logs).run().code(0).json()["data"].clone()
    };
    let from_file = split("files", &["--logs", "logs.jsonl"]);
    assert_eq!((&from_file["redacted"], &from_file["kept"]), (&wanted, &json!(120)));
    let from_store = split("store", &[]);
    assert_eq!(
        (&from_store["redacted"], leaks(&folder, "files"), leaks(&folder, "store")),
        (&json!({}), vec![], vec![])
    );
    let data = |out: &str| folder.bytes(&format!("{out}/train/training/train_data.jsonl"));
    assert_eq!(data("files"), data("store"), "one value has one placeholder, whatever way it came");
    let eval = parse_lines(&folder.read("files/eval/eval_data.jsonl"));
    let text = eval[0]["request"]["messages"][1]["content"].as_str().unwrap();
    assert!(text.starts_with("Letter ") && text.contains(":") && text.ends_with("> of the bank"), "{text}");
}

#[test]
fn calls_with_private_arguments_are_as_usable_as_others() {
    let folder = Folder::with_config("evaluation_config: {workload_type: tool_calling}\n");
    let calls = |n: usize| {
        let arguments = json!({"user": "joe", "password": "correcthorse0", "card": 4_111_111_111_111_111_u64, "n": n});
        json!({"timestamp": n, "workload_id": "w",
            "request": {"messages": [{"role": "user", "content": format!("Order {}", letters(n))}]},
            "response": {"choices": [{"message": {"role": "assistant", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments.to_string()}}]}}]}})
    };
    folder.write("logs.jsonl", lines(&(0..60).map(calls).collect::<Vec<_>>()));
    let flags =
        ["--set", "data_split_config.eval_size=10", "--format", "json", "split", "--logs", "logs.jsonl", "--out"];
    let plain = folder.dfwfd(flags).args(["plain"]).run().code(0).json();
    let masked = folder.dfwfd(["--set", "redact=all"]).args(flags).args(["masked"]).run().code(0).json();
    assert_eq!((&plain["data"]["kept"], &masked["data"]["kept"]), (&json!(60), &json!(60)));
    assert_eq!(masked["data"]["redacted"], json!({"card": 60, "secret": 60}));
    let row = &parse_lines(&folder.read("masked/train/training/train_data.jsonl"))[0];
    let arguments = &row["messages"][1]["tool_calls"][0]["function"]["arguments"];
    let is_masked = |key: &str| arguments[key].as_str().is_some_and(|value| value.starts_with('<'));
    assert!(is_masked("password") && is_masked("card") && arguments["user"] == "joe", "{arguments}");
}

#[test]
fn a_table_and_a_refused_line_are_masked_too() {
    let folder = Folder::with_config("redact: [email]\nredact_patterns: {account: 'AC-\\d{4}'}\n");
    folder.write("t.csv", "text,label\n\"a@b.example, AC-1234\",A\n203.0.113.77,B\n");
    let load = folder.dfwfd(["load", "t.csv", "--workload", "w", "--format", "json"]).run().code(0).json();
    assert_eq!(load["data"]["redacted"], json!({"account": 1, "email": 1}));
    folder.write("bad.jsonl", "{\"workload_id\": \"w\", \"request\": \"mail a@b.example\"}\n");
    folder.dfwfd(["load", "bad.jsonl", "--rejects", "r.jsonl"]).run().code(6);
    assert!(folder.read("r.jsonl").contains("<email:") && !folder.read("r.jsonl").contains("a@b"), "a refused line");
    let stored: Vec<(std::path::PathBuf, Vec<u8>)> = files_below(&folder.at(".dfwfd/logs"));
    assert!(stored.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("203.0.113.77")), "not asked for");
    folder.dfwfd(["--set", "redact=[names]", "load", "t.csv", "--workload", "w"]).run().code(2).says("national_id");
}

#[test]
fn a_log_that_looks_personal_is_warned_about_unless_it_is_masked() {
    let folder = Folder::new();
    folder.write("logs.jsonl", lines(&log()));
    let flags = ["--set", "data_split_config.eval_size=20", "split", "--logs", "logs.jsonl", "--out"];
    folder.dfwfd(flags).args(["plain"]).run().code(0).says("look personal").says("redact");
    let masked = folder.dfwfd(["--set", "redact=all"]).args(flags).args(["masked"]).run();
    assert!(!masked.code(0).stderr.contains("look personal"), "{masked}");
}

#[test]
fn a_setting_before_the_command_counts_beside_one_after_it() {
    let folder = Folder::new();
    folder.write("logs.jsonl", lines(&log()));
    let load = |state: &str, before: &[&str], after: &[&str]| {
        let command = ["load", "logs.jsonl", "--state-dir", state];
        folder.dfwfd(before).args(command).args(after).run().code(0);
        leaks(&folder, state)
    };
    let level = ["--set", "logging_config.level=INFO"];
    assert_eq!(load("one", &["--set", "redact=all"], &level), Vec::<String>::new());
    assert_eq!(load("two", &level, &["--set", "redact=all"]), Vec::<String>::new());
    assert_eq!(load("three", &["-v", "--set", "redact=[email]"], &["-v", "--set", "redact=all"]), Vec::<String>::new());
    assert!(!load("four", &level, &["-v"]).is_empty());
}

#[test]
fn a_short_password_is_masked_in_texts_and_fields() {
    let folder = Folder::with_config("redact: all\n");
    let mut record = labelled("w", 1, "login with password: s3cr3t! and Authorization: Bearer tok12345", "A");
    record["metadata"] = json!({"password": "hunter2", "db": {"api_key": "k-77aa", "pwd": 12_345_678}});
    folder.write("logs.jsonl", lines(&[record]));
    let load = folder.dfwfd(["load", "logs.jsonl", "--format", "json"]).run().code(0).json();
    assert_eq!(load["data"]["redacted"], json!({"secret": 5}));
    for (path, bytes) in files_below(&folder.at(".dfwfd/logs")) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for secret in ["s3cr3t", "tok12345", "hunter2", "k-77aa", "12345678"] {
            assert!(!text.contains(secret), "{secret} is in {}", path.display());
        }
    }
}
