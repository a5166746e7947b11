//! The environment variables that hold the secrets of a plan. Stores no value.

use super::env::Environment;
use super::placeholders::placeholders;
use super::plan::{Plan, ServiceKey, ServicePlace};
use crate::data::options::LogSource;
use crate::vocabulary::PlatformKind;

/// The variables that hold secrets unless a configuration names others.
const USUAL: [&str; 7] = [
    "NVIDIA_API_KEY",
    "LLM_JUDGE_API_KEY",
    "EMB_API_KEY",
    "HF_TOKEN",
    ELASTICSEARCH,
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
];

const ELASTICSEARCH: &str = "ELASTICSEARCH_API_KEY";

/// Returns the secrets that are known: of the plan, and in the usual variables, which a service may have got from elsewhere.
pub(crate) fn known_secrets<'a>(plan: &Plan, environment: &'a Environment) -> Vec<&'a str> {
    let of_plan = secret_variables(plan);
    of_plan.iter().map(String::as_str).chain(USUAL).filter_map(|name| environment.get(name)).collect()
}

/// Returns the variables of a plan whose secret cannot be sent in a header: a line break or another control character is
/// inside.
pub(crate) fn unfit_secrets(plan: &Plan, environment: &Environment) -> Vec<String> {
    let mut names = secret_variables(plan);
    if plan.platform.kind == PlatformKind::Nemo && !plan.rehearse {
        names.extend(plan.platform.headers.values().flat_map(|value| placeholders(value)).map(str::to_owned));
        names.push("HF_TOKEN".to_owned());
    }
    names.retain(|name| environment.get(name).is_some_and(|value| value.chars().any(char::is_control)));
    names
}

/// Returns the variables that a run may read a secret from, each once: of the platform, of model hubs, of the judge, of the
/// embedding model, of the teacher, of the log store and of the index of runs.
pub(crate) fn secret_variables(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if plan.platform.kind == PlatformKind::Nemo && !plan.rehearse {
        names.extend(plan.platform.api_key_env.clone());
        names.extend(plan.candidates.iter().filter_map(|candidate| candidate.helix.token_env.clone()));
    }
    let judge = plan.any_judge().map(|judge| &judge.place);
    let embedding = plan.embedding().map(|embedding| &embedding.place);
    for place in judge.into_iter().chain(embedding) {
        if let ServicePlace::Remote { key: ServiceKey::Variables(variables), .. } = place {
            names.extend(variables.iter().cloned());
        }
    }
    names.extend(plan.teacher.as_ref().and_then(|teacher| teacher.key_env.clone()));
    // The index of runs is on the server of the records.
    let index = match &plan.data.input {
        LogSource::Elasticsearch(at) => Some(&**at),
        LogSource::Local(_) | LogSource::Files(_) | LogSource::Stdin => plan.run_index.as_ref(),
    };
    if let Some(at) = index {
        let basic = at.username_env.is_some() && at.password_env.is_some();
        let key = at.api_key_env.clone().or_else(|| (!basic).then(|| ELASTICSEARCH.to_owned()));
        names.extend(key.into_iter().chain(at.password_env.clone()));
    }
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    names
}
