//! The label of a reply: what stands in double or more square brackets, or what the configured pattern finds. The last
//! match counts. Knows texts, not records.

use regex::Regex;

use crate::data::normal_form::normal_form;
use crate::data::options::LabelRules;
use crate::data::thoughts;

/// Reads labels out of replies by one workload's rules.
#[derive(Clone, Debug)]
pub(crate) struct LabelReader {
    pattern: Option<Regex>,
    allowed: Option<Vec<String>>,
}

impl LabelReader {
    /// Creates a reader. The error says what is wrong with the pattern.
    pub(crate) fn new(rules: &LabelRules) -> Result<LabelReader, String> {
        let pattern = rules.pattern.as_deref().map(Regex::new).transpose().map_err(|e| e.to_string())?;
        let allowed = rules.allowed.as_ref().map(|labels| labels.iter().map(|label| key(label)).collect());
        Ok(LabelReader { pattern, allowed })
    }

    /// Reads the label of a reply strictly: the last match outside of thoughts, trimmed, as written. Never empty.
    pub(crate) fn read<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !thoughts::may_stand_in(text) {
            return self.last_in(text);
        }
        thoughts::pieces_outside(text).into_iter().rev().find_map(|piece| self.last_in(piece))
    }

    fn last_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        match &self.pattern {
            None => last_in_brackets(text),
            Some(pattern) => pattern
                .captures_iter(text)
                .filter_map(|found| found.get(1).or_else(|| found.get(0)))
                .map(|found| found.as_str().trim())
                .filter(|label| !label.is_empty())
                .last(),
        }
    }

    /// Returns the label that a person wrote, bare or in the form of a reply.
    pub(crate) fn written<'t>(&self, text: &'t str) -> &'t str {
        let text = text.trim();
        let is_whole = match &self.pattern {
            None => text.starts_with("[[") && text.ends_with("]]"),
            Some(pattern) => pattern.find(text).is_some_and(|found| found.as_str() == text),
        };
        self.last_in(text).filter(|_| is_whole).unwrap_or(text)
    }

    /// Returns true if a label is allowed. Without a list of allowed labels every label is.
    pub(crate) fn allows(&self, label: &str) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&key(label)))
    }

    /// Returns the index of the known label that a strictly read reply gives.
    pub(crate) fn strict(&self, text: &str, known: &[String]) -> Option<usize> {
        position(known, self.read(text)?)
    }

    /// Returns the index of the known label that a reply gives strictly, or as a whole without brackets.
    pub(crate) fn lenient(&self, text: &str, known: &[String]) -> Option<usize> {
        match self.read(text) {
            Some(label) => position(known, label),
            None => position(known, &thoughts::without(text)),
        }
    }
}

/// Returns the form in which labels are compared.
pub(crate) fn key(label: &str) -> String {
    normal_form(label)
}

/// Returns the class that a label may mean: not more than a third of its letters differ.
pub(crate) fn nearest(classes: &[String], label: &str) -> Option<String> {
    let meant = bare(label);
    let apart = |class: &String| strsim::damerau_levenshtein(&bare(class), &meant);
    let (apart, class) = classes.iter().map(|class| (apart(class), class)).min_by_key(|(apart, _)| *apart)?;
    (apart * 3 <= meant.chars().count()).then(|| class.clone())
}

/// Returns a label without markup and punctuation. Empty if nothing else is in it.
pub(crate) fn bare(label: &str) -> String {
    let mut bare = String::new();
    let mut rest = label;
    while let Some(c) = rest.chars().next() {
        let is_tag = c == '<' && rest[1..].starts_with(|c: char| c == '/' || c.is_ascii_alphabetic());
        match rest.find('>').filter(|_| is_tag) {
            Some(end) => rest = &rest[end + 1..],
            None => {
                bare.extend(Some(c).filter(|c| c.is_alphanumeric()));
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    normal_form(&bare)
}

fn position(known: &[String], label: &str) -> Option<usize> {
    let wanted = key(label);
    known.iter().position(|label| key(label) == wanted)
}

/// Returns the last text between two or more `[` and two or more `]` that contains no bracket.
fn last_in_brackets(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut last = None;
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&bytes[at..], b"[[") {
        let mut start = at + found;
        while bytes.get(start) == Some(&b'[') {
            start += 1;
        }
        let Some(length) = memchr::memchr2(b'[', b']', &bytes[start..]) else { break };
        let end = start + length;
        if bytes[end..].starts_with(b"]]") {
            let label = text[start..end].trim();
            if !label.is_empty() {
                last = Some(label);
            }
        }
        at = end;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> LabelReader {
        LabelReader::new(&LabelRules::default()).unwrap()
    }

    #[test]
    fn double_or_more_brackets_the_last_match_counts() {
        for (text, label) in [
            ("[[[Dividends]]]", Some("Dividends")),
            ("[[ Dividends ]]", Some("Dividends")),
            ("[[[[x]]]]", Some("x")),
            ("first [[A]], no, [[[B]]].", Some("B")),
            ("[[A]] and [[ ]]", Some("A")),
            ("[[A]] and [B]", Some("A")),
            ("[A]", None),
            ("[[1, 2], [3, 4]]", None),
            ("[[open", None),
            ("", None),
            ("[[é ü]]", Some("é ü")),
            ("[[[A]]", Some("A")),
        ] {
            assert_eq!(plain().read(text), label, "{text}");
        }
    }

    #[test]
    fn people_write_labels_bare_or_as_replies() {
        for (text, label) in
            [(" A b ", "A b"), ("[[[A b]]]", "A b"), ("[A]", "[A]"), ("not [[A]]", "not [[A]]"), ("[[]]", "[[]]")]
        {
            assert_eq!(plain().written(text), label, "{text}");
        }
        let rules = LabelRules { pattern: Some("label: (.+)".to_owned()), ..LabelRules::default() };
        let reader = LabelReader::new(&rules).unwrap();
        assert_eq!(
            (reader.written("label: A"), reader.written("no label: A"), reader.written("A")),
            ("A", "no label: A", "A")
        );
    }

    #[test]
    fn thoughts_give_no_label() {
        let known = ["A".to_owned(), "B".to_owned()];
        for (text, strict, lenient) in [
            ("<think>[[A]]</think>[[B]]", Some(1), Some(1)),
            ("[[A]]<think>or [[B]]", Some(0), Some(0)),
            ("<think>[[A]]", None, None),
            ("<think>[[A]]</think> b", None, Some(1)),
        ] {
            assert_eq!((plain().strict(text, &known), plain().lenient(text, &known)), (strict, lenient), "{text}");
        }
    }

    #[test]
    fn a_pattern_replaces_the_brackets() {
        let rules = LabelRules { pattern: Some("label: *(.*)".into()), allowed: None };
        let reader = LabelReader::new(&rules).unwrap();
        assert_eq!(reader.read("label: A\nlabel:  B \nlabel: "), Some("B"));
        assert_eq!(reader.read("[[A]]"), None);
        assert!(LabelReader::new(&LabelRules { pattern: Some("(".into()), allowed: None }).is_err());
    }

    #[test]
    fn the_allow_list_and_the_known_labels_ignore_case() {
        let rules = LabelRules { pattern: None, allowed: Some(vec!["Stock Moves ".into()]) };
        let reader = LabelReader::new(&rules).unwrap();
        assert!(reader.allows("STOCK moves") && !reader.allows("other"));
        let known = ["Dividends".to_owned(), "Stock Moves".to_owned()];
        assert_eq!(reader.strict("[[stock moves]]", &known), Some(1));
        assert_eq!(reader.strict("stock moves", &known), None);
        assert_eq!(reader.lenient(" stock moves\n", &known), Some(1));
        assert_eq!(reader.lenient("[[other]] stock moves", &known), None);
    }
}
