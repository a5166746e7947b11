//! Resolves `icl_config` into the evaluation with examples in the prompt.

use super::plan::{Candidate, IclPlan};
use super::problem::Problem;
use super::resolve::Resolver;
use super::{Invocation, Need};
use crate::data::examples::ExampleRules;

const SECTION: &str = "icl_config";

fn at(key: &str) -> String {
    format!("{SECTION}.{key}")
}

impl Resolver<'_> {
    /// Returns the evaluation with examples, if it is asked for.
    pub(super) fn icl(&mut self, invocation: &Invocation, candidates: &[Candidate]) -> Option<IclPlan> {
        let reader = self.reader;
        reader.written(SECTION)?;
        if invocation.need != Need::Candidates {
            return None;
        }
        let number = |key: &str| reader.integer(&at(key)).unwrap_or_default();
        let rules = ExampleRules {
            max_context_length: number("max_context_length"),
            reserved_tokens: number("reserved_tokens"),
            max_examples: reader.size(&at("max_examples")),
            min_examples: reader.size(&at("min_examples")),
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
        let similar = reader.text(&at("example_selection")).as_deref() == Some("semantic_similarity");
        if similar && reader.written(&at("similarity_config")).is_none() {
            self.warnings.push(format!(
                "{} semantic_similarity is not built yet: every row gets the same examples",
                at("example_selection")
            ));
        }
        Some(IclPlan { rules })
    }
}
