//! Eval rows in a form that the platform's evaluator reads as they are.
//!
//! It loads a file through Arrow, which gives every object the members of all other rows, as nulls, and takes texts that
//! look like times for times. Both change requests and the arguments of tool calls. So the rows are uploaded a second time,
//! with each part as JSON text in a column of its own, and the templates parse the text. A template whose text contains
//! `tojson` has its result parsed (docs/helix-api.md, Templates); the comment says just that word.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde_json::{Value, json};

/// The file of an eval set as the run wrote it.
pub(super) const LOGGED_FILE: &str = "eval_data.jsonl";
/// The file that evaluations read.
pub(super) const ROWS_FILE: &str = "eval_rows.jsonl";
/// The messages of the request.
pub(super) const MESSAGES: &str = "{{ item.messages }}{# tojson #}";
/// The tools of the request.
pub(super) const TOOLS: &str = "{{ item.tools }}{# tojson #}";
/// The text of the logged answer.
pub(super) const ANSWER: &str = "{{ item.answer }}{# tojson #}";
/// The tool calls of the logged answer.
pub(super) const CALLS: &str = "{{ item.calls }}{# tojson #}";

/// Returns the rows of a file of logged records, one line each.
pub(super) fn encoded(path: &Path) -> io::Result<String> {
    let mut rows = String::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let row: Value = serde_json::from_str(&line?)?;
        rows.push_str(&encoded_row(&row).to_string());
        rows.push('\n');
    }
    Ok(rows)
}

fn encoded_row(row: &Value) -> Value {
    let at = |path: &str| row.pointer(path).unwrap_or(&Value::Null);
    let answer = at("/response/choices/0/message/content").as_str().unwrap_or_default().trim();
    json!({
        "messages": at("/request/messages").to_string(),
        "tools": at("/request/tools").to_string(),
        "answer": json!(answer).to_string(),
        "calls": at("/response/choices/0/message/tool_calls").to_string(),
    })
}

/// Returns the logged record of a row as the evaluator gives it back, without what no column holds.
pub(super) fn decoded(item: &Value) -> Value {
    let part = |column: &str| {
        let text = item.get(column).and_then(Value::as_str);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
    };
    json!({
        "request": { "messages": part("messages"), "tools": part("tools") },
        "response": { "choices": [{ "message": { "content": part("answer"), "tool_calls": part("calls") } }] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was() {
        let call = json!({"type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": null}}});
        let row = json!({
            "request": {"messages": [{"role": "user", "content": "2024-01-01"}], "tools": [{"type": "function"}]},
            "response": {"choices": [{"message": {"content": " [[[2024-01-01]]] ", "tool_calls": [call]}}]},
        });
        let encoded = encoded_row(&row);
        assert!(encoded.as_object().unwrap().values().all(Value::is_string), "{encoded}");
        let back = decoded(&encoded);
        assert_eq!(back["request"], row["request"]);
        assert_eq!(back["response"]["choices"][0]["message"]["tool_calls"], json!([call]));
        assert_eq!(back["response"]["choices"][0]["message"]["content"], "[[[2024-01-01]]]");
    }

    #[test]
    fn a_text_is_never_a_bare_date() {
        let row =
            json!({"request": {"messages": []}, "response": {"choices": [{"message": {"content": "2024-01-01"}}]}});
        assert_eq!(encoded_row(&row)["answer"], "\"2024-01-01\"");
        assert_eq!(encoded_row(&row)["tools"], "null");
    }
}
