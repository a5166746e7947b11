//! Resolves `nims` and `--only` into the candidates of a plan.

use super::plan::{Candidate, CustomizerPlan, HelixModel};
use super::problem::{Location, Problem};
use super::resolve::Resolver;
use super::{Invocation, Need};
use crate::student;
use crate::vocabulary::PlatformKind;

impl Resolver<'_> {
    /// Checks every candidate of the file and returns those that `--only` selects.
    pub(super) fn candidates(&mut self, invocation: &Invocation, kind: PlatformKind) -> Vec<Candidate> {
        let is_needed = kind == PlatformKind::Nemo && invocation.need == Need::Candidates;
        let count = self.reader.list_len("nims");
        let mut candidates: Vec<Candidate> = Vec::with_capacity(count);
        let mut paths = Vec::with_capacity(count);
        for index in 0..count {
            let path = format!("nims.{index}");
            let Some(candidate) = self.candidate(&path) else { continue };
            if let Some(twin) = candidates.iter().position(|other| other.model_name == candidate.model_name) {
                let location = self.location_of(&format!("{path}.model_name"));
                let twin = format!("{}.model_name", paths[twin]);
                let line = self.location_of(&twin);
                let line =
                    if let Location::File(_, Some(line)) = line { format!(" on line {line}") } else { String::new() };
                let allowed = format!("each model once; it is already {twin}{line}");
                self.problems.push(Problem::value(
                    location,
                    &format!("{path}.model_name"),
                    format!("the text \"{}\" again", candidate.model_name),
                    allowed,
                ));
                continue;
            }
            if kind == PlatformKind::Embedded && !invocation.rehearse {
                self.student_only(&path, &candidate);
            }
            self.within_budget(&path, &candidate);
            if let Some(name) = candidate.helix.token_env.as_deref().filter(|_| is_needed) {
                self.require_variable(&format!("{path}.base_model_token_env"), name);
            }
            candidates.push(candidate);
            paths.push(path);
        }
        self.only(invocation, candidates)
    }

    fn candidate(&mut self, path: &str) -> Option<Candidate> {
        let at = |key: &str| format!("{path}.{key}");
        let reader = self.reader;
        reader.text(&at("model_type"));
        let Some(model_name) = reader.text(&at("model_name")) else {
            if reader.is_good(&at("model_name")) {
                let location = self.location_of(path);
                let needed = "the id that the NIM serves, such as meta/llama-3.2-1b-instruct";
                self.problems.push(Problem::missing(location, &at("model_name"), needed));
            }
            return None;
        };
        let enabled = reader.boolean(&at("customization_enabled"));
        let customizer = if enabled { self.customizer(path, &model_name) } else { None };
        Some(Candidate {
            context_length: reader.integer32(&at("context_length")),
            gpus: reader.integer32(&at("gpus")),
            pvc_size: reader.text(&at("pvc_size")),
            tag: reader.text(&at("tag")),
            registry_base: reader.text(&at("registry_base")).map(|base| base.trim_end_matches('/').to_owned()),
            helix: HelixModel {
                base_model: reader.text(&at("base_model")),
                repository: reader.text(&at("base_model_repository")),
                hub: reader.text(&at("base_model_hub")),
                token_env: reader.text(&at("base_model_token_env")),
                engine: reader.text(&at("engine")),
                image: reader.text(&at("image")),
                backend: reader.text(&at("customizer_configs.backend")),
                execution_profile: reader.text(&at("customizer_configs.execution_profile")),
            },
            customizer,
            model_name,
        })
    }

    fn customizer(&mut self, path: &str, model_name: &str) -> Option<CustomizerPlan> {
        let section = format!("{path}.customizer_configs");
        let at = |key: &str| format!("{section}.{key}");
        let reader = self.reader;
        let target = match reader.text(&at("target")) {
            Some(target) => Some(target),
            // Helix trains the base model itself and knows no targets.
            None if self.is_helix() && reader.is_good(&at("target")) => None,
            None if reader.written(&section).is_none() && reader.is_good(&at("target")) => {
                // Early files of NVIDIA's blueprint name no target. Built-in targets have this name.
                let target = format!("{model_name}@2.0");
                // Otherwise the platform tells, and Helix needs none (run/counterparts.rs).
                let says = |key: &str, word: &str| reader.text(key).as_deref() == Some(word);
                if says("nmp_config.generation", "v1") || says("nmp_config.platform", "embedded") {
                    self.warnings.push(format!("{} is missing; using {target}", at("target")));
                }
                reader.note(&at("target"), target.clone(), super::plan::ValueSource::Default);
                Some(target)
            }
            None => {
                if reader.is_good(&at("target")) {
                    let location = self.location_of(&section);
                    let needed = format!("what the customizer trains, such as {model_name}@2.0");
                    self.problems.push(Problem::missing(location, &at("target"), needed));
                }
                return None;
            }
        };
        let plan = CustomizerPlan {
            target,
            gpus: reader.integer32(&at("gpus")),
            num_nodes: reader.integer32(&at("num_nodes")),
            tensor_parallel_size: reader.integer32(&at("tensor_parallel_size")),
            data_parallel_size: reader.integer(&at("data_parallel_size")).and_then(|size| u32::try_from(size).ok()),
            use_sequence_parallel: reader.boolean(&at("use_sequence_parallel")),
            micro_batch_size: reader.integer32(&at("micro_batch_size")),
            training_precision: reader.text(&at("training_precision")),
            max_seq_length: reader.integer32(&at("max_seq_length")),
        };
        let total = plan.gpus.saturating_mul(plan.num_nodes);
        if plan.tensor_parallel_size > total {
            let path = at("tensor_parallel_size");
            let location = self.location_of(&path);
            let allowed = format!("at most {total}, the GPUs of all nodes together");
            self.problems.push(Problem::value(
                location,
                &path,
                format!("the number {}", plan.tensor_parallel_size),
                allowed,
            ));
        }
        Some(plan)
    }

    fn student_only(&mut self, path: &str, candidate: &Candidate) {
        if student::NAMES.contains(&candidate.model_name.as_str()) {
            return;
        }
        let path = format!("{path}.model_name");
        let location = self.location_of(&path);
        let allowed = format!(
            "{} on the embedded platform (or any model with --rehearse, which lets them stand in for it)",
            student::NAMES.join(", ")
        );
        self.problems.push(Problem::value(location, &path, format!("the text \"{}\"", candidate.model_name), allowed));
    }

    fn within_budget(&mut self, path: &str, candidate: &Candidate) {
        let Some(budget) = self.reader.integer("gpus") else { return };
        let training = candidate.customizer.as_ref().map_or(0, |plan| plan.gpus.saturating_mul(plan.num_nodes));
        let (path, what, need) = match &candidate.customizer {
            Some(plan) if training > candidate.gpus && plan.num_nodes > 1 => (
                format!("{path}.customizer_configs.num_nodes"),
                format!("training ({} on each of {} nodes)", plan.gpus, plan.num_nodes),
                training,
            ),
            Some(_) if training > candidate.gpus => {
                (format!("{path}.customizer_configs.gpus"), "training".to_owned(), training)
            }
            _ => (format!("{path}.gpus"), "the NIM".to_owned(), candidate.gpus),
        };
        if u64::from(need) > budget {
            let location = self.location_of(&path);
            let allowed = format!("at most {budget}, the budget that `gpus` sets");
            self.problems.push(Problem::value(location, &path, format!("{need} GPUs for {what}"), allowed));
        }
    }

    fn only(&mut self, invocation: &Invocation, candidates: Vec<Candidate>) -> Vec<Candidate> {
        if invocation.only.is_empty() {
            return candidates;
        }
        for wanted in &invocation.only {
            if !candidates.iter().any(|candidate| candidate.model_name == *wanted) && self.reader.is_good("nims") {
                let names: Vec<&str> = candidates.iter().map(|candidate| candidate.model_name.as_str()).collect();
                let allowed =
                    if names.is_empty() { "none, because `nims` is empty".to_owned() } else { names.join(", ") };
                self.problems.push(Problem::value(Location::Flag("--only"), "", format!("\"{wanted}\""), allowed));
            }
        }
        self.reader.note("only", invocation.only.join(", "), super::plan::ValueSource::Flag);
        candidates.into_iter().filter(|candidate| invocation.only.contains(&candidate.model_name)).collect()
    }
}
