//! HTML entities without the semicolon at their end, as browsers read them (HTML, 13.2.5.73 and 13.2.5.80).

use std::borrow::Cow;

/// Names that need no semicolon (HTML, 13.5).
const NAMES: [&str; 106] = [
    "AElig", "AMP", "Aacute", "Acirc", "Agrave", "Aring", "Atilde", "Auml", "COPY", "Ccedil", "ETH", "Eacute", "Ecirc",
    "Egrave", "Euml", "GT", "Iacute", "Icirc", "Igrave", "Iuml", "LT", "Ntilde", "Oacute", "Ocirc", "Ograve", "Oslash",
    "Otilde", "Ouml", "QUOT", "REG", "THORN", "Uacute", "Ucirc", "Ugrave", "Uuml", "Yacute", "aacute", "acirc",
    "acute", "aelig", "agrave", "amp", "aring", "atilde", "auml", "brvbar", "ccedil", "cedil", "cent", "copy",
    "curren", "deg", "divide", "eacute", "ecirc", "egrave", "eth", "euml", "frac12", "frac14", "frac34", "gt",
    "iacute", "icirc", "iexcl", "igrave", "iquest", "iuml", "laquo", "lt", "macr", "micro", "middot", "nbsp", "not",
    "ntilde", "oacute", "ocirc", "ograve", "ordf", "ordm", "oslash", "otilde", "ouml", "para", "plusmn", "pound",
    "quot", "raquo", "reg", "sect", "shy", "sup1", "sup2", "sup3", "szlig", "thorn", "times", "uacute", "ucirc",
    "ugrave", "uml", "uuml", "yacute", "yen", "yuml",
];

/// Returns a text whose entities all end in a semicolon.
pub(super) fn with_their_ends(text: &str) -> Cow<'_, str> {
    let mut ended = String::new();
    let mut copied = 0;
    for (at, _) in text.match_indices('&') {
        let name = &text[at + 1..];
        let end = at + 1 + length(name);
        if end > at + 1 && !text[end..].starts_with(';') {
            ended.push_str(&text[copied..end]);
            ended.push(';');
            copied = end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    ended.push_str(&text[copied..]);
    Cow::Owned(ended)
}

/// Returns the length of the entity that a text behind an ampersand begins with: 0 if it begins with none, or with one that
/// has its semicolon.
fn length(text: &str) -> usize {
    let run = |text: &str, is_in: fn(&u8) -> bool| text.bytes().take_while(is_in).count();
    if let Some(number) = text.strip_prefix('#') {
        return match number.strip_prefix(['x', 'X']) {
            Some(digits) => Some(run(digits, u8::is_ascii_hexdigit)).filter(|digits| *digits > 0).map_or(0, |n| n + 2),
            None => Some(run(number, u8::is_ascii_digit)).filter(|digits| *digits > 0).map_or(0, |n| n + 1),
        };
    }
    let whole = run(text, u8::is_ascii_alphanumeric);
    if text[whole..].starts_with(';') {
        return 0;
    }
    NAMES.iter().filter(|name| text.starts_with(**name)).map(|name| name.len()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_without_an_end_get_one() {
        for (text, ended) in [
            ("a&nbspb", "a&nbsp;b"),
            ("&nbsp &nbsp; &ampx", "&nbsp; &nbsp; &amp;x"),
            ("&#160 &#xa0z &#38;", "&#160; &#xa0;z &#38;"),
            ("&notin; &notions", "&notin; &not;ions"),
            ("R&D &# &#x &;&", "R&D &# &#x &;&"),
            ("&sup2", "&sup2;"),
            ("&é &ampé", "&é &amp;é"),
        ] {
            assert_eq!(with_their_ends(text), ended, "{text}");
        }
    }
}
