//! Remote text, made fit to be shown and stored: without our secrets, without control characters, bounded.
//! Some servers and gateways repeat the token of a request in the error that they answer with. Recognises, too, why a
//! connection to one was not made.

use std::fmt;

use serde_json::Value;

/// A shorter secret is a placeholder such as `none`, and would blot out ordinary words. Characters.
pub(crate) const SHORTEST_SECRET: usize = 6;

/// The members of an answer in which a service speaks to people. Ids, names and descriptions are compared, so they stay
/// as they are, even where they are equal to a header that is sent.
const SPOKEN: [&str; 9] =
    ["detail", "error", "error_details", "message", "msg", "reason", "status_details", "status_logs", "status_message"];

/// The longest text of a remote side that is kept.
const LONGEST: usize = 2000;

/// Stands in place of a secret.
const HIDDEN: &str = "***";

/// The words before a token in a header.
const SCHEMES: [&str; 3] = ["bearer ", "basic ", "apikey "];

/// The secrets to hide, in every form in which a server may repeat them.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    /// The longest first, because one may be a part of another.
    forms: Vec<String>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} forms)", self.forms.len())
    }
}

impl Mask {
    /// Hides this secret from now on: as sent, trimmed, without quotes, and without the scheme in front of it.
    pub(crate) fn add(&mut self, secret: &str) {
        let mut bare = secret;
        loop {
            self.add_form(bare);
            // A token with a quote or a backslash in it looks different inside JSON.
            self.add_form(Value::from(bare).to_string().trim_matches('"'));
            let inner = without_scheme(bare.trim().trim_matches(['"', '\'']));
            if inner == bare {
                break;
            }
            bare = inner;
        }
        self.forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    fn add_form(&mut self, form: &str) {
        if form.trim().chars().count() >= SHORTEST_SECRET && !self.forms.iter().any(|known| known == form) {
            self.forms.push(form.to_owned());
        }
    }

    /// Returns a text for people without the secrets and without control characters, cut if it is very long.
    pub(crate) fn text(&self, text: &str) -> String {
        said(&self.hidden(text))
    }

    /// Hides the secrets in the body of an error, before it is read and cut.
    pub(crate) fn body(&self, body: &[u8]) -> Vec<u8> {
        self.hidden(&String::from_utf8_lossy(body)).into_bytes()
    }

    /// Hides the secrets in what an answer says to people.
    pub(crate) fn answer(&self, value: &mut Value) {
        if !self.forms.is_empty() {
            self.in_members(value, false);
        }
    }

    fn in_members(&self, value: &mut Value, spoken: bool) {
        match value {
            Value::String(text) if spoken => *text = self.hidden(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.in_members(item, spoken)),
            Value::Object(members) => {
                for (key, member) in members {
                    self.in_members(member, spoken || SPOKEN.contains(&key.as_str()));
                }
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn hidden(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), HIDDEN))
    }
}

/// Returns a text without control characters, cut if it is very long. Line breaks and tabs stay.
pub(crate) fn said(text: &str) -> String {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    let mut clean: String = text.trim().replace(is_control, "\u{fffd}");
    if let Some((end, _)) = clean.char_indices().nth(LONGEST) {
        clean.truncate(end);
        clean.push_str("...");
    }
    clean
}

fn without_scheme(text: &str) -> &str {
    let of = |scheme: &&str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    SCHEMES.iter().find(|scheme| of(scheme)).map_or(text, |scheme| &text[scheme.len()..])
}

/// Returns true if the connection ended because of the remote side's certificate.
pub(crate) fn is_certificate_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error hides the error inside it from the chain.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner: Option<&(dyn std::error::Error + 'static)> = inner.map(|inner| inner as _);
        if [Some(error), inner]
            .into_iter()
            .flatten()
            .any(|error| matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
        {
            return true;
        }
        cause = inner.filter(|inner| inner.is::<std::io::Error>()).or_else(|| error.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        let mut mask = Mask::default();
        secrets.iter().for_each(|secret| mask.add(secret));
        mask
    }

    #[test]
    fn a_secret_is_hidden_in_every_form_in_which_it_comes_back() {
        let mask = mask(&["Bearer \"s3cr3t-token\"\n", "pass\"word"]);
        for text in [
            "no such key: s3cr3t-token",
            "Bearer s3cr3t-token",
            "header was `Bearer \"s3cr3t-token\"`",
            "two: s3cr3t-token,s3cr3t-token",
            r#"quoted: "pass\"word""#,
            "plain: pass\"word",
        ] {
            let shown = mask.text(text);
            assert!(!shown.contains("s3cr3t") && !shown.contains("word"), "{shown}");
            assert!(shown.contains(HIDDEN), "{shown}");
        }
        assert!(!String::from_utf8(mask.body(b"{\"detail\":\"s3cr3t-token\"}")).unwrap().contains("s3cr3t"));
    }

    #[test]
    fn a_placeholder_is_no_secret_and_only_what_is_said_is_changed() {
        let mask = mask(&["none", "research"]);
        let mut answer = json!({
            "namespace": "research", "description": "run of research", "detail": "no key research, none",
            "status_details": {"status_logs": [{"updated_at": "now", "text": ["for research"]}]},
        });
        mask.answer(&mut answer);
        let wanted = json!({
            "namespace": "research", "description": "run of research", "detail": "no key ***, none",
            "status_details": {"status_logs": [{"updated_at": "now", "text": ["for ***"]}]},
        });
        assert_eq!(answer, wanted);
    }

    #[test]
    fn what_drives_a_terminal_and_what_never_ends_is_not_kept() {
        assert_eq!(said(" red \u{1b}[31malert\u{7}\nnext\tone "), "red \u{fffd}[31malert\u{fffd}\nnext\tone");
        assert_eq!(said(&"\u{e9}".repeat(5000)).chars().count(), LONGEST + 3);
    }
}
