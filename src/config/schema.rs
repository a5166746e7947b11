//! Every key there is: its name, what it may hold, its default, and whether its feature is built. One table, read by
//! the checks, by overrides and by the test that holds docs/configuration.md to it.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its name within its section.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its default, as one would write it.
    pub default: Option<&'static str>,
    /// Whether `null` may be written for "not given" (or, for a seed, "draw one").
    pub null: bool,
    /// Set for a key of NVIDIA's file whose feature is not built: what the feature is.
    pub later: Option<&'static str>,
}

/// What a key may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Text of a form.
    Text(Form),
    /// A whole number, both bounds included.
    Whole(u64, u64),
    /// A number.
    Real(Range),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A length of time such as `30m`; whether zero is allowed.
    Span(bool),
    /// A list of text.
    Texts(Form),
    /// Text or a list of text.
    TextOrTexts(Form),
    /// A section with keys of the user's own, each holding text.
    Names,
    /// A section.
    Section(&'static [Key]),
    /// A list of sections.
    Sections(&'static [Key]),
}

/// The bounds of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// The least value.
    pub min: f64,
    /// Whether the least value itself is allowed.
    pub min_allowed: bool,
    /// The greatest value.
    pub max: f64,
    /// Whether the greatest value itself is allowed.
    pub max_allowed: bool,
}

/// The forms of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any text that is not empty.
    Any,
    /// The same; a number or a switch is taken as the text it is written as (`tag: 1.10`).
    Loose,
    /// An http or https URL without credentials.
    Url,
    /// A Kubernetes quantity such as `25Gi`.
    Quantity,
    /// A regular expression.
    Pattern,
    /// A namespace.
    Namespace,
    /// A model id such as `meta/llama-3.2-1b-instruct`.
    Model,
    /// A customization target such as `meta/llama-3.2-1b-instruct@2.0`.
    Target,
    /// The name of an environment variable.
    Variable,
    /// The name of an index.
    Index,
    /// A dotted path into a document.
    Field,
    /// A level of logging, in any case.
    Level,
    /// Something that is never shown.
    Secret,
}

const MANY: u64 = u32::MAX as u64;

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, default: None, null: false, later: None }
}

impl Key {
    const fn or(self, default: &'static str) -> Key {
        Key { default: Some(default), ..self }
    }

    const fn nullable(self) -> Key {
        Key { null: true, ..self }
    }

    const fn later(self, feature: &'static str) -> Key {
        Key { later: Some(feature), ..self }
    }
}

const fn range(min: f64, min_allowed: bool, max: f64, max_allowed: bool) -> Kind {
    Kind::Real(Range { min, min_allowed, max, max_allowed })
}

/// The top level.
pub(crate) const TOP: &[Key] = &[
    key("nmp_config", Kind::Section(NMP)),
    key("logging_config", Kind::Section(LOGGING)),
    key("nims", Kind::Sections(NIM)),
    key("data_split_config", Kind::Section(SPLIT)),
    key("evaluation_config", Kind::Section(EVALUATION)),
    key("training_config", Kind::Section(TRAINING)),
    key("lora_config", Kind::Section(LORA)),
    key("logs", Kind::Section(LOGS)),
    key("gpus", Kind::Whole(1, 4096)).nullable(),
    key("labels", Kind::Texts(Form::Loose)).nullable(),
    key("label_pattern", Kind::Text(Form::Pattern)).nullable(),
    key("state_dir", Kind::Text(Form::Any)).or(".dfwfd").nullable(),
    key("limits", Kind::Section(LIMITS)),
    key("icl_config", Kind::Section(ICL)).nullable().later("evaluation with examples in the prompt (ICL)"),
    key("llm_judge_config", Kind::Section(JUDGE)).nullable(),
    key("embedding_nim_config", Kind::Section(SERVICE)).nullable().later("example selection by embeddings"),
    key("mlflow_config", Kind::Section(MLFLOW)).nullable().later("tracking in MLflow"),
];

const NMP: &[Key] = &[
    key("platform", Kind::Choice(&["nemo", "embedded"])).or("nemo"),
    key("nemo_base_url", Kind::Text(Form::Url)),
    key("nim_base_url", Kind::Text(Form::Url)),
    key("datastore_base_url", Kind::Text(Form::Url)),
    key("nmp_namespace", Kind::Text(Form::Namespace)).or("dfwfd"),
    key("nim_parallelism", Kind::Whole(1, MANY)).nullable(),
    key("api_key_env", Kind::Text(Form::Variable)).nullable(),
    key("ca_cert", Kind::Text(Form::Any)).nullable(),
    key("headers", Kind::Names).nullable(),
];

const LOGGING: &[Key] = &[key("level", Kind::Text(Form::Level)).or("INFO")];

const NIM: &[Key] = &[
    key("model_name", Kind::Text(Form::Model)),
    key("model_type", Kind::Choice(&["llm"])).or("llm"),
    key("context_length", Kind::Whole(1, 32_768)).or("8192").nullable(),
    key("gpus", Kind::Whole(1, 4096)).or("1").nullable(),
    key("pvc_size", Kind::Text(Form::Quantity)).or("25Gi").nullable(),
    key("tag", Kind::Text(Form::Loose)).or("latest").nullable(),
    key("registry_base", Kind::Text(Form::Any)).or("nvcr.io/nim").nullable(),
    key("customization_enabled", Kind::Switch).or("false"),
    key("customizer_configs", Kind::Section(CUSTOMIZER)).nullable(),
];

const CUSTOMIZER: &[Key] = &[
    key("target", Kind::Text(Form::Target)),
    key("gpus", Kind::Whole(1, 4096)).or("1"),
    key("num_nodes", Kind::Whole(1, 1024)).or("1"),
    key("tensor_parallel_size", Kind::Whole(1, 4096)).or("1"),
    key("data_parallel_size", Kind::Whole(1, 4096)).nullable(),
    key("use_sequence_parallel", Kind::Switch).or("false"),
    key("micro_batch_size", Kind::Whole(1, MANY)).or("1"),
    key("training_precision", Kind::Choice(&["bf16-mixed", "bf16", "fp16", "fp32", "fp8-mixed", "int8"]))
        .or("bf16-mixed")
        .nullable(),
    key("max_seq_length", Kind::Whole(1, MANY)).or("4096"),
];

const SPLIT: &[Key] = &[
    key("eval_size", Kind::Whole(1, MANY)).or("100"),
    key("val_ratio", range(0.0, true, 1.0, false)).or("0.1"),
    key("min_total_records", Kind::Whole(1, MANY)).or("50"),
    key("random_seed", Kind::Whole(0, u64::MAX)).or("42").nullable(),
    key("limit", Kind::Whole(1, MANY)).nullable(),
    key("parse_function_arguments", Kind::Switch).or("true"),
    key("stratify_enabled", Kind::Switch).or("true"),
    key("min_samples_per_class", Kind::Whole(1, MANY)).or("2"),
    key("rare_class_threshold", Kind::Whole(0, MANY)).or("1"),
];

const EVALUATION: &[Key] = &[
    key("workload_type", Kind::Choice(&["classification", "tool_calling", "auto"])).or("classification"),
    key("tool_eval_type", Kind::Choice(&["tool-calling-metric", "tool-calling-judge"]))
        .or("tool-calling-metric")
        .nullable(),
];

const TRAINING: &[Key] = &[
    key("training_type", Kind::Choice(&["sft"])).or("sft"),
    key("finetuning_type", Kind::Choice(&["lora"])).or("lora"),
    key("epochs", Kind::Whole(1, 10_000)).or("1"),
    key("batch_size", Kind::Whole(1, MANY)).or("64"),
    key("learning_rate", range(0.0, false, 1.0, true)).or("1e-4"),
];

const LORA: &[Key] = &[
    key("adapter_dim", Kind::Whole(1, 4096)).or("16"),
    key("adapter_dropout", range(0.0, true, 1.0, false)).or("0.1"),
    key("sequence_packing_enabled", Kind::Switch).or("true"),
];

const LOGS: &[Key] = &[
    key("source", Kind::Choice(&["local", "jsonl", "elasticsearch"])),
    key("path", Kind::TextOrTexts(Form::Any)).nullable(),
    key("fields", Kind::Section(FIELDS)),
    key("elasticsearch", Kind::Section(ELASTICSEARCH)),
];

const FIELDS: &[Key] = &[
    key("timestamp", Kind::Text(Form::Field)).nullable(),
    key("workload_id", Kind::Text(Form::Field)).nullable(),
    key("client_id", Kind::Text(Form::Field)).nullable(),
    key("request", Kind::Text(Form::Field)).nullable(),
    key("response", Kind::Text(Form::Field)).nullable(),
];

const ELASTICSEARCH: &[Key] = &[
    key("url", Kind::Text(Form::Url)).or("http://localhost:9200"),
    key("index", Kind::Text(Form::Index)).or("flywheel"),
    key("api_key_env", Kind::Text(Form::Variable)).nullable(),
    key("username_env", Kind::Text(Form::Variable)).nullable(),
    key("password_env", Kind::Text(Form::Variable)).nullable(),
    key("ca_cert", Kind::Text(Form::Any)).nullable(),
    key("verify", Kind::Switch).or("true"),
    key("timeout", Kind::Span(false)).or("120s"),
];

const LIMITS: &[Key] = &[
    key("deploy", Kind::Span(false)).or("3h"),
    key("train", Kind::Span(false)).or("12h"),
    key("evaluate", Kind::Span(false)).or("2h"),
    key("adapter", Kind::Span(false)).or("30m"),
    key("release", Kind::Span(false)).or("5m"),
    key("settle", Kind::Span(true)).or("60s"),
];

const ICL: &[Key] = &[
    key("max_context_length", Kind::Whole(1, MANY)),
    key("reserved_tokens", Kind::Whole(0, MANY)),
    key("max_examples", Kind::Whole(0, MANY)),
    key("min_examples", Kind::Whole(0, MANY)),
    key("example_selection", Kind::Choice(&["uniform_distribution", "semantic_similarity"])),
    key("similarity_config", Kind::Section(SIMILARITY)).nullable(),
];

const SIMILARITY: &[Key] = &[
    key("relevance_ratio", range(0.0, true, 1.0, true)).nullable(),
    key("embedding_nim_config", Kind::Section(SERVICE)).nullable(),
];

const DEPLOYMENT_TYPE: Key = key("deployment_type", Kind::Choice(&["local", "remote"]));
const SERVICE_URL: Key = key("url", Kind::Text(Form::Url)).nullable();
const SERVICE_MODEL: Key = key("model_name", Kind::Text(Form::Any)).nullable();
const API_KEY: Key = key("api_key", Kind::Text(Form::Secret)).nullable();
const SERVICE_CONTEXT: Key = key("context_length", Kind::Whole(1, MANY)).nullable();
const SERVICE_GPUS: Key = key("gpus", Kind::Whole(1, 4096)).nullable();
const SERVICE_PVC: Key = key("pvc_size", Kind::Text(Form::Quantity)).nullable();
const SERVICE_TAG: Key = key("tag", Kind::Text(Form::Loose)).nullable();
const SERVICE_REGISTRY: Key = key("registry_base", Kind::Text(Form::Any)).nullable();
const SERVICE_MODEL_TYPE: Key = key("model_type", Kind::Choice(&["llm", "embedding"])).nullable();
const INPUT_TYPE: Key = key("input_type", Kind::Text(Form::Any)).nullable();

const SERVICE: &[Key] = &[
    DEPLOYMENT_TYPE,
    SERVICE_URL,
    SERVICE_MODEL,
    API_KEY,
    SERVICE_CONTEXT,
    SERVICE_GPUS,
    SERVICE_PVC,
    SERVICE_TAG,
    SERVICE_REGISTRY,
    SERVICE_MODEL_TYPE,
    INPUT_TYPE,
];

const JUDGE: &[Key] = &[
    DEPLOYMENT_TYPE,
    SERVICE_URL,
    SERVICE_MODEL,
    API_KEY,
    SERVICE_CONTEXT,
    SERVICE_GPUS.or("1"),
    SERVICE_PVC.or("25Gi"),
    SERVICE_TAG.or("latest"),
    SERVICE_REGISTRY.or("nvcr.io/nim"),
    SERVICE_MODEL_TYPE,
    INPUT_TYPE,
    key("type", Kind::Choice(&["local", "remote"])),
    key("model_id", Kind::Text(Form::Any)).nullable(),
    key("api_key_env", Kind::Text(Form::Variable)).nullable(),
];

const MLFLOW: &[Key] = &[
    key("enabled", Kind::Switch),
    key("tracking_uri", Kind::Text(Form::Any)),
    key("experiment_name_prefix", Kind::Text(Form::Loose)),
    key("artifact_location", Kind::Text(Form::Any)),
];

/// The key at a dotted path; indices of lists are stepped over.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    let mut keys = TOP;
    let mut found: Option<&'static Key> = None;
    let mut index_expected = false;
    for step in path.split('.') {
        if index_expected && step.parse::<usize>().is_ok() {
            index_expected = false;
            continue;
        }
        let key = keys.iter().find(|key| key.name == step)?;
        found = Some(key);
        (keys, index_expected) = match key.kind {
            Kind::Section(inner) => (inner, false),
            Kind::Sections(inner) => (inner, true),
            _ => (&[][..], false),
        };
    }
    found
}

/// The dotted paths of all keys with that name, `N` standing for an index: where a misplaced key belongs.
pub(crate) fn homes(name: &str) -> Vec<String> {
    paths().into_iter().filter(|path| path.rsplit('.').next() == Some(name)).collect()
}

/// The dotted path of every key, `N` standing for an index.
pub(crate) fn paths() -> Vec<String> {
    fn collect(keys: &[Key], prefix: &str, all: &mut Vec<String>) {
        for key in keys {
            let path = format!("{prefix}{}", key.name);
            match key.kind {
                Kind::Section(inner) => collect(inner, &format!("{path}."), all),
                Kind::Sections(inner) => collect(inner, &format!("{path}.N."), all),
                _ => {}
            }
            all.push(path);
        }
    }
    let mut all = Vec::new();
    collect(TOP, "", &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::super::node::{At, Node};
    use super::super::values::accept;
    use super::*;

    #[test]
    fn every_default_is_allowed_for_its_key() {
        let mut seen = 0;
        for path in paths() {
            let key = find(&path.replace(".N.", ".0.")).unwrap();
            if let Some(default) = key.default {
                assert_eq!(accept(&Node::raw(default, At::Default), key), Ok(()), "{path}");
                seen += 1;
            }
        }
        assert!(seen > 35, "{seen}");
    }

    #[test]
    fn a_key_is_found_through_lists_and_sections() {
        assert_eq!(find("nims.3.customizer_configs.target").unwrap().name, "target");
        assert!(find("nims.tag").is_some_and(|key| key.name == "tag"));
        assert!(find("nims.0.nothing").is_none());
        assert!(find("gpus.0").is_none());
        assert_eq!(homes("epochs"), ["training_config.epochs"]);
    }
}
