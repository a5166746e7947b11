//! The targets that the Customizer trains: the built-in ones, and one for any model name with a version.

use serde_json::{Value, json};

use super::entity_table::EntityTable;
use crate::embedded::wire::stamps::naive_now;
use crate::student;

/// The built-in targets, with their number of parameters.
const BUILT_IN: [(&str, u64); 5] = [
    ("dfwfd/ngram-small@1.0", 1_000_000),
    ("dfwfd/ngram-large@1.0", 10_000_000),
    ("meta/llama-3.2-1b-instruct@2.0", 1_000_000_000),
    ("meta/llama-3.2-3b-instruct@2.0", 3_000_000_000),
    ("meta/llama-3.1-8b-instruct@2.0", 8_000_000_000),
];

/// Adds the built-in targets.
pub(crate) fn add_built_in(targets: &mut EntityTable) {
    for (urn, parameters) in BUILT_IN {
        if let Some((namespace, name)) = urn.split_once('/') {
            targets.add(namespace, name, entity(namespace, name, parameters));
        }
    }
}

/// Finds a target by its URN: a stored one, or one made up for a model name with a version.
pub(crate) fn find(targets: &EntityTable, urn: &str) -> Option<Value> {
    if let Some(stored) = targets.by_urn(urn) {
        return Some(stored.clone());
    }
    let (namespace, name) = urn.split_once('/')?;
    let (model, version) = name.split_once('@')?;
    let is_complete = !namespace.is_empty() && !model.is_empty() && !version.is_empty();
    is_complete.then(|| entity(namespace, name, 1_000_000_000))
}

fn entity(namespace: &str, name: &str, parameters: u64) -> Value {
    let now = naive_now();
    let base = name.split_once('@').map_or(name, |(model, _)| model);
    let student = student::stand_in(&format!("{namespace}/{base}")).name();
    json!({
        "created_at": now, "updated_at": now, "name": name, "namespace": namespace,
        "description": format!("{namespace}/{base}, trained as {student}"),
        "base_model": format!("{namespace}/{base}"), "enabled": true, "num_parameters": parameters,
        "precision": "bf16-mixed", "model_uri": null, "model_path": base, "hf_endpoint": null, "tokenizer": null,
        "status": "ready", "model_type": "nemo", "project": null, "custom_fields": {}, "ownership": null,
    })
}
