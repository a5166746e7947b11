//! Masking of API keys: no answer contains a key, and a client may send the mask back in its place.

use serde_json::{Value, json};

/// Replaces a key in answers.
const MASK: &str = "******";

/// Masks every key in a value.
pub(crate) fn masked(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mask = |(key, value): (String, Value)| {
                let secret = key == "api_key" && value.as_str().is_some_and(|key| !key.is_empty());
                let value = if secret { json!(MASK) } else { masked(value) };
                (key, value)
            };
            Value::Object(members.into_iter().map(mask).collect())
        }
        Value::Array(items) => items.into_iter().map(masked).collect(),
        other => other,
    }
}

/// Replaces a mask that the client sent back with the stored key.
pub(crate) fn unmasked(sent: Value, stored: &Value) -> Value {
    match sent {
        Value::Object(members) => {
            let unmask = |(key, value): (String, Value)| {
                let told = key == "api_key" && value == MASK && stored["api_key"].is_string();
                let value = if told { stored["api_key"].clone() } else { unmasked(value, &stored[&key]) };
                (key, value)
            };
            Value::Object(members.into_iter().map(unmask).collect())
        }
        other => other,
    }
}
