//! Kinds of personal data and secrets, each with the patterns that find it. National ids are those of the United States,
//! the United Kingdom, Spain, France, Italy and Brazil.

use super::checks;

/// The kind of keys, tokens and passwords.
pub(super) const SECRET: &str = "secret";

/// A kind of personal data.
pub(super) struct Kind {
    /// The name in configurations, placeholders and counts.
    pub(super) name: &'static str,
    pub(super) patterns: &'static [Pattern],
}

/// A regular expression, with the check of what it finds.
pub(super) struct Pattern {
    /// The value is its group, or all that it finds if it has none.
    pub(super) regex: &'static str,
    pub(super) passes: fn(&str) -> bool,
    /// A text has at least so many ASCII digits if the pattern finds something in it.
    pub(super) digits: usize,
    /// A text has this byte if the pattern finds something in it.
    pub(super) byte: Option<u8>,
    /// A text has at least so many bytes if the pattern finds something in it.
    pub(super) length: usize,
}

impl Pattern {
    const fn new(regex: &'static str) -> Pattern {
        Pattern { regex, passes: |_| true, digits: 0, byte: None, length: 0 }
    }

    const fn checked(self, passes: fn(&str) -> bool) -> Pattern {
        Pattern { passes, ..self }
    }

    const fn with_digits(self, digits: usize) -> Pattern {
        Pattern { digits, ..self }
    }

    const fn with_length(self, length: usize) -> Pattern {
        Pattern { length, ..self }
    }

    const fn with_byte(self, byte: u8) -> Pattern {
        Pattern { byte: Some(byte), ..self }
    }
}

/// All kinds, in the order in which they are looked for: the most specific first. Digits are those of ASCII, which the
/// checks can count, and so are the ends of words, because searches for those of Unicode are many times slower. Numbers are
/// separated by the spaces that do not break a line, too.
pub(super) const KINDS: [Kind; 7] = [
    Kind {
        name: SECRET,
        patterns: &[
            Pattern::new(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)")
                .with_length(27),
            // The forms that providers give their keys.
            Pattern::new(concat!(
                r"(?-u:\b)(?:",
                r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{20,}",
                r"|(?:nvapi-|hf_|gsk_|xai-|glpat-|npm_|pypi-|whsec_|do[opr]_v1_|shp(?:at|ca|pa|ss)_)[A-Za-z0-9_-]{20,}",
                r"|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|xox[abeprs]-[A-Za-z0-9-]{10,}",
                r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)|AIza[A-Za-z0-9_-]{35}(?-u:\b)|ya29\.[A-Za-z0-9_-]{20,}",
                r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
                r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
            ))
            .with_length(15),
            Pattern::new(r"://[^\s/:@]+:([^\s/@]+)@").with_byte(b'@'),
            Pattern::new(concat!(
                r#"(?i-u:(?:password|passwd|pwd|passphrase)["']?[ \t]*[:=][ \t]*["']?"#,
                r"([A-Za-z0-9_./+~!#$%^&*@=-]{4,}))",
            ))
            .checked(checks::is_password)
            .with_length(8),
            Pattern::new(concat!(
                r#"(?i-u:(?:api[ _-]?key|secret|token|(?:secret|access|private)[_-]?key)["']?[ \t]*[:=][ \t]*["']?"#,
                r"([A-Za-z0-9_./+~=-]{6,}))",
            ))
            .checked(checks::is_key)
            .with_digits(1),
            Pattern::new(r"(?i-u:\bbearer[ \t]+([A-Za-z0-9_./+~=-]{8,}))").checked(checks::has_digit).with_digits(1),
        ],
    },
    Kind {
        name: "email",
        patterns: &[Pattern::new(
            r"(?i-u:\b[a-z0-9][a-z0-9._%+-]*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}\b)",
        )
        .with_byte(b'@')],
    },
    Kind {
        name: "iban",
        patterns: &[Pattern::new(
            r"(?-u:\b)[A-Z]{2}[0-9]{2}(?:[ \u{a0}\u{202f}]?[A-Z0-9]{4}){2,7}(?:[ \u{a0}\u{202f}]?[A-Z0-9]{1,3})?(?-u:\b)",
        )
        .checked(checks::is_iban)
        .with_digits(4)],
    },
    Kind {
        name: "card",
        patterns: &[Pattern::new(
            r"(?-u:\b)[2-6][0-9]{3}[ \u{a0}\u{202f}-]?(?:[0-9][ \u{a0}\u{202f}-]?){8,14}[0-9](?-u:\b)",
        )
        .checked(checks::is_card)
        .with_digits(13)],
    },
    Kind {
        name: "national_id",
        patterns: &[
            Pattern::new(r"(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)")
                .checked(checks::is_social_security_number)
                .with_digits(9),
            Pattern::new(r"(?-u:\b)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D](?-u:\b)")
                .with_digits(6),
            Pattern::new(r"(?i-u:\b[xyz0-9][0-9]{7}-?[a-z]\b)").checked(checks::is_spanish).with_digits(7),
            Pattern::new(concat!(
                r"(?-u:\b)[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
                r"(?-u:\b)",
            ))
            .checked(checks::is_french)
            .with_digits(14),
            Pattern::new(r"(?i-u:\b[a-z]{6}[0-9]{2}[a-ehlmpr-t][0-9]{2}[a-z][0-9]{3}[a-z]\b)").with_digits(7),
            Pattern::new(r"(?-u:\b)[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?-u:\b)")
                .checked(checks::is_brazilian)
                .with_digits(11),
        ],
    },
    Kind {
        name: "ip",
        patterns: &[
            Pattern::new(r"(?-u:\b)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?-u:\b)").checked(checks::is_address).with_digits(4),
            Pattern::new(r"(?i-u:\b(?:[0-9a-f]{1,4}:){1,7}(?::|[0-9a-f]{1,4})(?::?[0-9a-f]{1,4}){0,6}\b)")
                .checked(checks::is_address)
                .with_byte(b':'),
        ],
    },
    Kind {
        name: "phone",
        patterns: &[
            Pattern::new(concat!(
                r"(?:\+|(?-u:\b)00)[1-9][0-9]{0,2}[ \u{a0}\u{202f}./-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9]{1,4}",
                r"(?:[ \u{a0}\u{202f}./-]?[0-9]{2,4}){1,4}(?-u:\b)",
            ))
            .checked(checks::is_phone)
            .with_digits(8),
            Pattern::new(r"(?:\([0-9]{3}\) ?|(?-u:\b)[0-9]{3}[.-])[0-9]{3}[.-][0-9]{4}(?-u:\b)")
                .checked(checks::is_phone)
                .with_digits(8),
            // The North American plan: neither the area nor the exchange begins with 0 or 1.
            Pattern::new(r"(?-u:\b)[2-9][0-9]{2}[ \u{a0}\u{202f}][2-9][0-9]{2}[ \u{a0}\u{202f}-][0-9]{4}(?-u:\b)")
                .with_digits(10),
            Pattern::new(r"(?-u:\b)0[1-9](?:[ \u{a0}\u{202f}.-][0-9]{2}){4}(?-u:\b)").with_digits(10),
            Pattern::new(
                r"(?-u:\b)0[0-9]{2,4}[ \u{a0}\u{202f}/-][0-9]{3,4}(?:[ \u{a0}\u{202f}-]?[0-9]{2,4}){1,2}(?-u:\b)",
            )
            .checked(checks::is_phone)
            .with_digits(8),
        ],
    },
];
