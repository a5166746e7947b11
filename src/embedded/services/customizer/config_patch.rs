//! Changes of a stored config. Besides new values of members, a body may add and remove training options
//! (docs/nemo-api.md, Training configs).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::entity_kinds::CONFIG;
use crate::embedded::backend::Backend;
use crate::embedded::services::entities;
use crate::embedded::wire::fields::{Fields, Object, object};
use crate::embedded::wire::refusal::JsonResult;

/// Answers `PATCH` of a config.
pub(crate) async fn change(
    State(backend): State<Arc<Backend>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> JsonResult {
    let mut body = object(&body)?;
    let mut fields = Fields::of(&body);
    for key in [ADD, REMOVE, OPTIONS] {
        fields.list(key);
    }
    fields.done()?;
    if body.contains_key(ADD) || body.contains_key(REMOVE) {
        let stored = backend.state().training_configs.find(&namespace, &name).cloned();
        let stored = stored.ok_or_else(|| entities::missing(&CONFIG, &namespace, &name))?;
        let options = options(&stored[OPTIONS], &mut body);
        body.insert(OPTIONS.into(), options);
    }
    let Json(mut config) = entities::patch(&backend, &CONFIG, &namespace, &name, &body)?;
    config["warning_message"] = Value::Null;
    Ok(Json(config))
}

const OPTIONS: &str = "training_options";
const ADD: &str = "add_training_options";
const REMOVE: &str = "remove_training_options";

/// Returns the options after the change: the given or the stored ones, without the removed and with the added. A pair
/// of training type and finetuning type has one option.
fn options(stored: &Value, body: &mut Object) -> Value {
    let given = body.remove(OPTIONS).filter(|given| !given.is_null()).unwrap_or_else(|| stored.clone());
    let mut take = |key: &str| match body.shift_remove(key) {
        Some(Value::Array(options)) => options,
        _ => Vec::new(),
    };
    let (added, removed) = (take(ADD), take(REMOVE));
    let same = |a: &Value, b: &Value| ["training_type", "finetuning_type"].iter().all(|key| a.get(key) == b.get(key));
    let gone = |option: &Value| removed.iter().chain(&added).any(|other| same(option, other));
    let kept = given.as_array().into_iter().flatten().filter(|option| !gone(option)).cloned();
    json!(kept.chain(added.iter().cloned()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(finetuning: &str, gpus: u32) -> Value {
        json!({"training_type": "sft", "finetuning_type": finetuning, "num_gpus": gpus})
    }

    #[test]
    fn options_are_added_replaced_and_removed() {
        let stored = json!([option("lora", 1), option("all_weights", 2)]);
        let after = |body: Value| options(&stored, &mut body.as_object().unwrap().clone());
        assert_eq!(after(json!({ADD: [option("lora", 4)]})), json!([option("all_weights", 2), option("lora", 4)]));
        assert_eq!(
            after(json!({REMOVE: [{"training_type": "sft", "finetuning_type": "lora"}]})),
            json!([option("all_weights", 2)])
        );
        assert_eq!(after(json!({OPTIONS: [], ADD: [option("lora", 1)], REMOVE: null})), json!([option("lora", 1)]));
        assert_eq!(after(json!({REMOVE: [7, {}]})), stored);
    }
}
