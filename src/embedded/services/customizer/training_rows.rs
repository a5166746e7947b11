//! Reads and checks the rows of a training dataset, in files below `training/` and `validation/` (docs/nemo-api.md,
//! Training rows). The first bad row fails the job, and the reason says where it is.

use axum::body::Bytes;
use serde_json::Value;

use crate::student::{Example, Message, ToolCall, calls_as_reply};

#[derive(Debug)]
pub(crate) struct TrainingRows {
    pub(crate) training: Vec<Example>,
    pub(crate) validation: Vec<Example>,
}

/// The prompt template of a config: text around the `{keys}` of a row. The last key is the completion.
#[derive(Debug)]
pub(crate) struct PromptTemplate {
    /// A text, and the key that follows it.
    parts: Vec<(String, String)>,
}

impl PromptTemplate {
    pub(crate) fn parse(text: &str) -> Self {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((key, after)) = after.split_once('}') else { break };
            parts.push((before.to_owned(), key.trim().to_owned()));
            rest = after;
        }
        if parts.len() < 2 {
            return PromptTemplate::parse("{prompt} {completion}");
        }
        PromptTemplate { parts }
    }

    fn keys(&self) -> Vec<&str> {
        self.parts.iter().map(|(_, key)| key.as_str()).collect()
    }

    /// Returns the prompt and the completion of a row that has all keys.
    fn fill(&self, row: &Value) -> Option<(String, String)> {
        let ((_, completion), before) = self.parts.split_last()?;
        let mut prompt = String::new();
        for (text, key) in before {
            prompt.push_str(text);
            prompt.push_str(row[key].as_str()?);
        }
        Some((prompt, row[completion].as_str()?.to_owned()))
    }
}

/// Without a validation file, one training row of so many is held out.
const HELD_OUT: usize = 10;

/// Reads all rows. The error is the reason why the job fails.
pub(crate) fn read(files: &[(String, Bytes)], template: &PromptTemplate) -> Result<TrainingRows, String> {
    let mut training = below(files, "training/", template)?;
    let mut validation = below(files, "validation/", template)?;
    if training.is_empty() {
        return Err("the dataset holds no rows under training/".into());
    }
    if validation.is_empty() {
        let mut at = 0;
        let split = |_: &mut Example| {
            at += 1;
            at % HELD_OUT == 0
        };
        validation = training.extract_if(.., split).collect();
    }
    Ok(TrainingRows { training, validation })
}

fn below(files: &[(String, Bytes)], folder: &str, template: &PromptTemplate) -> Result<Vec<Example>, String> {
    let mut rows = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(folder)) {
        if path.ends_with(".jsonl") {
            let lines = bytes.split(|byte| *byte == b'\n').enumerate();
            for (at, line) in lines.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace)) {
                let row = serde_json::from_slice::<Value>(line).map_err(|error| error.to_string());
                rows.push(
                    row.and_then(|row| example(&row, template))
                        .map_err(|why| format!("{path}, line {}: {why}", at + 1))?,
                );
            }
        } else if path.ends_with(".json") {
            let all = serde_json::from_slice::<Vec<Value>>(bytes).map_err(|error| format!("{path}: {error}"))?;
            for (at, row) in all.iter().enumerate() {
                rows.push(example(row, template).map_err(|why| format!("{path}, row {}: {why}", at + 1))?);
            }
        }
    }
    Ok(rows)
}

/// Reads one row as the student takes it.
fn example(row: &Value, template: &PromptTemplate) -> Result<Example, String> {
    if let Some((prompt, reply)) = template.fill(row) {
        return Ok(Example { messages: vec![Message::new("user", prompt)], reply, calls: Vec::new() });
    }
    let Some(messages) = row["messages"].as_array() else {
        return Err(format!("neither messages nor {}", template.keys().join(" and ")));
    };
    let Some((last, before)) = messages.split_last() else { return Err("messages is empty".into()) };
    if before.is_empty() {
        return Err("messages holds nothing before the reply".into());
    }
    if last["role"] != "assistant" {
        return Err("the last message is not the assistant's".into());
    }
    let calls = calls(last)?;
    let Some(reply) = last["content"].as_str() else {
        return Err("the content of the assistant's message is not a string".into());
    };
    let mut read = Vec::with_capacity(before.len());
    for (at, message) in before.iter().enumerate() {
        if message["role"].as_str().is_none() {
            return Err(format!("messages[{at}] has no role"));
        }
        read.push(serde_json::from_value(message.clone()).map_err(|error| format!("messages[{at}]: {error}"))?);
    }
    let reply = if calls.is_empty() { reply.to_owned() } else { calls_as_reply(&calls) };
    Ok(Example { messages: read, reply, calls })
}

/// Reads the tool calls of a reply, whose arguments must be objects.
fn calls(reply: &Value) -> Result<Vec<ToolCall>, String> {
    let read = |(at, call): (usize, &Value)| {
        let function = &call["function"];
        let Some(name) = function["name"].as_str().filter(|name| !name.is_empty()) else {
            return Err(format!("tool_calls[{at}] names no function"));
        };
        if !function["arguments"].is_object() {
            return Err(format!("the arguments of tool_calls[{at}] are not an object"));
        }
        Ok(ToolCall { name: name.to_owned(), arguments: function["arguments"].to_string() })
    };
    reply["tool_calls"].as_array().into_iter().flatten().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> (String, Bytes) {
        (path.to_owned(), Bytes::from(text.to_owned()))
    }

    fn read(files: &[(String, Bytes)]) -> Result<TrainingRows, String> {
        super::read(files, &PromptTemplate::parse("{prompt} {completion}"))
    }

    #[test]
    fn a_config_may_name_the_keys() {
        let rows =
            [file("training/a.jsonl", r#"{"q":"two?","context":"one","a":"three"}"#), file("validation/v.jsonl", GOOD)];
        let template = PromptTemplate::parse("Given {context}, say: {q} Answer: {a}");
        let read = super::read(&rows, &template).unwrap();
        assert_eq!(
            (read.training[0].messages[0].content.as_str(), read.training[0].reply.as_str()),
            ("Given one, say: two?", "three")
        );
        let problem = super::read(&[file("training/a.jsonl", r#"{"q":"two?"}"#)], &template).unwrap_err();
        assert!(problem.ends_with("neither messages nor context and q and a"), "{problem}");
        for odd in ["", "{only}", "{open {", "no keys"] {
            assert_eq!(PromptTemplate::parse(odd).keys(), ["prompt", "completion"], "{odd}");
        }
    }

    const GOOD: &str = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;

    #[test]
    fn merges_files_and_ignores_other_folders() {
        let rows = read(&[
            file("training/a.jsonl", &format!("{GOOD}\n\n{GOOD}\n")),
            file("training/b.json", &format!("[{GOOD}]")),
            file("validation/v.jsonl", r#"{"prompt":"p","completion":"c"}"#),
            file("testing/t.jsonl", "broken"),
        ])
        .unwrap();
        assert_eq!((rows.training.len(), rows.validation.len()), (3, 1));
        assert_eq!(rows.validation[0].reply, "c");
    }

    #[test]
    fn holds_a_tenth_out_without_a_validation_file() {
        let rows = read(&[file("training/a.jsonl", &[GOOD; 25].join("\n"))]).unwrap();
        assert_eq!((rows.training.len(), rows.validation.len()), (23, 2));
    }

    #[test]
    fn says_where_a_bad_row_is() {
        let cases = [
            ("{", "training/a.jsonl, line 2: EOF"),
            (r#"{"messages":[]}"#, "line 2: messages is empty"),
            (r#"{"text":"x"}"#, "line 2: neither"),
            (r#"{"messages":[{"role":"user","content":"a"}]}"#, "nothing before the reply"),
            (r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}"#, "not the assistant's"),
            (r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null}]}"#, "not a string"),
            (r#"{"messages":[{"content":"a"},{"role":"assistant","content":"b"}]}"#, "messages[0] has no role"),
        ];
        for (row, expected) in cases {
            let problem = read(&[file("training/a.jsonl", &format!("{GOOD}\n{row}"))]).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(read(&[]).unwrap_err().contains("no rows under training/"));
    }
}
