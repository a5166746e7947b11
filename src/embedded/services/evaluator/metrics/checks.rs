//! The checks `string-check`, which compares texts, and `number-check`, which compares the last numbers in them.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::text::printed;

/// The operation of a `string-check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextCheck {
    Equals,
    Differs,
    Contains,
    ContainsNot,
    StartsWith,
    EndsWith,
}

impl TextCheck {
    pub(crate) fn parse(operator: &str) -> Option<Self> {
        Some(match operator.trim().to_lowercase().as_str() {
            "equals" | "==" => TextCheck::Equals,
            "!=" | "<>" | "not equals" => TextCheck::Differs,
            "contains" => TextCheck::Contains,
            "not contains" => TextCheck::ContainsNot,
            "startswith" => TextCheck::StartsWith,
            "endswith" => TextCheck::EndsWith,
            _ => return None,
        })
    }

    pub(crate) fn holds(self, left: &str, right: &str) -> bool {
        match self {
            TextCheck::Equals => left == right,
            TextCheck::Differs => left != right,
            TextCheck::Contains => left.contains(right),
            TextCheck::ContainsNot => !left.contains(right),
            TextCheck::StartsWith => left.starts_with(right),
            TextCheck::EndsWith => left.ends_with(right),
        }
    }
}

/// The operation of a `number-check`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NumberCheck {
    Equals,
    Differs,
    Greater,
    AtLeast,
    Less,
    AtMost,
    /// The difference is at most this.
    Within(f64),
}

impl NumberCheck {
    pub(crate) fn parse(operator: &str) -> Option<Self> {
        Some(match operator.trim().to_lowercase().as_str() {
            "==" | "equals" | "equal" | "eq" => NumberCheck::Equals,
            "!=" | "<>" | "not equals" | "not equal" | "ne" | "neq" => NumberCheck::Differs,
            ">" | "gt" | "greater than" => NumberCheck::Greater,
            ">=" | "gte" | "greater than or equal" | "greater than or equal to" => NumberCheck::AtLeast,
            "<" | "lt" | "less than" => NumberCheck::Less,
            "<=" | "lte" | "less than or equal" | "less than or equal to" => NumberCheck::AtMost,
            _ => return None,
        })
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            NumberCheck::Equals => left == right,
            NumberCheck::Differs => left != right,
            NumberCheck::Greater => left > right,
            NumberCheck::AtLeast => left >= right,
            NumberCheck::Less => left < right,
            NumberCheck::AtMost => left <= right,
            NumberCheck::Within(epsilon) => (left - right).abs() <= epsilon,
        }
    }

    /// Returns the score; none if a side holds no number.
    pub(crate) fn score(self, left: &Value, right: &Value) -> Option<f64> {
        Some(f64::from(u8::from(self.holds(number(left)?, number(right)?))))
    }
}

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[+-]?[.\d]*\d+").expect("the pattern is a constant and valid"));

static DIGIT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d$").expect("the pattern is a constant and valid"));

/// Returns a number, or the last number in a text.
pub(crate) fn number(value: &Value) -> Option<f64> {
    if let Value::Number(number) = value {
        return number.as_f64();
    }
    let text = printed(value);
    let last = NUMBER.find_iter(&text).last()?;
    let ascii: Option<String> =
        last.as_str().chars().map(|sign| if sign.is_ascii() { Some(sign) } else { ascii(sign) }).collect();
    ascii?.parse().ok()
}

/// Converts a digit of any script to ASCII. Unicode keeps the ten digits of a script in a row that starts at zero.
fn ascii(digit: char) -> Option<char> {
    let is_digit = |code: u32| char::from_u32(code).is_some_and(|sign| DIGIT.is_match(sign.encode_utf8(&mut [0; 4])));
    let code = u32::from(digit);
    let before = (1..code).take_while(|back| is_digit(code - back)).count();
    char::from_digit(before as u32 % 10, 10)
}
