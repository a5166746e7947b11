//! Indices that put documents together from their fields: those that lose the order of messages are refused, on loading
//! and on reading, and no others.

use serde_json::{Value, json};

use crate::harness::{Folder, lines, record};
use crate::server::Server;

/// Returns records whose messages stand in no sorted order.
fn conversations() -> Vec<Value> {
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let conversation = |(number, subject): (usize, &str)| {
        let mut record = record("w", number);
        let asked = format!("zebra {subject}");
        record["request"]["messages"] = json!([turn("user", &asked), turn("assistant", "b"), turn("user", "a")]);
        record
    };
    ["oil", "gold", "wheat", "steel", "wool", "salt"].into_iter().enumerate().map(conversation).collect()
}

/// Returns the messages of the first document, as the server gives them.
fn messages(server: &Server) -> Value {
    let by_id = json!({"query": {"ids": {"values": ["0"]}}});
    server.ask("POST", "/_search", Some(&by_id)).1["hits"]["hits"][0]["_source"]["request"]["messages"].clone()
}

/// Writes the same documents into indices of every kind. An index is refused exactly if it changed a document.
pub(crate) fn an_index_that_loses_the_order_of_messages_is_refused(server: &Server) {
    let folder = Folder::new();
    folder.write("logs.jsonl", lines(&conversations()));
    let synthetic = json!({"index.mapping.source.mode": "synthetic"});
    let kept = json!({"index.mapping.source.mode": "synthetic", "index.mapping.synthetic_source_keep": "arrays"});
    let logsdb = json!({"index.mode": "logsdb"});
    let columns = json!({"index.mode": "logsdb", "index.mapping.synthetic_source_keep": "none"});
    let whole = json!({"index.mode": "logsdb", "index.mapping.source.mode": "stored"});
    let derived = json!({"index.derived_source.enabled": true});
    let field = |field: Value| json!({"properties": {"request": field, "response": field}});
    let own = field(json!({"type": "object", "enabled": false}));
    let flattened = field(json!({"type": "flattened"}));
    let (mut made, mut refused) = (0, 0);
    for settings in [json!({}), synthetic, kept, logsdb, columns, whole, derived] {
        for mappings in [json!({}), json!({"dynamic": false}), own.clone(), flattened.clone()] {
            server.forget();
            let mut body = json!({"settings": settings, "mappings": mappings});
            body["mappings"]["properties"]["@timestamp"] = json!({"type": "date"});
            // Other versions and servers lack some of the settings and types.
            if server.ask("PUT", "", Some(&body)).0 != 200 {
                continue;
            }
            made += 1;
            let documents: Vec<Value> = conversations()
                .into_iter()
                .map(|mut document| {
                    document["@timestamp"] = json!("2024-01-01T00:00:00Z");
                    document
                })
                .collect();
            server.put(&documents);
            let is_whole = messages(server) == documents[0]["request"]["messages"];
            let name = format!("{body}");
            let out = format!("out-{made}");
            let small = ["--set", "data_split_config.min_total_records=1", "--set", "data_split_config.eval_size=1"];
            let read = server.dfwfd(&folder, &["split", "--out", &out]).args(small).run();
            let load = server.dfwfd(&folder, &["load", "logs.jsonl"]).run();
            if is_whole {
                read.code(0);
            } else {
                refused += 1;
                for output in [read, load] {
                    assert_eq!(output.code, Some(2), "{name}: {}", output.stderr);
                    output.says("order of its messages").says("source").hints();
                }
            }
        }
    }
    assert!(made > 0 && (made <= 4 || refused > 0), "{made} indices, {refused} refused");
}
