//! Interprets a written value by the type of its key, or describes what was found and what is allowed.

use regex::Regex;

use super::node::{ConfigNode, NodeContent, ScalarType};
use super::problem::Mismatch;
use super::schema::{Bounds, KeyType, SchemaKey, TextForm};
use super::time;
use crate::data::redact;

type Read<T> = Result<T, Mismatch>;

/// Checks a single value. `check` walks through sections.
pub(crate) fn accept(node: &ConfigNode, key: &SchemaKey) -> Read<()> {
    if node.is_null() {
        return if key.null { Ok(()) } else { Err(mismatch(node, key.key_type)) };
    }
    match key.key_type {
        KeyType::Text(form) => text(node, form).map(drop),
        KeyType::Integer(min, max) => integer(node, min, max).map(drop),
        KeyType::Number(bounds) => number(node, bounds).map(drop),
        KeyType::Boolean => boolean(node).map(drop),
        KeyType::Choice(words) => choice(node, words).map(drop),
        KeyType::Duration(zero) => duration_ms(node, zero).map(drop),
        KeyType::TextList(_) | KeyType::TextOrList(_) => texts(node, key.key_type).map(drop),
        KeyType::NamedTexts => named_texts(node).map(drop),
        KeyType::Section(_) => match node.content {
            NodeContent::Section(_) => Ok(()),
            _ => Err(mismatch(node, key.key_type)),
        },
        KeyType::SectionList(_) => match node.content {
            NodeContent::List(_) => Ok(()),
            _ => Err(mismatch(node, key.key_type)),
        },
    }
}

/// Returns a text of this form.
pub(crate) fn text(node: &ConfigNode, form: TextForm) -> Read<String> {
    let refuse = || mismatch(node, KeyType::Text(form));
    let NodeContent::Scalar(text, is) = &node.content else { return Err(refuse()) };
    let typed = match is {
        ScalarType::Text | ScalarType::Untyped => true,
        ScalarType::Integer(_) | ScalarType::Float(_) | ScalarType::Boolean(_) => form == TextForm::Loose,
        ScalarType::Null => false,
    };
    if typed && !text.trim().is_empty() && well_formed(text, form) { Ok(text.clone()) } else { Err(refuse()) }
}

fn well_formed(text: &str, form: TextForm) -> bool {
    let made_of =
        |allowed: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || allowed.contains(byte as char));
    match form {
        TextForm::Any | TextForm::Loose | TextForm::Secret => true,
        TextForm::Url => reqwest::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        }),
        TextForm::Quantity => {
            let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
            let unit = &text[number.len()..];
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let units = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E"];
            digits && number.parse::<f64>().is_ok_and(|size| size > 0.0) && units.contains(&unit)
        }
        TextForm::Pattern => Regex::new(text).is_ok(),
        TextForm::Personal => text == "all" || redact::known_kinds().contains(&text),
        TextForm::Namespace => {
            text.len() <= 63 && made_of("-_.") && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        }
        TextForm::Model => made_of("-_./:") && text.split('/').all(|part| !part.is_empty()),
        TextForm::Target => {
            made_of("-_./@+:")
                && text.split_once('@').is_some_and(|(name, version)| !name.is_empty() && !version.is_empty())
        }
        TextForm::Variable => made_of("_") && !text.starts_with(|first: char| first.is_ascii_digit()),
        TextForm::Index => {
            text.len() <= 255
                && !text.starts_with(['-', '_', '+', '.'])
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.+@".contains(&byte))
        }
        TextForm::Field => {
            text.split('.').all(|step| !step.is_empty()) && !text.contains(['*', '"']) && text.trim() == text
        }
        TextForm::Level => LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text)),
    }
}

/// The levels that `logging_config.level` allows.
pub(crate) const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// Returns an integer within these bounds.
pub(crate) fn integer(node: &ConfigNode, min: u64, max: u64) -> Read<u64> {
    let number = match &node.content {
        NodeContent::Scalar(_, ScalarType::Integer(number)) => Some(*number),
        NodeContent::Scalar(text, ScalarType::Untyped) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| mismatch(node, KeyType::Integer(min, max)))
}

/// Returns a number within these bounds.
pub(crate) fn number(node: &ConfigNode, bounds: Bounds) -> Read<f64> {
    let number = match &node.content {
        NodeContent::Scalar(_, ScalarType::Integer(number)) => Some(*number as f64),
        NodeContent::Scalar(_, ScalarType::Float(number)) => Some(*number),
        NodeContent::Scalar(text, ScalarType::Untyped) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .filter(|number| {
            let above = if bounds.min_allowed { *number >= bounds.min } else { *number > bounds.min };
            let below = if bounds.max_allowed { *number <= bounds.max } else { *number < bounds.max };
            above && below
        })
        .ok_or_else(|| mismatch(node, KeyType::Number(bounds)))
}

/// Returns `true` or `false`.
pub(crate) fn boolean(node: &ConfigNode) -> Read<bool> {
    match &node.content {
        NodeContent::Scalar(_, ScalarType::Boolean(on)) => Ok(*on),
        NodeContent::Scalar(text, ScalarType::Untyped) if text.eq_ignore_ascii_case("true") => Ok(true),
        NodeContent::Scalar(text, ScalarType::Untyped) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(mismatch(node, KeyType::Boolean)),
    }
}

/// Returns the one of these words that is written.
pub(crate) fn choice(node: &ConfigNode, words: &'static [&'static str]) -> Read<&'static str> {
    match &node.content {
        NodeContent::Scalar(text, ScalarType::Text | ScalarType::Untyped) => {
            words.iter().find(|word| *word == text).copied()
        }
        _ => None,
    }
    .ok_or_else(|| mismatch(node, KeyType::Choice(words)))
}

/// Returns a duration in milliseconds.
pub(crate) fn duration_ms(node: &ConfigNode, zero: bool) -> Read<u64> {
    match &node.content {
        NodeContent::Scalar(text, ScalarType::Text | ScalarType::Untyped | ScalarType::Integer(0)) => {
            time::duration_ms(text)
        }
        _ => None,
    }
    .filter(|ms| zero || *ms > 0)
    .ok_or_else(|| mismatch(node, KeyType::Duration(zero)))
}

/// Returns a list of texts. A single text counts as a list of one where its key allows that.
pub(crate) fn texts(node: &ConfigNode, key_type: KeyType) -> Read<Vec<String>> {
    let (form, single) = match key_type {
        KeyType::TextOrList(form) => (form, true),
        KeyType::TextList(form) => (form, false),
        _ => (TextForm::Any, false),
    };
    match &node.content {
        NodeContent::List(items) if items.is_empty() => Err(mismatch(node, key_type)),
        NodeContent::List(items) => items.iter().map(|item| text(item, form)).collect(),
        // A switch stands for all kinds, or none.
        NodeContent::Scalar(word, ScalarType::Boolean(_) | ScalarType::Untyped)
            if form == TextForm::Personal
                && (word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false")) =>
        {
            Ok(word.eq_ignore_ascii_case("true").then(|| "all".to_owned()).into_iter().collect())
        }
        _ if single => text(node, form).map(|text| vec![text]).map_err(|_| mismatch(node, key_type)),
        _ => Err(mismatch(node, key_type)),
    }
}

/// Returns the entries of a section whose keys the user chooses.
pub(crate) fn named_texts(node: &ConfigNode) -> Read<Vec<(String, String)>> {
    let NodeContent::Section(entries) = &node.content else { return Err(mismatch(node, KeyType::NamedTexts)) };
    entries.iter().map(|entry| text(&entry.value, TextForm::Loose).map(|value| (entry.key.clone(), value))).collect()
}

/// Describes why this value does not fit that type.
pub(crate) fn mismatch(node: &ConfigNode, key_type: KeyType) -> Mismatch {
    // A URL that is refused may hold a password, or a key in its query.
    let password = matches!((key_type, &node.content), (KeyType::Text(TextForm::Url), NodeContent::Scalar(text, _)) if text.contains(['@', '?', '#', '=']));
    let secret = password || matches!(key_type, KeyType::NamedTexts | KeyType::Text(TextForm::Secret));
    Mismatch { found: found(node, secret), allowed: allowed(key_type) }
}

/// Describes a value. The text of a possible secret is left out.
pub(crate) fn found(node: &ConfigNode, secret: bool) -> String {
    match &node.content {
        NodeContent::Scalar(text, is) => {
            let kind = match is {
                ScalarType::Null => return "null".to_owned(),
                ScalarType::Boolean(_) => "the boolean",
                ScalarType::Integer(_) | ScalarType::Float(_) => "the number",
                ScalarType::Text | ScalarType::Untyped if text.trim().is_empty() => return "empty text".to_owned(),
                ScalarType::Text => "the text",
                ScalarType::Untyped => "",
            };
            match (secret, is) {
                (true, ScalarType::Untyped) => "text (not shown)".to_owned(),
                (true, _) => format!("{kind} (not shown)"),
                (false, ScalarType::Text) => format!("{kind} \"{}\"", short(text)),
                (false, ScalarType::Untyped) => format!("\"{}\"", short(text)),
                (false, _) => format!("{kind} {}", short(text)),
            }
        }
        NodeContent::List(items) if items.is_empty() => "an empty list".to_owned(),
        NodeContent::List(items) => format!("a list of {}", items.len()),
        NodeContent::Section(_) => "a section".to_owned(),
        NodeContent::Tagged(tag) => format!("a value tagged !{tag}"),
    }
}

fn short(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(61).collect();
    if line.chars().count() > 60 { line.chars().take(57).chain("...".chars()).collect() } else { line }
}

/// Describes what a type allows.
pub(crate) fn allowed(key_type: KeyType) -> String {
    match key_type {
        KeyType::Text(form) => form_allowed(form).to_owned(),
        KeyType::Integer(min, max) if max >= u64::from(u32::MAX) => format!("a whole number from {min}"),
        KeyType::Integer(min, max) => format!("a whole number from {min} to {max}"),
        KeyType::Number(bounds) => {
            let low = if bounds.min_allowed { "from" } else { "above" };
            let high = if bounds.max_allowed { "up to" } else { "below" };
            format!("a number {low} {} {high} {}", bounds.min, bounds.max)
        }
        KeyType::Boolean => "true or false".to_owned(),
        KeyType::Choice(words) => words.join(", "),
        KeyType::Duration(true) => "a duration such as 0s, 90s, 30m, 3h or 1h30m".to_owned(),
        KeyType::Duration(false) => "a duration such as 90s, 30m, 3h or 1h30m, above zero".to_owned(),
        KeyType::TextList(form) => format!("a list such as [a, b], each {}", form_allowed(form)),
        KeyType::TextOrList(_) => "text, or a list of text".to_owned(),
        KeyType::NamedTexts => "a section of names, each with text".to_owned(),
        KeyType::Section(keys) => format!("a section with the keys {}", key_names(keys)),
        KeyType::SectionList(keys) => format!("a list of sections with the keys {}", key_names(keys)),
    }
}

/// Joins the names of keys in one line.
pub(crate) fn key_names(keys: &[SchemaKey]) -> String {
    keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

fn form_allowed(form: TextForm) -> &'static str {
    match form {
        TextForm::Any | TextForm::Loose | TextForm::Secret => "text",
        TextForm::Url => "an http or https URL without user name, password and query, such as http://nemo.test",
        TextForm::Quantity => "a size with its unit, such as 25Gi",
        TextForm::Pattern => "a regular expression",
        TextForm::Namespace => "up to 63 letters, digits, `-`, `_` and `.`, starting with a letter or digit",
        TextForm::Model => "a model id, such as meta/llama-3.2-1b-instruct",
        TextForm::Target => "a target with its version, such as meta/llama-3.2-1b-instruct@2.0",
        TextForm::Variable => "the name of an environment variable",
        TextForm::Index => {
            "the name of one index: lower-case letters, digits, `-`, `_`, `.`, starting with a letter or digit"
        }
        TextForm::Field => "a dotted path into a document, such as payload.request",
        TextForm::Personal => "true, all, or some of secret, email, iban, card, national_id, ip, phone",
        TextForm::Level => "DEBUG, INFO, WARNING, ERROR, CRITICAL",
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::WrittenAt;
    use super::*;

    fn raw(text: &str) -> ConfigNode {
        ConfigNode::untyped(text, WrittenAt::Default)
    }

    #[test]
    fn forms_take_what_they_should_and_nothing_else() {
        let cases: [(TextForm, &[&str], &[&str]); 9] = [
            (TextForm::Field, &["time", "@timestamp", "payload.request", "a b.c"], &["a..b", ".a", "a.", "a*", "a "]),
            (
                TextForm::Url,
                &["http://nemo.test", "https://a:8443/nemo"],
                &["nemo.test", "ftp://a", "http://u:p@a", "http://a/?k=v"],
            ),
            (TextForm::Quantity, &["25Gi", "0.5Ti", "100G"], &["25", "Gi", "25gi", "0Gi", "1.2.3Gi"]),
            (TextForm::Namespace, &["dfwfd", "team-1.a_b"], &["-a", "a/b", "a b"]),
            (TextForm::Model, &["meta/llama-3.2-1b-instruct", "own"], &["a//b", "/a", "a b", "a@b"]),
            (TextForm::Target, &["meta/llama-3.2-1b-instruct@2.0", "a@v1.0.0+A100"], &["meta/llama", "@2.0", "a@"]),
            (TextForm::Variable, &["NVIDIA_API_KEY"], &["1A", "A-B"]),
            (TextForm::Index, &["flywheel", "logs-2025.06"], &["Logs", "logs*", "_all", "a,b", "a/b"]),
            (TextForm::Level, &["info", "WARNING"], &["verbose"]),
        ];
        for (form, good, bad) in cases {
            for text in good {
                assert!(super::text(&raw(text), form).is_ok(), "{form:?} {text}");
            }
            for text in bad.iter().chain(&["", " "]) {
                assert!(super::text(&raw(text), form).is_err(), "{form:?} {text}");
            }
        }
    }

    #[test]
    fn what_may_be_a_secret_is_never_shown() {
        let list = ConfigNode { content: NodeContent::List(vec![raw("hunter2")]), at: WrittenAt::Default };
        for url in ["http://u:hunter2@a", "http://a/?api_key=hunter2", "judge.test/v1?key=hunter2", "http://a/#hunter2"]
        {
            assert!(!mismatch(&raw(url), KeyType::Text(TextForm::Url)).found.contains("hunter2"), "{url}");
        }
        for node in [raw("hunter2"), list] {
            for kind in [KeyType::Text(TextForm::Secret), KeyType::NamedTexts] {
                assert!(!mismatch(&node, kind).found.contains("hunter2"));
            }
        }
    }

    #[test]
    fn long_values_are_cut_and_stay_on_one_line() {
        let said = found(&raw(&"ä\n".repeat(100)), false);
        assert!(said.chars().count() <= 62 && !said.contains('\n'), "{said}");
    }
}
