//! Checks values against the part of JSON Schema that the schemas in docs use.

use serde_json::Value;

use crate::harness::project;

/// Checks a value against `docs/NAME.schema.json`.
#[track_caller]
pub(crate) fn check(name: &str, value: &Value) {
    let text = std::fs::read_to_string(project().join(format!("docs/{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let problems = problems(&schema, &schema, value, "");
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Returns each violation of `schema` in `value`, with its path. An unknown rule counts as one.
fn problems(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (rule, wanted) in schema.as_object().unwrap() {
        let fine = match rule.as_str() {
            "$schema" | "title" | "$defs" => true,
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap();
                found.extend(problems(root, target, value, at));
                true
            }
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap(), value)),
                kind => is(kind.as_str().unwrap(), value),
            },
            "pattern" => {
                value.as_str().is_none_or(|text| regex::Regex::new(wanted.as_str().unwrap()).unwrap().is_match(text))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "anyOf" => wanted.as_array().unwrap().iter().any(|schema| problems(root, schema, value, at).is_empty()),
            "required" => wanted.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
            "properties" => {
                for (key, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        found.extend(problems(root, schema, value, &format!("{at}/{key}")));
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = |key: &String| schema["properties"].get(key).is_some();
                let others = value.as_object().into_iter().flatten().filter(|(key, _)| !known(key));
                let mut others = others.peekable();
                match wanted {
                    Value::Bool(allowed) => *allowed || others.peek().is_none(),
                    schema => {
                        for (key, value) in others {
                            found.extend(problems(root, schema, value, &format!("{at}/{key}")));
                        }
                        true
                    }
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(problems(root, wanted, item, &format!("{at}/{number}")));
                }
                true
            }
            _ => false,
        };
        if !fine {
            found.push(format!("{at}: {rule} {wanted} is not kept by {value}"));
        }
    }
    found
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => kind == "object" && value.is_object(),
    }
}
