//! Every key of flywheel.yaml: its name and its type. The checks, the overrides and the test of docs/configuration.md read
//! this table. The defaults are in `defaults`.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchemaKey {
    /// The name within its section.
    pub name: &'static str,
    pub key_type: KeyType,
    /// Allows `null` for "not given" (for a seed: "draw one").
    pub null: bool,
}

/// The type of a key's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyType {
    Text(TextForm),
    /// An integer from the first bound to the second, both included.
    Integer(u64, u64),
    Number(Bounds),
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A duration such as `30m`. The flag allows zero.
    Duration(bool),
    TextList(TextForm),
    /// A single text or a list of texts.
    TextOrList(TextForm),
    /// A section whose keys the user chooses, each with a text.
    NamedTexts,
    Section(&'static [SchemaKey]),
    SectionList(&'static [SchemaKey]),
}

/// The bounds of a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub min: f64,
    pub min_allowed: bool,
    pub max: f64,
    pub max_allowed: bool,
}

/// The form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// Any text that is not empty.
    Any,
    /// Any text. A number or a boolean is taken as the text it is written as (`tag: 1.10`).
    Loose,
    /// An http or https URL without credentials.
    Url,
    /// A Kubernetes quantity such as `25Gi`.
    Quantity,
    /// A regular expression.
    Pattern,
    Namespace,
    /// A model id such as `meta/llama-3.2-1b-instruct`.
    Model,
    /// A customization target such as `meta/llama-3.2-1b-instruct@2.0`.
    Target,
    /// The name of an environment variable.
    Variable,
    /// The name of a search index.
    Index,
    /// A dotted path into a document.
    Field,
    /// A log level, in any case.
    Level,
    /// A kind of personal data, or `all`.
    Personal,
    /// A text that is never shown.
    Secret,
}

const MANY: u64 = u32::MAX as u64;

const fn key(name: &'static str, key_type: KeyType) -> SchemaKey {
    SchemaKey { name, key_type, null: false }
}

impl SchemaKey {
    const fn nullable(self) -> SchemaKey {
        SchemaKey { null: true, ..self }
    }
}

const fn range(min: f64, min_allowed: bool, max: f64, max_allowed: bool) -> KeyType {
    KeyType::Number(Bounds { min, min_allowed, max, max_allowed })
}

/// The keys at the top level.
pub(crate) const TOP: &[SchemaKey] = &[
    key("nmp_config", KeyType::Section(NMP)),
    key("logging_config", KeyType::Section(LOGGING)),
    key("nims", KeyType::SectionList(NIM)),
    key("data_split_config", KeyType::Section(SPLIT)),
    key("evaluation_config", KeyType::Section(EVALUATION)),
    key("training_config", KeyType::Section(TRAINING)),
    key("lora_config", KeyType::Section(LORA)),
    key("logs", KeyType::Section(LOGS)),
    key("gpus", KeyType::Integer(1, 4096)).nullable(),
    key("labels", KeyType::TextList(TextForm::Loose)).nullable(),
    key("label_pattern", KeyType::Text(TextForm::Pattern)).nullable(),
    key("accept_truncated", KeyType::Boolean),
    key("redact", KeyType::TextOrList(TextForm::Personal)).nullable(),
    key("redact_patterns", KeyType::NamedTexts).nullable(),
    key("state_dir", KeyType::Text(TextForm::Any)).nullable(),
    key("limits", KeyType::Section(LIMITS)),
    key("verdict", KeyType::Section(VERDICT)),
    key("cost", KeyType::Section(COST)),
    key("teacher", KeyType::Section(TEACHER)).nullable(),
    key("icl_config", KeyType::Section(ICL)).nullable(),
    key("llm_judge_config", KeyType::Section(JUDGE)).nullable(),
    key("embedding_nim_config", KeyType::Section(SERVICE)).nullable(),
    key("mlflow_config", KeyType::Section(MLFLOW)).nullable(),
];

const NMP: &[SchemaKey] = &[
    key("platform", KeyType::Choice(&["nemo", "embedded"])),
    key("nemo_base_url", KeyType::Text(TextForm::Url)),
    key("nim_base_url", KeyType::Text(TextForm::Url)),
    key("datastore_base_url", KeyType::Text(TextForm::Url)),
    key("generation", KeyType::Choice(&["auto", "v1", "helix"])),
    key("nmp_namespace", KeyType::Text(TextForm::Namespace)),
    key("nim_parallelism", KeyType::Integer(1, MANY)).nullable(),
    key("api_key_env", KeyType::Text(TextForm::Variable)).nullable(),
    key("ca_cert", KeyType::Text(TextForm::Any)).nullable(),
    key("headers", KeyType::NamedTexts).nullable(),
];

const LOGGING: &[SchemaKey] = &[key("level", KeyType::Text(TextForm::Level))];

const NIM: &[SchemaKey] = &[
    key("model_name", KeyType::Text(TextForm::Model)),
    key("model_type", KeyType::Choice(&["llm"])),
    key("context_length", KeyType::Integer(1, 32_768)).nullable(),
    key("gpus", KeyType::Integer(1, 4096)).nullable(),
    key("pvc_size", KeyType::Text(TextForm::Quantity)).nullable(),
    key("tag", KeyType::Text(TextForm::Loose)).nullable(),
    key("registry_base", KeyType::Text(TextForm::Any)).nullable(),
    key("base_model", KeyType::Text(TextForm::Any)).nullable(),
    key("base_model_repository", KeyType::Text(TextForm::Any)).nullable(),
    key("base_model_hub", KeyType::Text(TextForm::Url)).nullable(),
    key("base_model_token_env", KeyType::Text(TextForm::Variable)).nullable(),
    key("engine", KeyType::Choice(&["nim", "vllm"])).nullable(),
    key("image", KeyType::Text(TextForm::Any)).nullable(),
    key("customization_enabled", KeyType::Boolean),
    key("customizer_configs", KeyType::Section(CUSTOMIZER)).nullable(),
];

const CUSTOMIZER: &[SchemaKey] = &[
    key("target", KeyType::Text(TextForm::Target)),
    key("gpus", KeyType::Integer(1, 4096)),
    key("num_nodes", KeyType::Integer(1, 1024)),
    key("tensor_parallel_size", KeyType::Integer(1, 4096)),
    key("data_parallel_size", KeyType::Integer(1, 4096)).nullable(),
    key("use_sequence_parallel", KeyType::Boolean),
    key("micro_batch_size", KeyType::Integer(1, MANY)),
    key("training_precision", KeyType::Choice(&["bf16-mixed", "bf16", "fp16", "fp32", "fp8-mixed", "int8"])).nullable(),
    key("max_seq_length", KeyType::Integer(1, MANY)),
    key("backend", KeyType::Choice(&["automodel", "unsloth"])).nullable(),
    key("execution_profile", KeyType::Text(TextForm::Any)).nullable(),
];

const SPLIT: &[SchemaKey] = &[
    key("eval_size", KeyType::Integer(1, MANY)),
    key("val_ratio", range(0.0, true, 1.0, false)),
    key("min_total_records", KeyType::Integer(1, MANY)),
    key("random_seed", KeyType::Integer(0, u64::MAX)).nullable(),
    key("limit", KeyType::Integer(1, MANY)).nullable(),
    key("limit_per_client", KeyType::Integer(1, MANY)).nullable(),
    key("parse_function_arguments", KeyType::Boolean),
    key("train_on_thoughts", KeyType::Boolean),
    key("stratify_enabled", KeyType::Boolean),
    key("min_samples_per_class", KeyType::Integer(1, MANY)),
    key("rare_class_threshold", KeyType::Integer(0, MANY)),
    key("split", KeyType::Choice(&["random", "temporal"])),
    key("embargo", KeyType::Duration(true)),
    key("max_per_class", KeyType::Integer(1, MANY)).nullable(),
    key("near_duplicate_threshold", range(0.3, true, 1.0, false)).nullable(),
];

const EVALUATION: &[SchemaKey] = &[
    key("workload_type", KeyType::Choice(&["classification", "tool_calling", "text", "auto"])),
    key("tool_eval_type", KeyType::Choice(&["tool-calling-metric", "tool-calling-judge"])).nullable(),
];

const TRAINING: &[SchemaKey] = &[
    key("training_type", KeyType::Choice(&["sft"])),
    key("finetuning_type", KeyType::Choice(&["lora"])),
    key("epochs", KeyType::Integer(1, 10_000)),
    key("batch_size", KeyType::Integer(1, MANY)),
    key("learning_rate", range(0.0, false, 1.0, true)),
];

const LORA: &[SchemaKey] = &[
    key("adapter_dim", KeyType::Integer(1, 4096)),
    key("adapter_dropout", range(0.0, true, 1.0, false)),
    key("sequence_packing_enabled", KeyType::Boolean),
];

const LOGS: &[SchemaKey] = &[
    key("source", KeyType::Choice(&["local", "jsonl", "elasticsearch"])),
    key("path", KeyType::TextOrList(TextForm::Any)).nullable(),
    key("fields", KeyType::Section(FIELDS)),
    key("elasticsearch", KeyType::Section(ELASTICSEARCH)),
];

const FIELDS: &[SchemaKey] = &[
    key("timestamp", KeyType::Text(TextForm::Field)).nullable(),
    key("workload_id", KeyType::Text(TextForm::Field)).nullable(),
    key("client_id", KeyType::Text(TextForm::Field)).nullable(),
    key("request", KeyType::Text(TextForm::Field)).nullable(),
    key("response", KeyType::Text(TextForm::Field)).nullable(),
];

const ELASTICSEARCH: &[SchemaKey] = &[
    key("url", KeyType::Text(TextForm::Url)),
    key("index", KeyType::Text(TextForm::Index)),
    key("api_key_env", KeyType::Text(TextForm::Variable)).nullable(),
    key("username_env", KeyType::Text(TextForm::Variable)).nullable(),
    key("password_env", KeyType::Text(TextForm::Variable)).nullable(),
    key("ca_cert", KeyType::Text(TextForm::Any)).nullable(),
    key("verify", KeyType::Boolean),
    key("timeout", KeyType::Duration(false)),
    key("runs_index", KeyType::Text(TextForm::Index)).nullable(),
];

const LIMITS: &[SchemaKey] = &[
    key("deploy", KeyType::Duration(false)),
    key("train", KeyType::Duration(false)),
    key("evaluate", KeyType::Duration(false)),
    key("adapter", KeyType::Duration(false)),
    key("release", KeyType::Duration(false)),
    key("settle", KeyType::Duration(true)),
    key("publish", KeyType::Duration(false)),
];

const VERDICT: &[SchemaKey] = &[key("margin", range(0.0, true, 1.0, false)), key("floor", KeyType::Boolean)];

const COST: &[SchemaKey] = &[
    key("teacher", KeyType::Section(TOKEN_PRICES)),
    key("gpu_hour", range(0.0, false, 1e9, true)),
    key("currency", KeyType::Text(TextForm::Any)),
];

const TEACHER: &[SchemaKey] =
    &[SERVICE_URL, SERVICE_MODEL, key("api_key_env", KeyType::Text(TextForm::Variable)).nullable()];

const TOKEN_PRICES: &[SchemaKey] =
    &[key("input_per_million", range(0.0, true, 1e9, true)), key("output_per_million", range(0.0, true, 1e9, true))];

const ICL: &[SchemaKey] = &[
    key("max_context_length", KeyType::Integer(1, MANY)),
    key("reserved_tokens", KeyType::Integer(0, MANY)),
    key("max_examples", KeyType::Integer(0, MANY)),
    key("min_examples", KeyType::Integer(0, MANY)),
    key("example_selection", KeyType::Choice(&["uniform_distribution", "semantic_similarity"])),
    key("similarity_config", KeyType::Section(SIMILARITY)).nullable(),
];

const SIMILARITY: &[SchemaKey] = &[
    key("relevance_ratio", range(0.0, true, 1.0, true)).nullable(),
    key("embedding_nim_config", KeyType::Section(SERVICE)).nullable(),
];

const DEPLOYMENT_TYPE: SchemaKey = key("deployment_type", KeyType::Choice(&["local", "remote"]));
const SERVICE_URL: SchemaKey = key("url", KeyType::Text(TextForm::Url)).nullable();
const SERVICE_MODEL: SchemaKey = key("model_name", KeyType::Text(TextForm::Any)).nullable();
const API_KEY: SchemaKey = key("api_key", KeyType::Text(TextForm::Secret)).nullable();
const SERVICE_CONTEXT: SchemaKey = key("context_length", KeyType::Integer(1, MANY)).nullable();
const SERVICE_GPUS: SchemaKey = key("gpus", KeyType::Integer(1, 4096)).nullable();
const SERVICE_PVC: SchemaKey = key("pvc_size", KeyType::Text(TextForm::Quantity)).nullable();
const SERVICE_TAG: SchemaKey = key("tag", KeyType::Text(TextForm::Loose)).nullable();
const SERVICE_REGISTRY: SchemaKey = key("registry_base", KeyType::Text(TextForm::Any)).nullable();
const SERVICE_MODEL_TYPE: SchemaKey = key("model_type", KeyType::Choice(&["llm", "embedding"])).nullable();
const INPUT_TYPE: SchemaKey = key("input_type", KeyType::Text(TextForm::Any)).nullable();

const SERVICE: &[SchemaKey] = &[
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

const JUDGE: &[SchemaKey] = &[
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
    key("type", KeyType::Choice(&["local", "remote"])),
    key("model_id", KeyType::Text(TextForm::Any)).nullable(),
    key("api_key_env", KeyType::Text(TextForm::Variable)).nullable(),
];

const MLFLOW: &[SchemaKey] = &[
    key("enabled", KeyType::Boolean),
    key("tracking_uri", KeyType::Text(TextForm::Any)).nullable(),
    key("experiment_name_prefix", KeyType::Text(TextForm::Loose)),
    key("artifact_location", KeyType::Text(TextForm::Any)).nullable(),
    key("texts", KeyType::Boolean),
];

/// Returns the key at a dotted path, which may hold indices of lists.
pub(crate) fn find(path: &str) -> Option<&'static SchemaKey> {
    let mut keys = TOP;
    let mut found: Option<&'static SchemaKey> = None;
    let mut index_expected = false;
    for step in path.split('.') {
        if index_expected && step.parse::<usize>().is_ok() {
            index_expected = false;
            continue;
        }
        let key = keys.iter().find(|key| key.name == step)?;
        found = Some(key);
        (keys, index_expected) = match key.key_type {
            KeyType::Section(inner) => (inner, false),
            KeyType::SectionList(inner) => (inner, true),
            _ => (&[][..], false),
        };
    }
    found
}

/// Returns the path of every key with this name, to tell where a misplaced key belongs. `N` stands for an index.
pub(crate) fn homes(name: &str) -> Vec<String> {
    paths().into_iter().filter(|path| path.rsplit('.').next() == Some(name)).collect()
}

/// Returns the path of every key. `N` stands for an index.
pub(crate) fn paths() -> Vec<String> {
    fn collect(keys: &[SchemaKey], prefix: &str, all: &mut Vec<String>) {
        for key in keys {
            let path = format!("{prefix}{}", key.name);
            match key.key_type {
                KeyType::Section(inner) => collect(inner, &format!("{path}."), all),
                KeyType::SectionList(inner) => collect(inner, &format!("{path}.N."), all),
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
    use super::*;

    #[test]
    fn a_key_is_found_through_lists_and_sections() {
        assert_eq!(find("nims.3.customizer_configs.target").unwrap().name, "target");
        assert!(find("nims.tag").is_some_and(|key| key.name == "tag"));
        assert!(find("nims.0.nothing").is_none());
        assert!(find("gpus.0").is_none());
        assert_eq!(homes("epochs"), ["training_config.epochs"]);
    }
}
