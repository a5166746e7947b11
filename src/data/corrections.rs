//! Labels that people gave to logged requests. They replace the label of the answer, and nothing else of a record.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::data::forms::{self, Forms};
use crate::data::hand_made;
use crate::data::json::edit::{edit, edit_items};
use crate::data::json::tape::Tape;
use crate::data::label::{self, LabelReader};
use crate::data::options::LabelRules;
use crate::data::record::{FieldDefaults, Record};
use crate::data::reject::Reject;
use crate::data::request_keys::RequestKeyMaker;

/// Stands before the key of a request, so that no spreadsheet takes it for a number.
const PREFIX: &str = "req-";

/// The right labels by the key of their request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Corrections(Arc<HashMap<u128, GivenLabel>>);

/// A label that a person gave.
#[derive(Clone, Debug)]
struct GivenLabel {
    label: String,
    /// The line of the file.
    line: usize,
}

/// A row of a review file. Other columns are for people.
#[derive(Deserialize)]
struct ReviewedRow {
    request: String,
    #[serde(default)]
    correct: Option<String>,
}

impl Corrections {
    /// Reads a review file. Rows without a correction count as not given.
    ///
    /// # Errors
    /// Says what is wrong, with the line.
    pub(crate) fn read(bytes: &[u8], rules: &LabelRules) -> Result<Corrections, String> {
        let rows = hand_made::rows::<ReviewedRow>(bytes, |header| {
            let is_there = |name| header.contains(&name);
            if is_there("request") && is_there("correct") {
                return Ok(());
            }
            Err(format!("it needs the columns request and correct, and has {}", header.join(", ")))
        })?;
        let labels = LabelReader::new(rules)?;
        let mut corrections: HashMap<u128, GivenLabel> = HashMap::new();
        for (at, row) in rows {
            let Some(correct) = row.correct.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty())
            else {
                continue;
            };
            let digits = row.request.trim().strip_prefix(PREFIX).filter(|digits| digits.len() == 32);
            let key = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
            let key = key.ok_or_else(|| format!("line {at}: \"{}\" names no request of a review file", row.request))?;
            if !labels.allows(&correct) {
                return Err(format!("line {at}: {correct} is not one of labels"));
            }
            if correct.contains(['[', ']', '\n']) {
                return Err(format!("line {at}: {correct} holds a bracket or a line end"));
            }
            let given = corrections.entry(key).or_insert_with(|| GivenLabel { label: correct.clone(), line: at });
            let known = &given.label;
            if label::key(known) != label::key(&correct) {
                return Err(format!("line {at}: the request is corrected twice, to {known} and to {correct}"));
            }
        }
        Ok(Corrections(Arc::new(corrections)))
    }

    /// Returns the number of corrected requests.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if nothing is corrected.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the right label of a request, if a person gave one.
    pub(crate) fn label(&self, request: u128) -> Option<&str> {
        self.0.get(&request).map(|given| given.label.as_str())
    }

    /// Checks that a record says each label that was given to one of these requests: without a list of labels, a typing
    /// error would be a new class. `said` has the labels by their comparison keys.
    ///
    /// # Errors
    /// Names the first label that no record says, its line and the label that may be meant.
    pub(crate) fn check(&self, met: &HashSet<u128>, said: &BTreeMap<String, String>) -> Result<(), String> {
        let unknown = |given: &&GivenLabel| !said.contains_key(&label::key(&given.label));
        let given = met.iter().filter_map(|request| self.0.get(request)).filter(unknown).min_by_key(|given| given.line);
        let Some(GivenLabel { label, line }) = given else { return Ok(()) };
        let said: Vec<String> = said.values().cloned().collect();
        let meant = label::nearest(&said, label).map(|known| format!(" (is {known} meant?)")).unwrap_or_default();
        Err(format!("line {line}: no record has the label {label}{meant}; a new class must be one of labels"))
    }
}

/// Names the requests of lines. Holds scratch space, so reuse it.
#[derive(Debug, Default)]
pub(crate) struct RequestNamer(RequestKeyMaker);

impl RequestNamer {
    /// Returns the name of the request in a line.
    pub(crate) fn name(&mut self, line: &[u8]) -> Result<String, Reject> {
        Ok(format!("{PREFIX}{:032x}", self.key(line)?))
    }

    /// Returns the key of the request in a line.
    pub(crate) fn key(&mut self, line: &[u8]) -> Result<u128, Reject> {
        forms::read(line, Forms::Logged, |json| {
            let mut tape = Tape::default();
            let (record, _) = Record::read(json, &FieldDefaults::default(), &mut tape)?;
            Ok(self.0.of(&record.messages, record.tools).request)
        })
    }
}

/// Corrects lines before they become rows. Holds scratch space, so reuse it.
#[derive(Debug)]
pub(crate) struct Corrector {
    corrections: Corrections,
    labels: LabelReader,
    keys: RequestKeyMaker,
}

impl Corrector {
    /// Creates a corrector. `None` if there is nothing to correct.
    pub(crate) fn new(corrections: &Corrections, rules: &LabelRules) -> Option<Corrector> {
        let labels = LabelReader::new(rules).ok().filter(|_| !corrections.is_empty())?;
        Some(Corrector { corrections: corrections.clone(), labels, keys: RequestKeyMaker::default() })
    }

    /// Returns the JSON of the record of a line with the right label. `None` if it is right as it stands.
    pub(crate) fn corrected(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, Reject> {
        forms::read(line, Forms::Logged, |json| {
            let mut tape = Tape::default();
            let (record, _) = Record::read(json, &FieldDefaults::default(), &mut tape)?;
            let request = self.keys.of(&record.messages, record.tools).request;
            let Some(right) = self.corrections.label(request) else { return Ok(None) };
            let Some(text) = record.reply.content.map(|content| content.read().into_owned()) else { return Ok(None) };
            let Some(wrong) = self.labels.read(&text) else { return Ok(None) };
            let start = wrong.as_ptr() as usize - text.as_ptr() as usize;
            let text = format!("{}{right}{}", &text[..start], &text[start + wrong.len()..]);
            with_content(json, &serde_json::Value::from(text).to_string()).map(Some)
        })
    }
}

/// Returns the JSON of a record with another content of its answer.
fn with_content(json: &[u8], content: &str) -> Result<Vec<u8>, Reject> {
    let json = std::str::from_utf8(json).map_err(|_| Reject::InvalidUtf8)?;
    let copied = |value: &str| Ok(value.to_owned());
    let record = edit(json.trim(), &mut |key, value| match key {
        "response" => edit(value, &mut |key, value| match key {
            "choices" => edit_items(value, &mut |place, choice| {
                edit(choice, &mut |key, value| match key {
                    "message" if place == 0 => edit(value, &mut |key, value| match key {
                        "content" => copied(content),
                        _ => copied(value),
                    }),
                    _ => copied(value),
                })
            }),
            _ => copied(value),
        }),
        _ => copied(value),
    })?;
    Ok(record.into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(answer: &Value) -> String {
        let request = json!({"messages": [{"role": "user", "content": "u"}]});
        json!({"workload_id": "w", "request": request, "response": answer}).to_string()
    }

    fn whole(content: &Value) -> Value {
        json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]})
    }

    fn request_name(key: u128) -> String {
        format!("{PREFIX}{key:032x}")
    }

    #[test]
    fn the_label_of_an_answer_is_replaced_and_nothing_else() {
        let rules = LabelRules::default();
        let name = RequestNamer::default().name(line(&whole(&json!("x"))).as_bytes()).unwrap();
        let file = format!("request,correct\n{name},\"Ü \"\"B\"\"\"\n");
        let corrections = Corrections::read(file.as_bytes(), &rules).unwrap();
        let mut corrector = Corrector::new(&corrections, &rules).unwrap();
        let chunk = |text: &str, end: Value| json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": end}]});
        for (answer, content) in [
            (whole(&json!("[[A]] so [[[ A ]]].")), Some("[[A]] so [[[ Ü \"B\" ]]].")),
            (whole(&json!("<think>[[A]]</think>[[A]]")), Some("<think>[[A]]</think>[[Ü \"B\"]]")),
            (whole(&json!([{"type": "text", "text": "[[A]]"}])), Some("[[Ü \"B\"]]")),
            (json!([chunk("[[", Value::Null), chunk("A]]", json!("stop"))]), Some("[[Ü \"B\"]]")),
            (whole(&json!("no label")), None),
        ] {
            let corrected = corrector.corrected(line(&answer).as_bytes()).unwrap();
            let record: Option<Value> = corrected.map(|json| serde_json::from_slice(&json).unwrap());
            let found = record.as_ref().map(|record| &record["response"]["choices"][0]["message"]["content"]);
            assert_eq!(found, content.map(Value::from).as_ref(), "{answer}");
        }
        let other = line(&whole(&json!("[[A]]"))).replace("\"u\"", "\"v\"");
        assert_eq!(corrector.corrected(other.as_bytes()), Ok(None));
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let rules = LabelRules { allowed: Some(vec!["A".into(), "B".into()]), pattern: None };
        let request = request_name(7);
        for (rows, told) in [
            (format!("{request},C"), "line 2: C is not one of labels"),
            (format!("{request},A\n{request},B"), "line 3: the request is corrected twice, to A and to B"),
            ("7,A".to_owned(), "line 2: \"7\" names no request of a review file"),
        ] {
            assert_eq!(Corrections::read(format!("request,correct\n{rows}\n").as_bytes(), &rules).unwrap_err(), told);
        }
        let said = Corrections::read(b"id,label\n", &rules).unwrap_err();
        assert_eq!(said, "it needs the columns request and correct, and has id, label");
        let file = format!("request;why;correct\n{request};x;a\n{request};x;\n{};x;\n", request_name(8));
        let read = Corrections::read(file.as_bytes(), &rules).unwrap();
        assert_eq!((read.len(), read.label(7), read.label(8)), (1, Some("a"), None));
        let lines = json!({"request": request, "correct": "B"}).to_string();
        assert_eq!(Corrections::read(lines.as_bytes(), &rules).unwrap().label(7), Some("B"));
    }
}
