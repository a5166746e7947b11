//! Changing a stored config: besides new values of its members a body may add training options and remove some
//! (nemo-wire 5.2).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::CONFIG;
use crate::embedded::entities;
use crate::embedded::fields::{Fields, Object, object};
use crate::embedded::wire::Answer;
use crate::embedded::world::World;

/// PATCH of a config.
pub(super) async fn change(
    State(world): State<Arc<World>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let mut body = object(&body)?;
    let mut fields = Fields::of(&body);
    for key in [ADD, REMOVE, OPTIONS] {
        fields.list(key);
    }
    fields.done()?;
    if body.contains_key(ADD) || body.contains_key(REMOVE) {
        let stored = world.state().training_configs.find(&namespace, &name).cloned();
        let stored = stored.ok_or_else(|| entities::missing(&CONFIG, &namespace, &name))?;
        let options = options(&stored[OPTIONS], &mut body);
        body.insert(OPTIONS.into(), options);
    }
    let Json(mut config) = entities::patch(&world, &CONFIG, &namespace, &name, &body)?;
    config["warning_message"] = Value::Null;
    Ok(Json(config))
}

const OPTIONS: &str = "training_options";
const ADD: &str = "add_training_options";
const REMOVE: &str = "remove_training_options";

/// The options after the change: those of the body or else the stored ones, without the removed, with the added. There
/// is one for each pair of a training type and a finetuning type.
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
