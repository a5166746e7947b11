//! Tool-calling accuracy: are the right functions called, with the right arguments (docs/nemo-api.md, Tool-calling
//! accuracy)?

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Scores one row: the names, and the names with their arguments (none if the arguments of a call are not JSON). Fails
/// if the ground truth is not a list of calls.
pub(crate) fn scores(gold: &Value, sample: &Value) -> Result<[Option<f64>; 2], String> {
    let calls = gold.as_array().ok_or("the ground truth is not a list of tool calls")?;
    let gold: Option<Vec<(&str, &Value)>> = calls.iter().map(call).collect();
    let gold = gold.ok_or("a tool call of the ground truth has no function name")?;
    let said = &sample["response"]["choices"][0]["message"]["tool_calls"];
    let said: Vec<(&str, &Value)> = said.as_array().into_iter().flatten().filter_map(call).collect();
    let names = |calls: &[(&str, &Value)]| calls.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>();
    if names(&gold) != names(&said) {
        return Ok([Some(0.0), Some(0.0)]);
    }
    // The last call of a function counts.
    let said: BTreeMap<&str, &Value> = said.into_iter().collect();
    let mut all = true;
    for (name, expected) in gold.into_iter().collect::<BTreeMap<_, _>>() {
        let Some(given) = said.get(name).and_then(|arguments| arguments_of(arguments)) else {
            return Ok([Some(1.0), None]);
        };
        all &= equal(&given, expected);
    }
    Ok([Some(1.0), Some(f64::from(u8::from(all)))])
}

/// Returns the name and the arguments of a call.
fn call(call: &Value) -> Option<(&str, &Value)> {
    Some((call["function"]["name"].as_str()?, &call["function"]["arguments"]))
}

/// Reads the arguments of a call, which a model gives as JSON text; none if they cannot be read.
fn arguments_of(given: &Value) -> Option<Value> {
    match given {
        Value::Null => Some(json!({})),
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

/// Compares as Python does: 1, 1.0 and true are equal, and the order of members does not matter.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, member)| right.get(key).is_some_and(|other| equal(member, other)))
        }
        (Value::Bool(_) | Value::Number(_), Value::Bool(_) | Value::Number(_)) => same_number(left, right),
        _ => left == right,
    }
}

fn same_number(left: &Value, right: &Value) -> bool {
    let whole = |value: &Value| match value {
        Value::Bool(flag) => Some(i128::from(*flag)),
        Value::Number(number) => number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)),
        _ => None,
    };
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left == right,
        (None, None) => left.as_f64() == right.as_f64(),
        (Some(whole), None) => right.as_f64().is_some_and(|real| real.fract() == 0.0 && real as i128 == whole),
        (None, Some(whole)) => left.as_f64().is_some_and(|real| real.fract() == 0.0 && real as i128 == whole),
    }
}
