//! Keys of a configuration that have no effect on the platform of a run, by its generation.

use crate::config::plan::{Candidate, CustomizerPlan, Plan, ValueSource};
use crate::nemo::precisions_of_helix;
use crate::vocabulary::{Generation, PlatformKind};

/// Keys that only version 1 uses. `N` stands for an index.
const ONLY_V1: [&str; 12] = [
    "nmp_config.nim_base_url",
    "nmp_config.datastore_base_url",
    "nims.N.registry_base",
    "nims.N.customizer_configs.target",
    "nims.N.customizer_configs.data_parallel_size",
    "nims.N.customizer_configs.use_sequence_parallel",
    // The image of a NIM follows from its engine.
    "llm_judge_config.tag",
    "llm_judge_config.registry_base",
    "embedding_nim_config.tag",
    "embedding_nim_config.registry_base",
    "icl_config.similarity_config.embedding_nim_config.tag",
    "icl_config.similarity_config.embedding_nim_config.registry_base",
];

/// Keys that only Helix uses.
const ONLY_HELIX: [&str; 8] = [
    "nims.N.base_model",
    "nims.N.base_model_repository",
    "nims.N.base_model_hub",
    "nims.N.base_model_token_env",
    "nims.N.engine",
    "nims.N.image",
    "nims.N.customizer_configs.backend",
    "nims.N.customizer_configs.execution_profile",
];

/// Returns a warning for each group of keys that are given in vain, and for each value that stands for a missing one.
pub(super) fn warnings(plan: &Plan, generation: Generation) -> Vec<String> {
    match generation {
        Generation::Helix => {
            let mut warnings: Vec<String> = unused(plan, generation, &ONLY_V1).into_iter().collect();
            let customizers = plan.candidates.iter().enumerate();
            let customizers = customizers.filter_map(|(at, one)| Some((at, one, one.customizer.as_ref()?)));
            warnings.extend(customizers.filter_map(|(at, one, customizer)| untrained(plan, at, one, customizer)));
            warnings
        }
        // The embedded platform rehearses the configuration of any cluster.
        Generation::V1 if plan.rehearse || plan.platform.kind == PlatformKind::Embedded => Vec::new(),
        Generation::V1 => unused(plan, generation, &ONLY_HELIX).into_iter().chain(assumed_targets(plan)).collect(),
    }
}

fn is_given(plan: &Plan, path: &str) -> bool {
    plan.origins.get(path).is_some_and(|value| value.from != ValueSource::Default)
}

fn unused(plan: &Plan, generation: Generation, keys: &[&str]) -> Option<String> {
    let pattern = |path: &str| {
        let steps = path.split('.').map(|step| if step.parse::<usize>().is_ok() { "N" } else { step });
        steps.collect::<Vec<_>>().join(".")
    };
    // A tag says something only of an image that is named.
    let image = |path: &str| plan.origins.contains_key(&path.replace(".tag", ".image"));
    let is_unused = |path: &str| match pattern(path).as_str() {
        "nims.N.tag" => generation == Generation::Helix && !image(path),
        pattern => keys.contains(&pattern),
    };
    let given: Vec<&str> =
        plan.origins.keys().map(String::as_str).filter(|path| is_given(plan, path) && is_unused(path)).collect();
    let verb = if given.len() == 1 { "has" } else { "have" };
    let on = generation.in_words();
    (!given.is_empty()).then(|| format!("{} {verb} no counterpart on {on} and no effect", given.join(", ")))
}

/// Returns a warning of values that the backend of a training does not know.
fn untrained(plan: &Plan, at: usize, candidate: &Candidate, customizer: &CustomizerPlan) -> Option<String> {
    let backend = candidate.helix.backend.as_deref();
    let one_gpu = backend == Some("unsloth");
    let precision = customizer.training_precision.as_deref().unwrap_or("bf16").trim_end_matches("-mixed");
    let precisions = precisions_of_helix(backend);
    let in_vain = [
        ("gpus", one_gpu && customizer.gpus > 1),
        ("num_nodes", one_gpu && customizer.num_nodes > 1),
        ("tensor_parallel_size", one_gpu && customizer.tensor_parallel_size > 1),
        ("training_precision", !precisions.contains(&precision)),
    ];
    let paths =
        in_vain.iter().filter(|(_, in_vain)| *in_vain).map(|(key, _)| format!("nims.{at}.customizer_configs.{key}"));
    let given: Vec<String> = paths.filter(|path| is_given(plan, path)).collect();
    let verb = if given.len() == 1 { "has" } else { "have" };
    let (backend, gpus) = (backend.unwrap_or("automodel"), if one_gpu { " on one GPU" } else { "" });
    let precisions = precisions.join(", ");
    (!given.is_empty())
        .then(|| format!("{} {verb} no effect: {backend} trains{gpus} in one of {precisions}", given.join(", ")))
}

/// Returns a warning for each target that is assumed because the section is missing, as in early files of NVIDIA's blueprint.
fn assumed_targets(plan: &Plan) -> impl Iterator<Item = String> {
    // A configuration that names the generation has said it.
    let asked = plan.platform.generation.is_none();
    let trained = plan.candidates.iter().enumerate().filter(move |(_, one)| asked && one.customizer.is_some());
    trained.filter_map(|(at, _)| {
        let path = format!("nims.{at}.customizer_configs.target");
        let assumed = plan.origins.get(&path).filter(|target| target.from == ValueSource::Default)?;
        Some(format!("{path} is missing; using {}", assumed.value))
    })
}
