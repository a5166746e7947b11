//! The stored entities of the Customizer: training targets and training configs.

use serde_json::json;

use super::job_request::named;
use crate::embedded::services::entities::{Creating, EntityKind};
use crate::embedded::wire::fields::{Fields, Object};
use crate::embedded::wire::listing::Columns;

pub(super) const TARGET: EntityKind = EntityKind {
    noun: "Target",
    prefix: "",
    members: &[
        "description",
        "base_model",
        "enabled",
        "num_parameters",
        "precision",
        "model_uri",
        "model_path",
        "hf_endpoint",
        "tokenizer",
        "status",
        "model_type",
        "project",
        "custom_fields",
        "ownership",
    ],
    check: target,
    table: |state| &mut state.targets,
    columns: Columns::plain(&["created_at", "updated_at", "name"]),
};

pub(super) const CONFIG: EntityKind = EntityKind {
    noun: "Config",
    prefix: "",
    members: &[
        "description",
        "target",
        "training_options",
        "training_precision",
        "max_seq_length",
        "pod_spec",
        "prompt_template",
        "chat_prompt_template",
        "dataset_schemas",
        "project",
        "custom_fields",
        "ownership",
    ],
    check: config,
    table: |state| &mut state.training_configs,
    columns: Columns {
        sort: &["created_at", "updated_at", "name", "target_enabled", "num_parameters"],
        derived: |row, field| match field {
            "finetuning_type" | "training_type" => {
                let options = row["training_options"].as_array()?;
                Some(options.iter().map(|option| option[field].clone()).collect())
            }
            "target_name" => Some(json!(named(row.get("target"))?.split_once('/')?.1)),
            "enabled" => Some(row["target_enabled"].clone()),
            _ => None,
        },
    },
};

fn target(fields: &mut Fields<'_>, creating: Creating) {
    if creating == Creating::Yes {
        fields.require("num_parameters");
        fields.require("precision");
    }
    fields.count("num_parameters");
    fields.text("precision");
    fields.text("base_model");
    fields.flag("enabled");
}

fn config(fields: &mut Fields<'_>, creating: Creating) {
    if creating == Creating::Yes {
        fields.require("training_options");
        fields.require("max_seq_length");
    }
    fields.reference("target");
    fields.count("max_seq_length");
    for key in ["training_precision", "prompt_template", "chat_prompt_template"] {
        fields.text(key);
    }
    let mut problems = Vec::new();
    for (at, option) in fields.list("training_options").into_iter().flatten().enumerate() {
        let empty = Object::new();
        let mut option = Fields::inside(option.as_object().unwrap_or(&empty), &["training_options", &at.to_string()]);
        for key in ["training_type", "finetuning_type"] {
            option.require(key);
            option.text(key);
        }
        for key in ["num_gpus", "micro_batch_size"] {
            option.require(key);
            option.count(key);
        }
        problems.extend(option.into_problems());
    }
    fields.join(problems);
}
