//! Checks of what a pattern finds: check digits, lengths and forms that a regular expression cannot count.

use std::net::{Ipv4Addr, Ipv6Addr};

use iban::Iban;

/// Returns the digits of a text.
fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|letter| letter.to_digit(10)).collect()
}

/// Returns the text without separators: with its ASCII letters and digits only.
fn compact(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

pub(super) fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Checks what follows the name of a password in running text. Short words of letters follow it in prose, too.
pub(super) fn is_password(text: &str) -> bool {
    let is_sign = |byte: u8| !byte.is_ascii_alphabetic() && !matches!(byte, b'.' | b'-' | b'_' | b'/');
    text.len() >= 6 || text.bytes().any(is_sign)
}

/// Checks what follows the name of a key in running text. A short number is an amount.
pub(super) fn is_key(text: &str) -> bool {
    has_digit(text) && (text.len() >= 8 || text.bytes().any(|byte| byte.is_ascii_alphabetic()))
}

pub(super) fn is_iban(text: &str) -> bool {
    compact(text).parse::<Iban>().is_ok()
}

/// Checks a card number by the beginnings and lengths of the networks, and by the algorithm of Luhn (ISO/IEC 7812-1).
pub(super) fn is_card(text: &str) -> bool {
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
pub(super) fn is_social_security_number(text: &str) -> bool {
    let (area, group, serial) = (&text[..3], &text[4..6], &text[7..]);
    !matches!(area, "000" | "666") && !area.starts_with('9') && group != "00" && serial != "0000"
}

pub(super) fn is_spanish(text: &str) -> bool {
    let text = text.to_ascii_uppercase().replace('-', "");
    let (number, letter) = text.split_at(8);
    let number = number.replace('X', "0").replace('Y', "1").replace('Z', "2");
    let expected =
        number.parse::<usize>().ok().and_then(|number| "TRWAGMYFPDXBNJZSQVHLCKE".get(number % 23..=number % 23));
    expected == Some(letter)
}

pub(super) fn is_french(text: &str) -> bool {
    let number = compact(text).replace("2A", "19").replace("2B", "18");
    let (body, key) = number.split_at(number.len() - 2);
    body.parse::<u64>().ok().zip(key.parse::<u64>().ok()).is_some_and(|(body, key)| body % 97 + key == 97)
}

pub(super) fn is_brazilian(text: &str) -> bool {
    let digits = digits(text);
    let check = |length: usize| {
        let sum: u32 =
            digits[..length].iter().zip((2..=length as u32 + 1).rev()).map(|(digit, weight)| digit * weight).sum();
        sum * 10 % 11 % 10 == digits[length]
    };
    digits.windows(2).any(|pair| pair[0] != pair[1]) && check(9) && check(10)
}

/// Checks an address of a machine. The loopback and unspecified addresses belong to nobody.
pub(super) fn is_address(text: &str) -> bool {
    let four = text.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_loopback() && !address.is_unspecified());
    // Times and ratios have one or two colons.
    let six = || text.matches(':').count() > 2 && text.parse::<Ipv6Addr>().is_ok();
    four || six()
}

pub(super) fn is_phone(text: &str) -> bool {
    (8..=15).contains(&digits(text.trim_start_matches("00")).len())
}

/// Returns true for the name of a field whose value is a secret.
pub(super) fn names_secret(key: &str) -> bool {
    const ENDS: [&str; 18] = [
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "apikey",
        "secret",
        "secretkey",
        "accesskey",
        "privatekey",
        "accesstoken",
        "authtoken",
        "refreshtoken",
        "apitoken",
        "bearertoken",
        "idtoken",
        "securitytoken",
        "sessiontoken",
        "authorization",
    ];
    let name = compact(key).to_ascii_lowercase();
    ENDS.iter().any(|end| name.ends_with(end))
}
