//! Kinds of personal data and secrets, each with the patterns that find it and the check that a find has to pass. National
//! ids are those of the United States, the United Kingdom, Spain, France, Italy and Brazil.

use std::net::{Ipv4Addr, Ipv6Addr};

use iban::Iban;

/// A kind of personal data.
pub(super) struct Kind {
    /// The name in configurations, placeholders and counts.
    pub(super) name: &'static str,
    pub(super) patterns: &'static [Pattern],
}

/// A regular expression, with the check of what it finds.
pub(super) struct Pattern {
    pub(super) regex: &'static str,
    pub(super) passes: fn(&str) -> bool,
}

const fn all(regex: &'static str) -> Pattern {
    Pattern { regex, passes: |_| true }
}

const fn checked(regex: &'static str, passes: fn(&str) -> bool) -> Pattern {
    Pattern { regex, passes }
}

/// All kinds, in the order in which they are looked for: the most specific first. Their digits are those of ASCII, which the
/// checks can count; `\d` would also find those of other scripts.
pub(super) const KINDS: [Kind; 7] = [
    Kind {
        name: "secret",
        patterns: &[
            all(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
            // The forms that providers give their keys.
            all(r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{20,}|\b(?:nvapi-|hf_|gsk_|xai-|glpat-|npm_)[A-Za-z0-9_-]{20,}"),
            all(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|xox[abeprs]-[A-Za-z0-9-]{10,})"),
            all(r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35})\b"),
            all(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
            all(
                r#"(?i)\b(?:api[_-]?key|secret|access[_-]?token|auth[_-]?token|password|passwd)["']?\s*[:=]\s*["']?[A-Za-z0-9_./+~-]{8,}"#,
            ),
        ],
    },
    Kind {
        name: "email",
        patterns: &[all(r"(?i)\b[a-z0-9][a-z0-9._%+-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}\b")],
    },
    Kind {
        name: "iban",
        patterns: &[checked(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", is_iban)],
    },
    Kind { name: "card", patterns: &[checked(r"\b[2-6][0-9]{3}[ -]?(?:[0-9][ -]?){8,14}[0-9]\b", is_card)] },
    Kind {
        name: "national_id",
        patterns: &[
            checked(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", is_social_security_number),
            all(r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b"),
            checked(r"(?i)\b[xyz0-9][0-9]{7}-?[a-z]\b", is_spanish),
            checked(
                r"\b[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}\b",
                is_french,
            ),
            all(r"(?i)\b[a-z]{6}[0-9]{2}[a-ehlmpr-t][0-9]{2}[a-z][0-9]{3}[a-z]\b"),
            checked(r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b", is_brazilian),
        ],
    },
    Kind {
        name: "ip",
        patterns: &[
            checked(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b", is_address),
            checked(r"(?i)\b(?:[0-9a-f]{1,4}:){1,7}(?::|[0-9a-f]{1,4})(?::?[0-9a-f]{1,4}){0,6}\b", is_address),
        ],
    },
    Kind {
        name: "phone",
        patterns: &[
            checked(
                r"(?:\+|\b00)[1-9][0-9]{0,2}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{1,4}(?:[ .-]?[0-9]{2,4}){1,4}\b",
                is_phone,
            ),
            checked(r"(?:\([0-9]{3}\) ?|\b[0-9]{3}[.-])[0-9]{3}[.-][0-9]{4}\b", is_phone),
            checked(r"\b0[0-9]{2,4}[ /-][0-9]{3,4}(?:[ -]?[0-9]{2,4}){1,2}\b", is_phone),
        ],
    },
];

/// Returns the digits of a text.
pub(super) fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|letter| letter.to_digit(10)).collect()
}

fn is_iban(text: &str) -> bool {
    let compact: String = text.chars().filter(|letter| *letter != ' ').collect();
    compact.parse::<Iban>().is_ok()
}

/// Checks a card number by the beginnings and lengths of the networks, and by the algorithm of Luhn (ISO/IEC 7812-1).
fn is_card(text: &str) -> bool {
    let digits = digits(text);
    let is_known = matches!(
        (digits[0], digits[1], digits.len()),
        (4, _, 13 | 16 | 19)
            | (5, 1..=5, 16)
            | (2, 2..=7, 16)
            | (3, 4 | 7, 15)
            | (3, 0 | 6 | 8 | 9, 14)
            | (3, 5, 16)
            | (6, _, 16..=19)
    );
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let value = |(n, digit): (usize, &u32)| if n % 2 == 1 { doubled(*digit) } else { *digit };
    is_known && digits.iter().rev().enumerate().map(value).sum::<u32>().is_multiple_of(10)
}

/// Checks that parts of the number were ever given out.
fn is_social_security_number(text: &str) -> bool {
    let (area, group, serial) = (&text[..3], &text[4..6], &text[7..]);
    !matches!(area, "000" | "666") && !area.starts_with('9') && group != "00" && serial != "0000"
}

fn is_spanish(text: &str) -> bool {
    let text = text.to_ascii_uppercase().replace('-', "");
    let (number, letter) = text.split_at(8);
    let number = number.replace('X', "0").replace('Y', "1").replace('Z', "2");
    let expected =
        number.parse::<usize>().ok().and_then(|number| "TRWAGMYFPDXBNJZSQVHLCKE".get(number % 23..=number % 23));
    expected == Some(letter)
}

fn is_french(text: &str) -> bool {
    let compact: String = text.chars().filter(|letter| *letter != ' ').collect();
    let number = compact.replace("2A", "19").replace("2B", "18");
    let (body, key) = number.split_at(number.len() - 2);
    body.parse::<u64>().ok().zip(key.parse::<u64>().ok()).is_some_and(|(body, key)| body % 97 + key == 97)
}

fn is_brazilian(text: &str) -> bool {
    let digits = digits(text);
    let check = |length: usize| {
        let sum: u32 =
            digits[..length].iter().zip((2..=length as u32 + 1).rev()).map(|(digit, weight)| digit * weight).sum();
        sum * 10 % 11 % 10 == digits[length]
    };
    digits.windows(2).any(|pair| pair[0] != pair[1]) && check(9) && check(10)
}

/// Checks an address of a machine. The loopback and unspecified addresses belong to nobody.
fn is_address(text: &str) -> bool {
    let four = text.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified());
    // Times and ratios have one or two colons.
    let six = || text.matches(':').count() > 2 && text.parse::<Ipv6Addr>().is_ok();
    four || six()
}

fn is_phone(text: &str) -> bool {
    (8..=15).contains(&digits(text.trim_start_matches("00")).len())
}
