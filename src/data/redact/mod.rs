//! Masks personal data and secrets in texts. A value becomes a placeholder that is the same wherever the value occurs and
//! cannot be turned back without the key.

mod checks;
mod kinds;
mod records;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memchr;
use regex::Regex;

use crate::data::json::tape::Tape;
use crate::data::options::RedactRules;
use kinds::{KINDS, Pattern, SECRET};

/// Numbers of masked values by kind.
pub(crate) type RedactionCounts = BTreeMap<String, u64>;

/// Letters of the hash in a placeholder.
const HASH_LETTERS: usize = 12;

/// Returns the names of all kinds.
pub(crate) fn known_kinds() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// Masks texts by one set of rules.
#[derive(Clone)]
pub(crate) struct Redactor {
    rules: Vec<Rule>,
    /// Finds placeholders, which are never masked again.
    placeholders: Regex,
    key: [u8; 32],
    tape: Tape,
    /// Counts the masked values so far.
    pub(crate) counts: RedactionCounts,
}

#[derive(Clone)]
struct Rule {
    kind: String,
    regex: Regex,
    passes: fn(&str) -> bool,
    digits: usize,
    byte: Option<u8>,
    length: usize,
    /// Group of the regular expression that is the value.
    group: usize,
}

/// A part of a text.
enum Piece<'t> {
    Plain(&'t str),
    /// A placeholder.
    Masked(Cow<'t, str>),
}

impl Redactor {
    /// Creates a redactor. Placeholders depend on the key. Own patterns come first.
    ///
    /// # Errors
    /// An own pattern is no regular expression.
    pub(crate) fn new(rules: &RedactRules, key: [u8; 32]) -> Result<Redactor, regex::Error> {
        let own = rules.patterns.iter().map(|(kind, regex)| Rule::own(kind, regex));
        let chosen = KINDS.iter().filter(|kind| rules.kinds.iter().any(|name| name == kind.name));
        let built_in = chosen.flat_map(|kind| kind.patterns.iter().map(|pattern| Rule::built_in(kind.name, pattern)));
        Ok(Redactor {
            rules: own.chain(built_in).collect::<Result<_, _>>()?,
            placeholders: Regex::new(&format!("<[^<>:\n]{{1,64}}:[a-z]{{{HASH_LETTERS}}}>"))?,
            key,
            tape: Tape::default(),
            counts: RedactionCounts::default(),
        })
    }

    /// Returns another one with the same rules, which has counted nothing.
    pub(crate) fn clone_without_counts(&self) -> Redactor {
        Redactor { counts: RedactionCounts::default(), ..self.clone() }
    }

    /// Adds what another one has counted, and sets that to nothing.
    pub(crate) fn take_counts(&mut self, from: &mut Redactor) {
        for (kind, count) in std::mem::take(&mut from.counts) {
            *self.counts.entry(kind).or_default() += count;
        }
    }

    /// Masks a plain text.
    pub(crate) fn text<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let mut pieces = Vec::new();
        for rule in &self.rules {
            // Ruling a text out costs far less than a search.
            let lacks = |byte| memchr(byte, text.as_bytes()).is_none();
            if text.len() < rule.length || digits < rule.digits || rule.byte.is_some_and(lacks) {
                continue;
            }
            if pieces.is_empty() {
                if !rule.regex.is_match(text) {
                    continue;
                }
                pieces = without_placeholders(&self.placeholders, text);
            }
            pieces = rule.mask(pieces, &self.key, &mut self.counts);
        }
        let is_masked = |piece: &Piece<'_>| matches!(piece, Piece::Masked(Cow::Owned(_)));
        if !pieces.iter().any(is_masked) {
            return Cow::Borrowed(text);
        }
        let parts = pieces.iter().map(|piece| match piece {
            Piece::Plain(text) => text,
            Piece::Masked(text) => text.as_ref(),
        });
        Cow::Owned(parts.collect())
    }

    /// Returns what a secret that stands alone becomes. `None` if secrets stay, or if it is blank or a placeholder.
    fn secret(&mut self, value: &str) -> Option<String> {
        let is_placeholder = || self.placeholders.find(value).is_some_and(|found| found.as_str() == value.trim());
        if !self.rules.iter().any(|rule| rule.kind == SECRET) || value.trim().is_empty() || is_placeholder() {
            return None;
        }
        *self.counts.entry(SECRET.to_owned()).or_default() += 1;
        Some(placeholder(&self.key, SECRET, value))
    }
}

impl Rule {
    fn own(kind: &str, regex: &str) -> Result<Rule, regex::Error> {
        let (regex, passes) = (Regex::new(regex)?, |text: &str| !text.is_empty());
        Ok(Rule { kind: kind.to_owned(), regex, passes, digits: 0, byte: None, length: 0, group: 0 })
    }

    fn built_in(kind: &str, pattern: &Pattern) -> Result<Rule, regex::Error> {
        let regex = Regex::new(pattern.regex)?;
        let group = regex.captures_len() - 1;
        let Pattern { passes, digits, byte, length, .. } = *pattern;
        Ok(Rule { kind: kind.to_owned(), regex, passes, digits, byte, length, group })
    }

    /// Masks the plain pieces of a text.
    fn mask<'t>(&self, pieces: Vec<Piece<'t>>, key: &[u8; 32], counts: &mut RedactionCounts) -> Vec<Piece<'t>> {
        let mut masked = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let Piece::Plain(text) = piece else {
                masked.push(piece);
                continue;
            };
            let mut plain_from = 0;
            for Range { start, end } in self.values(text) {
                let value = &text[start..end];
                if (self.passes)(value) {
                    masked.push(Piece::Plain(&text[plain_from..start]));
                    masked.push(Piece::Masked(placeholder(key, &self.kind, value).into()));
                    *counts.entry(self.kind.clone()).or_default() += 1;
                    plain_from = end;
                }
            }
            masked.push(Piece::Plain(&text[plain_from..]));
        }
        masked
    }

    /// Returns the places of the values in a text.
    fn values(&self, text: &str) -> Vec<Range<usize>> {
        if self.group == 0 {
            return self.regex.find_iter(text).map(|found| found.range()).collect();
        }
        self.regex.captures_iter(text).filter_map(|found| Some(found.get(self.group)?.range())).collect()
    }
}

/// Cuts a text at the placeholders in it.
fn without_placeholders<'t>(placeholders: &Regex, text: &'t str) -> Vec<Piece<'t>> {
    let (mut pieces, mut plain_from) = (Vec::new(), 0);
    for found in placeholders.find_iter(text) {
        pieces.push(Piece::Plain(&text[plain_from..found.start()]));
        pieces.push(Piece::Masked(found.as_str().into()));
        plain_from = found.end();
    }
    pieces.push(Piece::Plain(&text[plain_from..]));
    pieces
}

/// Returns the placeholder of a value: the kind and 12 letters of a keyed hash. Letters, because digits would look like
/// another number. Spelling and separators of a value make no difference.
fn placeholder(key: &[u8; 32], kind: &str, value: &str) -> String {
    let value: String = value.chars().filter(|letter| letter.is_alphanumeric() || *letter == '@').collect();
    let hash = blake3::keyed_hash(key, format!("{kind}\0{}", value.to_lowercase()).as_bytes());
    let letters = hash.as_bytes().iter().take(HASH_LETTERS).map(|byte| char::from(b'a' + byte % 26));
    format!("<{kind}:{}>", letters.collect::<String>())
}

#[cfg(test)]
mod tests;
