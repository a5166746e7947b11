//! The common parts of inference requests: reading the body, the number of choices, token counts.

use axum::body::Bytes;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::embedded::wire::refusal::Refusal;

/// The largest number of choices in one request.
const MOST_CHOICES: u32 = 128;

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| bad_request(format!("invalid request: {error}")))
}

/// Returns how many choices a request wants. A student gives the same answer for each.
pub(super) fn choices(wanted: Option<u32>) -> Result<usize, Refusal> {
    match wanted.unwrap_or(1) {
        n @ 1..=MOST_CHOICES => Ok(n as usize),
        _ => Err(bad_request(format!("n must be between 1 and {MOST_CHOICES}"))),
    }
}

/// Returns the refusal of an invalid request.
pub(super) fn bad_request(text: impl Into<String>) -> Refusal {
    Refusal::inference(StatusCode::BAD_REQUEST, "BadRequestError", text)
}

pub(super) fn usage(prompt: usize, completion: usize) -> Value {
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

/// Counts tokens: for a student, words and signs.
pub(super) fn tokens(text: &str) -> usize {
    let mut count = 0;
    let mut within = false;
    for letter in text.chars() {
        let word = letter.is_alphanumeric();
        count += usize::from(!(letter.is_whitespace() || word && within));
        within = word;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn counts_words_and_signs() {
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("[[[Stock Split]]]"), 8);
        assert_eq!(tokens("up 3.5 %"), 5);
    }
}
