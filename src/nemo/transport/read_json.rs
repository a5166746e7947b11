//! Tolerant reading of JSON: a field that is absent, null or of another type counts as absent. Repairs the bare `NaN`
//! that Python services emit.

use serde_json::Value;

use super::time;

/// Returns the value at a path of keys, unless it is absent or null.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// Returns the text at a path, unless it is empty.
pub(crate) fn text(value: &Value, path: &[&str]) -> Option<String> {
    at(value, path)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Returns the whole number at a path. A number with a zero fraction and a number in a string count.
pub(crate) fn integer(value: &Value, path: &[&str]) -> Option<u64> {
    let value = at(value, path)?;
    let fraction = || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number));
    value.as_u64().or_else(|| fraction().map(|number| number as u64)).or_else(|| value.as_str()?.trim().parse().ok())
}

/// Returns the finite number at a path.
pub(crate) fn number(value: &Value, path: &[&str]) -> Option<f64> {
    at(value, path)?.as_f64().filter(|number| number.is_finite())
}

/// Returns the truth value at a path.
pub(crate) fn truth(value: &Value, path: &[&str]) -> Option<bool> {
    at(value, path)?.as_bool()
}

/// Returns the items of the list at a path, or none if there is no list.
pub(crate) fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the entries of the object at a path, or none if there is no object.
pub(crate) fn entries<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    at(value, path).and_then(Value::as_object).into_iter().flatten()
}

/// Returns the timestamp at a path in epoch milliseconds.
pub(crate) fn millis(value: &Value, path: &[&str]) -> Option<i64> {
    time::millis(at(value, path)?.as_str()?)
}

/// Returns the reference at a path as `namespace/name`. It may be a string or an entity.
pub(crate) fn urn(value: &Value, path: &[&str]) -> Option<String> {
    let value = at(value, path)?;
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let name = text(value, &["name"])?;
    Some(match text(value, &["namespace"]) {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    })
}

/// Parses JSON in which Python may have written `NaN`, `Infinity` or `-Infinity`. Each is read as null.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| match without_nan(bytes) {
        Some(repaired) => serde_json::from_slice(&repaired),
        None => Err(error),
    })
}

/// Replaces every bare `NaN` and `Infinity` outside strings by `null`. Returns `None` if there is none.
fn without_nan(bytes: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut repaired = Vec::new();
    let (mut from, mut i, mut quoted) = (0, 0, false);
    while i < bytes.len() {
        match bytes[i] {
            b'\\' if quoted => i += 1,
            b'"' => quoted = !quoted,
            b'-' | b'I' | b'N' if !quoted => {
                if let Some(word) = WORDS.iter().find(|word| bytes[i..].starts_with(word)) {
                    repaired.extend_from_slice(&bytes[from..i]);
                    repaired.extend_from_slice(b"null");
                    i += word.len();
                    from = i;
                    continue;
                }
            }
            _ => {}
        }
        i += 1;
    }
    (from > 0).then(|| {
        repaired.extend_from_slice(&bytes[from..]);
        repaired
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bare_nan_is_null_and_text_is_left_alone() {
        let bytes = br#"{"a": NaN, "b": [-Infinity, Infinity, -1], "NaN \" Infinity": "NaN \\", "c": NaN}"#;
        let expected = json!({"a": null, "b": [null, null, -1], "NaN \" Infinity": "NaN \\", "c": null});
        assert_eq!(parse(bytes).unwrap(), expected);
        assert!(parse(b"<html>").is_err());
        assert!(parse(b"{\"a\": NaNa}").is_err());
    }

    #[test]
    fn a_value_of_another_type_counts_as_absent() {
        let value = json!({"a": {"b": null, "c": "x", "n": "7", "f": 3.0}, "l": null, "e": "", "t": 5});
        assert_eq!(at(&value, &["a", "b"]), None);
        assert_eq!(text(&value, &["a", "c"]).as_deref(), Some("x"));
        assert_eq!((text(&value, &["e"]), text(&value, &["t"])), (None, None));
        assert_eq!(integer(&value, &["a", "n"]), Some(7));
        assert_eq!(integer(&value, &["a", "f"]), Some(3));
        assert_eq!(integer(&value, &["a", "c"]), None);
        assert!(list(&value, &["l"]).is_empty());
        assert_eq!(entries(&value, &["l"]).count(), 0);
    }

    #[test]
    fn a_reference_is_a_string_or_an_entity() {
        assert_eq!(urn(&json!({"t": "meta/m@2.0"}), &["t"]).as_deref(), Some("meta/m@2.0"));
        assert_eq!(urn(&json!({"t": {"namespace": "meta", "name": "m@2.0"}}), &["t"]).as_deref(), Some("meta/m@2.0"));
        assert_eq!(urn(&json!({"t": {"name": "m"}}), &["t"]).as_deref(), Some("m"));
        assert_eq!(urn(&json!({"t": 4}), &["t"]), None);
    }
}
