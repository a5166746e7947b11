//! Resolves `icl_config` into the evaluation with examples in the prompt.

use super::env::Environment;
use super::plan::{Candidate, EmbeddingPlan, IclPlan, LocalService, Plan, ServicePlace, ValueSource};
use super::problem::Problem;
use super::resolve::Resolver;
use super::service::{self, ServiceSection};
use super::{Invocation, Need};
use crate::data::examples::ExampleRules;
use crate::vocabulary::PlatformKind;

const SECTION: &str = "icl_config";

const fn service(path: &'static str) -> ServiceSection {
    let url = "where the model takes texts, such as https://integrate.api.nvidia.com/v1/embeddings";
    ServiceSection { path, url, key_variables: ["EMB_API_KEY", "NVIDIA_API_KEY"] }
}

/// The sections that may name the embedding model. The first that is written counts.
const SERVICES: [ServiceSection; 2] =
    [service("icl_config.similarity_config.embedding_nim_config"), service("embedding_nim_config")];

fn at(key: &str) -> String {
    format!("{SECTION}.{key}")
}

impl Resolver<'_> {
    /// Returns the evaluation with examples, if it is asked for.
    pub(super) fn icl(
        &mut self,
        invocation: &Invocation,
        kind: PlatformKind,
        candidates: &[Candidate],
    ) -> Option<IclPlan> {
        let reader = self.reader;
        reader.written(SECTION)?;
        if invocation.need != Need::Candidates {
            return None;
        }
        let is_similar = reader.text(&at("example_selection")).as_deref() == Some("semantic_similarity");
        let number = |key: &str| reader.integer(&at(key)).unwrap_or_default();
        let rules = ExampleRules {
            max_context_length: number("max_context_length"),
            reserved_tokens: number("reserved_tokens"),
            max_examples: reader.size(&at("max_examples")),
            min_examples: reader.size(&at("min_examples")),
            relevance_ratio: is_similar.then(|| reader.number(&at("similarity_config.relevance_ratio"))),
        };
        let mut refuse = |key: &str, found: String, allowed: String| {
            let path = at(key);
            let location = self.location_of(&path);
            self.problems.push(Problem::value(location, &path, found, allowed));
        };
        if rules.reserved_tokens >= rules.max_context_length {
            let allowed = format!("less than {}, which is {}", rules.max_context_length, at("max_context_length"));
            refuse("reserved_tokens", format!("the number {}", rules.reserved_tokens), allowed);
        }
        if rules.min_examples > rules.max_examples {
            let allowed = format!("at most {}, which is {}", rules.max_examples, at("max_examples"));
            refuse("min_examples", format!("the number {}", rules.min_examples), allowed);
        }
        let small = candidates.iter().filter(|one| u64::from(one.context_length) < rules.max_context_length);
        let small: Vec<&str> = small.map(|one| one.model_name.as_str()).collect();
        if !small.is_empty() {
            self.warnings.push(format!(
                "{} is {}, more than the context_length of {}: prompts with examples may not fit",
                at("max_context_length"),
                rules.max_context_length,
                small.join(", ")
            ));
        }
        let embedding = if is_similar { self.embedding(invocation, kind) } else { None };
        Some(IclPlan { rules, embedding })
    }

    /// Returns the model that finds similar rows.
    fn embedding(&mut self, invocation: &Invocation, kind: PlatformKind) -> Option<EmbeddingPlan> {
        let reader = self.reader;
        let written = SERVICES.into_iter().find(|section| reader.written(section.path).is_some());
        let section = written.unwrap_or(SERVICES[0]);
        let Some(model_name) = reader.text(&section.at("model_name")) else {
            if reader.is_good(&section.at("model_name")) {
                let location = self.location_of(section.path);
                let needed = "the model that finds similar rows, such as nvidia/llama-3.2-nv-embedqa-1b-v2, because \
                              icl_config.example_selection is semantic_similarity";
                self.problems.push(Problem::missing(location, &section.at("model_name"), needed));
            }
            return None;
        };
        let place = match self.is_remote(section) {
            true if invocation.rehearse => {
                let stands_in = "local (--rehearse: a stand-in embeds)".to_owned();
                reader.note(&section.at("deployment_type"), stands_in, ValueSource::Flag);
                ServicePlace::Local(LocalService { gpus: 0, pvc_size: None, tag: None, registry_base: None })
            }
            true => ServicePlace::Remote { url: self.service_url(section)?, key: self.service_key(section) },
            false => ServicePlace::Local(self.local_service(section, &model_name, kind, invocation.rehearse)),
        };
        let input_type = reader.text(&section.at("input_type")).filter(|_| !reader.is_null(&section.at("input_type")));
        Some(EmbeddingPlan { model_name, place, input_type })
    }
}

/// Returns the API key of the model that finds similar rows.
pub(crate) fn embedding_key(plan: &Plan, set: &[String], environment: &Environment) -> Option<String> {
    let key = |section| service::key_of(&plan.embedding()?.place, section, plan, set, environment);
    SERVICES.into_iter().find_map(key)
}
