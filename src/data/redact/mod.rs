//! Masks personal data and secrets in texts. A value becomes a placeholder that is the same wherever the value occurs and
//! cannot be turned back without the key.

mod kinds;

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;

use crate::data::forms::{self, Forms};
use crate::data::json::edit::members;
use crate::data::json::tape::Tape;
use crate::data::options::RedactRules;
use crate::data::record::{FieldDefaults, Record};
use kinds::KINDS;

/// Numbers of masked values by kind.
pub(crate) type RedactionCounts = BTreeMap<String, u64>;

/// Fields of a record that are no texts of requests and responses.
const KEPT: [&str; 3] = ["timestamp", "workload_id", "client_id"];

/// Returns the names of all kinds.
pub(crate) fn known_kinds() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// Masks texts by one set of rules.
pub(crate) struct Redactor {
    rules: Vec<Rule>,
    key: [u8; 32],
    tape: Tape,
    /// Counts the masked values so far.
    pub(crate) counts: RedactionCounts,
}

struct Rule {
    kind: String,
    regex: Regex,
    passes: fn(&str) -> bool,
}

impl Redactor {
    /// Creates a redactor. Placeholders depend on the key. Own patterns come first.
    ///
    /// # Errors
    /// An own pattern is no regular expression.
    pub(crate) fn new(rules: &RedactRules, key: [u8; 32]) -> Result<Redactor, regex::Error> {
        let own = rules.patterns.iter().map(|(kind, regex)| {
            Ok(Rule { kind: kind.clone(), regex: Regex::new(regex)?, passes: |text| !text.is_empty() })
        });
        let chosen = KINDS.iter().filter(|kind| rules.kinds.iter().any(|name| name == kind.name));
        let built_in =
            chosen.flat_map(|kind| kind.patterns.iter().map(|pattern| (kind.name, pattern))).map(|(kind, pattern)| {
                Ok(Rule { kind: kind.to_owned(), regex: Regex::new(pattern.regex)?, passes: pattern.passes })
            });
        let rules = own.chain(built_in).collect::<Result<_, regex::Error>>()?;
        Ok(Redactor { rules, key, tape: Tape::default(), counts: RedactionCounts::default() })
    }

    /// Masks a plain text.
    pub(crate) fn text<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for Rule { kind, regex, passes } in &self.rules {
            if !regex.is_match(&masked) {
                continue;
            }
            let mut found = 0;
            let replaced = regex.replace_all(&masked, |value: &regex::Captures<'_>| {
                let value = &value[0];
                if !passes(value) {
                    return value.to_owned();
                }
                found += 1;
                placeholder(&self.key, kind, value)
            });
            if found > 0 {
                *self.counts.entry(kind.clone()).or_default() += found;
                masked = Cow::Owned(replaced.into_owned());
            }
        }
        masked
    }

    /// Masks the line of a log, without its line end. The pieces of a streamed answer are joined first, because a value may
    /// stand in several of them.
    pub(crate) fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let tape = &mut self.tape;
        let whole = forms::read(line, Forms::Logged, |json| {
            Record::read(json, &FieldDefaults::default(), tape).map(|_| json.to_vec())
        });
        let json = whole.as_deref().unwrap_or(line);
        match std::str::from_utf8(json).ok().and_then(|json| self.record(json)) {
            Some(record) => out.extend_from_slice(record.as_bytes()),
            // No JSON: the line is refused, and shown as it is masked here.
            None => out.extend_from_slice(self.text(&String::from_utf8_lossy(json)).as_bytes()),
        }
    }

    /// Masks the texts of an object, but not the fields that tell records apart.
    fn record(&mut self, json: &str) -> Option<String> {
        let mut record = members(json).ok()?;
        for key in record.keys() {
            if let Some(value) = record.get(&key).filter(|_| !KEPT.contains(&key.as_str())) {
                let masked = self.strings(value);
                record.set(&key, masked);
            }
        }
        Some(record.to_json())
    }

    /// Masks all strings of a JSON text.
    fn strings(&mut self, json: &str) -> String {
        let mut out = String::with_capacity(json.len());
        let mut rest = json;
        while let Some(start) = rest.find('"') {
            let length = string_length(&rest[start..]);
            let (before, string) = (&rest[..start], &rest[start..start + length]);
            out.push_str(before);
            let text: Option<String> = serde_json::from_str(string).ok();
            match text.as_deref().map(|text| self.text(text)) {
                Some(Cow::Owned(masked)) => out.push_str(&serde_json::Value::from(masked).to_string()),
                _ => out.push_str(string),
            }
            rest = &rest[start + length..];
        }
        out.push_str(rest);
        out
    }
}

/// Returns the bytes of the JSON string that a text begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Returns the placeholder of a value: the kind and 12 letters of a keyed hash. Letters, because digits would look like
/// another number. Spelling and separators of a value make no difference.
fn placeholder(key: &[u8; 32], kind: &str, value: &str) -> String {
    let value: String = value.chars().filter(|letter| letter.is_alphanumeric() || *letter == '@').collect();
    let hash = blake3::keyed_hash(key, format!("{kind}\0{}", value.to_lowercase()).as_bytes());
    let letters = hash.as_bytes().iter().take(12).map(|byte| char::from(b'a' + byte % 26));
    format!("<{kind}:{}>", letters.collect::<String>())
}

#[cfg(test)]
mod tests;
