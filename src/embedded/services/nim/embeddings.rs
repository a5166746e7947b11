//! Embeddings: the hashed counts of a text's words and character trigrams, scaled to length 1. They only promise that
//! texts with common words are close.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::requests::{bad_request, parse, tokens};
use super::served_models::find;
use crate::embedded::backend::Backend;
use crate::embedded::wire::refusal::{JsonResult, Refusal};

/// The default number of dimensions.
const DIMENSIONS: usize = 384;

/// The largest number of dimensions.
const MOST_DIMENSIONS: usize = 4096;

/// The largest number of texts in one request.
const MOST_TEXTS: usize = 2048;

#[derive(Deserialize)]
struct Request {
    model: String,
    input: Value,
    encoding_format: Option<String>,
    input_type: Option<String>,
    dimensions: Option<usize>,
}

/// Answers `POST /v1/embeddings`, for any served model.
pub(crate) async fn embed(State(backend): State<Arc<Backend>>, body: Bytes) -> JsonResult {
    let request: Request = parse(&body)?;
    let texts = texts(&request.input)?;
    let dimensions = request.dimensions.unwrap_or(DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(bad_request(format!("dimensions must be between 1 and {MOST_DIMENSIONS}")));
    }
    if request.input_type.is_some_and(|kind| kind != "query" && kind != "passage") {
        return Err(bad_request("input_type must be query or passage"));
    }
    let packed = match request.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(bad_request("encoding_format must be float or base64")),
    };
    find(&backend, &request.model)?;
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, dimensions);
            let embedding = if packed { json!(pack(&vector)) } else { json!(vector) };
            json!({"index": index, "embedding": embedding, "object": "embedding"})
        })
        .collect();
    let prompt: usize = texts.iter().map(|text| tokens(text)).sum();
    let usage = json!({"prompt_tokens": prompt, "total_tokens": prompt});
    Ok(Json(json!({"object": "list", "data": data, "model": request.model, "usage": usage})))
}

fn texts(input: &Value) -> Result<Vec<&str>, Refusal> {
    let texts = match input {
        Value::String(text) => Some(vec![text.as_str()]),
        Value::Array(texts) if texts.len() <= MOST_TEXTS => texts.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let texts = texts.filter(|texts| !texts.is_empty());
    texts.ok_or_else(|| bad_request(format!("input must be a string or a list of at most {MOST_TEXTS} strings")))
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimensions];
    let mut add = |feature: &str| {
        let hash = blake3::hash(feature.as_bytes());
        let [low, high, sign, ..] = hash.as_bytes();
        let at = usize::from(u16::from_le_bytes([*low, *high])) % dimensions;
        vector[at] += if sign & 1 == 0 { 1.0 } else { -1.0 };
    };
    for word in text.to_lowercase().split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        add(word);
        let letters: Vec<char> = format!("<{word}>").chars().collect();
        for run in letters.windows(3) {
            add(&run.iter().collect::<String>());
        }
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
    vector
}

/// Packs numbers as little-endian bytes in base64.
fn pack(vector: &[f32]) -> String {
    STANDARD.encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_share_words_are_closer() {
        let product = |a: &str, b: &str| -> f32 {
            vector(a, DIMENSIONS).iter().zip(vector(b, DIMENSIONS)).map(|(a, b)| a * b).sum()
        };
        assert!((product("A takeover bid", "a TAKEOVER bid!") - 1.0).abs() < 1e-5);
        assert!(product("a takeover bid", "a takeover offer") > product("a takeover bid", "launches an engine"));
        assert_eq!(vector("", 3), [0.0; 3]);
    }

    #[test]
    fn packs_little_endian() {
        assert_eq!(pack(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
