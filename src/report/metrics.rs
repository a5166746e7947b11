//! The names of scores and evaluations: which score decides, and how people write them.

use crate::data::workload_type::WorkloadType;
use crate::run::outcome::ModelVariant;

/// Returns the name of the score that decides for this type of workload.
pub(super) fn headline_metric(workload: WorkloadType, judged: bool) -> &'static str {
    match workload {
        WorkloadType::Text if judged => "judge_similarity",
        WorkloadType::Text => "rouge_l",
        WorkloadType::Classification => "macro_f1",
        WorkloadType::ToolCalling => "name_and_arguments_accuracy",
    }
}

/// Returns the name of a score in words.
pub(super) fn metric_label(metric: &str) -> String {
    let (metric, lenient) = match metric.strip_suffix("_lenient") {
        Some(metric) => (metric, ", lenient"),
        None => (metric, ""),
    };
    let label = match metric {
        "accuracy" => "accuracy",
        "macro_f1" => "macro F1",
        "weighted_f1" => "weighted F1",
        "micro_f1" => "micro F1",
        "kappa" => "Cohen's kappa",
        "unparseable" => "unparseable replies",
        "off_taxonomy" => "labels off the list",
        "rouge_l" => "ROUGE-L",
        "token_f1" => "token F1",
        "judge_similarity" => "similarity by the judge",
        "nemo_f1" => "NeMo token F1",
        "name_and_arguments_accuracy" => "name and arguments",
        "judge_unrated" => "not rated by the judge",
        other => return format!("{}{lenient}", other.replace('_', " ")),
    };
    format!("{label}{lenient}")
}

/// Returns the word for an evaluation.
pub(super) fn evaluation_label(which: &str) -> &str {
    match ModelVariant::named(which) {
        Some(variant) => variant.in_words(),
        None => which,
    }
}

/// Returns the name of an evaluated model in words: `meta/llama, customized` for `meta/llama:customized`.
pub(super) fn evaluated_label(name: &str) -> String {
    let parts = name.rsplit_once(':').and_then(|(model, which)| Some((model, ModelVariant::named(which)?)));
    parts.map_or_else(|| name.to_owned(), |(model, variant)| format!("{model}, {}", variant.in_words()))
}
