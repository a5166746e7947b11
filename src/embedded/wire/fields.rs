//! Reading a JSON body field by field. One answer names all problems, in the shape of an HTTPValidationError
//! (docs/nemo-api.md, Statuses and error bodies).

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

pub(crate) type Object = Map<String, Value>;

/// Reads a body as a JSON object.
pub(crate) fn object(body: &Bytes) -> Result<Object, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::invalid(vec![problem(&[json!("body")], "missing", "Field required")]));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::invalid(vec![problem(
            &[json!("body")],
            "model_attributes_type",
            "Input should be a valid dictionary",
        )])),
        Err(error) => {
            let mut problem = problem(&[json!("body"), json!(error.column())], "json_invalid", "JSON decode error");
            problem["ctx"] = json!({"error": error.to_string()});
            Err(Refusal::invalid(vec![problem]))
        }
    }
}

fn problem(at: &[Value], kind: &str, text: &str) -> Value {
    json!({"type": kind, "loc": at, "msg": text})
}

/// Reads the members of one object. A member that is null counts as absent.
pub(crate) struct Fields<'a> {
    object: &'a Object,
    at: Vec<Value>,
    problems: Vec<Value>,
}

impl<'a> Fields<'a> {
    /// Returns the fields of a request body.
    pub(crate) fn of(object: &'a Object) -> Self {
        Fields { object, at: vec![json!("body")], problems: Vec::new() }
    }

    /// Returns the fields of an object inside the body, by its path.
    pub(crate) fn inside(object: &'a Object, path: &[&str]) -> Self {
        let mut fields = Self::of(object);
        fields.at.extend(path.iter().map(|step| json!(step)));
        fields
    }

    /// Records a problem with a member.
    pub(crate) fn refuse(&mut self, key: &str, kind: &str, text: &str) {
        let mut at = self.at.clone();
        at.push(json!(key));
        self.problems.push(problem(&at, kind, text));
    }

    fn given(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// Checks that a member is present.
    pub(crate) fn require(&mut self, key: &str) {
        if self.given(key).is_none() {
            self.refuse(key, "missing", "Field required");
        }
    }

    /// Reads a string.
    pub(crate) fn text(&mut self, key: &str) -> Option<&'a str> {
        let value = self.given(key)?;
        if value.as_str().is_none() {
            self.refuse(key, "string_type", "Input should be a valid string");
        }
        value.as_str()
    }

    /// Reads an object.
    pub(crate) fn object(&mut self, key: &str) -> Option<&'a Object> {
        let value = self.given(key)?;
        if value.as_object().is_none() {
            self.refuse(key, "dict_type", "Input should be a valid dictionary");
        }
        value.as_object()
    }

    /// Reads an array.
    pub(crate) fn list(&mut self, key: &str) -> Option<&'a Vec<Value>> {
        let value = self.given(key)?;
        if value.as_array().is_none() {
            self.refuse(key, "list_type", "Input should be a valid list");
        }
        value.as_array()
    }

    /// Reads a whole number that is not negative.
    pub(crate) fn count(&mut self, key: &str) -> Option<u64> {
        let value = self.given(key)?;
        if value.as_u64().is_none() {
            self.refuse(key, "int_type", "Input should be a valid integer");
        }
        value.as_u64()
    }

    /// Reads a number.
    pub(crate) fn number(&mut self, key: &str) -> Option<f64> {
        let value = self.given(key)?;
        if value.as_f64().is_none() {
            self.refuse(key, "float_type", "Input should be a valid number");
        }
        value.as_f64()
    }

    /// Reads a boolean.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.given(key)?;
        if value.as_bool().is_none() {
            self.refuse(key, "bool_type", "Input should be a valid boolean");
        }
        value.as_bool()
    }

    /// Reads a string or an object: a reference, or the entity itself.
    pub(crate) fn reference(&mut self, key: &str) -> Option<&'a Value> {
        let value = self.given(key)?;
        if value.is_string() || value.is_object() {
            return Some(value);
        }
        self.refuse(key, "string_type", "Input should be a valid string or dictionary");
        None
    }

    /// Checks that a string is not empty.
    pub(crate) fn not_empty(&mut self, key: &str) {
        if self.given(key).and_then(Value::as_str) == Some("") {
            self.refuse(key, "string_too_short", "String should have at least 1 character");
        }
    }

    /// Adds the problems of another object.
    pub(crate) fn join(&mut self, problems: Vec<Value>) {
        self.problems.extend(problems);
    }

    /// Returns the problems so far.
    pub(crate) fn into_problems(self) -> Vec<Value> {
        self.problems
    }

    /// Returns a refusal if there are problems.
    pub(crate) fn done(self) -> Result<(), Refusal> {
        if self.problems.is_empty() { Ok(()) } else { Err(Refusal::invalid(self.problems)) }
    }
}

/// Returns a member, or null.
pub(crate) fn or_null(object: &Object, key: &str) -> Value {
    object.get(key).cloned().unwrap_or(Value::Null)
}

/// Returns a string member, or the fallback if it is absent, null or empty.
pub(crate) fn text_or(object: &Object, key: &str, fallback: &str) -> String {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(fallback).to_owned()
}
