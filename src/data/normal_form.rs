//! The normal form in which texts are compared: compatibility forms (NFKC), letter case, HTML entities, characters that
//! show nothing, and white space make no difference. Knows texts, not records.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use memchr::memchr;

/// Times that HTML entities are read, because some pipelines escape a text twice.
const ENTITY_PASSES: usize = 2;

/// Returns the normal form of a text.
pub(crate) fn normal_form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for_each_folded(text, &mut |c| match c {
        c if !c.is_whitespace() => out.push(c),
        _ if out.is_empty() || out.ends_with(' ') => {}
        _ => out.push(' '),
    });
    out.truncate(out.trim_end().len());
    out
}

/// Appends the normal form of a text with one space for every run of characters that are no letters, and none at its
/// ends.
pub(crate) fn mask(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    if is_plain(text.as_bytes()) && memchr(b'&', text.as_bytes()).is_none() {
        mask_ascii(text.as_bytes(), out);
    } else {
        for_each_folded(text, &mut |c| {
            if c.is_ascii_lowercase() {
                out.push(c as u8);
            } else if !c.is_ascii() && c.is_alphabetic() {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else if out.len() > start && !out.ends_with(b" ") {
                out.push(b' ');
            }
        });
    }
    if out.len() > start && out.ends_with(b" ") {
        out.pop();
    }
}

/// Returns true for ASCII text without control characters other than white space. Looks at all bytes, which is faster than to
/// stop at one, because the compiler takes many at a time.
fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | b'\t'..=b'\r'))
}

/// Masks ASCII text. May leave a space at the end. Has no branches, because the ends of words cannot be predicted.
fn mask_ascii(text: &[u8], out: &mut Vec<u8>) {
    let mut end = out.len();
    out.resize(end + text.len(), 0);
    let mut after_letter = false;
    for &byte in text {
        let is_letter = byte.is_ascii_alphabetic();
        out[end] = if is_letter { byte | 0x20 } else { b' ' };
        end += usize::from(is_letter | after_letter);
        after_letter = is_letter;
    }
    out.truncate(end);
}

/// Passes on the characters of a text that show something, decoded, composed and in lower case.
fn for_each_folded(text: &str, pass: &mut dyn FnMut(char)) {
    let mut text = Cow::Borrowed(text);
    for _ in 0..ENTITY_PASSES {
        if memchr(b'&', text.as_bytes()).is_none() {
            break;
        }
        text = Cow::Owned(htmlize::unescape(text).into_owned());
    }
    if text.is_ascii() {
        return text.chars().filter(|c| !is_ignorable(*c)).for_each(|c| pass(c.to_ascii_lowercase()));
    }
    if text.contains(is_ignorable) {
        text = Cow::Owned(text.chars().filter(|c| !is_ignorable(*c)).collect());
    }
    for c in ComposingNormalizerBorrowed::new_nfkc().normalize(&text).chars() {
        if c.is_ascii() {
            pass(c.to_ascii_lowercase());
        } else if !is_dropped(c) {
            // By way of the upper case, so that both forms of sigma and the sharp s meet their capitals.
            c.to_uppercase().flat_map(char::to_lowercase).filter(|c| !is_dropped(*c)).for_each(&mut *pass);
        }
    }
}

/// Returns true for ignorable characters and for accents that no letter takes up (Unicode, Combining Diacritical Marks).
fn is_dropped(c: char) -> bool {
    is_ignorable(c) || matches!(c, '\u{300}'..='\u{36f}')
}

/// Returns true for characters that show nothing of their own: joiners, marks of direction, variation selectors, tags and
/// soft hyphens (Unicode, Default_Ignorable_Code_Point), control characters that are no white space, and the marks around
/// annotations.
fn is_ignorable(c: char) -> bool {
    c.is_control() && !c.is_whitespace()
        || matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut out = b" ".to_vec();
        mask(text, &mut out);
        String::from_utf8(out.split_off(1)).unwrap()
    }

    #[test]
    fn digits_and_punctuation_are_masked() {
        assert_eq!(masked("ACME up 5% on Q3!"), "acme up on q");
        assert_eq!(masked("ACME up 12.5 % on Q1"), "acme up on q");
        assert_eq!(masked(" É—ü, 東京 3"), "é ü 東京");
        assert_eq!(masked("12:30"), "");
    }

    #[test]
    fn what_shows_the_same_has_one_normal_form() {
        for text in [
            "R&D at Müller rises 5 %",
            "r&d AT MÜLLER RISES 5 %",
            "R&amp;D at M&uuml;ller rises 5&nbsp;%",
            "R&amp;amp;D at M&#252;ller rises 5 %",
            "R&D at Mu\u{308}ller rises 5 %",
            "\u{feff}R&D at Mül\u{ad}ler ri\u{200b}ses 5 %",
            "  R&D\u{a0}at\tMüller \n rises 5\u{2009}% ",
            "Ｒ＆Ｄ ａｔ Müller rises 5 %",
            "R&D at Müller \u{202a}rises\u{202c} 5 %\u{fe0f}",
            "𝐑&D at Müller rises 5 %",
            "R&D at Mül\u{0}ler ri\u{7}ses\u{81} 5 %\u{7f}",
            "R&D at M\u{fff9}üller\u{fffb} rises\u{85}5\u{b}%",
            "R&ampD at M&uumlller rises&nbsp5 &#37",
            "R&#38D at M&#xFCller rises&amp;nbsp;5 %",
        ] {
            assert_eq!(normal_form(text), "r&d at müller rises 5 %", "{text:?}");
            assert_eq!(masked(text), "r d at müller rises", "{text:?}");
        }
        assert_eq!(normal_form("ΟΔΟΣ Straße ﬁt İ"), normal_form("οδος STRASSE FIT i"));
        assert_ne!(normal_form("resume"), normal_form("résumé"));
        assert_eq!(normal_form("A & B"), "a & b");
        assert_eq!(normal_form("AT&T, Q&A, &NBSP; &notions &#x; &"), "at&t, q&a, &nbsp; ¬ions &#x; &");
        assert_eq!(normal_form("De\u{0}als\u{1b}"), "deals");
        assert_eq!(masked("one\ttwo\nthr\u{0}ee\u{7f}"), "one two three");
        assert_eq!(normal_form(" \u{200b}\u{a0} "), "");
    }

    proptest::proptest! {
        #[test]
        fn texts_of_ascii_are_masked_as_all_others_are(text in "[\u{0}-%'-\u{7f}]{0,40}") {
            // The letter beyond ASCII makes it take the way of those that have one.
            let with_another = format!("{} \u{e9}", masked(&text));
            proptest::prop_assert_eq!(masked(&format!("{text} \u{e9}")), with_another.trim_start());
        }

        #[test]
        fn a_normal_form_stays_as_it_is(text in "[a-zA-ZäßΣ\u{200b}\u{308} \\n.]{0,20}") {
            let once = normal_form(&text);
            proptest::prop_assert_eq!(normal_form(&once), once);
        }
    }
}
