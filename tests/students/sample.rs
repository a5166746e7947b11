//! The shipped news log as rows for the students, and stratified divisions of it. Independent of the program's own reading and
//! splitting.

use std::collections::BTreeMap;

use dfwfd::student::{Example, Message};

/// One request of the log and the teacher's reply.
pub(crate) struct Row {
    pub example: Example,
    /// The label of the reply in lower case.
    pub label: String,
}

/// Reads the usable rows of the shipped news log. Keeps one of the texts that differ only in digits and punctuation.
pub(crate) fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/news_logs.jsonl");
    let log = std::fs::read_to_string(path).expect("the sample log is in the repository");
    let mut rows = BTreeMap::new();
    for record in log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let Ok(messages) = serde_json::from_value::<Vec<Message>>(record["request"]["messages"].clone()) else {
            continue;
        };
        let reply = record["response"]["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_string();
        let label = reply.rsplit_once("[[").and_then(|(_, rest)| rest.split_once("]]")).map(|(label, _)| label.trim());
        let (Some(label), Some(text)) = (label.map(str::to_lowercase), messages.last()) else { continue };
        let masked: String = text.content.to_lowercase().chars().filter(|c| c.is_alphabetic()).collect();
        rows.insert(masked, Row { example: Example { messages, reply, calls: Vec::new() }, label });
    }
    rows.into_values().collect()
}

/// Divides `rows` into eval (about `eval` rows, each class in proportion),
/// validation (a tenth of the rest) and training.
pub(crate) fn divide(rows: &[Row], eval: usize, seed: u64) -> [Vec<&Row>; 3] {
    let mut classes: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        classes.entry(&row.label).or_default().push(row);
    }
    let mut parts: [Vec<&Row>; 3] = Default::default();
    for mut class in classes.into_values() {
        class.sort_by_cached_key(|row| blake3::hash(format!("{seed} {:?}", row.example.messages).as_bytes()).to_hex());
        let eval = (class.len() * eval + rows.len() / 2) / rows.len();
        let validation = (class.len() - eval).div_ceil(10);
        parts[0].extend(&class[..eval]);
        parts[1].extend(&class[eval..eval + validation]);
        parts[2].extend(&class[eval + validation..]);
    }
    parts
}

/// Returns the rows as training examples.
pub(crate) fn examples(rows: &[&Row]) -> Vec<Example> {
    rows.iter().map(|row| row.example.clone()).collect()
}
