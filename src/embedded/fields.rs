//! Reading a JSON body field by field, collecting every problem in the shape of an HTTPValidationError (nemo-wire
//! 1.3), so that one answer names them all. What the fields mean is each service's business.

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use super::wire::Refusal;

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// The body as a JSON object.
pub(super) fn object(body: &Bytes) -> Result<Object, Refusal> {
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

/// Reads the members of one object; `null` counts as absent where a member is optional.
pub(super) struct Fields<'a> {
    object: &'a Object,
    at: Vec<Value>,
    problems: Vec<Value>,
}

impl<'a> Fields<'a> {
    /// The fields of a request body.
    pub(super) fn of(object: &'a Object) -> Self {
        Fields { object, at: vec![json!("body")], problems: Vec::new() }
    }

    /// The fields of an object inside the body, by its path.
    pub(super) fn inside(object: &'a Object, path: &[&str]) -> Self {
        let mut fields = Self::of(object);
        fields.at.extend(path.iter().map(|step| json!(step)));
        fields
    }

    /// Notes a problem with a member.
    pub(super) fn refuse(&mut self, key: &str, kind: &str, text: &str) {
        let mut at = self.at.clone();
        at.push(json!(key));
        self.problems.push(problem(&at, kind, text));
    }

    fn given(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// Notes a member that is required and absent.
    pub(super) fn require(&mut self, key: &str) {
        if self.given(key).is_none() {
            self.refuse(key, "missing", "Field required");
        }
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, key: &str) -> Option<&'a str> {
        let value = self.given(key)?;
        if value.as_str().is_none() {
            self.refuse(key, "string_type", "Input should be a valid string");
        }
        value.as_str()
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, key: &str) -> Option<&'a Object> {
        let value = self.given(key)?;
        if value.as_object().is_none() {
            self.refuse(key, "dict_type", "Input should be a valid dictionary");
        }
        value.as_object()
    }

    /// A member that is an array.
    pub(super) fn list(&mut self, key: &str) -> Option<&'a Vec<Value>> {
        let value = self.given(key)?;
        if value.as_array().is_none() {
            self.refuse(key, "list_type", "Input should be a valid list");
        }
        value.as_array()
    }

    /// A member that is a whole number, not negative.
    pub(super) fn count(&mut self, key: &str) -> Option<u64> {
        let value = self.given(key)?;
        if value.as_u64().is_none() {
            self.refuse(key, "int_type", "Input should be a valid integer");
        }
        value.as_u64()
    }

    /// A member that is a number.
    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        let value = self.given(key)?;
        if value.as_f64().is_none() {
            self.refuse(key, "float_type", "Input should be a valid number");
        }
        value.as_f64()
    }

    /// A member that is true or false.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.given(key)?;
        if value.as_bool().is_none() {
            self.refuse(key, "bool_type", "Input should be a valid boolean");
        }
        value.as_bool()
    }

    /// A member that is a string or an object (a reference, or the thing itself).
    pub(super) fn reference(&mut self, key: &str) -> Option<&'a Value> {
        let value = self.given(key)?;
        if value.is_string() || value.is_object() {
            return Some(value);
        }
        self.refuse(key, "string_type", "Input should be a valid string or dictionary");
        None
    }

    /// Notes a string that is empty.
    pub(super) fn not_empty(&mut self, key: &str) {
        if self.given(key).and_then(Value::as_str) == Some("") {
            self.refuse(key, "string_too_short", "String should have at least 1 character");
        }
    }

    /// Adds the problems of another object.
    pub(super) fn join(&mut self, problems: Vec<Value>) {
        self.problems.extend(problems);
    }

    /// The problems found so far, to be joined with those of other objects.
    pub(super) fn into_problems(self) -> Vec<Value> {
        self.problems
    }

    /// A refusal when there was any problem.
    pub(super) fn done(self) -> Result<(), Refusal> {
        if self.problems.is_empty() { Ok(()) } else { Err(Refusal::invalid(self.problems)) }
    }
}

/// A member, or null.
pub(super) fn or_null(object: &Object, key: &str) -> Value {
    object.get(key).cloned().unwrap_or(Value::Null)
}

/// A string member, or the fallback when it is absent, null or empty.
pub(super) fn text_or(object: &Object, key: &str, fallback: &str) -> String {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(fallback).to_owned()
}
