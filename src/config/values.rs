//! A written value against what its key may hold: the value read, or what was found and what is allowed.

use regex::Regex;

use super::node::{Kind as Is, Node, What};
use super::schema::{Form, Key, Kind, Range};
use super::time;

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// What was found, as one would say it.
    pub found: String,
    /// What is allowed.
    pub allowed: String,
}

type Read<T> = Result<T, Complaint>;

/// Checks one value that is no section: the kinds with keys inside are walked by `check`.
pub(crate) fn accept(node: &Node, key: &Key) -> Read<()> {
    if node.is_null() {
        return if key.null { Ok(()) } else { Err(complain(node, key.kind)) };
    }
    match key.kind {
        Kind::Text(form) => text(node, form).map(drop),
        Kind::Whole(min, max) => whole(node, min, max).map(drop),
        Kind::Real(range) => real(node, range).map(drop),
        Kind::Switch => switch(node).map(drop),
        Kind::Choice(words) => choice(node, words).map(drop),
        Kind::Span(zero) => span(node, zero).map(drop),
        Kind::Texts(_) | Kind::TextOrTexts(_) => texts(node, key.kind).map(drop),
        Kind::Names => names(node).map(drop),
        Kind::Section(_) => match node.what {
            What::Map(_) => Ok(()),
            _ => Err(complain(node, key.kind)),
        },
        Kind::Sections(_) => match node.what {
            What::List(_) => Ok(()),
            _ => Err(complain(node, key.kind)),
        },
    }
}

/// Text of a form.
pub(crate) fn text(node: &Node, form: Form) -> Read<String> {
    let refuse = || complain(node, Kind::Text(form));
    let What::Scalar(text, is) = &node.what else { return Err(refuse()) };
    let typed = match is {
        Is::Text | Is::Raw => true,
        Is::Whole(_) | Is::Real(_) | Is::Switch(_) => form == Form::Loose,
        Is::Null => false,
    };
    if typed && !text.trim().is_empty() && well_formed(text, form) { Ok(text.clone()) } else { Err(refuse()) }
}

fn well_formed(text: &str, form: Form) -> bool {
    let made_of =
        |allowed: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || allowed.contains(byte as char));
    match form {
        Form::Any | Form::Loose | Form::Secret => true,
        Form::Url => reqwest::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        }),
        Form::Quantity => {
            let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
            let unit = &text[number.len()..];
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let units = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E"];
            digits && number.parse::<f64>().is_ok_and(|size| size > 0.0) && units.contains(&unit)
        }
        Form::Pattern => Regex::new(text).is_ok(),
        Form::Namespace => {
            text.len() <= 63 && made_of("-_.") && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        }
        Form::Model => made_of("-_./:") && text.split('/').all(|part| !part.is_empty()),
        Form::Target => {
            made_of("-_./@+:")
                && text.split_once('@').is_some_and(|(name, version)| !name.is_empty() && !version.is_empty())
        }
        Form::Variable => made_of("_") && !text.starts_with(|first: char| first.is_ascii_digit()),
        Form::Index => {
            text.len() <= 255
                && !text.starts_with(['-', '_', '+', '.'])
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.+@".contains(&byte))
        }
        Form::Field => {
            text.split('.').all(|step| !step.is_empty()) && !text.contains(['*', '"']) && text.trim() == text
        }
        Form::Level => LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text)),
    }
}

/// The words of `logging_config.level`.
pub(crate) const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// A whole number within bounds.
pub(crate) fn whole(node: &Node, min: u64, max: u64) -> Read<u64> {
    let number = match &node.what {
        What::Scalar(_, Is::Whole(number)) => Some(*number),
        What::Scalar(text, Is::Raw) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| complain(node, Kind::Whole(min, max)))
}

/// A number within bounds.
pub(crate) fn real(node: &Node, range: Range) -> Read<f64> {
    let number = match &node.what {
        What::Scalar(_, Is::Whole(number)) => Some(*number as f64),
        What::Scalar(_, Is::Real(number)) => Some(*number),
        What::Scalar(text, Is::Raw) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .filter(|number| {
            let above = if range.min_allowed { *number >= range.min } else { *number > range.min };
            let below = if range.max_allowed { *number <= range.max } else { *number < range.max };
            above && below
        })
        .ok_or_else(|| complain(node, Kind::Real(range)))
}

/// `true` or `false`.
pub(crate) fn switch(node: &Node) -> Read<bool> {
    match &node.what {
        What::Scalar(_, Is::Switch(on)) => Ok(*on),
        What::Scalar(text, Is::Raw) if text.eq_ignore_ascii_case("true") => Ok(true),
        What::Scalar(text, Is::Raw) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(complain(node, Kind::Switch)),
    }
}

/// One of a few words.
pub(crate) fn choice(node: &Node, words: &'static [&'static str]) -> Read<&'static str> {
    match &node.what {
        What::Scalar(text, Is::Text | Is::Raw) => words.iter().find(|word| *word == text).copied(),
        _ => None,
    }
    .ok_or_else(|| complain(node, Kind::Choice(words)))
}

/// A length of time, in milliseconds.
pub(crate) fn span(node: &Node, zero: bool) -> Read<u64> {
    match &node.what {
        What::Scalar(text, Is::Text | Is::Raw | Is::Whole(0)) => time::span_ms(text),
        _ => None,
    }
    .filter(|ms| zero || *ms > 0)
    .ok_or_else(|| complain(node, Kind::Span(zero)))
}

/// A list of text, or a single text where that is allowed too.
pub(crate) fn texts(node: &Node, kind: Kind) -> Read<Vec<String>> {
    let (form, single) = match kind {
        Kind::TextOrTexts(form) => (form, true),
        Kind::Texts(form) => (form, false),
        _ => (Form::Any, false),
    };
    match &node.what {
        What::List(items) if items.is_empty() => Err(complain(node, kind)),
        What::List(items) => items.iter().map(|item| text(item, form)).collect(),
        _ if single => text(node, form).map(|text| vec![text]).map_err(|_| complain(node, kind)),
        _ => Err(complain(node, kind)),
    }
}

/// Names and texts of the user's own.
pub(crate) fn names(node: &Node) -> Read<Vec<(String, String)>> {
    let What::Map(entries) = &node.what else { return Err(complain(node, Kind::Names)) };
    entries.iter().map(|entry| text(&entry.value, Form::Loose).map(|value| (entry.key.clone(), value))).collect()
}

/// The complaint that this value is not of that kind.
pub(crate) fn complain(node: &Node, kind: Kind) -> Complaint {
    // What is wrong with a URL may be the password in it.
    let password = matches!((kind, &node.what), (Kind::Text(Form::Url), What::Scalar(text, _)) if text.contains('@'));
    let secret = password || matches!(kind, Kind::Names | Kind::Text(Form::Secret));
    Complaint { found: found(node, secret), allowed: allowed(kind) }
}

/// What a value is, as one would say it; never its content when it may be a secret.
pub(crate) fn found(node: &Node, secret: bool) -> String {
    match &node.what {
        What::Scalar(text, is) => {
            let kind = match is {
                Is::Null => return "nothing (null)".to_owned(),
                Is::Switch(_) => "the switch",
                Is::Whole(_) | Is::Real(_) => "the number",
                Is::Text | Is::Raw if text.trim().is_empty() => return "empty text".to_owned(),
                Is::Text => "the text",
                Is::Raw => "",
            };
            match (secret, is) {
                (true, Is::Raw) => "text that is not shown".to_owned(),
                (true, _) => format!("{kind} that is not shown"),
                (false, Is::Text) => format!("{kind} \"{}\"", short(text)),
                (false, Is::Raw) => format!("\"{}\"", short(text)),
                (false, _) => format!("{kind} {}", short(text)),
            }
        }
        What::List(items) if items.is_empty() => "an empty list".to_owned(),
        What::List(items) => format!("a list of {}", items.len()),
        What::Map(_) => "a section".to_owned(),
        What::Tagged(tag) => format!("a value tagged !{tag}"),
    }
}

fn short(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(61).collect();
    if line.chars().count() > 60 { line.chars().take(57).chain("...".chars()).collect() } else { line }
}

/// What a key may hold, as one would say it.
pub(crate) fn allowed(kind: Kind) -> String {
    match kind {
        Kind::Text(form) => form_allowed(form).to_owned(),
        Kind::Whole(min, max) if max >= u64::from(u32::MAX) => format!("a whole number from {min}"),
        Kind::Whole(min, max) => format!("a whole number from {min} to {max}"),
        Kind::Real(range) => {
            let low = if range.min_allowed { "from" } else { "above" };
            let high = if range.max_allowed { "up to" } else { "below" };
            format!("a number {low} {} {high} {}", range.min, range.max)
        }
        Kind::Switch => "true or false".to_owned(),
        Kind::Choice(words) => words.join(", "),
        Kind::Span(true) => "a length of time such as 0s, 90s, 30m, 3h or 1h30m".to_owned(),
        Kind::Span(false) => "a length of time such as 90s, 30m, 3h or 1h30m, above zero".to_owned(),
        Kind::Texts(form) => format!("a list such as [a, b], each {}", form_allowed(form)),
        Kind::TextOrTexts(_) => "text, or a list of text".to_owned(),
        Kind::Names => "a section of names, each with text".to_owned(),
        Kind::Section(keys) => format!("a section with the keys {}", key_names(keys)),
        Kind::Sections(keys) => format!("a list of sections with the keys {}", key_names(keys)),
    }
}

/// The names of keys, in one line.
pub(crate) fn key_names(keys: &[Key]) -> String {
    keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

fn form_allowed(form: Form) -> &'static str {
    match form {
        Form::Any | Form::Loose | Form::Secret => "text",
        Form::Url => "an http or https URL without user name, password and query, such as http://nemo.test",
        Form::Quantity => "a size with its unit, such as 25Gi",
        Form::Pattern => "a regular expression",
        Form::Namespace => "up to 63 letters, digits, `-`, `_` and `.`, starting with a letter or digit",
        Form::Model => "a model id, such as meta/llama-3.2-1b-instruct",
        Form::Target => "a target with its version, such as meta/llama-3.2-1b-instruct@2.0",
        Form::Variable => "the name of an environment variable",
        Form::Index => {
            "the name of one index: lower-case letters, digits, `-`, `_`, `.`, starting with a letter or digit"
        }
        Form::Field => "a dotted path into a document, such as payload.request",
        Form::Level => "DEBUG, INFO, WARNING, ERROR, CRITICAL",
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::At;
    use super::*;

    fn raw(text: &str) -> Node {
        Node::raw(text, At::Default)
    }

    #[test]
    fn forms_take_what_they_should_and_nothing_else() {
        let cases: [(Form, &[&str], &[&str]); 9] = [
            (Form::Field, &["time", "@timestamp", "payload.request", "a b.c"], &["a..b", ".a", "a.", "a*", "a "]),
            (
                Form::Url,
                &["http://nemo.test", "https://a:8443/nemo"],
                &["nemo.test", "ftp://a", "http://u:p@a", "http://a/?k=v"],
            ),
            (Form::Quantity, &["25Gi", "0.5Ti", "100G"], &["25", "Gi", "25gi", "0Gi", "1.2.3Gi"]),
            (Form::Namespace, &["dfwfd", "team-1.a_b"], &["-a", "a/b", "a b"]),
            (Form::Model, &["meta/llama-3.2-1b-instruct", "own"], &["a//b", "/a", "a b", "a@b"]),
            (Form::Target, &["meta/llama-3.2-1b-instruct@2.0", "a@v1.0.0+A100"], &["meta/llama", "@2.0", "a@"]),
            (Form::Variable, &["NVIDIA_API_KEY"], &["1A", "A-B"]),
            (Form::Index, &["flywheel", "logs-2025.06"], &["Logs", "logs*", "_all", "a,b", "a/b"]),
            (Form::Level, &["info", "WARNING"], &["verbose"]),
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
        let list = Node { what: What::List(vec![raw("hunter2")]), at: At::Default };
        for node in [raw("hunter2"), list] {
            for kind in [Kind::Text(Form::Secret), Kind::Names] {
                assert!(!complain(&node, kind).found.contains("hunter2"));
            }
        }
    }

    #[test]
    fn long_values_are_cut_and_stay_on_one_line() {
        let said = found(&raw(&"ä\n".repeat(100)), false);
        assert!(said.chars().count() <= 62 && !said.contains('\n'), "{said}");
    }
}
