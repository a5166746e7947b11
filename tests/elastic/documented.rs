//! Checks the mapping and the program that docs/elasticsearch.md shows.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Folder, log, project, python};
use crate::server::Server;

/// Returns the block of the page that begins with this text.
fn block(beginning: &str) -> String {
    let page = std::fs::read_to_string(project().join("docs/elasticsearch.md")).unwrap();
    let rest = page.split_once(beginning).unwrap_or_else(|| panic!("no block {beginning:?}")).1;
    let (_, kept) = beginning.split_once('\n').unwrap();
    format!("{kept}{}", rest.split("```").next().unwrap())
}

pub(crate) fn the_index_that_load_makes_is_the_documented_one(server: &Server) {
    let folder = Folder::new();
    folder.write("logs.jsonl", log("w", 3));
    server.dfwfd(&folder, &["load", "logs.jsonl"]).run().code(0).says(&server.product);
    let mut documented: Value = serde_json::from_str(&block("```json\n{\"mappings\"")).unwrap();
    // Servers return a boolean setting as text.
    documented["mappings"]["dynamic"] = json!("false");
    let (_, answer) = server.ask("GET", "/_mapping", None);
    assert_eq!(answer[&server.index], documented);
}

pub(crate) fn the_documented_program_writes_records(server: &Server) {
    let Some(python) = python("the_documented_program_writes_records") else { return };
    let folder = Folder::new();
    let documented: Value = serde_json::from_str(&block("```json\n{\"mappings\"")).unwrap();
    server.create(&documented["mappings"]);
    let calls = r#"

import sys
for number in range(60):
    words = " ".join(chr(97 + int(digit)) * 4 for digit in str(number))
    request = {"model": "teacher", "messages": [{"role": "user", "content": words}], "tools": None}
    message = {"role": "assistant", "content": f"[[[{'ab'[number % 2]}]]]", "tool_calls": None}
    log(sys.argv[1], sys.argv[2], "app", "desk", request, {"id": "x", "choices": [{"index": 0, "message": message}]})
"#;
    let program = folder.write("app.py", block("```python\n") + calls);
    let ended = Command::new(python).arg(program).args([&server.url, &server.index]).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    server.ask("POST", "/_refresh", None);
    let small = ["--set", "data_split_config.eval_size=10"];
    let arguments = [&["split", "--since", "1d", "--out", "out", "--format", "json"][..], &small].concat();
    let data = server.dfwfd(&folder, &arguments).run().code(0).json()["data"].clone();
    assert_eq!((&data["read"], &data["kept"]), (&json!(60), &json!(60)), "{data}");
}
