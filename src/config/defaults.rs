//! The default of every key that has one, as a user would write it in flywheel.yaml. A default that depends on other
//! keys or on the machine, such as the GPU budget, is decided where that key is resolved.

/// Key paths with their defaults. `N` stands for any index of a list.
pub(crate) const DEFAULTS: &[(&str, &str)] = &[
    ("nmp_config.platform", "nemo"),
    ("nmp_config.generation", "auto"),
    ("nmp_config.nmp_namespace", "dfwfd"),
    ("logging_config.level", "INFO"),
    ("nims.N.model_type", "llm"),
    ("nims.N.context_length", "8192"),
    ("nims.N.gpus", "1"),
    ("nims.N.pvc_size", "25Gi"),
    ("nims.N.tag", "latest"),
    ("nims.N.registry_base", "nvcr.io/nim"),
    ("nims.N.customization_enabled", "false"),
    ("nims.N.customizer_configs.gpus", "1"),
    ("nims.N.customizer_configs.num_nodes", "1"),
    ("nims.N.customizer_configs.tensor_parallel_size", "1"),
    ("nims.N.customizer_configs.use_sequence_parallel", "false"),
    ("nims.N.customizer_configs.micro_batch_size", "1"),
    ("nims.N.customizer_configs.training_precision", "bf16-mixed"),
    ("nims.N.customizer_configs.max_seq_length", "4096"),
    ("data_split_config.eval_size", "100"),
    ("data_split_config.val_ratio", "0.1"),
    ("data_split_config.min_total_records", "50"),
    ("data_split_config.random_seed", "42"),
    ("data_split_config.parse_function_arguments", "true"),
    ("data_split_config.train_on_thoughts", "false"),
    ("data_split_config.stratify_enabled", "true"),
    ("data_split_config.min_samples_per_class", "2"),
    ("data_split_config.rare_class_threshold", "1"),
    ("data_split_config.split", "random"),
    ("data_split_config.embargo", "0s"),
    ("accept_truncated", "false"),
    ("evaluation_config.workload_type", "classification"),
    ("evaluation_config.tool_eval_type", "tool-calling-metric"),
    ("training_config.training_type", "sft"),
    ("training_config.finetuning_type", "lora"),
    ("training_config.epochs", "1"),
    ("training_config.batch_size", "64"),
    ("training_config.learning_rate", "1e-4"),
    ("lora_config.adapter_dim", "16"),
    ("lora_config.adapter_dropout", "0.1"),
    ("lora_config.sequence_packing_enabled", "true"),
    ("logs.elasticsearch.url", "http://localhost:9200"),
    ("logs.elasticsearch.index", "flywheel"),
    ("logs.elasticsearch.verify", "true"),
    ("logs.elasticsearch.timeout", "120s"),
    ("state_dir", ".dfwfd"),
    ("limits.deploy", "3h"),
    ("limits.train", "12h"),
    ("limits.evaluate", "2h"),
    ("limits.adapter", "30m"),
    ("limits.release", "5m"),
    ("limits.settle", "60s"),
    ("limits.publish", "60s"),
    ("verdict.margin", "0.02"),
    ("cost.currency", "USD"),
    ("verdict.floor", "true"),
    ("mlflow_config.enabled", "false"),
    ("mlflow_config.experiment_name_prefix", "data-flywheel"),
    ("mlflow_config.texts", "false"),
    ("llm_judge_config.gpus", "1"),
    ("llm_judge_config.pvc_size", "25Gi"),
    ("llm_judge_config.tag", "latest"),
    ("llm_judge_config.registry_base", "nvcr.io/nim"),
    ("icl_config.max_context_length", "8192"),
    ("icl_config.reserved_tokens", "2048"),
    ("icl_config.max_examples", "3"),
    ("icl_config.min_examples", "1"),
    ("icl_config.example_selection", "uniform_distribution"),
    ("icl_config.similarity_config.relevance_ratio", "0.7"),
    ("icl_config.similarity_config.embedding_nim_config.gpus", "1"),
    ("icl_config.similarity_config.embedding_nim_config.pvc_size", "25Gi"),
    ("icl_config.similarity_config.embedding_nim_config.tag", "latest"),
    ("icl_config.similarity_config.embedding_nim_config.registry_base", "nvcr.io/nim"),
    ("icl_config.similarity_config.embedding_nim_config.input_type", "query"),
    ("embedding_nim_config.gpus", "1"),
    ("embedding_nim_config.pvc_size", "25Gi"),
    ("embedding_nim_config.tag", "latest"),
    ("embedding_nim_config.registry_base", "nvcr.io/nim"),
    ("embedding_nim_config.input_type", "query"),
];

/// Returns the default of a key path such as `nims.0.tag`.
pub(crate) fn default_of(path: &str) -> Option<&'static str> {
    let is_same = |pattern: &str| {
        let mut steps = path.split('.');
        pattern.split('.').all(|expected| {
            steps.next().is_some_and(|step| step == expected || expected == "N" && step.parse::<usize>().is_ok())
        }) && steps.next().is_none()
    };
    DEFAULTS.iter().find(|(pattern, _)| is_same(pattern)).map(|(_, default)| *default)
}

#[cfg(test)]
mod tests {
    use super::super::node::{ConfigNode, WrittenAt};
    use super::super::schema;
    use super::super::values::accept;
    use super::*;

    #[test]
    fn every_default_is_one_that_its_key_allows() {
        for (path, default) in DEFAULTS {
            let path = path.replace(".N.", ".0.");
            let key = schema::find(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(accept(&ConfigNode::untyped(default, WrittenAt::Default), key), Ok(()), "{path}");
            assert_eq!(default_of(&path), Some(*default));
        }
    }

    #[test]
    fn a_key_without_a_default_has_none() {
        for path in ["gpus", "nims", "nims.tag", "nims.0", "nims.0.tag.0", "data_split_config.limit", ""] {
            assert_eq!(default_of(path), None, "{path}");
        }
    }
}
